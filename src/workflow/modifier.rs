//! How a step does it: how often, for what, and what is done when it goes wrong.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::expr::expression::Expr;
use crate::expr::template::Template;
use crate::model::effect::Effect;
use crate::model::fault::Kind;
use crate::model::name::ToolRef;
use crate::policy::retry::Retry;
use crate::workflow::definition::Block;
use crate::workflow::verb::Verb;

/// Repetition over a list.
#[derive(Debug, Clone)]
pub struct Each {
    /// Gives the list.
    pub over: Template,
    /// The name of the item in expressions; `item` unless given.
    pub binding: Arc<str>,
    /// How many run at once; at least 1.
    pub concurrency: usize,
    /// How many items are begun and brought to an end before any other begins; all if not given.
    pub batch: Option<usize>,
    /// What a failed item does.
    pub on_error: OnError,
    /// How many items must succeed.
    pub at_least: usize,
}

/// What a result must be.
#[derive(Debug, Clone)]
pub enum Expect {
    /// Such that this holds; it sees `result`.
    Holds(Expr),
    /// What this JSON Schema describes.
    Fits(Arc<Value>),
}

/// Repetition in time.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// When it is over; without it, after `max` turns.
    pub goal: Option<Goal>,
    /// The pause between the end of a turn and the next.
    pub every: Duration,
    /// How many turns there may be; at least 1.
    pub max: u32,
}

/// When a repetition is over. The condition is looked at after each turn and sees its `result`.
#[derive(Debug, Clone)]
pub enum Goal {
    /// As soon as this holds.
    Until(Expr),
    /// As soon as this does not hold.
    While(Expr),
}

/// What a failed item of `for_each` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// Fails the step and cancels the other items.
    #[default]
    Fail,
    /// Leaves the item out of the output.
    Skip,
    /// Stands in the output as `{ "error": … }`.
    Collect,
}

/// How often a step is tried, and for which failures.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRetry {
    /// How often and how far apart.
    pub policy: Retry,
    /// For which failures; the transient ones if not given.
    pub on: Option<Vec<Kind>>,
}

/// For how long, and by what, the result of a step is found again.
#[derive(Debug, Clone)]
pub struct Cache {
    /// How old it may be.
    pub ttl: Duration,
    /// What it was made from; the arguments of the call if `None`.
    pub key: Option<Template>,
    /// Whether every caller may have it, and not only the one it was made for.
    pub is_shared: bool,
}

/// What is tried when a step has failed.
#[derive(Debug, Clone)]
pub enum Fallback {
    /// Another tool.
    Tool {
        /// Which.
        tool: ToolRef,
        /// With what; the step's own arguments if `None`.
        args: Option<Template>,
        /// What it may do. Filled in by the plan.
        effect: Effect,
    },
    /// A workflow.
    Workflow {
        /// Which.
        name: Arc<str>,
        /// With what; the step's own arguments if `None`.
        args: Option<Template>,
        /// What it may do. Filled in by the plan.
        effect: Effect,
    },
    /// The step's last result, unless it is older than this.
    Cached(Duration),
    /// A value instead of the result.
    Value(Template),
}

/// What is done about a failure.
#[derive(Debug, Clone)]
pub struct Catch {
    /// Which kinds; all if empty.
    pub on: Vec<Kind>,
    /// Only if this holds; it sees `error`.
    pub when: Option<Expr>,
    /// What is done.
    pub then: CatchBody,
}

/// What a [`Catch`] does.
#[derive(Debug, Clone)]
pub enum CatchBody {
    /// This is the output. It sees `error`.
    Value(Template),
    /// These steps run; the last one's output is the step's. They see `error`.
    Steps(Block),
}

/// What is to be done about a call that must not be made twice, and that may have been made before a crash.
#[derive(Debug, Clone, Default)]
pub enum InDoubt {
    /// The run waits for somebody who looks.
    #[default]
    Ask,
    /// It is made again.
    Retry,
    /// The step fails.
    Fail,
    /// This tool is called, and says what has come of the call: nothing if it was not carried out.
    Check(Verb),
}
