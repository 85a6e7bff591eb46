//! What a run shows of itself: its steps in the order in which they began, and how far it is.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::engine::event::{Failure, Timestamp};

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It has begun and is not over.
    Running,
    /// It has an output.
    Completed,
    /// It failed, and nothing caught the failure.
    Failed,
    /// Its condition did not hold, or it is optional and failed.
    Skipped,
    /// It was no longer wanted.
    Cancelled,
}

impl Status {
    /// The word that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Where an output comes from, if not from the step itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// From an earlier success that is still good.
    Cache,
    /// From an earlier success, because the step has failed.
    Stale,
    /// From a fallback, because the step has failed.
    Fallback,
}

impl Origin {
    /// The word that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Stale => "stale_cache",
            Self::Fallback => "fallback",
        }
    }
}

/// One step of a run that has begun, or one item of its `for_each`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepView {
    /// Its stable address, for instance `risks[3]/assess`.
    pub at: Arc<str>,
    /// What it does: the tool or workflow that it calls, or its verb.
    pub label: Arc<str>,
    /// How it stands.
    pub status: Status,
    /// How often it has been tried, fallbacks included; over all tries of the steps around it.
    pub attempts: u32,
    /// When it began first.
    pub started: Timestamp,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// Where its output comes from, if not from itself.
    pub origin: Option<Origin>,
    /// The last failure that counted, without its `data`.
    pub error: Option<Failure>,
}

/// What became of undoing what one step, or one item of its `for_each`, had done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Undone {
    /// The step's address.
    pub at: Arc<str>,
    /// Why it could not be undone; `None` if it was.
    pub failure: Option<Failure>,
    /// What had come of the step, for whoever has to undo it by hand; null if it was undone.
    pub result: Json,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// How many steps of the workflow's body are over.
    pub done: usize,
    /// How many steps the workflow's body has.
    pub total: usize,
    /// The address of the call that has been in flight longest.
    pub current: Option<String>,
}

/// The steps that have begun. A step that begins again, because a step around it is tried again, goes on in its row.
#[derive(Debug, Default)]
pub(super) struct Rows {
    rows: Vec<StepView>,
    by_address: HashMap<Arc<str>, usize>,
}

impl Rows {
    /// All rows, in order of beginning.
    pub(super) fn all(&self) -> &[StepView] {
        &self.rows
    }

    /// Notes that a step begins; returns its row.
    pub(super) fn begin(&mut self, at: &Arc<str>, label: Arc<str>, now: Timestamp) -> usize {
        if let Some(&row) = self.by_address.get(at) {
            let view = &mut self.rows[row];
            (view.status, view.ended, view.error, view.origin) = (Status::Running, None, None, None);
            return row;
        }
        let row = self.rows.len();
        self.by_address.insert(Arc::clone(at), row);
        self.rows.push(StepView {
            at: Arc::clone(at),
            label,
            status: Status::Running,
            attempts: 0,
            started: now,
            ended: None,
            origin: None,
            error: None,
        });
        row
    }

    /// Counts one more attempt; returns its number, which no other attempt at this address has.
    pub(super) fn attempt(&mut self, row: usize) -> u32 {
        let view = &mut self.rows[row];
        view.attempts = view.attempts.saturating_add(1);
        view.attempts
    }

    /// Notes where its output comes from.
    pub(super) fn note(&mut self, row: usize, origin: Origin) {
        self.rows[row].origin = Some(origin);
    }

    /// Notes that a step is over.
    pub(super) fn end(&mut self, row: usize, status: Status, error: Option<&Failure>, now: Timestamp) {
        let view = &mut self.rows[row];
        (view.status, view.ended) = (status, Some(now));
        view.error = error.map(|failure| Failure { data: Json::Null, ..failure.clone() });
    }
}
