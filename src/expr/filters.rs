//! The filters and tests that expressions have beyond the engine's own, and those that are bounded where its are not.

#![expect(clippy::needless_pass_by_value, reason = "the engine hands over arguments by value")]

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Environment, Error as Failure, ErrorKind, Value as Raw};
use serde_json::Value as Json;

use crate::expr::bounds::{check_size, settle};
use crate::expr::engine::text_of;
use crate::expr::value::{is_absent, kind_of, raw_from_json, raw_to_json};

/// The widest indentation.
const MAX_INDENT: usize = 64;

/// Adds them to the engine.
pub(super) fn add_to(engine: &mut Environment<'static>) {
    engine.add_filter("hash", hash);
    engine.add_filter("json", json);
    engine.add_filter("tojson", json);
    engine.add_filter("from_json", from_json);
    engine.add_filter("fromjson", from_json);
    engine.add_filter("pick", pick);
    engine.add_filter("flatten", flatten);
    engine.add_filter("default", default);
    engine.add_filter("d", default);
    engine.add_filter("string", |value: &Raw| text_of(value));
    engine.add_filter("join", join);
    engine.add_filter("replace", |text: &str, from: &str, to: &Raw| replace(text, from, &text_of(to)?, usize::MAX));
    engine.add_filter("indent", indent);
    engine.add_filter("batch", batch);
    engine.add_test("defined", |value: &Raw| !is_absent(value));
    engine.add_test("undefined", is_absent);
    engine.add_test("none", is_absent);
}

/// 16 hexadecimal digits that depend only on the value: FNV-1a over the text, or over the JSON with sorted keys.
fn hash(value: &Raw) -> Result<String, Failure> {
    let bytes = match value.as_str() {
        Some(text) => text.to_owned(),
        None => sorted(raw_to_json(&settle(value.clone())?)).to_string(),
    };
    let hash = bytes
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    Ok(format!("{hash:016x}"))
}

fn sorted(json: Json) -> Json {
    match json {
        Json::Array(items) => items.into_iter().map(sorted).collect(),
        Json::Object(fields) => {
            let mut fields: Vec<_> = fields.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            fields.sort_by(|one, other| one.0.cmp(&other.0));
            fields.into_iter().collect()
        }
        scalar => scalar,
    }
}

fn json(value: &Raw, indent: Option<bool>, named: Kwargs) -> Result<String, Failure> {
    let indent = match indent {
        Some(indent) => indent,
        None => named.get::<Option<Raw>>("indent")?.is_some_and(|indent| indent.is_true()),
    };
    named.assert_all_used()?;
    let json = raw_to_json(&settle(value.clone())?);
    Ok(if indent { format!("{json:#}") } else { json.to_string() })
}

fn from_json(text: &Raw) -> Result<Raw, Failure> {
    let Some(text) = text.as_str() else {
        return Err(invalid(format!("`from_json` needs text, this is {}", kind_of(text))));
    };
    let json: Json = serde_json::from_str(text).map_err(|error| invalid(format!("this is not JSON: {error}")))?;
    Ok(raw_from_json(&json))
}

/// Only the named fields, in the order given; those that an object lacks are left out. Of a list, each item's.
fn pick(value: &Raw, names: Rest<String>) -> Result<Raw, Failure> {
    match value.kind() {
        ValueKind::Map => {
            let object = value.as_object();
            let found = names.iter().filter_map(|name| Some((name.clone(), object?.get_value_by_str(name)?)));
            Ok(Raw::from_pairs(found.collect::<Vec<_>>()))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter()?.checked().map(|item| pick(&item?, Rest(names.0.clone())));
            Ok(Raw::from(items.collect::<Result<Vec<_>, _>>()?))
        }
        _ => Err(invalid(format!("`pick` needs an object or a list of objects, this is {}", kind_of(value)))),
    }
}

/// The items of a list's lists; an item that is no list stays.
fn flatten(list: &Raw) -> Result<Raw, Failure> {
    let mut items = Vec::new();
    for item in list_of(list, "flatten")? {
        let item = item?;
        if matches!(item.kind(), ValueKind::Seq | ValueKind::Iterable) {
            for inner in item.try_iter()?.checked() {
                items.push(inner?);
            }
        } else {
            items.push(item);
        }
        check_size(Some(items.len()))?;
    }
    Ok(Raw::from(items))
}

/// The first argument (the empty text without one) for what is missing or null and, if the second is true, for everything
/// that does not count as true.
fn default(value: Raw, arguments: Rest<ValueOrKwargs>) -> Result<Raw, Failure> {
    let arguments = arguments.into_values();
    let (arguments, named): (&[Raw], Kwargs) = from_args(&arguments)?;
    let named_empty = named.get::<Option<bool>>("boolean")?;
    let also_empty = arguments.get(1).map_or_else(|| named_empty.unwrap_or_default(), Raw::is_true);
    named.assert_all_used()?;
    if arguments.len() > 2 {
        return Err(Failure::from(ErrorKind::TooManyArguments));
    }
    let is_wanting = is_absent(&value) || (also_empty && !value.is_true());
    Ok(if is_wanting { arguments.first().cloned().unwrap_or_else(|| Raw::from("")) } else { value })
}

fn join(list: &Raw, between: Option<&str>, named: Kwargs) -> Result<String, Failure> {
    let attribute: Option<&str> = named.get("attribute")?;
    named.assert_all_used()?;
    let between = between.unwrap_or_default();
    let mut joined = String::new();
    for (index, item) in list_of(list, "join")?.enumerate() {
        let item = item?;
        let item = attribute.map_or_else(|| Ok(item.clone()), |attribute| item.get_attr(attribute))?;
        if index > 0 {
            joined.push_str(between);
        }
        joined.push_str(&text_of(&item)?);
        check_size(Some(joined.len()))?;
    }
    Ok(joined)
}

/// `text` with at most `limit` occurrences of `from` replaced.
pub(super) fn replace(text: &str, from: &str, to: &str, limit: usize) -> Result<String, Failure> {
    let count = text.matches(from).count().min(limit);
    check_size(to.len().checked_mul(count).and_then(|added| added.checked_add(text.len())))?;
    Ok(text.replacen(from, to, limit))
}

/// Every line but the first and the blank ones moved right.
fn indent(text: &str, width: Option<usize>, first: Option<bool>, named: Kwargs) -> Result<String, Failure> {
    let width = match width {
        Some(width) => width,
        None => named.get::<Option<usize>>("width")?.unwrap_or(4),
    };
    let first = match first {
        Some(first) => first,
        None => named.get::<Option<bool>>("first")?.unwrap_or_default(),
    };
    named.assert_all_used()?;
    if width > MAX_INDENT {
        return Err(invalid(format!("`indent` moves text by at most {MAX_INDENT}, not by {width}")));
    }
    let margin = " ".repeat(width);
    let mut indented = String::with_capacity(text.len());
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if (index > 0 || first) && !line.trim().is_empty() {
            indented.push_str(&margin);
        }
        indented.push_str(line);
    }
    check_size(Some(indented.len()))?;
    Ok(indented)
}

/// A list's items in lists of `size`; the last may be shorter.
fn batch(list: &Raw, size: usize) -> Result<Raw, Failure> {
    if size == 0 {
        return Err(invalid("`batch` needs a size of at least 1"));
    }
    let items = list_of(list, "batch")?.collect::<Result<Vec<_>, _>>()?;
    Ok(Raw::from(items.chunks(size).map(|chunk| Raw::from(chunk.to_vec())).collect::<Vec<_>>()))
}

fn list_of(value: &Raw, filter: &str) -> Result<impl Iterator<Item = Result<Raw, Failure>> + use<>, Failure> {
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Err(invalid(format!("`{filter}` needs a list, this is {}", kind_of(value))));
    }
    Ok(value.try_iter()?.checked())
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    Failure::new(ErrorKind::InvalidOperation, message)
}
