//! Models and agents in the schema.

use serde_json::{Value, json};

use super::{boolean, count, duration, shared, table, text, texts};
use crate::model::effect::Effect;

pub(super) fn model() -> Value {
    let mut model = table(vec![
        ("api", json!({ "enum": ["openai", "anthropic"] }), "What its API speaks."),
        ("url", text(), "Where its API is; that of OpenAI or Anthropic if not given."),
        ("key", text(), "Its key: `${VAR}` or `${file:PATH}`."),
        ("model", text(), "What its API calls it."),
        (
            "aliases",
            json!({ "type": "object", "additionalProperties": { "type": "string" } }),
            "What else steps may call it, and what that is for its API.",
        ),
        ("max_tokens", count(1, 10_000_000), "The longest answer."),
        (
            "temperature",
            json!({ "type": "number", "minimum": 0, "maximum": 2 }),
            "How much chance there is in its answers.",
        ),
        ("timeout", duration(), "One answer."),
        ("concurrency", count(1, 10_000), "Answers at once; more wait."),
        ("retry", json!({ "anyOf": [count(1, 100), shared("retry")] }), "How often it is asked."),
        ("price", shared("price"), "What its answers cost."),
        ("stream", boolean(), "Whether it is asked to answer piece by piece."),
        ("fallback", texts(), "Models that are asked when it cannot answer; `sampling` is the host's."),
    ]);
    model["required"] = json!(["api", "model"]);
    model
}

pub(super) fn price() -> Value {
    let amount = || json!({ "type": "number", "minimum": 0 });
    table(vec![
        ("input", amount(), "A million tokens of prompts."),
        ("output", amount(), "A million tokens of answers."),
    ])
}

pub(super) fn agent() -> Value {
    let effects = Effect::ALL.map(Effect::as_str);
    table(vec![
        ("description", text(), "What hosts and models read."),
        ("instructions", text(), "What its model is told."),
        ("models", texts(), "Its models, in order."),
        ("tools", texts(), "The tools that it may use: names or patterns."),
        ("capabilities", texts(), "What it is good at."),
        ("priority", count(0, 1_000_000), "Lower first, among those who are good at the same."),
        ("max_turns", count(1, 1_000), "How often it may ask its model in one task."),
        ("max_concurrency", count(1, 10_000), "Tasks at once; more wait."),
        ("timeout", duration(), "One task."),
        ("effect", json!({ "enum": effects }), "What it may do."),
        ("limits", shared("limits"), "What one task may use up."),
        ("tool", text(), "The tool that does its work, in place of a model."),
        ("args", json!({}), "The tool's arguments, made of `args`."),
        ("output", json!({}), "Its answer, made of `result`."),
    ])
}

pub(super) fn limits() -> Value {
    table(vec![
        ("tokens", json!({ "type": ["integer", "string"] }), "Tokens: a number, `20k`, `1.5m`."),
        ("cost", json!({ "type": "number", "minimum": 0 }), "Money."),
        ("calls", count(1, 1_000_000), "Calls."),
    ])
}
