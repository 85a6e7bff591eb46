//! JSON Schemas at work: compiling them, saying what does not fit, filling in defaults, finding fields.

use std::fmt::Write as _;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value};

use crate::model::suggest;

/// A longer message is cut: it may quote a whole value.
const MAX_MESSAGE: usize = 300;

/// More violations than this are not listed.
const MAX_VIOLATIONS: usize = 20;

/// Compiles a schema (2020-12 unless `$schema` says otherwise). Nothing is ever fetched.
pub fn compile(schema: &Value) -> Result<Validator, String> {
    jsonschema::options().offline().build(schema).map_err(|error| bounded(&error.to_string()))
}

/// What is wrong with a schema's own form: a JSON pointer to the place and a message, for each mistake.
pub fn faults(schema: &Value) -> Vec<(String, String)> {
    let found: Vec<_> = jsonschema::draft202012::meta::validator()
        .iter_errors(schema)
        .take(MAX_VIOLATIONS)
        .map(|error| (error.instance_path().as_str().to_owned(), bounded(&error.to_string())))
        .collect();
    if !found.is_empty() {
        return found;
    }
    jsonschema::options()
        .offline()
        .build(schema)
        .err()
        .map(|error| (error.instance_path().as_str().to_owned(), bounded(&error.to_string())))
        .into_iter()
        .collect()
}

/// What does not fit, one message each, naming the field: ``missing `phone` ``, `` `age`: "x" is not of type "number" ``.
///
/// `whole` names the value as a whole, such as `the input`.
pub fn violations(schema: &Value, value: &Value, whole: &str) -> Vec<String> {
    let validator = match compile(schema) {
        Ok(validator) => validator,
        Err(error) => return vec![format!("the schema of {whole} cannot be used: {error}")],
    };
    validator.iter_errors(value).take(MAX_VIOLATIONS).flat_map(|error| describe(schema, &error, whole)).collect()
}

/// Puts the defaults of missing fields in, in nested objects, too.
pub fn fill_defaults(schema: &Value, value: &mut Value) {
    let (Some(properties), Some(fields)) = (properties(schema), value.as_object_mut()) else { return };
    for (name, property) in properties {
        if let Some(field) = fields.get_mut(name) {
            fill_defaults(property, field);
        } else if let Some(default) = property.get("default") {
            fields.insert(name.clone(), default.clone());
        }
    }
}

/// What a schema says about a path of fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// There may be such a field, as far as the schema tells.
    Possible,
    /// There is no such field.
    Absent {
        /// The first field on the path that does not exist.
        field: String,
        /// Those that do.
        known: Vec<String>,
        /// Whether the schema rules others out; if not, it only does not mention them.
        is_closed: bool,
    },
}

/// Looks `path` up in `schema`. Where the schema is not a plain object or list schema, everything is possible.
pub fn find(schema: &Value, path: &[String]) -> Found {
    let mut here = schema;
    for field in path {
        if let Some(items) = here.get("items").filter(|_| field.parse::<usize>().is_ok()) {
            here = items;
            continue;
        }
        let Some(properties) = properties(here).filter(|_| is_plain(here)) else { return Found::Possible };
        match properties.get(field) {
            Some(property) => here = property,
            None if matches!(here.get("additionalProperties"), None | Some(Value::Bool(false))) => {
                return Found::Absent {
                    field: field.clone(),
                    known: properties.keys().cloned().collect(),
                    is_closed: here.get("additionalProperties").is_some(),
                };
            }
            None => return Found::Possible,
        }
    }
    Found::Possible
}

/// The schema of what stands at `path`, where `schema` says it plainly.
pub fn at<'s>(schema: &'s Value, path: &[String]) -> Option<&'s Value> {
    path.iter().try_fold(schema, |here, field| {
        if let Some(items) = here.get("items").filter(|_| field.parse::<usize>().is_ok()) {
            return Some(items);
        }
        properties(here).filter(|_| is_plain(here))?.get(field)
    })
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties")?.as_object()
}

fn is_plain(schema: &Value) -> bool {
    let combining = ["$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "patternProperties", "dependentSchemas"];
    combining.iter().all(|key| schema.get(key).is_none())
}

fn describe(schema: &Value, error: &ValidationError<'_>, whole: &str) -> Vec<String> {
    let path = dotted(error.instance_path().as_str());
    let below = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
    match error.kind() {
        ValidationErrorKind::Required { property } => {
            vec![format!("missing `{}`", below(property.as_str().unwrap_or_default()))]
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known = known_at(schema, error.instance_path().as_str());
            unexpected
                .iter()
                .map(|field| {
                    let hint = suggest::did_you_mean(field, known.iter().map(String::as_str));
                    let hint = hint.map(|hint| format!(", {hint}")).unwrap_or_default();
                    format!("unknown field `{}`{hint}", below(field))
                })
                .collect()
        }
        _ if path.is_empty() => vec![bounded(&format!("{whole}: {error}"))],
        _ => vec![bounded(&format!("`{path}`: {error}"))],
    }
}

/// The names of the fields that the schema knows at a JSON pointer into the value.
fn known_at(schema: &Value, pointer: &str) -> Vec<String> {
    let mut here = Some(schema);
    for part in pointer.split('/').skip(1) {
        here = here
            .and_then(|schema| properties(schema).and_then(|known| known.get(part)).or_else(|| schema.get("items")));
    }
    here.and_then(properties).map(|known| known.keys().cloned().collect()).unwrap_or_default()
}

/// `/items/0/sku` as people write it: `items[0].sku`.
fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        if part.parse::<usize>().is_ok() {
            let _ = write!(path, "[{part}]");
            continue;
        }
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(&part.replace("~1", "/").replace("~0", "~"));
    }
    path
}

fn bounded(message: &str) -> String {
    if message.chars().count() <= MAX_MESSAGE {
        return message.to_owned();
    }
    let cut: String = message.chars().take(MAX_MESSAGE).collect();
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    #[test]
    fn a_field_is_absent_only_where_the_schema_is_plain() {
        let schema = json!({"properties": {"list": {"type": "array", "items": {"properties": {"id": {}}}},
            "any": {"anyOf": [{}]}, "open": {"properties": {}, "additionalProperties": true}}, "additionalProperties": false});
        assert_eq!(find(&schema, &path("list.0.id")), Found::Possible);
        assert_eq!(find(&schema, &path("any.x")), Found::Possible);
        assert_eq!(find(&schema, &path("open.x")), Found::Possible);
        assert!(matches!(find(&schema, &path("list.0.ID")), Found::Absent { is_closed: false, .. }));
        assert!(matches!(find(&schema, &path("lst")), Found::Absent { is_closed: true, .. }));
    }

    #[test]
    fn a_schema_that_refers_outside_cannot_be_compiled() {
        assert!(compile(&json!({"$ref": "https://example.com/schema.json"})).is_err());
        assert!(compile(&json!({"$ref": "file:///etc/passwd"})).is_err());
    }

    #[test]
    fn long_values_are_cut_in_messages() {
        let found = violations(&json!({"type": "number"}), &json!("x".repeat(9_000)), "the input");
        assert_eq!(found.len(), 1);
        assert!(found[0].chars().count() <= MAX_MESSAGE + 1, "{}", found[0].len());
    }
}
