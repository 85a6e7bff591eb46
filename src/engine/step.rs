//! One step through its attempts: `when`, then `for_each` around everything else, then `repeat` around attempts with `retry`
//! and `timeout`.
//! What follows when these have failed is in `rescue`.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::aftermath::Deed;
use crate::engine::arrival;
use crate::engine::ask;
use crate::engine::cache;
use crate::engine::command::{KeptAs, Outcome};
use crate::engine::doubt::timeout_at;
use crate::engine::each::{self, EachFrame};
use crate::engine::event::Failure;
use crate::engine::expectation;
use crate::engine::frame::{End, FrameId, Kind, Next, Signal};
use crate::engine::place::StepPlace;
use crate::engine::repeat::RepeatFrame;
use crate::engine::rescue;
use crate::engine::scope::Scope;
use crate::engine::turn::Turn;
use crate::engine::verb;
use crate::engine::view::Origin;
use crate::expr::value::Value;
use crate::model::code;
use crate::model::effect::Effect;
use crate::model::fault;
use crate::workflow::definition::Step;
use crate::workflow::modifier::InDoubt;
use crate::workflow::verb::Verb;

/// How often a step is tried in all when others keep setting what it shares.
const RACES: u32 = 5;

/// A step, or one item of a `for_each` step.
#[derive(Debug)]
pub(super) struct StepFrame {
    /// Where its definition stands.
    pub(super) place: StepPlace,
    /// Its address.
    pub(super) at: Arc<str>,
    /// What its expressions see.
    pub(super) scope: Scope,
    /// Its row in what the run shows; `None` until it begins.
    pub(super) row: Option<usize>,
    /// How often it was tried, fallbacks included.
    pub(super) attempts: u32,
    /// What it is at.
    pub(super) phase: Phase,
    /// The failure that is being dealt with.
    pub(super) failure: Option<Box<Failure>>,
    /// Under what the result of its attempt is to be kept, if it is.
    pub(super) kept_as: Option<KeptAs>,
    /// How much of the step this is.
    part: Part,
}

/// How much of a step a frame runs: each part leaves what lies outside of it to the one around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// All of it.
    Whole,
    /// One item: `when` and `for_each` have been dealt with.
    Item,
    /// One turn: the attempts alone. What becomes of its result or its failure is decided outside.
    Turn,
}

/// What a step is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its items run.
    Items,
    /// Its turns run.
    Turns,
    /// It is being tried.
    Attempt,
    /// A kept result is looked for.
    Look,
    /// It waits before it is tried again.
    Pause,
    /// A fallback tool is being tried.
    Fallback(usize),
    /// A kept result is looked for, as a fallback.
    LookInstead(usize),
    /// The steps of a `catch` run.
    Catch,
}

impl StepFrame {
    /// A whole step.
    pub(super) fn whole(place: StepPlace, at: Arc<str>, scope: Scope) -> Self {
        let (phase, part) = (Phase::Attempt, Part::Whole);
        Self { place, at, scope, row: None, attempts: 0, phase, failure: None, kept_as: None, part }
    }

    /// One item of a `for_each` step.
    pub(super) fn item(place: StepPlace, at: Arc<str>, scope: Scope) -> Self {
        Self { part: Part::Item, ..Self::whole(place, at, scope) }
    }

    /// One turn of a step that is repeated.
    pub(super) fn turn(place: StepPlace, at: Arc<str>, scope: Scope) -> Self {
        Self { part: Part::Turn, ..Self::whole(place, at, scope) }
    }

    /// The definition.
    pub(super) fn step<'run>(&self, turn: &Turn<'run>) -> &'run Step {
        self.place.find(turn.workflow)
    }

    pub(super) fn start(&mut self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        let step = self.step(turn);
        match turn.begin(&self.at, verb::label(&step.verb)) {
            Ok(row) => self.row = Some(row),
            Err(failure) => return Next::Finish(Outcome::Failed(failure.at(&self.at)).into()),
        }
        self.look(turn, step);
        if self.part != Part::Whole {
            return self.begin(turn, id, step);
        }
        match step.when.as_ref().map_or(Ok(true), |when| self.scope.holds(when, "when", &self.at)) {
            Ok(true) => {}
            Ok(false) => return rescue::skip(self, step),
            Err(failure) => return rescue::catch(self, turn, id, failure),
        }
        let Some(each) = &step.each else { return self.begin(turn, id, step) };
        match each::items(each, &self.scope, &self.at) {
            Ok(items) => {
                self.phase = Phase::Items;
                let frame = EachFrame::new(each, self.place.clone(), Arc::clone(&self.at), self.scope.clone(), items);
                turn.spawn(id, 0, Kind::Each(frame));
                Next::Wait
            }
            // There are no items yet that could have caught it, so the step itself may.
            Err(failure) => rescue::catch(self, turn, id, failure),
        }
    }

    /// Lets expressions see what agents share as it is now.
    fn look(&mut self, turn: &Turn<'_>, step: &Step) {
        if let Some((root, shared)) = turn.shared_with(step) {
            self.scope = self.scope.with(root, shared);
        }
    }

    /// Looks for a result that was kept, or sets out to get one.
    fn begin(&mut self, turn: &mut Turn<'_>, id: FrameId, step: &Step) -> Next {
        if self.part == Part::Turn {
            return self.attempt(turn, id);
        }
        match cache::look(self, turn, id) {
            Ok(true) => Next::Wait,
            Ok(false) => self.set_out(turn, id, step),
            Err(failure) => rescue::catch(self, turn, id, failure),
        }
    }

    /// Begins the turns of a step that has some, else the first attempt.
    pub(super) fn set_out(&mut self, turn: &mut Turn<'_>, id: FrameId, step: &Step) -> Next {
        if step.repeat.is_none() {
            return self.attempt(turn, id);
        }
        (self.phase, self.kept_as) = (Phase::Turns, cache::to_be_kept(self, turn));
        let frame = RepeatFrame::new(self.place.clone(), Arc::clone(&self.at), self.scope.clone());
        turn.spawn(id, 0, Kind::Repeat(frame));
        Next::Wait
    }

    pub(super) fn child_ended(&mut self, turn: &mut Turn<'_>, id: FrameId, end: End) -> Next {
        turn.stop_timer(id);
        if self.phase == Phase::Turns {
            self.attempts = end.attempts;
        }
        match (self.phase, end.into_result()) {
            // Each item has had its own fallbacks, catches and default.
            (Phase::Items, Ok(outputs)) => self.completed(outputs),
            (Phase::Items, Err(failure)) => Next::End(End::failed(failure)),
            // Each turn has had its own retries.
            (Phase::Turns, Ok(result)) => self.finished(turn, id, result),
            (Phase::Turns, Err(failure)) => rescue::fall_back(self, turn, id, 0, failure),
            (Phase::Attempt | Phase::Fallback(_), Ok(result)) => self.succeeded(turn, id, result),
            (Phase::Attempt | Phase::Fallback(_), Err(failure)) => self.attempt_failed(turn, id, failure),
            (Phase::Catch, Ok(output)) => self.completed(output),
            (Phase::Catch, Err(failure)) => rescue::give_up(self, turn, failure),
            (Phase::Pause | Phase::Look | Phase::LookInstead(_), _) => Next::Wait,
        }
    }

    pub(super) fn fired(&mut self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        if self.phase == Phase::Pause {
            return self.attempt(turn, id);
        }
        let in_flight = turn.in_flight(id);
        let failure = self.timed_out(turn, id, in_flight.is_some());
        // Whether it has happened can be asked.
        if matches!(self.step(turn).in_doubt, InDoubt::Check(_))
            && let Some(call) = turn.children(id).pop().filter(|call| turn.is_calling(*call))
        {
            turn.tell(call, Signal::OutOfTime(failure.into()));
            return Next::Wait;
        }
        let failure = Box::new(failure.told(in_flight.unwrap_or(Effect::Read)));
        // What has steps of its own fails like any other, so that those of them that can be undone are waited for.
        if let Some(container) = turn.children(id).pop().filter(|child| turn.running(*child) > 0) {
            turn.end(container, End::failed(failure));
            return Next::Wait;
        }
        turn.cancel_children(id);
        self.attempt_failed(turn, id, failure)
    }

    /// The attempt has done its work. That can be undone, whatever becomes of its result.
    fn succeeded(&mut self, turn: &mut Turn<'_>, id: FrameId, result: Value) -> Next {
        if self.step(turn).undo.is_some() {
            let (at, place, scope) = (Arc::clone(&self.at), self.place.clone(), self.scope.clone());
            if let Err(failure) = turn.done(Deed { at, place, scope, result: result.clone() }) {
                return Next::Finish(Outcome::Failed(failure.at(&self.at)).into());
            }
        }
        if self.part == Part::Turn { self.completed(result) } else { self.finished(turn, id, result) }
    }

    /// The step has its result, and makes its output from that.
    fn finished(&mut self, turn: &mut Turn<'_>, id: FrameId, result: Value) -> Next {
        let kept = (!matches!(self.phase, Phase::Fallback(_))).then(|| result.clone());
        match self.mapped(turn, result) {
            Ok(output) => {
                match kept {
                    Some(result) => cache::keep(self, turn, &result),
                    None => turn.note_origin(self.row, Origin::Fallback),
                }
                self.completed(output)
            }
            // Turns are not begun again: their end was reached.
            Err(failure) if self.phase == Phase::Turns => rescue::catch(self, turn, id, failure),
            Err(failure) if self.step(turn).effect.may_repeat() => self.attempt_failed(turn, id, failure),
            // The tool has done its work; a fallback would do it again.
            Err(failure) => rescue::catch(self, turn, id, failure),
        }
    }

    /// The step has this output.
    pub(super) fn completed(&mut self, output: Value) -> Next {
        Next::End(End { error: self.failure.take(), attempts: self.attempts, ..End::completed(output) })
    }

    /// Counts one more attempt and starts its time limit. Returns the attempt's number at this address.
    pub(super) fn begin_attempt(&mut self, turn: &mut Turn<'_>, id: FrameId) -> Result<u32, Box<Failure>> {
        if self.attempts > 0 {
            turn.count()?;
        }
        self.attempts += 1;
        if let Some(timeout) = self.step(turn).timeout {
            turn.start_timer(id, timeout_at(&self.at), timeout);
        }
        Ok(self.row.map_or(self.attempts, |row| turn.attempt(row)))
    }

    fn attempt(&mut self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        self.phase = Phase::Attempt;
        if self.attempts > 0 {
            self.look(turn, self.step(turn));
        }
        if self.part != Part::Turn {
            self.kept_as = cache::to_be_kept(self, turn);
        }
        let number = match self.begin_attempt(turn, id) {
            Ok(number) => number,
            Err(failure) => return Next::Finish(Outcome::Failed(failure.at(&self.at)).into()),
        };
        match verb::perform(self, turn, number) {
            Ok(verb::Deed::Started(kind)) => turn.spawn(id, 0, *kind),
            // Told, not returned: a step that is tried again and again must not nest its attempts.
            Ok(verb::Deed::Done(value)) => turn.tell(id, Signal::ChildEnded(0, End::completed(value))),
            Ok(verb::Deed::Return(output)) => return Next::Finish(Outcome::Completed(output.to_json()).into()),
            Err(failure) => turn.tell(id, Signal::ChildEnded(0, End::failed(failure))),
        }
        Next::Wait
    }

    fn attempt_failed(&mut self, turn: &mut Turn<'_>, id: FrameId, failure: Box<Failure>) -> Next {
        let failure = Box::new(failure.at(&self.at));
        if let Phase::Fallback(tried) = self.phase {
            return rescue::fall_back(self, turn, id, tried + 1, failure);
        }
        let step = self.step(turn);
        if self.has_lost_a_race(step, &failure) {
            self.phase = Phase::Pause;
            turn.tell(id, Signal::Fired);
            return Next::Wait;
        }
        if !self.may_retry(step, &failure) {
            if self.part == Part::Turn {
                return Next::End(End { attempts: self.attempts, ..End::failed(failure) });
            }
            return rescue::fall_back(self, turn, id, 0, failure);
        }
        let policy = step.retry.as_ref().map(|retry| &retry.policy);
        let own = policy
            .map_or(Duration::ZERO, |policy| policy.delay_after(self.attempts, turn.random(&self.at, self.attempts)));
        let delay = own.max(failure.retry_after.map_or(Duration::ZERO, Duration::from_millis));
        self.phase = Phase::Pause;
        if delay < Duration::from_millis(1) {
            turn.tell(id, Signal::Fired);
        } else {
            turn.start_timer(id, format!("{}#retry", self.at).into(), delay);
        }
        Next::Wait
    }

    /// Whether the step is tried again for the only reason that another has set what it shares.
    fn has_lost_a_race(&self, step: &Step, failure: &Failure) -> bool {
        failure.code == code::CONTEXT_CONFLICT.as_str() && step.effect.may_repeat() && self.attempts < RACES
    }

    fn may_retry(&self, step: &Step, failure: &Failure) -> bool {
        let kind = failure.kind();
        let is_doubtful = kind == fault::Kind::InDoubt && !step.effect.may_repeat();
        let is_made_again = is_doubtful && matches!(step.in_doubt, InDoubt::Retry);
        let Some(retry) = &step.retry else { return is_made_again && self.attempts < 2 };
        // Neither an expression nor a bound gives way when it is tried again, whatever `on` says.
        let is_final = [code::EXPRESSION_FAILED, code::NOT_A_LIST, code::RUN_TOO_LARGE]
            .iter()
            .any(|code| failure.code == code.as_str());
        self.attempts < retry.policy.attempts
            && !is_final
            && (is_made_again
                || !is_doubtful && retry.on.as_ref().map_or_else(|| kind.is_transient(), |kinds| kinds.contains(&kind)))
    }

    /// The attempt has taken too long.
    fn timed_out(&self, turn: &Turn<'_>, id: FrameId, was_sent: bool) -> Failure {
        let step = self.step(turn);
        let limit = step.timeout.unwrap_or_default();
        let (code, message) = match &step.verb {
            Verb::Tool { tool, .. } => (code::CALL_TIMEOUT, format!("`{tool}` did not answer within {limit:?}")),
            Verb::Workflow { name, .. } => {
                (code::CALL_TIMEOUT, format!("workflow `{name}` did not end within {limit:?}"))
            }
            Verb::Ask(_) => return ask::unanswered(&self.at, limit).at(&self.at),
            Verb::Await { event, .. } => return arrival::missed(turn, id, (&self.at, event), limit).at(&self.at),
            _ => (code::STEP_FAILED, format!("step `{}` was not over after {limit:?}", self.at)),
        };
        Failure { was_sent, ..Failure::new(fault::Kind::Timeout, code, message).at(&self.at) }
    }

    /// The output that `output` makes from the result, if that is what the step expects.
    pub(super) fn mapped(&self, turn: &Turn<'_>, result: Value) -> Result<Value, Box<Failure>> {
        if let Some(expect) = &self.step(turn).expect {
            expectation::check(expect, &self.scope, &result, &self.at)?;
        }
        match &self.step(turn).output {
            Some(template) => self.scope.with("result", result).value(template, "output", Some(&self.at)),
            None => Ok(result),
        }
    }
}
