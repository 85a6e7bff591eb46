//! TOML: plain values first, then a section for each table and for each table of a list.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// The text of `value`, which must be a table; an error says what TOML cannot hold.
pub(super) fn write(value: &Value) -> Result<String, String> {
    let Value::Object(fields) = value else { return Err("a TOML file is a table".to_owned()) };
    let mut out = String::new();
    let is_section = |value: &Value| is_table(value) || is_list_of_tables(value);
    for (name, value) in fields.iter().filter(|(_, value)| !is_section(value)) {
        let _ = writeln!(out, "{} = {}", key(name), inline(value, name)?);
    }
    for (name, value) in fields.iter().filter(|(_, value)| is_section(value)) {
        match value {
            Value::Object(inner) => {
                let _ = writeln!(out, "\n[{}]", key(name));
                lines(inner, name, &mut out)?;
            }
            Value::Array(items) => {
                for item in items.iter().filter_map(Value::as_object) {
                    let _ = writeln!(out, "\n[[{}]]", key(name));
                    lines(item, name, &mut out)?;
                }
            }
            _ => {}
        }
    }
    Ok(out.trim_start().to_owned())
}

fn is_table(value: &Value) -> bool {
    value.is_object()
}

fn is_list_of_tables(value: &Value) -> bool {
    value.as_array().is_some_and(|items| !items.is_empty() && items.iter().all(Value::is_object))
}

fn lines(fields: &Map<String, Value>, path: &str, out: &mut String) -> Result<(), String> {
    for (name, value) in fields {
        let _ = writeln!(out, "{} = {}", key(name), inline(value, &format!("{path}.{name}"))?);
    }
    Ok(())
}

fn inline(value: &Value, path: &str) -> Result<String, String> {
    match value {
        Value::Null => {
            Err(format!("TOML has no null, which stands at `{path}`; leave the key out, or write `${{none}}`"))
        }
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(number) if number.is_u64() && number.as_i64().is_none() => {
            Err(format!("TOML has no whole number as large as the one at `{path}`"))
        }
        Value::Number(number) => Ok(number.to_string()),
        Value::String(text) => Ok(quoted(text)),
        Value::Array(items) => {
            let items: Vec<_> = items
                .iter()
                .enumerate()
                .map(|(place, item)| inline(item, &format!("{path}[{place}]")))
                .collect::<Result<_, _>>()?;
            let is_long = items.iter().map(String::len).sum::<usize>() > 100;
            Ok(if is_long { format!("[\n  {},\n]", items.join(",\n  ")) } else { format!("[{}]", items.join(", ")) })
        }
        Value::Object(fields) if fields.is_empty() => Ok("{}".to_owned()),
        Value::Object(fields) => {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| Ok(format!("{} = {}", key(name), inline(value, &format!("{path}.{name}"))?)))
                .collect::<Result<_, String>>()?;
            Ok(format!("{{ {} }}", fields.join(", ")))
        }
    }
}

fn key(name: &str) -> String {
    let is_bare =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if is_bare { name.to_owned() } else { basic(name) }
}

/// Lines as lines, all else between quotes.
fn quoted(text: &str) -> String {
    let is_lines = text.contains('\n')
        && !text.contains("\"\"\"")
        && !text.contains('\\')
        && !text.ends_with('"')
        && text.chars().all(|letter| letter == '\n' || !letter.is_control());
    if is_lines { format!("\"\"\"\n{text}\"\"\"") } else { basic(text) }
}

fn basic(text: &str) -> String {
    // JSON leaves this one bare, which TOML does not allow.
    Value::String(text.to_owned()).to_string().replace('\u{7f}', "\\u007f")
}
