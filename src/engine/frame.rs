//! The tree of what a run is doing now, as an arena of small frames with links to their parents.
//!
//! Nothing here walks the tree by recursion, because workflows are user data and may be nested deeply. A place in the arena
//! is never used twice, so an id that has outlived its frame finds nothing; the bound on activations bounds the arena.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::engine::aftermath::Aftermath;
use crate::engine::arrival::AwaitFrame;
use crate::engine::ask::AskFrame;
use crate::engine::block::BlockFrame;
use crate::engine::branch::ParallelFrame;
use crate::engine::call::CallFrame;
use crate::engine::command::Outcome;
use crate::engine::each::EachFrame;
use crate::engine::event::{Answer, Called, Decision, Failure, Kept};
use crate::engine::repeat::RepeatFrame;
use crate::engine::step::StepFrame;
use crate::engine::view::Status;
use crate::engine::wait::WaitFrame;
use crate::expr::value::Value;

/// A frame's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FrameId(usize);

/// What a frame does.
#[derive(Debug)]
pub(super) enum Kind {
    /// Runs the steps of a block.
    Block(BlockFrame),
    /// Runs a step for each item of a list.
    Each(EachFrame),
    /// Runs a step again and again.
    Repeat(RepeatFrame),
    /// Runs one step, or one item of a `for_each` step, through all its attempts.
    Step(StepFrame),
    /// Runs the branches of `parallel`.
    Parallel(ParallelFrame),
    /// Waits for time to pass.
    Wait(WaitFrame),
    /// Waits for the answer to a call.
    Call(CallFrame),
    /// Waits for the answer to a question.
    Ask(AskFrame),
    /// Waits for an event.
    Await(AwaitFrame),
    /// Undoes what a failed run has done.
    Aftermath(Aftermath),
}

/// What a frame is told.
#[derive(Debug)]
pub(super) enum Signal {
    /// It begins.
    Start,
    /// What it started in this slot is over.
    ChildEnded(usize, End),
    /// Its call came back.
    Answered(Box<Called>),
    /// Its question was answered.
    Told(Answer),
    /// Something has happened outside.
    Arrived,
    /// A kept result was looked for.
    Recalled(Option<Kept>),
    /// Its timer went off.
    Fired,
    /// Another drives the run from now on, and what was in flight is not any more.
    Resumed,
    /// It is said what became of its call.
    Decided(Decision),
    /// Its time is up, and this is what its step fails with.
    OutOfTime(Box<Failure>),
}

/// What becomes of a frame after a signal.
#[derive(Debug)]
pub(super) enum Next {
    /// It waits for its children, its call or its timer.
    Wait,
    /// It is over. Whatever still runs below it is cancelled.
    End(End),
    /// The whole run is over.
    Finish(Box<Outcome>),
}

/// How something ended.
#[derive(Debug)]
pub(super) struct End {
    /// Completed, skipped or failed.
    pub(super) status: Status,
    /// Its output; null if it failed.
    pub(super) output: Value,
    /// The failure, also one that was caught or that made an optional step be skipped.
    pub(super) error: Option<Box<Failure>>,
    /// How often it was tried.
    pub(super) attempts: u32,
}

impl End {
    /// It has this output.
    pub(super) fn completed(output: Value) -> Self {
        Self { status: Status::Completed, output, error: None, attempts: 0 }
    }

    /// It did not run, or is as if it had not.
    pub(super) fn skipped(output: Value) -> Self {
        Self { status: Status::Skipped, ..Self::completed(output) }
    }

    /// It failed.
    pub(super) fn failed(failure: impl Into<Box<Failure>>) -> Self {
        Self { status: Status::Failed, error: Some(failure.into()), ..Self::completed(Value::null()) }
    }

    /// Whether it failed and nothing caught that.
    pub(super) fn is_failure(&self) -> bool {
        self.status == Status::Failed
    }

    /// What `steps.<id>` is in expressions.
    pub(super) fn to_value(&self) -> Value {
        let error = self.error.as_ref().map_or_else(Value::null, |failure| failure.to_value());
        Value::from_pairs([
            ("output", self.output.clone()),
            ("result", self.output.clone()),
            ("status", Value::from_text(self.status.as_str())),
            ("error", error),
            ("attempts", Value::from_json(Json::from(self.attempts))),
        ])
    }

    /// The output, or the failure that nothing caught.
    pub(super) fn into_result(self) -> Result<Value, Box<Failure>> {
        match (self.status, self.error) {
            (Status::Failed, Some(failure)) => Err(failure),
            _ => Ok(self.output),
        }
    }
}

/// A frame and its links.
#[derive(Debug)]
pub(super) struct Frame {
    /// Who started it, and in which of its slots.
    pub(super) parent: Option<(FrameId, usize)>,
    /// What it has started and is not over, by slot.
    pub(super) children: BTreeMap<usize, FrameId>,
    /// Its timer; no frame needs two at once.
    pub(super) timer: Option<Arc<str>>,
    /// The weight of the outputs that it keeps, in bytes.
    pub(super) stored: usize,
    /// What it does; taken out while it is being told something.
    pub(super) kind: Option<Kind>,
}

/// All frames of a run.
#[derive(Debug, Default)]
pub(super) struct Frames(Vec<Option<Box<Frame>>>);

impl Frames {
    /// Adds a frame, in a slot of its parent if it has one.
    pub(super) fn add(&mut self, parent: Option<(FrameId, usize)>, kind: Kind) -> FrameId {
        let id = FrameId(self.0.len());
        let frame = Frame { parent, children: BTreeMap::new(), timer: None, stored: 0, kind: Some(kind) };
        self.0.push(Some(Box::new(frame)));
        if let Some((parent, slot)) = parent
            && let Some(parent) = self.get_mut(parent)
        {
            parent.children.insert(slot, id);
        }
        id
    }

    /// The frame, if it is not over.
    pub(super) fn get(&self, id: FrameId) -> Option<&Frame> {
        self.0.get(id.0)?.as_deref()
    }

    /// The frame, if it is not over.
    pub(super) fn get_mut(&mut self, id: FrameId) -> Option<&mut Frame> {
        self.0.get_mut(id.0)?.as_deref_mut()
    }

    /// Takes a frame out, also out of its parent's slot.
    pub(super) fn remove(&mut self, id: FrameId) -> Option<Box<Frame>> {
        let frame = self.0.get_mut(id.0)?.take()?;
        if let Some((parent, slot)) = frame.parent
            && let Some(parent) = self.get_mut(parent)
        {
            parent.children.remove(&slot);
        }
        Some(frame)
    }
}
