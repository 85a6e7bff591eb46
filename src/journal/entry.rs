//! What the journal holds.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::engine::event::Event;

/// What a run begins with: all that is needed to take it up again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// The run's id.
    pub run: String,
    /// The name of its workflow.
    pub workflow: String,
    /// The text of its definition.
    pub definition: String,
    /// The language of that text.
    pub format: String,
    /// What its steps may do and wait for, as it was planned.
    pub plan: Value,
    /// On whose behalf it runs.
    pub caller: String,
    /// The step of another run that it is the work of: the run, the address and the attempt.
    pub parent: Option<String>,
    /// What makes a run that is wanted twice the same run.
    pub key: Option<String>,
    /// What else it was begun with.
    pub terms: Value,
    /// When it began, in milliseconds since the Unix epoch.
    pub began: u64,
}

#[cfg(test)]
impl Opening {
    /// That of a run in tests.
    pub(crate) fn example(run: &str) -> Self {
        Self {
            run: run.to_owned(),
            workflow: "flow".to_owned(),
            definition: "name: flow".to_owned(),
            format: "yaml".to_owned(),
            plan: json!([]),
            caller: "ada".to_owned(),
            parent: None,
            key: None,
            terms: json!({}),
            began: 5,
        }
    }
}

/// How a run stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// `running`, `waiting`, `paused`, or how it has ended.
    pub status: String,
    /// When it ended.
    pub ended: Option<u64>,
    /// What is told of it: its report once it has ended, what it waits for before that.
    pub report: Option<Value>,
}

/// An event as it is written. Whoever stores it encodes it, so that the one thread that writes need not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line(Arc<str>);

impl From<&Event> for Line {
    fn from(event: &Event) -> Self {
        Self(serde_json::to_string(event).expect("events have text for keys and no other numbers than JSON has").into())
    }
}

impl Line {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Something that a run tells every other.
#[derive(Debug, Clone, PartialEq)]
pub struct Emission {
    /// Tells it from others.
    pub id: String,
    /// What sort of thing.
    pub event: Arc<str>,
    /// What is known about it.
    pub data: Value,
    /// When it was told.
    pub at: u64,
}

/// Something to be written, in one piece.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// The run.
    pub run: String,
    /// What it begins with, if it does.
    pub opening: Option<Arc<Opening>>,
    /// The number of the first event.
    pub first: u64,
    /// What has happened.
    pub events: Vec<Line>,
    /// What it tells the others.
    pub emissions: Vec<Emission>,
    /// How it stands then, if that is not how it stood before.
    pub standing: Option<Standing>,
}

/// A run as it is stored.
#[derive(Debug, Clone)]
pub struct Stored {
    /// What it began with.
    pub opening: Opening,
    /// How it stands.
    pub standing: Standing,
}

impl Stored {
    /// The run as programs and models see it.
    pub fn to_json(&self) -> Value {
        let Opening { run, workflow, caller, began, parent, .. } = &self.opening;
        let mut all = json!({ "run_id": run, "workflow": workflow, "status": self.standing.status });
        all["caller"] = json!(caller);
        all["began"] = json!(began);
        if let Some(ended) = self.standing.ended {
            all["ended"] = json!(ended);
        }
        if let Some(parent) = parent {
            all["part_of"] = json!(parent);
        }
        if let Some(old) = self.opening.terms.get("retry_of").filter(|old| old.is_string()) {
            all["retry_of"] = old.clone();
        }
        for (key, value) in self.standing.report.iter().filter_map(Value::as_object).flatten() {
            if all.get(key).is_none() {
                all[key] = value.clone();
            }
        }
        all
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.standing.ended.is_some()
    }
}
