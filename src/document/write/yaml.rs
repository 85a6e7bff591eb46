//! YAML in block style.

use std::fmt::Write as _;

use serde_json::Value;

use crate::document::format::Format;
use crate::document::parse::parse;
use crate::model::problem::Source;

/// Longer lists and tables are not written on one line.
const ON_ONE_LINE: usize = 72;

/// The text of `value`.
pub(super) fn write(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(fields) if !fields.is_empty() => block(value, 0, &mut out),
        Value::Array(items) if !items.is_empty() => block(value, 0, &mut out),
        _ => {
            out.push_str(&inline(value));
            out.push('\n');
        }
    }
    out
}

/// The lines of a table or list that is not empty, each indented so far.
fn block(value: &Value, indent: usize, out: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let _ = write!(out, "{pad}{}:", scalar(name));
                below(field, indent, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                match item {
                    Value::Object(fields) if !fields.is_empty() && !is_short(item) => {
                        let mut lines = String::new();
                        block(item, indent + 2, &mut lines);
                        let _ = write!(out, "{pad}- {}", lines.trim_start_matches(' '));
                    }
                    Value::Array(items) if !items.is_empty() && !is_short(item) => {
                        let mut lines = String::new();
                        block(item, indent + 2, &mut lines);
                        let _ = write!(out, "{pad}- {}", lines.trim_start_matches(' '));
                    }
                    _ => {
                        let _ = write!(out, "{pad}-");
                        below(item, indent, out);
                    }
                }
            }
        }
        _ => {}
    }
}

/// What stands behind a colon or a dash.
fn below(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::String(text) if is_block_text(text) => {
            let keep = if text.ends_with('\n') { "" } else { "-" };
            let _ = writeln!(out, " |{keep}");
            for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
                let pad = if line.is_empty() { String::new() } else { " ".repeat(indent + 2) };
                let _ = writeln!(out, "{pad}{line}");
            }
        }
        Value::Object(fields) if !fields.is_empty() && !is_short(value) => {
            out.push('\n');
            block(value, indent + 2, out);
        }
        Value::Array(items) if !items.is_empty() && !is_short(value) => {
            out.push('\n');
            block(value, indent + 2, out);
        }
        _ => {
            let _ = writeln!(out, " {}", inline(value));
        }
    }
}

/// Whether a list or table of plain values fits on the line.
fn is_short(value: &Value) -> bool {
    let is_plain = |value: &Value| match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::String(text) => !text.contains('\n'),
        _ => true,
    };
    let is_flat = match value {
        Value::Array(items) => items.iter().all(is_plain),
        Value::Object(fields) => fields.values().all(is_plain) && !fields.contains_key("id"),
        _ => true,
    };
    is_flat && inline(value).len() <= ON_ONE_LINE
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| format!("{}: {}", scalar(name), inline(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// Text without quotes where it reads back as itself, wherever it stands.
fn scalar(text: &str) -> String {
    let is_harmless = |letter: char| {
        letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | '$' | '/' | '+' | ' ' | '(' | ')' | '=')
    };
    let starts_well = text.starts_with(|first: char| first.is_ascii_alphanumeric() || matches!(first, '_' | '$' | '/'));
    let is_plain = starts_well && !text.ends_with(' ') && text.chars().all(is_harmless) && reads_back(text);
    if is_plain { text.to_owned() } else { quoted(text) }
}

fn reads_back(text: &str) -> bool {
    let read = parse(&Source::new("", format!("[{text}]")), Format::Yaml);
    read.is_ok_and(|root| root.to_json() == Value::Array(vec![Value::String(text.to_owned())]))
}

/// Between double quotes, where YAML reads what JSON writes; what JSON leaves bare and YAML does not allow is escaped, too.
fn quoted(text: &str) -> String {
    let mut out = String::new();
    for letter in Value::String(text.to_owned()).to_string().chars() {
        let code = u32::from(letter);
        if matches!(code, 0x7f..=0x9f | 0x2028 | 0x2029 | 0xfeff | 0xfffe | 0xffff) {
            let _ = write!(out, "\\u{code:04x}");
        } else {
            out.push(letter);
        }
    }
    out
}

/// Whether text is readable as lines: more than one, without anything that a block of text would lose.
fn is_block_text(text: &str) -> bool {
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && !body.ends_with('\n')
        && !body.starts_with([' ', '\n', '\t'])
        && body.split('\n').all(|line| !line.ends_with([' ', '\t']))
        && text.chars().all(|letter| letter == '\n' || !(letter.is_control() || is_special(letter)))
}

fn is_special(letter: char) -> bool {
    matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' | '\u{85}')
}
