//! What is done when a run has failed: what its steps have done is undone, the last first; then comes `on_failure`.
//!
//! Nothing else of the run is left by then. An undo that fails keeps none of the others from being tried.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::block::BlockFrame;
use crate::engine::command::Outcome;
use crate::engine::event::Failure;
use crate::engine::frame::{End, FrameId, Kind, Next};
use crate::engine::place::{BlockPlace, Door, StepPlace};
use crate::engine::scope::Scope;
use crate::engine::turn::Turn;
use crate::engine::view::Undone;
use crate::expr::value::Value;
use crate::model::code;
use crate::model::fault;

/// How long it may all take: whoever waits for the run has waited long enough already.
pub(super) const TIME: Duration = Duration::from_mins(5);

/// Something that a step has done and that can be undone.
#[derive(Debug)]
pub(super) struct Deed {
    /// The address of the step.
    pub(super) at: Arc<str>,
    /// Where its definition stands.
    pub(super) place: StepPlace,
    /// What the step saw.
    pub(super) scope: Scope,
    /// What came of it.
    pub(super) result: Value,
}

impl Deed {
    /// What became of undoing it. Somebody who has to do it by hand needs to know what came of the step.
    pub(super) fn undone(self, failure: Option<Box<Failure>>) -> Undone {
        let result = failure.as_ref().map(|_| self.result.to_json()).unwrap_or_default();
        Undone { at: self.at, failure: failure.map(|failure| *failure), result }
    }
}

/// The work after a run's failure.
#[derive(Debug)]
pub(super) struct Aftermath {
    /// What `on_failure` sees; taken out when it begins.
    scope: Option<Scope>,
    /// The deed that is being undone.
    current: Option<Deed>,
}

impl Aftermath {
    /// The aftermath of a failure; `scope` is what `on_failure` sees.
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope: Some(scope), current: None }
    }

    pub(super) fn start(&mut self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        if let Some(deed) = turn.last_deed() {
            let undo = deed.place.enter(Door::Undo);
            let prefix = prefix(&deed.at, "undo", &undo, turn);
            let block = BlockFrame::new(undo, prefix, deed.scope.with("result", deed.result.clone()));
            self.current = Some(deed);
            turn.spawn(id, 0, Kind::Block(block));
            return Next::Wait;
        }
        match self.scope.take().filter(|_| turn.workflow.on_failure.is_some()) {
            Some(scope) => {
                let place = BlockPlace::on_failure();
                let prefix = prefix("", "on_failure", &place, turn);
                turn.spawn(id, 0, Kind::Block(BlockFrame::new(place, prefix, scope)));
                Next::Wait
            }
            None => Next::End(End::completed(Value::null())),
        }
    }

    pub(super) fn child_ended(&mut self, turn: &mut Turn<'_>, id: FrameId, end: End) -> Next {
        if let Some(deed) = self.current.take() {
            turn.undone(deed.undone(end.into_result().err()));
        }
        self.start(turn, id)
    }

    /// The deed that was being undone when it all had to end.
    pub(super) fn into_unfinished(self) -> Option<Deed> {
        self.current
    }
}

/// The time is up.
pub(super) fn timed_out() -> Next {
    let message = format!("undoing was not over after {TIME:?}");
    let failure = Failure::new(fault::Kind::Timeout, code::UNDO_TIMEOUT, message)
        .hint("undo the rest by hand, and give slow undos a `timeout`");
    Next::Finish(Outcome::Failed(failure).into())
}

/// What stands before the ids of the steps. No step's id holds a `#`, so nothing else has such an address.
fn prefix(at: &str, name: &str, place: &BlockPlace, turn: &Turn<'_>) -> String {
    match place.find(turn.workflow).steps.as_slice() {
        [only] if *only.id == *name => format!("{at}#"),
        _ => format!("{at}#{name}/"),
    }
}
