//! Runs a step again and again until its condition holds, one turn after the other.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::event::Failure;
use crate::engine::frame::{End, FrameId, Kind, Next, Signal};
use crate::engine::place::StepPlace;
use crate::engine::scope::Scope;
use crate::engine::step::StepFrame;
use crate::engine::turn::Turn;
use crate::expr::value::Value;
use crate::model::code;
use crate::model::fault;
use crate::workflow::modifier::{Goal, Repeat};

/// A `repeat` that runs.
#[derive(Debug)]
pub(super) struct RepeatFrame {
    place: StepPlace,
    at: Arc<str>,
    scope: Scope,
    /// How many turns have begun.
    turns: u32,
}

impl RepeatFrame {
    /// The turns of the step at `place`.
    pub(super) fn new(place: StepPlace, at: Arc<str>, scope: Scope) -> Self {
        Self { place, at, scope, turns: 0 }
    }

    /// The next turn begins: the first, or one after a pause.
    pub(super) fn start(&mut self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        let address = format!("{}[{}]", self.at, self.turns);
        self.turns += 1;
        let step = StepFrame::turn(self.place.clone(), address.into(), self.scope.clone());
        turn.spawn(id, 0, Kind::Step(step));
        Next::Wait
    }

    pub(super) fn child_ended(&mut self, turn: &mut Turn<'_>, id: FrameId, end: End) -> Next {
        // A turn that fails ends it all; trying again is what `retry` is for.
        let result = match end.into_result() {
            Ok(result) => result,
            Err(failure) => return self.ended(End::failed(failure)),
        };
        let Some(repeat) = &self.place.find(turn.workflow).repeat else { return self.ended(End::completed(result)) };
        let is_last = self.turns >= repeat.max;
        match self.is_reached(repeat, &result) {
            Ok(true) => self.ended(End::completed(result)),
            Ok(false) if is_last && repeat.goal.is_none() => self.ended(End::completed(result)),
            Ok(false) if is_last => self.ended(End::failed(self.exhausted(repeat))),
            Ok(false) => self.pause(turn, id, repeat.every),
            Err(failure) => self.ended(End::failed(failure)),
        }
    }

    fn is_reached(&self, repeat: &Repeat, result: &Value) -> Result<bool, Box<Failure>> {
        let holds = |condition, key| self.scope.with("result", result.clone()).holds(condition, key, &self.at);
        match &repeat.goal {
            Some(Goal::Until(condition)) => holds(condition, "repeat.until"),
            Some(Goal::While(condition)) => holds(condition, "repeat.while").map(|goes_on| !goes_on),
            None => Ok(false),
        }
    }

    fn pause(&self, turn: &mut Turn<'_>, id: FrameId, every: Duration) -> Next {
        if every.is_zero() {
            turn.tell(id, Signal::Fired);
        } else {
            turn.start_timer(id, format!("{}#repeat", self.at).into(), every);
        }
        Next::Wait
    }

    fn exhausted(&self, repeat: &Repeat) -> Failure {
        let message = format!("`repeat` of step `{}` has not reached its end after {} turns", self.at, repeat.max);
        Failure::new(fault::Kind::Budget, code::REPEAT_EXHAUSTED, message)
            .hint("raise `max`, or `catch` this with `on: budget`")
            .at(&self.at)
    }

    fn ended(&self, end: End) -> Next {
        Next::End(End { attempts: self.turns, ..end })
    }
}
