//! A workflow as an MCP tool.

use serde_json::{Map, Value, json};

use crate::model::effect::Effect;
use crate::workflow::definition::{Block, Workflow};
use crate::workflow::modifier::Fallback;
use crate::workflow::plan::Plan;
use crate::workflow::verb::Verb;

/// The tool definition for `tools/list`. Its annotations promise no more than the plan holds: a claim that goes further
/// is left out.
pub fn definition(workflow: &Workflow, plan: &Plan) -> Map<String, Value> {
    let mut tool = Map::new();
    tool.insert("name".to_owned(), Value::String(workflow.name.to_string()));
    for (key, text) in [("title", &workflow.title), ("description", &workflow.description)] {
        if let Some(text) = text {
            tool.insert(key.to_owned(), Value::String(text.clone()));
        }
    }
    tool.insert("inputSchema".to_owned(), Value::clone(&workflow.input_schema));
    // MCP knows structured output of objects only.
    if let Some(schema) = workflow.output_schema.as_ref().filter(|schema| schema.get("type") == Some(&json!("object")))
    {
        tool.insert("outputSchema".to_owned(), Value::clone(schema));
    }
    tool.insert("annotations".to_owned(), Value::Object(annotations(workflow, plan.effect())));
    tool
}

/// Whether a claim says no more than `effect` allows. `calls` tells whether the workflow calls anything at all.
pub fn is_backed(claim: &str, value: bool, effect: Effect, calls: bool) -> bool {
    match (claim, value) {
        ("readOnlyHint", true) => effect.is_read(),
        ("idempotentHint", true) => effect.may_repeat(),
        ("destructiveHint", false) => effect < Effect::Destructive,
        // Nothing is known about the worlds that tools live in.
        ("openWorldHint", false) => !calls,
        _ => true,
    }
}

/// Whether a workflow calls a tool, another workflow, a model or an agent.
pub fn calls_anything(workflow: &Workflow) -> bool {
    fn calls(block: &Block) -> bool {
        block.steps.iter().any(|step| {
            matches!(step.verb, Verb::Tool { .. } | Verb::Workflow { .. } | Verb::Llm(_) | Verb::Agent(_))
                || step
                    .fallback
                    .iter()
                    .any(|fallback| matches!(fallback, Fallback::Tool { .. } | Fallback::Workflow { .. }))
                || step.blocks().any(|(_, block)| calls(block))
        })
    }
    workflow.blocks().any(|(_, block)| calls(block))
}

/// What annotations say of a tool that may do as much as `effect`.
pub fn hints(effect: Effect) -> Map<String, Value> {
    let mut hints = Map::new();
    hints.insert("readOnlyHint".to_owned(), Value::Bool(effect.is_read()));
    if !effect.is_read() {
        // `destructiveHint: false` is never derived: an idempotent step may well destroy.
        if effect == Effect::Destructive {
            hints.insert("destructiveHint".to_owned(), Value::Bool(true));
        }
        hints.insert("idempotentHint".to_owned(), Value::Bool(effect.may_repeat()));
    }
    hints
}

fn annotations(workflow: &Workflow, effect: Effect) -> Map<String, Value> {
    let mut hints = hints(effect);
    let calls = calls_anything(workflow);
    for (claim, value) in &workflow.annotations {
        if value.as_bool().is_none_or(|value| is_backed(claim, value, effect, calls)) {
            hints.insert(claim.clone(), value.clone());
        }
    }
    hints
}
