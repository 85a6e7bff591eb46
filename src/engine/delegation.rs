//! What a model or an agent is given: the arguments of the calls that `llm` and `agent` make.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use crate::engine::board::{Board, Seen};
use crate::engine::event::Failure;
use crate::engine::scope::Scope;
use crate::expr::template::Template;
use crate::workflow::definition::Step;
use crate::workflow::delegation::{Errand, Llm, Told};
use crate::workflow::modifier::Expect;

/// The question of an `llm` step.
pub(super) fn question(llm: &Llm, step: &Step, scope: &Scope, at: &Arc<str>) -> Result<Json, Box<Failure>> {
    let text = |template: &Template, what: &str| {
        scope.value(template, what, Some(at)).map(|value| match value.to_json() {
            Json::String(text) => text,
            other => other.to_string(),
        })
    };
    let mut asked = Map::new();
    asked.insert("prompt".to_owned(), json!(text(&llm.prompt, "llm")?));
    for (key, template) in [("system", &llm.system), ("model", &llm.model)] {
        if let Some(template) = template {
            asked.insert(key.to_owned(), json!(text(template, key)?));
        }
    }
    if !llm.providers.is_empty() {
        asked.insert("providers".to_owned(), llm.providers.iter().map(|(name, _)| json!(**name)).collect());
    }
    if !llm.tools.is_empty() {
        asked.insert("tools".to_owned(), llm.tools.iter().map(|(name, _)| json!(**name)).collect());
    }
    bounds(&mut asked, step);
    Ok(Json::Object(asked))
}

/// The task of an `agent` step, and what it shares with others.
pub(super) fn errand(
    errand: &Errand,
    step: &Step,
    (scope, board): (&Scope, &Board),
    at: &Arc<str>,
) -> Result<(Json, Seen), Box<Failure>> {
    let mut given = Map::new();
    given.insert("task".to_owned(), scope.value(&errand.task, "task", Some(at))?.to_json());
    let mut shared = Seen::new();
    match &errand.context {
        Told::Nothing => {}
        Told::Given(context) => {
            given.insert("context".to_owned(), scope.value(context, "context", Some(at))?.to_json());
        }
        Told::Shared(keys) => {
            let (told, seen) = board.look(keys);
            shared = seen;
            given.insert("context".to_owned(), told);
            given.insert("shared".to_owned(), keys.iter().map(|key| json!(**key)).collect());
        }
    }
    bounds(&mut given, step);
    Ok((Json::Object(given), shared))
}

/// What the answer must be, and how often may be asked for it.
fn bounds(asked: &mut Map<String, Json>, step: &Step) {
    if let Some(Expect::Fits(schema)) = &step.expect {
        asked.insert("expect".to_owned(), Json::clone(schema));
    }
    if let Some(turns) = step.limits.turns {
        asked.insert("turns".to_owned(), json!(turns));
    }
}
