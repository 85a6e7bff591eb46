//! JSON as people write it: with comments and trailing commas, but no other liberties.

use jsonc_parser::ParseOptions;
use jsonc_parser::ast::{ObjectProp, Value as Parsed};
use jsonc_parser::common::{Range, Ranged as _};
use jsonc_parser::errors::{ParseError, ParseErrorKind};

use crate::document::duplicate;
use crate::document::fail::{Fail, MAX_DEPTH};
use crate::document::node::{Field, Node, Value};
use crate::document::number;
use crate::model::code;
use crate::model::problem::Span;

/// Reads `text`; an empty one is nothing, as in YAML.
pub(super) fn parse(text: &str) -> Result<Node, Fail> {
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
    };
    let parsed = jsonc_parser::parse_to_ast(text, &jsonc_parser::CollectOptions::default(), &options)
        .map_err(|error| fail(&error))?;
    parsed.value.map_or(Ok(Node { span: 0..0, value: Value::Null }), |value| node(value, 0))
}

fn node(parsed: Parsed<'_>, depth: usize) -> Result<Node, Fail> {
    let span = span(parsed.range());
    if depth > MAX_DEPTH {
        return Err(Fail::too_deep(span));
    }
    let value = match parsed {
        Parsed::NullKeyword(_) => Value::Null,
        Parsed::BooleanLit(literal) => Value::Bool(literal.value),
        Parsed::StringLit(literal) => Value::Text(literal.value.into_owned()),
        Parsed::NumberLit(literal) => Value::Number(number::parse(literal.value).ok_or_else(|| {
            Fail::new(code::WRONG_VALUE, span.clone(), "not a number that fits into 64 bits")
                .help("write it as text, in quotes")
        })?),
        Parsed::Array(array) => {
            Value::List(array.elements.into_iter().map(|item| node(item, depth + 1)).collect::<Result<_, _>>()?)
        }
        Parsed::Object(object) => {
            let fields: Vec<_> =
                object.properties.into_iter().map(|property| field(property, depth)).collect::<Result<_, _>>()?;
            if let Some(fail) = duplicate::find(&fields) {
                return Err(fail);
            }
            Value::Table(fields)
        }
    };
    Ok(Node { span, value })
}

fn field(property: ObjectProp<'_>, depth: usize) -> Result<Field, Fail> {
    let key_span = span(property.name.range());
    let value = node(property.value, depth + 1)?;
    Ok(Field { key: property.name.into_string(), key_span, value })
}

fn span(range: Range) -> Span {
    range.start..range.end
}

fn fail(error: &ParseError) -> Fail {
    let span = span(error.range());
    let (message, help) = match error.kind() {
        ParseErrorKind::NestingDepthExceeded => return Fail::too_deep(span.start..span.start),
        ParseErrorKind::ExpectedStringObjectProperty => ("a key must be in double quotes", Some("quote it")),
        ParseErrorKind::SingleQuotedStringsNotAllowed => ("text must be in double quotes", Some("use `\"`")),
        ParseErrorKind::ExpectedComma => ("a comma is missing", Some("put a `,` between the two values")),
        ParseErrorKind::UnexpectedWord => ("unexpected word", Some("put text in double quotes")),
        ParseErrorKind::UnterminatedObject => ("this `{` is never closed", Some("add a `}`")),
        ParseErrorKind::UnterminatedArray => ("this `[` is never closed", Some("add a `]`")),
        ParseErrorKind::MultipleRootJsonValues => ("something follows the end of the value", None),
        kind => return Fail::new(code::SYNTAX, span, lower_first(&kind.to_string())),
    };
    Fail { code: code::SYNTAX, span, message: message.to_owned(), help: help.map(str::to_owned) }
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
