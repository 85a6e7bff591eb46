//! Where a block or a step stands in its workflow: a way that survives from event to event.
//!
//! A run outlives every borrow of its workflow, so its frames keep ways and look the definition up when they need it. That
//! costs one index for each level and keeps a run free of copies of its workflow.

use std::sync::Arc;

use crate::workflow::definition::{Block, Step, Workflow};
use crate::workflow::modifier::CatchBody;
use crate::workflow::verb::Verb;

/// Which of the blocks inside a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// The body of `steps`.
    Body,
    /// A branch of `parallel` or a case of `switch`.
    Part(usize),
    /// The steps of a `catch` clause.
    Catch(usize),
    /// The steps of `undo`.
    Undo,
}

/// Where a block stands: at which of the workflow's own blocks the way begins, and the steps and doors from there inwards.
#[derive(Debug, Clone)]
pub(super) struct BlockPlace {
    root: Root,
    way: Arc<[(usize, Door)]>,
}

/// One of the workflow's own blocks.
#[derive(Debug, Clone, Copy)]
enum Root {
    Body,
    OnFailure,
}

/// Where a step stands.
#[derive(Debug, Clone)]
pub(super) struct StepPlace {
    block: BlockPlace,
    index: usize,
}

static NOTHING: Block = Block { steps: Vec::new() };

impl BlockPlace {
    /// The workflow's own body.
    pub(super) fn body() -> Self {
        Self { root: Root::Body, way: Arc::from([]) }
    }

    /// What runs when the workflow has failed.
    pub(super) fn on_failure() -> Self {
        Self { root: Root::OnFailure, way: Arc::from([]) }
    }

    /// The block itself.
    pub(super) fn find<'w>(&self, workflow: &'w Workflow) -> &'w Block {
        let mut block = match self.root {
            Root::Body => &workflow.body,
            Root::OnFailure => workflow.on_failure.as_ref().unwrap_or(&NOTHING),
        };
        for (index, door) in self.way.iter() {
            block = behind(&block.steps[*index], *door);
        }
        block
    }

    /// The step at `index` of this block.
    pub(super) fn step(&self, index: usize) -> StepPlace {
        StepPlace { block: self.clone(), index }
    }
}

impl StepPlace {
    /// The step itself. Places are only made from the steps they lead to, so the index always fits.
    pub(super) fn find<'w>(&self, workflow: &'w Workflow) -> &'w Step {
        &self.block.find(workflow).steps[self.index]
    }

    /// The block behind one of the step's doors.
    pub(super) fn enter(&self, door: Door) -> BlockPlace {
        let BlockPlace { root, way } = &self.block;
        BlockPlace { root: *root, way: way.iter().copied().chain([(self.index, door)]).collect() }
    }
}

/// The block behind a door. A door that the step does not have leads to a block without steps.
fn behind(step: &Step, door: Door) -> &Block {
    match (door, &step.verb) {
        (Door::Body, Verb::Steps(block)) => block,
        (Door::Part(part), Verb::Parallel(branches, _)) => branches.get(part).map_or(&NOTHING, |branch| &branch.block),
        (Door::Part(part), Verb::Switch(cases)) => cases.get(part).map_or(&NOTHING, |case| &case.block),
        (Door::Catch(clause), _) => match step.catch.get(clause).map(|catch| &catch.then) {
            Some(CatchBody::Steps(block)) => block,
            _ => &NOTHING,
        },
        (Door::Undo, _) => step.undo.as_ref().unwrap_or(&NOTHING),
        _ => &NOTHING,
    }
}
