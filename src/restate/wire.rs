//! What travels between processes by way of Restate. Stored: it changes by addition only.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::command::StepCall;
use crate::engine::event::{Event, Timestamp, What};
use crate::engine::retrace::Retrace;
use crate::journal::entry::Opening;
use crate::model::limits::Limits;
use crate::model::port::Invoke;
use crate::model::principal::Principal;
use crate::model::priority::Priority;
use crate::restate::parcel::Parcel;
use crate::runner::effects::Through;
use crate::runner::gate::Gate;

/// The name of the service that carries runs.
pub(super) const RUN: &str = "OrchestratorRun";

/// The name of the service that makes calls.
pub(super) const STEP: &str = "OrchestratorStep";

/// The name of the service that spreads events.
pub(super) const TOPIC: &str = "OrchestratorTopic";

/// The signal by which a run is told what has happened; every one of them is kept, in order.
pub(super) const INBOX: &str = "inbox";

/// What all calls of a run have in common.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Terms {
    pub(super) run: String,
    pub(super) caller: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) root: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) profile: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) retry_of: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) agents: Vec<String>,
    pub(super) priority: String,
    pub(super) depth: u8,
}

impl Terms {
    /// Those of the run that calls like this.
    pub(super) fn of(through: &Through) -> Self {
        Self {
            run: through.run.clone(),
            caller: through.principal.name.to_string(),
            root: through.root.as_deref().map(ToOwned::to_owned),
            profile: through.profile.as_deref().map(ToOwned::to_owned),
            retry_of: through.retry_of.as_deref().map(ToOwned::to_owned),
            agents: through.agents.iter().map(ToString::to_string).collect(),
            priority: through.priority.as_str().to_owned(),
            depth: through.limits.depth,
        }
    }

    /// How a call of the run is made in this process. No host is behind it that could be asked.
    pub(super) fn through(self, via: Arc<dyn Invoke>, places: Arc<Gate>) -> Through {
        Through {
            profile: self.profile.map(Arc::from),
            limits: Limits { depth: self.depth, ..Limits::default() },
            root: self.root.map(Arc::from),
            agents: self.agents.into_iter().map(Arc::from).collect(),
            priority: Priority::parse(&self.priority).unwrap_or_default(),
            retry_of: self.retry_of.map(Arc::from),
            ..Through::new(via, Principal::new(self.caller), self.run, places)
        }
    }
}

/// What a run begins with.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Start {
    /// The version of this shape.
    pub(super) version: u32,
    pub(super) opening: Opening,
    pub(super) terms: Terms,
    /// The first event, with the input and the flags.
    pub(super) started: What,
    /// What the run need not do again that this one tries again.
    #[serde(default)]
    pub(super) done: Retrace,
}

/// What is left to be told once a run is over.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ended {
    /// All that has happened, unless it is a lot; then it is read from the state.
    pub(super) events: Option<Vec<Event>>,
}

/// One call that is to be made.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) terms: Terms,
    pub(super) call: StepCall,
}

/// What became of a call.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Done {
    /// This, at that time.
    Happened(Box<Event>),
    /// It may have been made by a process that is gone, and must not be made twice.
    Lost,
    /// It was no longer wanted.
    Stopped,
}

/// Something that has happened outside of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Letter {
    /// The invocation that carries the run.
    pub(super) to: String,
    pub(super) now: Timestamp,
    /// A [`What`].
    pub(super) what: Parcel,
}

/// A run that waits for events of a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Listener {
    pub(super) invocation: String,
}

/// An event for all who wait for it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct News {
    pub(super) now: Timestamp,
    /// A [`What::Arrived`].
    pub(super) what: Parcel,
}

/// How a run stands, as is kept beside its events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ended: Option<Timestamp>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(super) told: Value,
    /// The invocation that carries it.
    pub(super) invocation: String,
}

/// The names of what is kept in the state of a run.
pub(super) mod key {
    /// What it began with.
    pub(crate) const OPENING: &str = "opening";
    /// How it stands.
    pub(crate) const NOTE: &str = "note";
    /// The run that has set it off, by way of others or not, if one has.
    pub(crate) const ROOT: &str = "root";
    /// Its report, once it has ended.
    pub(crate) const REPORT: &str = "report";
    /// What the keys of its events begin with.
    pub(crate) const EVENT: &str = "e/";

    /// The key of an event; keys sort like events.
    pub(crate) fn event(number: usize) -> String {
        format!("{EVENT}{number:08}")
    }
}
