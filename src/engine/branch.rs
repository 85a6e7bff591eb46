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
use crate::workflow::definition::{Branch, Case, Verb};

/// A `parallel` that runs.
#[derive(Debug)]
pub(super) struct ParallelFrame {
    place: StepPlace,
    at: Arc<str>,
    scope: Scope,
    outputs: Vec<Value>,
}

impl ParallelFrame {
    /// The branches of the step at `place`.
    pub(super) fn new(place: StepPlace, at: Arc<str>, scope: Scope) -> Self {
        Self { place, at, scope, outputs: Vec::new() }
    }

    pub(super) fn start(&mut self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        let branches = self.branches(turn);
        self.outputs = vec![Value::null(); branches.len()];
        for (index, branch) in branches.iter().enumerate() {
            let prefix = prefix(&self.at, branch);
            let block = BlockFrame::new(self.place.enter(Door::Part(index)), prefix, self.scope.clone());
            turn.spawn(id, index, Kind::Block(block));
        }
        self.advance(turn, id)
    }

    pub(super) fn child_ended(&mut self, turn: &mut Turn<'_>, id: FrameId, index: usize, end: End) -> Next {
        let output = match end.into_result() {
            Ok(output) => output,
            Err(failure) => return Next::End(End::failed(failure)),
        };
        if let Err(failure) = turn.keep(id, &output) {
            return Next::Finish(Outcome::Failed(failure.at(&self.at)).into());
        }
        self.outputs[index] = output;
        self.advance(turn, id)
    }

    fn advance(&mut self, turn: &Turn<'_>, id: FrameId) -> Next {
        if turn.running(id) > 0 {
            return Next::Wait;
        }
        let names = self.branches(turn).iter().map(|branch| branch.name.to_string());
        Next::End(End::completed(Value::from_pairs(names.zip(std::mem::take(&mut self.outputs)))))
    }

    fn branches<'run>(&self, turn: &Turn<'run>) -> &'run [Branch] {
        match &self.place.find(turn.workflow).verb {
            Verb::Parallel(branches) => branches,
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
