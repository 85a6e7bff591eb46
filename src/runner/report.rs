//! What is told of a run that has ended.

use serde_json::{Map, Value, json};

use crate::engine::command::{Callee, Outcome, StepCall};
use crate::engine::event::{Event, Failure, What};
use crate::engine::run::Run;
use crate::engine::view::{StepView, Undone};
use crate::journal::entry::{Opening, Stored};
use crate::model::usage::Usage;
use crate::workflow::pin::replan;

/// How a run ended, and how its steps did.
#[derive(Debug, Clone)]
pub struct Report {
    /// The run's id.
    pub run_id: String,
    /// The workflow's name.
    pub workflow: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Every step that began, in the order of beginning.
    pub steps: Vec<StepView>,
    /// What became of undoing what it had done, in the order of undoing.
    pub undone: Vec<Undone>,
    /// The calls that were in flight when it ended and of which nobody knows whether they were carried out.
    pub lost: Vec<StepCall>,
    /// What it has used up.
    pub usage: Usage,
    /// How long it took, in milliseconds.
    pub took: u64,
}

impl Report {
    /// What is to be told of `run`, once it is over.
    pub fn of(run: &Run, run_id: &str, workflow: &str, took: u64) -> Option<Self> {
        Some(Self {
            run_id: run_id.to_owned(),
            workflow: workflow.to_owned(),
            outcome: run.outcome()?.clone(),
            steps: run.steps(),
            undone: run.undone().to_vec(),
            lost: run.lost().to_vec(),
            usage: run.usage(),
            took,
        })
    }

    /// `completed`, `failed` or `cancelled`; or of a run that did not complete but had done something that can be undone,
    /// `undone` if all of it was, else `undo_failed`.
    pub fn status(&self) -> &'static str {
        match self.outcome {
            Outcome::Completed(_) => "completed",
            _ if self.undone.iter().any(|undone| undone.failure.is_some()) => "undo_failed",
            _ if !self.undone.is_empty() => "undone",
            Outcome::Failed(_) => "failed",
            Outcome::Cancelled { .. } => "cancelled",
        }
    }

    /// The failure of a run that did not complete.
    pub fn failure(&self) -> Option<Failure> {
        self.outcome.failure()
    }

    /// What was undone, what is left to be done by hand and what nobody knows of, in one line; `None` if there is nothing of
    /// the sort.
    pub fn undoing(&self) -> Option<String> {
        let of = |is_done: bool| -> Vec<String> {
            let steps = self.undone.iter().filter(|undone| undone.failure.is_none() == is_done);
            steps.map(|undone| format!("`{}`", undone.at)).collect()
        };
        let lost = self.lost.iter().map(|call| format!("`{}`", call.at)).collect();
        let parts = [
            ("undone: ", of(true)),
            ("could not be undone and needs somebody: ", of(false)),
            ("was in flight, and nobody knows whether it happened: ", lost),
        ];
        let told = parts.into_iter().filter(|(_, steps)| !steps.is_empty());
        let told: Vec<_> = told.map(|(what, steps)| format!("{what}{}", steps.join(", "))).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }

    /// The whole report as the structured result of `run_workflow`.
    pub fn to_json(&self) -> Value {
        let mut all = Map::new();
        all.insert("run_id".to_owned(), json!(self.run_id));
        all.insert("workflow".to_owned(), json!(self.workflow));
        all.insert("status".to_owned(), json!(self.status()));
        match &self.outcome {
            Outcome::Completed(output) => all.insert("output".to_owned(), output.clone()),
            _ => all.insert("error".to_owned(), self.failure().map_or(Value::Null, |failure| error_json(&failure))),
        };
        if !self.undone.is_empty() {
            let is_done = |undone: &&Undone| undone.failure.is_none();
            let undone = self.undone.iter().filter(is_done).map(|undone| json!(undone.at));
            all.insert("undone".to_owned(), undone.collect());
            let left = self.undone.iter().filter(|undone| !is_done(undone)).map(left_json);
            all.insert("not_undone".to_owned(), left.collect());
        }
        if !self.lost.is_empty() {
            all.insert("in_doubt".to_owned(), self.lost.iter().map(doubt_json).collect());
        }
        all.insert("steps".to_owned(), self.steps.iter().map(step_json).collect());
        if !self.usage.is_zero() {
            all.insert("usage".to_owned(), json!(self.usage));
        }
        all.insert("duration_ms".to_owned(), json!(self.took));
        Value::Object(all)
    }
}

/// Adds to what is told of a stored run that has not ended its input and its steps so far.
pub fn so_far(all: &mut Value, stored: &Stored, history: &[Event]) {
    if let Some(Event { what: What::Started { input, .. }, .. }) = history.first() {
        all["input"] = input.clone();
    }
    let Opening { workflow, definition, format, plan, .. } = &stored.opening;
    // That of a later version shows no steps.
    if let Ok(workflow) = replan(workflow, definition, format, plan) {
        let mut run = Run::new(workflow.into());
        let _ = run.replay(history.iter().cloned());
        all["steps"] = run.steps().iter().map(step_json).collect();
    }
}

/// A failure as models see it.
pub fn error_json(failure: &Failure) -> Value {
    serde_json::to_value(failure).unwrap_or_default()
}

/// What is left to be undone by hand: of which step, what had come of it, and why it is left.
fn left_json(undone: &Undone) -> Value {
    json!({ "step": undone.at, "result": undone.result, "error": undone.failure.as_ref().map(error_json) })
}

/// A call of which nobody knows whether it was carried out, as models see it.
pub(super) fn doubt_json(call: &StepCall) -> Value {
    let callee = match &call.callee {
        Callee::Tool(tool) => tool.to_string(),
        Callee::Workflow(name) | Callee::Agent(name) => name.to_string(),
        Callee::Model => "llm".to_owned(),
    };
    json!({ "step": call.at, "tool": callee, "arguments": call.arguments })
}

/// One step as models see it.
pub(super) fn step_json(step: &StepView) -> Value {
    let mut all = Map::new();
    all.insert("id".to_owned(), json!(step.at));
    all.insert("status".to_owned(), json!(step.status.as_str()));
    if step.attempts > 1 {
        all.insert("attempts".to_owned(), json!(step.attempts));
    }
    if let Some(ended) = step.ended {
        all.insert("duration_ms".to_owned(), json!(ended.saturating_sub(step.started)));
    }
    if let Some(origin) = step.origin {
        all.insert("from".to_owned(), json!(origin.as_str()));
    }
    if let Some(error) = &step.error {
        all.insert("error".to_owned(), json!(error.message));
    }
    Value::Object(all)
}
