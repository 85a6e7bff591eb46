//! What is told of a run that has ended.

use serde_json::{Map, Value, json};

use crate::engine::command::Outcome;
use crate::engine::event::Failure;
use crate::engine::view::StepView;
use crate::model::code;
use crate::model::fault::Kind;

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
    /// How long it took, in milliseconds.
    pub took: u64,
}

impl Report {
    /// `completed`, `failed` or `cancelled`.
    pub fn status(&self) -> &'static str {
        match self.outcome {
            Outcome::Completed(_) => "completed",
            Outcome::Failed(_) => "failed",
            Outcome::Cancelled { .. } => "cancelled",
        }
    }

    /// The failure of a run that did not complete.
    pub fn failure(&self) -> Option<Failure> {
        match &self.outcome {
            Outcome::Completed(_) => None,
            Outcome::Failed(failure) => Some(failure.clone()),
            Outcome::Cancelled { why } => {
                Some(Failure::new(Kind::Cancelled, code::RUN_CANCELLED, format!("the run was cancelled: {why}")))
            }
        }
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
        all.insert("steps".to_owned(), self.steps.iter().map(step_json).collect());
        all.insert("duration_ms".to_owned(), json!(self.took));
        Value::Object(all)
    }
}

/// A failure as models see it.
pub fn error_json(failure: &Failure) -> Value {
    serde_json::to_value(failure).unwrap_or_default()
}

fn step_json(step: &StepView) -> Value {
    let mut all = Map::new();
    all.insert("id".to_owned(), json!(step.at));
    all.insert("status".to_owned(), json!(step.status.as_str()));
    if step.attempts > 1 {
        all.insert("attempts".to_owned(), json!(step.attempts));
    }
    if let Some(ended) = step.ended {
        all.insert("duration_ms".to_owned(), json!(ended.saturating_sub(step.started)));
    }
    if let Some(error) = &step.error {
        all.insert("error".to_owned(), json!(error.message));
    }
    Value::Object(all)
}
