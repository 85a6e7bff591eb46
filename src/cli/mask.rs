//! Source text that may be shown: values that could be secrets are starred out.

use std::sync::Arc;

use crate::document::format::Format;
use crate::document::node::{Node, Value};
use crate::document::parse::parse;
use crate::model::problem::Source;
use crate::model::suggest;

/// The tables of a registry whose values are never shown.
const SECRET_TABLES: [&str; 2] = ["env", "headers"];

/// The text of `source` with every value of a registry's `env` and `headers` starred out, same length, so that places in the
/// file stay valid. A file that cannot be parsed has every quoted text starred out.
pub fn masked(source: &Arc<Source>) -> String {
    let format = Format::of(&source.name).unwrap_or(Format::Toml);
    let mut text = source.text.clone().into_bytes();
    match parse(source, format) {
        Ok(node) => hide(&node, false, &mut text),
        Err(_) => hide_quoted(&mut text),
    }
    // Only whole ranges of complete characters were replaced.
    String::from_utf8(text).unwrap_or_default()
}

fn hide(node: &Node, is_secret: bool, text: &mut [u8]) {
    match &node.value {
        Value::Table(fields) => {
            for field in fields {
                hide(&field.value, is_secret || is_secret_table(&field.key), text);
            }
        }
        Value::List(items) => items.iter().for_each(|item| hide(item, is_secret, text)),
        _ if is_secret => star(text.get_mut(node.span.clone()).unwrap_or_default()),
        _ => {}
    }
}

/// A misspelt one counts, too: that is when its line is shown.
fn is_secret_table(key: &str) -> bool {
    SECRET_TABLES.contains(&key) || suggest::nearest(key, SECRET_TABLES).is_some()
}

fn hide_quoted(text: &mut [u8]) {
    let mut quote = None;
    for byte in text.iter_mut() {
        match quote {
            Some(end) if *byte == end || *byte == b'\n' => quote = None,
            Some(_) => *byte = b'*',
            None if matches!(*byte, b'"' | b'\'') => quote = Some(*byte),
            None => {}
        }
    }
}

fn star(text: &mut [u8]) {
    for byte in text.iter_mut().filter(|byte| !matches!(**byte, b'"' | b'\'' | b'\n')) {
        *byte = b'*';
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_env_and_headers_are_never_shown() {
        let source = Source::new(
            "registry.toml",
            "[servers.a]\ncommand = \"x\"\ntimeot = 3\nenv = { KEY = \"hunter2\" }\n[servers.b.headers]\nAuth = 'hunter3'\n",
        );
        let shown = masked(&source);
        assert!(
            !shown.contains("hunter") && shown.contains("timeot = 3") && shown.contains("command = \"x\""),
            "{shown}"
        );
        assert_eq!(shown.len(), source.text.len());
    }

    #[test]
    fn a_broken_file_shows_no_quoted_text() {
        let shown = masked(&Source::new("registry.toml", "[servers.a\nKEY = \"hünter2\"\n"));
        assert!(!shown.contains("nter2") && shown.contains("[servers.a"), "{shown}");
    }
}
