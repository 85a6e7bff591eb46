//! Texts of files without the secrets that stand in them, and such a text with its secrets again.
//!
//! What may be a secret is left out by where it stands and how it looks; placeholders (`${VAR}`) are none. It comes back from the file as
//! it is now, at the same place, so that nothing of it is ever kept.

use std::sync::Arc;

use crate::document::format::Format;
use crate::document::node::{Node, Value};
use crate::document::parse::parse;
use crate::model::problem::{Source, Span};

/// What stands in place of a secret.
pub const HIDDEN: &str = "<hidden>";

/// Tables and keys whose values may be secrets, whatever they look like.
const SECRET_KEYS: [&str; 5] = ["env", "headers", "key", "client_secret", "private_key"];

/// Parts of names of keys and flags whose values are secrets.
const SECRET_WORDS: [&str; 7] = ["token", "secret", "password", "passwd", "credential", "api_key", "api-key"];

/// Words that stand beside a placeholder without being a secret, as `Bearer` does: no longer than this.
const LONGEST_SCHEME: usize = 16;

/// Literals of at least this length that look drawn at random are taken for secrets.
const SHORTEST_RANDOM: usize = 20;

/// `source` without its secrets; `None` if it cannot be read.
pub fn redacted(source: &Arc<Source>) -> Option<String> {
    let root = parse(source, Format::of(&source.name)?).ok()?;
    let mut spans = Vec::new();
    secrets(&root, false, &mut spans);
    Some(spliced(&source.text, spans.into_iter().map(|span| (span, format!("\"{HIDDEN}\""))).collect()))
}

/// The redacted text `old` of a file with the secrets that the file has now. An error names the places for which it has none.
pub fn restored(old: &Arc<Source>, now: &Arc<Source>) -> Result<String, Vec<String>> {
    let format = Format::of(&old.name).ok_or_else(|| vec![old.name.clone()])?;
    let unreadable = |source: &Arc<Source>| vec![format!("{} cannot be read", source.name)];
    let root = parse(old, format).map_err(|_| unreadable(old))?;
    let mut hidden = Vec::new();
    hidden_in(&root, &mut Vec::new(), &mut hidden);
    if hidden.is_empty() {
        return Ok(old.text.clone());
    }
    let current = parse(now, format).map_err(|_| unreadable(now))?;
    let mut missing = Vec::new();
    let mut values = Vec::new();
    for (path, span) in hidden {
        let known = at(&current, &path).and_then(|node| now.text.get(node.span.clone()));
        match known {
            Some(text) => values.push((span, text.to_owned())),
            None => missing.push(path.join(".")),
        }
    }
    if missing.is_empty() { Ok(spliced(&old.text, values)) } else { Err(missing) }
}

fn secrets(node: &Node, is_secret: bool, found: &mut Vec<Span>) {
    match &node.value {
        Value::Table(fields) => {
            for field in fields {
                secrets(&field.value, is_secret || is_secret_name(&field.key), found);
            }
        }
        Value::List(items) => {
            let mut follows_flag = false;
            for item in items {
                let text = if let Value::Text(text) = &item.value { text.as_str() } else { "" };
                secrets(item, is_secret || follows_flag, found);
                follows_flag = text.starts_with('-') && !text.contains('=') && is_secret_name(text);
            }
        }
        Value::Text(text) if is_literal(text) && (is_secret || looks_secret(text)) => found.push(node.span.clone()),
        Value::Number(_) if is_secret => found.push(node.span.clone()),
        _ => {}
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_KEYS.contains(&name.as_str()) || SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// Whether there is more to it than placeholders and the name of a scheme.
fn is_literal(text: &str) -> bool {
    let mut rest = String::new();
    let mut left = text;
    while let Some((before, after)) = left.split_once("${") {
        rest.push_str(before);
        left = after.split_once('}').map_or("", |(_, after)| after);
    }
    rest.push_str(left);
    let is_scheme = rest.len() < text.len() && rest.len() <= LONGEST_SCHEME;
    !(is_scheme && rest.chars().all(|c| c.is_ascii_alphabetic() || c == ' ' || c == ':'))
}

fn looks_secret(text: &str) -> bool {
    let named = text.split_once('=').is_some_and(|(name, value)| is_secret_name(name) && !value.is_empty());
    let in_address = text.split_once("://").is_some_and(|(_, rest)| rest.contains(['@', '?']));
    let is_one_word = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-+=".contains(c));
    let is_mixed = text.chars().any(|c| c.is_ascii_digit()) && text.chars().any(|c| c.is_ascii_alphabetic());
    named || in_address || (text.len() >= SHORTEST_RANDOM && is_one_word && is_mixed)
}

fn hidden_in(node: &Node, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, Span)>) {
    match &node.value {
        Value::Table(fields) => {
            for field in fields {
                path.push(field.key.clone());
                hidden_in(&field.value, path, found);
                path.pop();
            }
        }
        Value::List(items) => {
            for (place, item) in items.iter().enumerate() {
                path.push(place.to_string());
                hidden_in(item, path, found);
                path.pop();
            }
        }
        Value::Text(text) if text == HIDDEN => found.push((path.clone(), node.span.clone())),
        _ => {}
    }
}

fn at<'a>(root: &'a Node, path: &[String]) -> Option<&'a Node> {
    path.iter().try_fold(root, |node, part| match &node.value {
        Value::Table(fields) => fields.iter().find(|field| field.key == *part).map(|field| &field.value),
        Value::List(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// `text` with others in place of these parts of it.
fn spliced(text: &str, mut parts: Vec<(Span, String)>) -> String {
    parts.sort_by_key(|(span, _)| span.start);
    let mut whole = String::new();
    let mut next = 0;
    for (span, other) in parts.into_iter().filter(|(span, _)| !span.is_empty()) {
        whole.push_str(text.get(next..span.start).unwrap_or_default());
        whole.push_str(&other);
        next = span.end;
    }
    whole + text.get(next..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"[servers.a]
command = "npx"
args = ["-y", "@scope/server", "--token", "hunter1", "--api-key=hunter2", "ghp16C7e42F292c6912E7710c8"]
env = { PLAIN = "hunter3", GIVEN = "${TOKEN}", PORT = 8080 }
[servers.b]
url = "https://me:hunter4@example.com/mcp?key=hunter5"
headers = { Authorization = "Bearer ${B}", Other = 'Bearer hunter6' }
"#;

    #[test]
    fn no_secret_is_left_and_each_comes_back_from_where_it_stands() {
        let now = Source::new("registry.toml", TEXT);
        let hidden = redacted(&now).expect("a registry");
        assert!(!hidden.contains("hunter") && !hidden.contains("ghp16") && !hidden.contains("8080"), "{hidden}");
        for kept in ["@scope/server", "${TOKEN}", "Bearer ${B}", "\"-y\"", "\"--token\""] {
            assert!(hidden.contains(kept), "{kept}: {hidden}");
        }
        let old = Source::new("registry.toml", hidden.replace("npx", "node"));
        assert_eq!(restored(&old, &now).expect("all is there"), TEXT.replace("npx", "node"));
        let less = Source::new("registry.toml", TEXT.replace("PLAIN", "OTHER"));
        assert_eq!(restored(&old, &less).expect_err("one is missing"), ["servers.a.env.PLAIN"]);
    }
}
