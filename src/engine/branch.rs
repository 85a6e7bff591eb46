//! Runs the branches of `parallel` side by side, and chooses the case of a `switch`.

use std::sync::Arc;

use crate::engine::block::BlockFrame;
use crate::engine::command::Outcome;
use crate::engine::event::Failure;
use crate::engine::frame::{End, FrameId, Kind, Next};
use crate::engine::place::{Door, StepPlace};
use crate::engine::scope::Scope;
use crate::engine::turn::Turn;
use crate::expr::value::Value;
use crate::model::code;
use crate::model::effect::Effect;
use crate::model::fault;
use crate::workflow::verb::{Branch, Case, Join, Verb};

/// A `parallel` that runs.
#[derive(Debug)]
pub(super) struct ParallelFrame {
    place: StepPlace,
    at: Arc<str>,
    scope: Scope,
    join: Join,
    outputs: Vec<Value>,
    succeeded: usize,
    failed: usize,
}

impl ParallelFrame {
    /// The branches of the step at `place`.
    pub(super) fn new(place: StepPlace, at: Arc<str>, scope: Scope, join: Join) -> Self {
        Self { place, at, scope, join, outputs: Vec::new(), succeeded: 0, failed: 0 }
    }

    pub(super) fn start(&mut self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        let branches = self.branches(turn);
        self.outputs = vec![Value::null(); branches.len()];
        for (index, branch) in branches.iter().enumerate() {
            let prefix = prefix(&self.at, branch);
            let block = BlockFrame::new(self.place.enter(Door::Part(index)), prefix, self.scope.clone());
            turn.spawn(id, index, Kind::Block(block));
        }
        if let Some(within) = self.join.within {
            turn.start_timer(id, format!("{}#join", self.at).into(), within);
        }
        self.advance(turn, id)
    }

    pub(super) fn child_ended(&mut self, turn: &mut Turn<'_>, id: FrameId, index: usize, end: End) -> Next {
        match end.into_result() {
            Ok(output) => {
                if let Err(failure) = turn.keep(id, &output) {
                    return Next::Finish(Outcome::Failed(failure.at(&self.at)).into());
                }
                self.outputs[index] = output;
                self.succeeded += 1;
            }
            Err(failure) => {
                self.failed += 1;
                if self.failed > self.join.tolerates {
                    return Next::End(End::failed(self.too_many_failed(failure)));
                }
            }
        }
        self.advance(turn, id)
    }

    /// The branches have had their time.
    pub(super) fn fired(&mut self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        if self.succeeded >= self.join.quorum {
            return self.completed(turn);
        }
        let in_flight = turn.in_flight(id);
        let Join { quorum, within, .. } = self.join;
        let message =
            format!("{} of {quorum} branches had succeeded within {:?}", self.succeeded, within.unwrap_or_default());
        let failure = Failure::new(fault::Kind::Timeout, code::JOIN_TIMEOUT, message).at(&self.at);
        let failure = Failure { was_sent: in_flight.is_some(), ..failure };
        Next::End(End::failed(failure.told(in_flight.unwrap_or(Effect::Read))))
    }

    fn advance(&mut self, turn: &Turn<'_>, id: FrameId) -> Next {
        let is_enough = self.succeeded >= self.join.quorum && self.join.cancels_rest;
        if is_enough || turn.running(id) == 0 { self.completed(turn) } else { Next::Wait }
    }

    /// Enough branches have succeeded. Those that still run are cancelled with the frame.
    fn completed(&mut self, turn: &Turn<'_>) -> Next {
        let names = self.branches(turn).iter().map(|branch| branch.name.to_string());
        Next::End(End::completed(Value::from_pairs(names.zip(std::mem::take(&mut self.outputs)))))
    }

    fn too_many_failed(&self, last: Box<Failure>) -> Box<Failure> {
        if self.join.tolerates == 0 {
            return last;
        }
        let of = self.outputs.len();
        last.too_few("branches", (of - self.failed, of), self.join.quorum).into()
    }

    fn branches<'run>(&self, turn: &Turn<'run>) -> &'run [Branch] {
        match &self.place.find(turn.workflow).verb {
            Verb::Parallel(branches, _) => branches,
            _ => &[],
        }
    }
}

/// What stands before the ids of a branch's steps. A branch that is a single step has lent it its name.
fn prefix(at: &str, branch: &Branch) -> String {
    match branch.block.steps.as_slice() {
        [only] if only.id == branch.name => format!("{at}/"),
        _ => format!("{at}/{}/", branch.name),
    }
}

/// The first case whose condition holds, if one does.
pub(super) fn choose(cases: &[Case], scope: &Scope, at: &str) -> Result<Option<usize>, Box<Failure>> {
    for (index, case) in cases.iter().enumerate() {
        if case.when.as_ref().map_or(Ok(true), |when| scope.holds(when, "when", at))? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}
