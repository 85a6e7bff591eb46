//! What went wrong, in the words of the author's source instead of the engine's.

use std::error::Error as _;
use std::fmt::Write as _;
use std::ops::Range;

use minijinja::{Error as Failure, ErrorKind, Value as Raw};

use crate::expr::access::{Access, Missing, Reason};
use crate::expr::bounds::MAX_FUEL;
use crate::expr::error::Error;
use crate::expr::rewrite::SourceMap;
use crate::expr::value::raw_to_json;
use crate::model::suggest::did_you_mean;

/// How many names a message lists.
const LISTED: usize = 8;

/// What a failure is told with: a source, how its rewritten form leads back to it, and what it reads.
pub(super) struct Site<'a> {
    /// The author's source.
    pub(super) source: &'a str,
    /// The way from what the engine compiled to the source, the last rewriting first.
    pub(super) maps: &'a [SourceMap],
    /// The paths that the source reads.
    pub(super) accesses: &'a [Access],
}

/// Advice that travels with a failure of our own filters.
#[derive(Debug, Clone)]
pub(super) struct Advice(pub(super) String);

impl std::fmt::Display for Advice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Advice {}

impl Site<'_> {
    /// `failure` as the author should read it. `names` gives the roots that are in scope.
    pub(super) fn explain(&self, failure: &Failure, names: impl FnOnce() -> Vec<String>) -> Error {
        if let Some(missing) = failure.source().and_then(|source| source.downcast_ref::<Missing>()) {
            return self.missing(missing, names);
        }
        let (message, help) = wording(failure);
        let error = Error::new(self.source, message).maybe_help(help);
        let advice = failure.source().and_then(|source| source.downcast_ref::<Advice>());
        let error = error.maybe_help(advice.map(|advice| advice.0.clone()));
        match failure.range().map(|range| self.back(range)) {
            Some(span) if !span.is_empty() => error.at(self.source, span),
            _ => error,
        }
    }

    /// A path that leads nowhere.
    pub(super) fn missing(&self, missing: &Missing, names: impl FnOnce() -> Vec<String>) -> Error {
        let Some(access) = self.accesses.get(missing.access) else {
            return Error::new(self.source, missing.to_string());
        };
        let read = path(&access.root, &missing.parts[..missing.depth]);
        let part = missing.parts.get(missing.depth).map(shown).unwrap_or_default();
        let (message, help) = match &missing.reason {
            Reason::UnknownRoot => {
                let names = names();
                (format!("`{}` is not known here", access.root), near_or_all(&access.root, &names, "known here"))
            }
            Reason::Null => (format!("`{read}` is null, so it has no {part}"), Some(default_help())),
            Reason::NoField(known) => {
                let wanted = missing.parts[missing.depth].as_str().unwrap_or_default();
                (format!("`{read}` has no {part}"), near_or_all(wanted, known, "it has"))
            }
            Reason::NoItem(length) => (format!("`{read}` is a list of {length}, so it has no {part}"), None),
            Reason::NoParts(kind) => (format!("`{read}` is {kind}, so it has no {part}"), None),
        };
        let help = length_help(missing).or(help);
        Error::new(self.source, message).at(self.source, access.span.clone()).maybe_help(help)
    }

    fn back(&self, range: Range<usize>) -> Range<usize> {
        let range = self.maps.iter().fold(range, |range, map| map.back(&range));
        let start = self.source.floor_char_boundary(range.start);
        start..self.source.ceil_char_boundary(range.end.min(self.source.len())).max(start)
    }
}

/// A path as it would be written: `steps.contact.output`, `input.items[0]`, `input['odd name']`.
fn path(root: &str, parts: &[Raw]) -> String {
    let mut path = root.to_owned();
    for part in parts {
        let _ = match part.as_str() {
            Some(name) if is_name(name) => write!(path, ".{name}"),
            Some(name) => write!(path, "['{name}']"),
            None => write!(path, "[{}]", raw_to_json(part)),
        };
    }
    path
}

/// Whether `text` may be written behind a dot.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn shown(part: &Raw) -> String {
    match part.as_str() {
        Some(name) => format!("field `{name}`"),
        None => format!("item {}", raw_to_json(part)),
    }
}

/// The nearest of `known`, or all of them if there are few.
fn near_or_all(wanted: &str, known: &[String], intro: &str) -> Option<String> {
    if let Some(suggestion) = did_you_mean(wanted, known.iter().map(String::as_str)) {
        return Some(suggestion);
    }
    (1..=LISTED).contains(&known.len()).then(|| {
        let listed: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
        format!("{intro}: {}", listed.join(", "))
    })
}

fn length_help(missing: &Missing) -> Option<String> {
    let is_object = matches!(missing.reason, Reason::NoField(_) | Reason::Null | Reason::UnknownRoot);
    let wanted = missing.parts.get(missing.depth)?.as_str()?;
    (!is_object && ["length", "size", "count"].contains(&wanted)).then(|| "write `|length` behind the path".to_owned())
}

fn default_help() -> String {
    "add `|default(…)` if it may be missing".to_owned()
}

fn wording(failure: &Failure) -> (String, Option<String>) {
    let detail = failure.detail().unwrap_or_default();
    if let Some(wording) = operands(detail) {
        return wording;
    }
    match failure.kind() {
        ErrorKind::SyntaxError => {
            let said = detail.replace("end of variable block", "`}`").replace("end of block", "`%}`");
            (said.replace("end of input", "end"), None)
        }
        ErrorKind::OutOfFuel => (
            format!("this takes more than {MAX_FUEL} steps to compute"),
            Some("compute less at once, or let a tool do it".to_owned()),
        ),
        ErrorKind::UndefinedError if detail.is_empty() => {
            ("something that does not exist is used here".to_owned(), Some(default_help()))
        }
        ErrorKind::UndefinedError => (detail.to_owned(), Some(default_help())),
        ErrorKind::MissingArgument if detail.is_empty() => ("an argument is missing".to_owned(), None),
        ErrorKind::TooManyArguments if detail.is_empty() => ("there are too many arguments".to_owned(), None),
        kind if detail.is_empty() => (kind.to_string(), None),
        _ => (lower_first(detail), detail.ends_with(" none").then(default_help)),
    }
}

/// An operator between things that it cannot combine.
fn operands(detail: &str) -> Option<(String, Option<String>)> {
    let (operator, kinds) = detail.strip_prefix("tried to use ")?.split_once(" operator on unsupported types ")?;
    let (left, right) = kinds.split_once(" and ")?;
    let help = if left == "none" || right == "none" {
        Some(default_help())
    } else {
        (operator == "+" && (left == "string" || right == "string")).then(|| "write `~` to join text".to_owned())
    };
    Some((format!("`{operator}` cannot combine {} and {}", named_kind(left), named_kind(right)), help))
}

/// The engine's name of a kind in our words.
fn named_kind(kind: &str) -> &str {
    match kind {
        "none" | "undefined" => "null",
        "string" => "text",
        "number" => "a number",
        "bool" => "true or false",
        "sequence" | "iterator" => "a list",
        "map" => "an object",
        other => other,
    }
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next();
    let is_word = letters.clone().next().is_some_and(char::is_lowercase);
    first.filter(|_| is_word).map_or_else(|| text.to_owned(), |first| first.to_lowercase().chain(letters).collect())
}
