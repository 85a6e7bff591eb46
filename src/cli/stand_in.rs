//! A host that nobody sits at: what it answers servers, and with what it calls them, comes from their schemas.

use std::sync::Arc;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use crate::model::ask::{Ask, Question};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::port::BoxFuture;

/// Answers every question at once.
pub struct StandIn {
    capabilities: Value,
}

impl StandIn {
    /// One that can be asked everything.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { capabilities: json!({ "elicitation": { "form": {} }, "sampling": {}, "roots": {} }) })
    }
}

impl Ask for StandIn {
    fn id(&self) -> u64 {
        0
    }

    fn capabilities(&self) -> &Value {
        &self.capabilities
    }

    fn takes_questions_as_result(&self) -> bool {
        false
    }

    fn ask(self: Arc<Self>, question: Question) -> BoxFuture<Result<Box<RawValue>, Fault>> {
        Box::pin(async move {
            let answer = answer(&question).and_then(|answer| to_raw_value(&answer).ok());
            answer.ok_or_else(|| Fault::new(Kind::Rejected, code::BAD_REQUEST, "there is no answer to this"))
        })
    }
}

fn answer(question: &Question) -> Option<Value> {
    let params = question.params.as_deref().and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    let schema = params.as_ref().and_then(|params| params.get("requestedSchema"));
    Some(match (question.method.as_str(), schema) {
        ("elicitation/create", Some(schema)) => json!({ "action": "accept", "content": object(schema) }),
        ("elicitation/create", None) => json!({ "action": "decline" }),
        ("sampling/createMessage", _) => json!({
            "role": "assistant", "content": { "type": "text", "text": "Nobody thought about this." },
            "model": "none", "stopReason": "endTurn",
        }),
        ("roots/list", _) => json!({ "roots": [] }),
        _ => return None,
    })
}

/// An object that fits `schema`: what is required, and what has a default.
pub fn object(schema: &Value) -> Map<String, Value> {
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|required| required.iter().any(|one| one == name));
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let wanted = properties.filter(|(name, property)| is_required(name) || property.get("default").is_some());
    wanted.map(|(name, property)| (name.clone(), value(property))).collect()
}

/// A value that fits a schema of the simple kinds.
fn value(schema: &Value) -> Value {
    let first = |key: &str| schema.get(key)?.as_array()?.first().cloned();
    let given = schema.get("default").or_else(|| schema.get("const")).cloned();
    if let Some(given) = given.or_else(|| first("enum")).or_else(|| first("examples")) {
        return given;
    }
    let kind = first("type").or_else(|| schema.get("type").cloned()).unwrap_or_default();
    match kind.as_str().unwrap_or_default() {
        "string" => json!("text"),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        "boolean" => json!(true),
        "array" => json!([]),
        "object" => Value::Object(object(schema)),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_required_or_has_a_default_is_filled_in() {
        let schema = json!({
            "type": "object", "required": ["text", "count", "deep"],
            "properties": {
                "text": { "type": "string" },
                "count": { "type": ["integer", "null"], "minimum": 3 },
                "status": { "type": "string", "enum": ["a", "b"], "default": "b" },
                "deep": { "type": "object", "properties": { "flag": { "type": "boolean" } }, "required": ["flag"] },
                "left_out": { "type": "string" },
            },
        });
        let filled = json!({ "text": "text", "count": 3, "status": "b", "deep": { "flag": true } });
        assert_eq!(Value::Object(object(&schema)), filled);
    }
}
