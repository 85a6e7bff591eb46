//! Runs the steps of a block: each starts as soon as the steps that it waits for are over.

use std::sync::Arc;

use crate::engine::command::Outcome;
use crate::engine::event::Failure;
use crate::engine::frame::{End, FrameId, Kind, Next};
use crate::engine::place::BlockPlace;
use crate::engine::scope::{EndedSteps, Scope};
use crate::engine::step::StepFrame;
use crate::engine::turn::Turn;
use crate::expr::value::Value;
use crate::model::code;
use crate::model::fault;
use crate::workflow::definition::{Block, Workflow};

/// A block that runs.
#[derive(Debug)]
pub(super) struct BlockFrame {
    place: BlockPlace,
    /// What stands before the ids of its steps in their addresses.
    prefix: String,
    /// What the block sees from outside.
    outer: Scope,
    ended: Arc<EndedSteps>,
    /// For each step, how many steps it still waits for.
    missing: Vec<usize>,
    /// For each step, which steps wait for it.
    waiting: Vec<Vec<usize>>,
    /// How many steps are not over.
    open: usize,
    /// The output of the last step, once that is over.
    last: Value,
}

impl BlockFrame {
    /// A block that is about to run. Its steps' addresses are `prefix` and their id.
    pub(super) fn new(place: BlockPlace, prefix: String, outer: Scope) -> Self {
        Self {
            place,
            prefix,
            outer,
            ended: Arc::default(),
            missing: Vec::new(),
            waiting: Vec::new(),
            open: 0,
            last: Value::null(),
        }
    }

    /// What a step that starts now sees.
    pub(super) fn scope(&self) -> Scope {
        if self.ended.is_empty() { self.outer.clone() } else { self.outer.with_steps(&self.ended) }
    }

    pub(super) fn start(&mut self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        let block = self.place.find(turn.workflow);
        self.open = block.steps.len();
        self.missing = block.steps.iter().map(|step| step.waits.len()).collect();
        self.waiting = vec![Vec::new(); block.steps.len()];
        for (index, step) in block.steps.iter().enumerate() {
            for &before in &step.waits {
                // A wait for a step that is not there is never over; `advance` notices.
                if let Some(waiting) = self.waiting.get_mut(before) {
                    waiting.push(index);
                }
            }
        }
        for index in 0..block.steps.len() {
            if self.missing[index] == 0 {
                self.start_step(turn, id, block, index);
            }
        }
        self.advance(turn, id)
    }

    pub(super) fn child_ended(&mut self, turn: &mut Turn<'_>, id: FrameId, index: usize, end: End) -> Next {
        let block = self.place.find(turn.workflow);
        let entry = end.to_value();
        let output = match end.into_result() {
            Ok(output) => output,
            Err(failure) => return Next::End(End::failed(failure)),
        };
        if let Err(failure) = turn.keep(id, &output) {
            return Next::Finish(Outcome::Failed(failure.at(self.address(block, index))).into());
        }
        if index + 1 == block.steps.len() {
            self.last = output;
        }
        Arc::make_mut(&mut self.ended).insert(Arc::clone(&block.steps[index].id), entry);
        self.open -= 1;
        for next in std::mem::take(&mut self.waiting[index]) {
            self.missing[next] -= 1;
            if self.missing[next] == 0 {
                self.start_step(turn, id, block, next);
            }
        }
        self.advance(turn, id)
    }

    fn start_step(&self, turn: &mut Turn<'_>, id: FrameId, block: &Block, index: usize) {
        let step = StepFrame::whole(self.place.step(index), self.address(block, index).into(), self.scope());
        turn.spawn(id, index, Kind::Step(step));
    }

    fn address(&self, block: &Block, index: usize) -> String {
        format!("{}{}", self.prefix, block.steps[index].id)
    }

    /// The block is over with its last step; if nothing runs before that, nothing ever will.
    fn advance(&mut self, turn: &Turn<'_>, id: FrameId) -> Next {
        if self.open == 0 {
            return Next::End(End::completed(self.last.clone()));
        }
        if turn.running(id) > 0 {
            return Next::Wait;
        }
        let message = "the steps that are left wait for each other";
        Next::End(End::failed(Failure::new(fault::Kind::Internal, code::INTERNAL, message)))
    }
}

/// The timer of the outermost block went off. It is that of the run; no other block has one.
pub(super) fn run_timed_out(workflow: &Workflow) -> Next {
    let limit = workflow.timeout.unwrap_or_default();
    let message = format!("the run was not over after {limit:?}");
    let failure = Failure::new(fault::Kind::Timeout, code::RUN_TIMEOUT, message)
        .hint("raise the workflow's `timeout`, or give its slow steps a `timeout` and a `fallback`");
    Next::Finish(Outcome::Failed(failure).into())
}
