//! The methods of objects and texts, as Python's are spelled: `values()`, `items()`, `startswith()`, `split()`.

use minijinja::value::{ValueKind, from_args};
use minijinja::{Error as Failure, ErrorKind, State, Value as Raw};

use crate::expr::diagnosis::Advice;
use crate::expr::filters::replace;
use crate::expr::names::{FILTERS, OBJECT_METHODS, TEXT_METHODS};
use crate::expr::value::{fields, kind_of};
use crate::model::suggest::did_you_mean;

/// Calls `method` of `value`.
pub(super) fn call(state: &mut State, value: &Raw, method: &str, arguments: &[Raw]) -> Result<Raw, Failure> {
    match value.kind() {
        ValueKind::Map if OBJECT_METHODS.contains(&method) => of_object(value, method, arguments),
        ValueKind::String if TEXT_METHODS.contains(&method) => {
            of_text(state, value, value.as_str().unwrap_or_default(), method, arguments)
        }
        ValueKind::Map => Err(unknown(value, method, OBJECT_METHODS)),
        ValueKind::String => Err(unknown(value, method, TEXT_METHODS)),
        _ => Err(unknown(value, method, &[])),
    }
}

fn of_object(object: &Raw, method: &str, arguments: &[Raw]) -> Result<Raw, Failure> {
    if method == "get" {
        let (key, other): (&str, Option<Raw>) = from_args(arguments)?;
        let found = object.as_object().and_then(|object| object.get_value_by_str(key));
        return Ok(found.unwrap_or_else(|| other.unwrap_or_else(|| Raw::from(()))));
    }
    let () = from_args(arguments)?;
    let fields = fields(object);
    Ok(match method {
        "keys" => fields.map(|(key, _)| Raw::from(key)).collect(),
        "values" => fields.map(|(_, field)| field).collect(),
        _ => fields.map(|(key, field)| Raw::from(vec![Raw::from(key), field])).collect(),
    })
}

fn of_text(state: &mut State, value: &Raw, text: &str, method: &str, arguments: &[Raw]) -> Result<Raw, Failure> {
    let characters = |arguments: &[Raw]| -> Result<Option<String>, Failure> {
        let (characters,): (Option<String>,) = from_args(arguments)?;
        Ok(characters)
    };
    Ok(match method {
        "startswith" => Raw::from(text.starts_with(from_args::<(&str,)>(arguments)?.0)),
        "endswith" => Raw::from(text.ends_with(from_args::<(&str,)>(arguments)?.0)),
        "replace" => {
            let (from, to, limit): (&str, &str, Option<usize>) = from_args(arguments)?;
            Raw::from(replace(text, from, to, limit.unwrap_or(usize::MAX))?)
        }
        "strip" => Raw::from(stripped(text, characters(arguments)?.as_deref(), true, true)),
        "lstrip" => Raw::from(stripped(text, characters(arguments)?.as_deref(), true, false)),
        "rstrip" => Raw::from(stripped(text, characters(arguments)?.as_deref(), false, true)),
        "splitlines" => {
            let () = from_args(arguments)?;
            text.lines().map(Raw::from).collect()
        }
        "join" => {
            let (list,): (Raw,) = from_args(arguments)?;
            state.apply_filter("join", &[list, value.clone()])?
        }
        "split" => {
            let with_value: Vec<Raw> = std::iter::once(value).chain(arguments).cloned().collect();
            state.apply_filter("split", &with_value)?
        }
        _ => {
            let () = from_args(arguments)?;
            state.apply_filter(method, std::slice::from_ref(value))?
        }
    })
}

fn stripped<'a>(text: &'a str, characters: Option<&str>, start: bool, end: bool) -> &'a str {
    let is_stripped = |letter: char| characters.map_or_else(|| letter.is_whitespace(), |set| set.contains(letter));
    let text = if start { text.trim_start_matches(is_stripped) } else { text };
    if end { text.trim_end_matches(is_stripped) } else { text }
}

fn unknown(value: &Raw, method: &str, known: &[&str]) -> Failure {
    let failure = Failure::new(ErrorKind::InvalidOperation, format!("{} has no method `{method}`", kind_of(value)));
    let advice = if FILTERS.contains(&method) {
        Some(format!("write `|{method}`"))
    } else {
        did_you_mean(method, known.iter().copied())
    };
    match advice {
        Some(advice) => failure.with_source(Advice(advice)),
        None => failure,
    }
}
