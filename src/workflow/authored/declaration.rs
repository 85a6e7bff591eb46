//! Schemas as authors write them: a table of fields, or a whole JSON Schema.
//!
//! In the short form every field is required unless it is `optional` or has a `default`, and no others are allowed.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::document::node::{Field, Node, Value as Content};
use crate::model::code;
use crate::model::problem::{Problem, Span};
use crate::model::suggest;
use crate::workflow::authored::author::Author;
use crate::workflow::schema;

/// The types of JSON Schema.
const TYPES: [&str; 7] = ["string", "number", "integer", "boolean", "object", "array", "null"];

/// Keys that show a table with a `type` to be a whole schema and not fields that happen to have such names.
const WHOLE: [&str; 2] = ["properties", "items"];

/// Keys that only a whole schema has.
const COMBINERS: [&str; 5] = ["$schema", "$ref", "oneOf", "anyOf", "allOf"];

/// The schema of an object; without a declaration, of one without fields.
pub(super) fn object(author: &mut Author, node: Option<&Node>, what: &str) -> Value {
    let Some(node) = node else { return closed(&Map::new(), &[]) };
    let is_whole = type_word(node) == Some("object") && node.get("properties").is_some();
    if is_whole { whole(author, node) } else { fields(author, node, what) }
}

/// The schema of a result: like that of any value, but fields that the short form does not name may be there, too.
pub(super) fn result(author: &mut Author, node: &Node, what: &str) -> Value {
    let mut schema = any(author, node, what);
    let is_short = schema.get("additionalProperties").is_some() && node.get("additionalProperties").is_none();
    if let Some(schema) = schema.as_object_mut().filter(|_| is_short) {
        schema.shift_remove("additionalProperties");
    }
    schema
}

/// Whether this is the name of a type.
pub(in crate::workflow) fn is_type(word: &str) -> bool {
    TYPES.contains(&word)
}

/// The schema of any value.
pub(super) fn any(author: &mut Author, node: &Node, what: &str) -> Value {
    let has = |keys: &[&str]| keys.iter().any(|key| node.get(key).is_some());
    if (type_word(node).is_some() && has(&WHOLE)) || has(&COMBINERS) {
        return whole(author, node);
    }
    if let Content::Text(word) = &node.value {
        check_type(author, word, node);
        return json!({ "type": word });
    }
    fields(author, node, what)
}

fn whole(author: &mut Author, node: &Node) -> Value {
    let schema = node.to_json();
    check(author, &schema, node);
    schema
}

fn closed(properties: &Map<String, Value>, required: &[Value]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn type_word(node: &Node) -> Option<&str> {
    node.get("type")?.as_text().filter(|word| TYPES.contains(word))
}

fn fields(author: &mut Author, node: &Node, what: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let problems = author.reader.problems.len();
    let Some(mut table) = author.reader.table(node, what) else { return closed(&properties, &required) };
    for field in table.rest() {
        let (schema, is_required) = property(author, field, what);
        properties.insert(field.key.clone(), schema);
        if is_required {
            required.push(Value::String(field.key.clone()));
        }
    }
    let schema = closed(&properties, &required);
    if !author.reader.failed_since(problems) {
        // References between fields can only be followed in the whole.
        compile(author, &schema, node);
    }
    schema
}

/// The schema of one field, and whether it is required.
fn property(author: &mut Author, field: &Field, what: &str) -> (Value, bool) {
    let node = &field.value;
    let path = format!("{what}.{}", field.key);
    match &node.value {
        Content::Text(word) => {
            check_type(author, word, node);
            (json!({ "type": word }), true)
        }
        Content::Table(_) => {
            let Value::Object(mut schema) = node.to_json() else { return (json!({}), true) };
            let optional =
                node.get("optional").and_then(|node| author.reader.boolean(node, &format!("{path}.optional")));
            schema.shift_remove("optional");
            let is_required = !optional.unwrap_or(false) && !schema.contains_key("default");
            let schema = Value::Object(schema);
            check(author, &schema, node);
            (schema, is_required)
        }
        _ => {
            let span = author.head(&node.span);
            let message = format!("`{path}` must be a type or a schema, not {}", node.kind());
            author.reader.error(code::WRONG_VALUE, span, message).help =
                Some("for example `string`, or `{ type: string, optional: true }`".to_owned());
            (json!({}), true)
        }
    }
}

fn check_type(author: &mut Author, word: &str, node: &Node) -> bool {
    if TYPES.contains(&word) {
        return true;
    }
    let near = suggest::nearest(word, TYPES);
    let replacement = near.map(|near| author.reader.requoted(&node.span, near));
    let problem = author.reader.error(code::BAD_SCHEMA, node.span.clone(), format!("`{word}` is no type"));
    problem.help = Some(match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("the types are `{}`", TYPES.join("`, `")),
    });
    if let Some(replacement) = replacement {
        *problem = problem.clone().replace_with(replacement);
    }
    false
}

/// Checks a schema that stands in the file as it is: its form, its references, its default.
fn check(author: &mut Author, schema: &Value, node: &Node) {
    let word = node.get("type").and_then(|node| Some((node.as_text()?, node)));
    if word.is_some_and(|(word, node)| !check_type(author, word, node)) {
        return;
    }
    let mut outside = Vec::new();
    find_outside(node, &mut outside);
    let leaves = !outside.is_empty();
    for (target, span) in outside {
        let message = format!("`{target}` lies outside this file");
        author.reader.error(code::BAD_SCHEMA, span, message).help =
            Some("schemas are never fetched: copy it under `$defs` and refer to it there".to_owned());
    }
    if leaves {
        return;
    }
    // One mistake may break several branches of the meta-schema in the same way.
    let mut seen = BTreeSet::new();
    for (path, message) in schema::faults(schema).into_iter().filter(|fault| seen.insert(fault.clone())) {
        let span = author.head(&place(node, &path));
        let problem = author.reader.error(code::BAD_SCHEMA, span, message);
        if path.ends_with("/required") {
            problem.help = Some("every field is required unless it says `optional: true`".to_owned());
        }
    }
    if author.has_problem_in(&node.span) {
        return;
    }
    if let (Some(default), Some(given)) = (schema.get("default"), node.get("default")) {
        let Ok(validator) = schema::compile(schema) else { return };
        if let Err(error) = validator.validate(default) {
            let message = format!("the default does not fit: {error}");
            author.reader.error(code::BAD_SCHEMA, given.span.clone(), message);
        }
    }
}

fn compile(author: &mut Author, schema: &Value, node: &Node) {
    if let Err(message) = schema::compile(schema) {
        let problem = Problem::error(code::BAD_SCHEMA, &author.reader.source, author.head(&node.span), message);
        author.reader.problem(problem);
    }
}

/// Every `$ref` that leaves the schema.
fn find_outside(node: &Node, found: &mut Vec<(String, Span)>) {
    match &node.value {
        Content::Table(fields) => {
            for field in fields {
                match field.value.as_text() {
                    Some(target)
                        if matches!(field.key.as_str(), "$ref" | "$dynamicRef") && !target.starts_with('#') =>
                    {
                        found.push((target.to_owned(), field.value.span.clone()));
                    }
                    _ => find_outside(&field.value, found),
                }
            }
        }
        Content::List(items) => items.iter().for_each(|item| find_outside(item, found)),
        Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) => {}
    }
}

/// The place of what a JSON pointer points at, or of the innermost part of the way that exists.
fn place(node: &Node, pointer: &str) -> Span {
    let mut here = node;
    for part in pointer.split('/').skip(1) {
        let key = part.replace("~1", "/").replace("~0", "~");
        let next = match &here.value {
            Content::List(items) => key.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => here.get(&key),
        };
        let Some(next) = next else { break };
        here = next;
    }
    here.span.clone()
}
