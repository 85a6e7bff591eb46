//! What a step does.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::expr::expression::Expr;
use crate::expr::template::Template;
use crate::model::name::ToolRef;
use crate::model::problem::Span;
use crate::workflow::definition::Block;
use crate::workflow::delegation::{Errand, Llm};

/// How long an answer or an event is waited for unless the step has a `timeout`.
pub const PATIENCE: Duration = Duration::from_hours(24);

/// What a step does.
#[derive(Debug, Clone)]
pub enum Verb {
    /// Calls a tool.
    Tool {
        /// Which.
        tool: ToolRef,
        /// With what; an object.
        args: Template,
        /// Which servers are to do it, in order, if it is a job that several can do; with their places in the file.
        providers: Vec<(Arc<str>, Span)>,
    },
    /// Computes a value.
    Set(Template),
    /// Runs branches side by side. The output is an object by branch, null for those that did not succeed.
    Parallel(Vec<Branch>, Join),
    /// Runs the first case whose condition holds.
    Switch(Vec<Case>),
    /// Runs steps as one.
    Steps(Block),
    /// Runs another workflow.
    Workflow {
        /// Which.
        name: Arc<str>,
        /// Its input; an object.
        args: Template,
        /// Whether nobody waits for its end: the output is the id of its run.
        is_detached: bool,
    },
    /// Lets time pass.
    Wait(Wait),
    /// Asks a model.
    Llm(Box<Llm>),
    /// Gives a task to an agent.
    Agent(Box<Errand>),
    /// Asks somebody.
    Ask(Ask),
    /// Tells whoever waits for it that something has happened.
    Emit {
        /// What sort of thing.
        event: Arc<str>,
        /// What is to be known about it.
        data: Template,
    },
    /// Waits until something has happened. The output is what is known about it.
    Await {
        /// What sort of thing.
        event: Arc<str>,
        /// Only if this holds; it sees `event`.
        filter: Option<Expr>,
    },
    /// Ends in failure with this message.
    Fail(Template),
    /// Ends the whole run with this output.
    Return(Template),
}

impl Verb {
    /// Whether it calls somebody, with arguments.
    pub fn is_call(&self) -> bool {
        matches!(self, Self::Tool { .. } | Self::Workflow { .. } | Self::Llm(_) | Self::Agent(_))
    }

    /// How long it waits for others if the step does not say.
    pub fn patience(&self) -> Option<Duration> {
        matches!(self, Self::Ask(_) | Self::Await { .. }).then_some(PATIENCE)
    }

    /// The blocks of its branches, cases or steps, in written order, each with the name of the branch that it is (empty for
    /// none).
    pub fn blocks(&self) -> Vec<(&str, &Block)> {
        match self {
            Self::Parallel(branches, _) => branches.iter().map(|branch| (&*branch.name, &branch.block)).collect(),
            Self::Switch(cases) => cases.iter().map(|case| ("", &case.block)).collect(),
            Self::Steps(block) => vec![("", block)],
            Self::Tool { .. }
            | Self::Set(_)
            | Self::Workflow { .. }
            | Self::Wait(_)
            | Self::Llm(_)
            | Self::Agent(_)
            | Self::Ask(_)
            | Self::Emit { .. }
            | Self::Await { .. }
            | Self::Fail(_)
            | Self::Return(_) => Vec::new(),
        }
    }

    /// [`Verb::blocks`], to be filled in.
    pub fn blocks_mut(&mut self) -> Vec<&mut Block> {
        match self {
            Self::Parallel(branches, _) => branches.iter_mut().map(|branch| &mut branch.block).collect(),
            Self::Switch(cases) => cases.iter_mut().map(|case| &mut case.block).collect(),
            Self::Steps(block) => vec![block],
            leaf => {
                debug_assert!(leaf.blocks().is_empty(), "a verb with blocks is left out");
                Vec::new()
            }
        }
    }
}

/// A question to somebody.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The question, in words.
    pub question: Template,
    /// The JSON Schema of the answer: an object of plain fields. Without it the question is whether somebody agrees.
    pub answer: Option<Arc<Value>>,
    /// Who is to answer.
    pub audience: Audience,
}

/// Who is to answer a question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Audience {
    /// Whoever wanted the run.
    #[default]
    Caller,
    /// Somebody of this role, who is not asked but looks for open questions.
    Role(Arc<str>),
}

/// How much time `wait` lets pass.
#[derive(Debug, Clone)]
pub enum Wait {
    /// So much: text such as `5m`, or milliseconds.
    For(Template),
    /// Until then: text as of RFC 3339, or milliseconds since the Unix epoch.
    Until(Template),
}

/// One branch of `parallel`.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Its key in the output.
    pub name: Arc<str>,
    /// Its steps; the last one's output is the branch's.
    pub block: Block,
}

/// How many branches of `parallel` must succeed, and what becomes of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Join {
    /// With so many successes the step has succeeded.
    pub quorum: usize,
    /// With more failures than this it has failed.
    pub tolerates: usize,
    /// How long the branches have.
    pub within: Option<Duration>,
    /// Whether branches that still run are cancelled when the step has succeeded.
    pub cancels_rest: bool,
}

/// One case of `switch`.
#[derive(Debug, Clone)]
pub struct Case {
    /// `None` for `else`.
    pub when: Option<Expr>,
    /// Its steps.
    pub block: Block,
}
