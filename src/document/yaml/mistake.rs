//! What the YAML parser's errors mean for the person who wrote the file.

use serde_saphyr::granit_parser::{ErrorKind, ScanError};

use crate::document::fail::Fail;
use crate::document::yaml::offset;
use crate::model::code;

const QUOTE: &str = "quote the value";
const INDENT: &str = "check the indentation, and that every bracket and quote above is closed";

/// The failure that `error` is, at its place in `text`.
pub(super) fn fail(error: &ScanError, text: &str) -> Fail {
    let start = offset(error.marker(), text);
    let place = start..start;
    let (message, help) = match error.kind() {
        ErrorKind::RecursionLimitExceeded => return Fail::too_deep(place),
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
            ("a tab where only spaces may indent".to_owned(), "indent with spaces")
        }
        ErrorKind::UnknownAnchor => ("an `*alias` without an `&anchor` above".to_owned(), QUOTE),
        ErrorKind::UnexpectedCharacter { character } => {
            (format!("a value cannot begin with {character:?} here"), QUOTE)
        }
        ErrorKind::MappingValueNotAllowed => (
            "a `:` where YAML allows none".to_owned(),
            "quote the value if the `:` belongs to it; otherwise check the indentation",
        ),
        ErrorKind::UnclosedQuotedScalar => ("a quote that is never closed".to_owned(), "close it"),
        ErrorKind::UnclosedFlowCollection { open } => (format!("this `{open}` is never closed"), "close it"),
        kind => (kind.to_string(), INDENT),
    };
    Fail::new(code::SYNTAX, place, message).help(template_help(text, start).unwrap_or(help))
}

/// What to do if the line at `offset` holds an expression, which is then the likeliest culprit.
pub(super) fn template_help(text: &str, offset: usize) -> Option<&'static str> {
    let start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next().unwrap_or_default();
    if line.contains("${") {
        Some("quote the value, or write `$name.path` without braces")
    } else if line.contains("{{") || line.contains("{%") {
        Some("quote the value; expressions are written `${ name.path }`")
    } else if line.contains('$') {
        Some(QUOTE)
    } else {
        None
    }
}
