//! Source text that may be shown: values that could be secrets are starred out.

use std::sync::Arc;

use crate::app::redact::{SECRET_KEYS, secret_spans};
use crate::document::format::Format;
use crate::document::parse::parse;
use crate::model::problem::Source;
use crate::model::suggest;

/// The text of `source` with every value that may be a secret starred out, same length, so that places in the file stay valid.
/// A misspelt `env` hides its values, too: that is when its line is shown. A file that cannot be parsed has every quoted text starred out.
pub fn masked(source: &Arc<Source>) -> String {
    let format = Format::of(&source.name).unwrap_or(Format::Toml);
    let mut text = source.text.clone().into_bytes();
    match parse(source, format) {
        Ok(root) => {
            let is_misspelt = |key: &str| suggest::nearest(key, SECRET_KEYS).is_some();
            for span in secret_spans(&root, &is_misspelt) {
                star(text.get_mut(span).unwrap_or_default());
            }
        }
        Err(_) => hide_quoted(&mut text),
    }
    // Only whole ranges of complete characters were replaced.
    String::from_utf8(text).unwrap_or_default()
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
    fn whatever_may_be_a_secret_is_not_shown() {
        let text = "[models.a]\nkey = \"hunter2\"\nurl = \"https://x.test/?k=hunter3\"\n[servers.a]\nargs = [\"--token\", \"hunter4\"]\n\
                    evn = { A = \"hunter5\", B = \"${SHOWN}\" }\nport = 8080\n";
        let shown = masked(&Source::new("registry.toml", text));
        assert!(!shown.contains("hunter") && shown.contains("${SHOWN}") && shown.contains("8080"), "{shown}");
    }

    #[test]
    fn a_broken_file_shows_no_quoted_text() {
        let shown = masked(&Source::new("registry.toml", "[servers.a\nKEY = \"hünter2\"\n"));
        assert!(!shown.contains("nter2") && shown.contains("[servers.a"), "{shown}");
    }
}
