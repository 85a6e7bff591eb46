//! The language as a JSON Schema (2020-12), for editors.

use serde_json::{Map, Value, json};

use crate::document::duration;
use crate::workflow::vocabulary::{Key, Kind, Shape};

/// The schema of a workflow file.
pub fn schema() -> Value {
    let mut whole = table(Kind::Workflow);
    let definitions: Map<String, Value> = Kind::ALL
        .into_iter()
        .filter(|kind| *kind != Kind::Workflow)
        .map(|kind| (name(kind).to_owned(), table(kind)))
        .chain(shared().into_iter().map(|(name, schema)| (name.to_owned(), schema)))
        .collect();
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "orchestrator://schema/workflow",
        "title": "A workflow of mcp-orchestrator",
    });
    let mut all = head.as_object().cloned().unwrap_or_default();
    if let Some(fields) = whole.as_object_mut() {
        all.append(fields);
    }
    all.insert("$defs".to_owned(), Value::Object(definitions));
    Value::Object(all)
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Workflow => "workflow",
        Kind::Step => "step",
        Kind::NamedStep => "named_step",
        Kind::Annotations => "annotations",
        Kind::Join => "join",
        Kind::Retry => "retry",
        Kind::Repeat => "repeat",
        Kind::Fallback => "fallback",
        Kind::Catch => "catch",
        Kind::Case => "case",
        Kind::Otherwise => "otherwise",
        Kind::Wait => "wait",
        Kind::Limits => "limits",
        Kind::Budget => "budget",
        Kind::Guards => "guards",
        Kind::Trigger => "trigger",
        Kind::Verify => "verify",
        Kind::Cache => "cache",
        Kind::Check => "check",
    }
}

/// What many keys have in common.
fn shared() -> [(&'static str, Value); 4] {
    let types = json!({ "enum": ["string", "number", "integer", "boolean", "object", "array", "null"] });
    let expression = json!({ "type": "string", "pattern": "\\$" });
    let fields = json!({
        "type": "object",
        "additionalProperties": { "anyOf": [{ "$ref": "#/$defs/type" }, { "type": ["object", "array", "string", "boolean"] }] },
    });
    [("duration", duration::schema()), ("type", types), ("expression", expression), ("fields", fields)]
}

fn table(kind: Kind) -> Value {
    let properties: Map<String, Value> = kind.keys().iter().map(|key| (key.name.to_owned(), described(key))).collect();
    let required: Vec<_> = kind.keys().iter().filter(|key| kind.requires(key)).map(|key| key.name).collect();
    let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn described(key: &Key) -> Value {
    let mut schema = of(&key.shape);
    schema["description"] = json!(key.about);
    schema
}

fn of(shape: &Shape) -> Value {
    let shared = |name: &str| json!({ "$ref": format!("#/$defs/{name}") });
    match shape {
        Shape::Text => json!({ "type": "string" }),
        Shape::Pattern(pattern) => json!({ "type": "string", "pattern": pattern }),
        Shape::Words(words) => json!({ "enum": words }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Count(least, u64::MAX) => json!({ "type": "integer", "minimum": least }),
        Shape::Count(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Duration => shared("duration"),
        Shape::Value => json!({}),
        Shape::Expression => shared("expression"),
        Shape::Condition => json!({ "type": ["string", "boolean"] }),
        Shape::Fields => shared("fields"),
        Shape::Schema => json!({ "anyOf": [shared("type"), shared("fields")] }),
        Shape::Table(kind) => shared(name(*kind)),
        Shape::List(item, least) => {
            let mut list = json!({ "type": "array", "items": of(item) });
            if *least > 0 {
                list["minItems"] = json!(least);
            }
            list
        }
        Shape::Map(value) => json!({ "type": "object", "additionalProperties": of(value) }),
        Shape::Either(shapes) => json!({ "anyOf": shapes.iter().map(of).collect::<Vec<_>>() }),
    }
}
