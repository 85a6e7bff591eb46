//! A step's question as a form for the host, and the host's answer.

use std::sync::Arc;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::engine::command::StepQuestion;
use crate::engine::event::Answer;
use crate::model::ask::{Ask, Question};

/// Whether the host can show a form.
pub(super) fn is_able(host: &dyn Ask) -> bool {
    host.capabilities().get("elicitation").is_some_and(|elicitation| match elicitation.as_object() {
        // A host that names no mode means forms (2025-11-25, elicitation capabilities).
        Some(modes) => modes.is_empty() || modes.contains_key("form"),
        None => false,
    })
}

/// The question as an elicitation.
pub(super) fn form(workflow: &Arc<str>, question: &StepQuestion) -> Question {
    let nothing = json!({ "type": "object", "properties": {} });
    let schema = question.schema.as_deref().cloned().map_or(nothing, plain);
    let params = json!({ "message": question.message, "requestedSchema": schema });
    Question {
        server: Arc::clone(workflow),
        method: "elicitation/create".to_owned(),
        params: to_raw_value(&params).ok(),
    }
}

/// Only the keys that forms know at the top.
fn plain(mut schema: Value) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        schema.retain(|key, _| matches!(key.as_str(), "$schema" | "type" | "properties" | "required"));
    }
    schema
}

/// What the host has answered to a question that has fields to fill in or not; nothing if it has not.
pub(super) fn read(answer: &RawValue, has_fields: bool) -> Option<Answer> {
    let mut answer: Value = serde_json::from_str(answer.get()).ok()?;
    match answer.get("action")?.as_str()? {
        "accept" => {
            let content = answer.get_mut("content").map_or_else(|| json!({}), Value::take);
            if has_fields { Some(Answer::Given(content)) } else { Answer::yes_or_no(&content) }
        }
        "decline" => Some(Answer::Declined { why: None }),
        // Whoever closes the form has not decided yet.
        _ => None,
    }
}
