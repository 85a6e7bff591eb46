//! TOML, through the parser's own spanned tables.

use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

use crate::document::fail::{Fail, MAX_DEPTH};
use crate::document::node::{Field, Node, Value};
use crate::model::code;
use crate::model::problem::Span;

/// Reads `text`; the document itself is a table.
pub(super) fn parse(text: &str) -> Result<Node, Fail> {
    let document = DeTable::parse(text).map_err(|error| fail(&error, text))?;
    Ok(Node { span: 0..text.len(), value: table(document.into_inner(), 0)? })
}

fn node(parsed: Spanned<DeValue<'_>>, depth: usize) -> Result<Node, Fail> {
    let span = parsed.span();
    if depth > MAX_DEPTH {
        return Err(Fail::too_deep(span));
    }
    let value = match parsed.into_inner() {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(integer) => Value::Number(whole(&integer, &span)?),
        DeValue::Float(float) => Value::Number(fraction(&float, &span)?),
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(moment) => Value::Text(moment.to_string()),
        DeValue::Array(items) => {
            Value::List(items.into_iter().map(|item| node(item, depth + 1)).collect::<Result<_, _>>()?)
        }
        DeValue::Table(fields) => table(fields, depth)?,
    };
    Ok(Node { span, value })
}

fn table(parsed: DeTable<'_>, depth: usize) -> Result<Value, Fail> {
    let mut fields = parsed
        .into_iter()
        .map(|(key, value)| {
            let key_span = key.span();
            Ok(Field { key: key.into_inner().into_owned(), key_span, value: node(value, depth + 1)? })
        })
        .collect::<Result<Vec<_>, Fail>>()?;
    // The parser sorts by name; people are shown problems in the order of the text.
    fields.sort_by_key(|field| field.key_span.start);
    Ok(Value::Table(fields))
}

fn whole(integer: &DeInteger<'_>, span: &Span) -> Result<serde_json::Number, Fail> {
    let (digits, radix) = (integer.as_str(), integer.radix());
    i64::from_str_radix(digits, radix)
        .map(Into::into)
        .or_else(|_| u64::from_str_radix(digits, radix).map(Into::into))
        .map_err(|_| not_a_number(span))
}

fn fraction(float: &DeFloat<'_>, span: &Span) -> Result<serde_json::Number, Fail> {
    float.as_str().parse().ok().and_then(serde_json::Number::from_f64).ok_or_else(|| not_a_number(span))
}

/// The digits are not repeated: they may be a token that should have been quoted.
fn not_a_number(span: &Span) -> Fail {
    Fail::new(code::WRONG_VALUE, span.clone(), "not a number that fits into 64 bits")
        .help("write it as text, in quotes")
}

fn fail(error: &toml::de::Error, text: &str) -> Fail {
    let span = error.span().unwrap_or(0..0);
    let message = error.message();
    if message.contains("recursion") || message.contains("recurse") {
        return Fail::too_deep(span.start..span.start);
    }
    if message == "duplicate key" {
        let key = text.get(span.clone()).unwrap_or_default();
        return Fail::new(code::DUPLICATE, span, format!("the key `{key}` is given twice")).help("keep one of the two");
    }
    // The parser writes one sentence per line.
    Fail::new(code::SYNTAX, span, message.trim().replace('\n', ", "))
}
