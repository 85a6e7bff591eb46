//! What has happened to a run. A run is the fold of its events; they are what a journal stores.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::usage::Usage;

/// Milliseconds since the Unix epoch. Told to the engine, never read by it.
pub type Timestamp = u64;

/// One thing that happened, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub now: Timestamp,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum What {
    /// The run began. Always the first event.
    Started {
        /// The run's identity, as expressions see it under `run`.
        run: Identity,
        /// The validated input.
        input: Value,
        /// Makes jitter repeatable.
        seed: u64,
        /// The flags as they are for the caller: an object.
        #[serde(default)]
        flags: Value,
    },
    /// A call came back.
    Called {
        /// The address of the step that made it.
        at: String,
        /// Which of its attempts.
        attempt: u32,
        /// What came back.
        outcome: Called,
        /// What the call has used up.
        #[serde(default, skip_serializing_if = "Usage::is_zero")]
        usage: Usage,
    },
    /// A timer went off.
    Fired {
        /// The timer's address.
        at: String,
    },
    /// A question was answered.
    Answered {
        /// The address of the step that asked.
        at: String,
        /// Which of its attempts.
        attempt: u32,
        /// What was answered.
        answer: Answer,
    },
    /// A result was looked for that may have been kept.
    Recalled {
        /// The address of the step that wants it.
        at: String,
        /// What was found.
        kept: Option<Kept>,
    },
    /// Something has happened that the run may wait for.
    Arrived {
        /// Tells it from others, so that it counts once.
        id: String,
        /// What sort of thing.
        event: String,
        /// What is known about it.
        data: Value,
    },
    /// A call that must not be made twice is about to be sent. Stored before it is, so that whoever takes over the run after
    /// a crash knows that it may have been.
    Intended {
        /// The address of the call.
        at: String,
        /// Which of its attempts.
        attempt: u32,
    },
    /// Whoever drove the run is gone, and another has taken over.
    Resumed,
    /// Whoever made this call is gone, and its answer with it; everything else goes on.
    Lost {
        /// The address of the step that made it.
        at: String,
        /// Which of its attempts.
        attempt: u32,
    },
    /// Somebody has looked what became of a call that is in doubt.
    Decided {
        /// The address of the step that made it.
        at: String,
        /// Which of its attempts.
        attempt: u32,
        /// What is to be done about it.
        decision: Decision,
    },
    /// Somebody wants the run to end.
    CancelRequested {
        /// Why, in words.
        why: String,
    },
}

/// A run's identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The run's id.
    pub id: String,
    /// On whose behalf it runs.
    pub caller: String,
}

/// What came back from a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Called {
    /// The whole tool result, as the server sent it, `isError` included.
    Result(Value),
    /// No result.
    Failure(Failure),
}

/// A result that was kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The result.
    pub value: Value,
    /// Since when.
    pub since: Timestamp,
}

/// What somebody answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// This.
    Given(Value),
    /// No.
    Declined {
        /// Why, in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
}

impl Answer {
    /// What `content` says to a question that has nothing to fill in: yes, no, or nothing that anybody could be sure of.
    pub fn yes_or_no(content: &Value) -> Option<Self> {
        let is_empty = content.as_object().is_some_and(serde_json::Map::is_empty);
        match content {
            Value::Bool(false) => Some(Self::Declined { why: None }),
            Value::String(word) if word.eq_ignore_ascii_case("no") => Some(Self::Declined { why: None }),
            Value::String(word) if word.eq_ignore_ascii_case("yes") => Some(Self::Given(Value::Bool(true))),
            Value::Bool(true) => Some(Self::Given(Value::Bool(true))),
            _ => is_empty.then(|| Self::Given(Value::Bool(true))),
        }
    }
}

/// What is to be done about a call of which nobody knows whether it has been carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It has been, and this came of it.
    ItHappened(Value),
    /// It is made again.
    Retry,
    /// The step fails.
    Fail,
}

/// Why a step or a run failed, as expressions see it under `error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// One of the words of [`crate::model::fault::Kind`].
    pub kind: String,
    /// One of [`crate::model::code::ALL`].
    pub code: String,
    /// What happened and why.
    pub message: String,
    /// The address of the step concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The server concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The tool or workflow concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Milliseconds after which a retry makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Whether the request had left us, so that it may have been carried out.
    #[serde(default)]
    pub was_sent: bool,
    /// What the tool said: its structured content, or its text.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub data: Value,
}
