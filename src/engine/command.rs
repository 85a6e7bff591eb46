//! What a run wants done next. Whoever drives it carries the commands out and answers with events.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::engine::event::{Failure, Timestamp};
use crate::model::effect::Effect;
use crate::model::name::ToolRef;
use crate::model::usage::Allowance;
use crate::workflow::verb::Audience;

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Make a call; answered by [`crate::engine::event::What::Called`] with the same address and attempt.
    Call(StepCall),
    /// Answer with [`crate::engine::event::What::Fired`] at `due`, or as soon after it as possible.
    Timer {
        /// The timer's address.
        at: String,
        /// When.
        due: Timestamp,
    },
    /// Put a question; answered by [`crate::engine::event::What::Answered`] with the same address and attempt.
    Ask(StepQuestion),
    /// Tell everybody who waits for it that something has happened.
    Emit {
        /// The address of the step that says so; the same event keeps it.
        at: String,
        /// What sort of thing.
        event: Arc<str>,
        /// What is to be known about it.
        data: Value,
    },
    /// Look for a result that was kept; answered by [`crate::engine::event::What::Recalled`] with the same address.
    Recall {
        /// The address of the step that wants it.
        at: String,
        /// Under what it was kept.
        kept_as: KeptAs,
    },
    /// Keep a result, in place of what was kept under the same name.
    Keep {
        /// Under what.
        kept_as: KeptAs,
        /// The result.
        value: Value,
    },
    /// A call or a question that is no longer wanted. Its answer, if one still comes, is ignored.
    Cancel {
        /// The address of the step that made it.
        at: String,
        /// Which of its attempts.
        attempt: u32,
    },
    /// A timer that is no longer wanted.
    Forget {
        /// The timer's address.
        at: String,
    },
    /// The run is over. Always the last command.
    Finish(Outcome),
}

/// A call that a step makes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepCall {
    /// The step's stable address, for instance `risks[3]/assess`.
    pub at: String,
    /// Which attempt, from 1. A fallback counts on.
    pub attempt: u32,
    /// Whom to call.
    pub callee: Callee,
    /// With what; always an object.
    pub arguments: Value,
    /// Which servers are to do it, in order, if it is a job that several can do; as the registry says if empty.
    pub providers: Vec<Arc<str>>,
    /// The same key makes a repeated call the same call; the run and the address if not given.
    pub key: Option<String>,
    /// What the call may do.
    pub effect: Effect,
    /// The longest it may take; `None` leaves it to the server's own limit.
    pub timeout: Option<Duration>,
    /// How much it may use up.
    pub allowance: Allowance,
    /// Whether nobody waits for the end of the workflow that is called.
    pub is_detached: bool,
    /// Whether the run has failed already and this is part of cleaning up: neither the run's time limit nor the departure of
    /// whoever wanted it bind the call.
    pub is_afterwards: bool,
}

impl StepCall {
    /// Whether it must be known that the call is made before it is, because it must not be made twice.
    pub fn is_once_only(&self) -> bool {
        matches!(self.callee, Callee::Tool(_)) && !self.effect.may_repeat()
    }
}

/// A question that a step asks.
#[derive(Debug, Clone, PartialEq)]
pub struct StepQuestion {
    /// The step's stable address.
    pub at: Arc<str>,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The question, in words.
    pub message: String,
    /// The JSON Schema of the answer: an object of plain fields. `None` if all that is asked is whether somebody agrees.
    pub schema: Option<Arc<Value>>,
    /// Who is to answer.
    pub audience: Audience,
}

/// Under what a result is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAs {
    /// Which step, and what it works on.
    pub name: String,
    /// Whether everybody may have it; else only whoever it was made for.
    pub is_shared: bool,
}

/// Whom a step calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Callee {
    /// A tool of a server.
    Tool(ToolRef),
    /// Another workflow.
    Workflow(Arc<str>),
    /// A model; the arguments say which.
    Model,
    /// An agent.
    Agent(Arc<str>),
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// With this output.
    Completed(Value),
    /// With this failure.
    Failed(Failure),
    /// Because somebody wanted it to.
    Cancelled {
        /// Why, in words.
        why: String,
    },
}
