//! What becomes of a call whose answer has been lost with whoever drove the run.
//!
//! A call that may be repeated is made again. One that may not, and may have been sent, is in doubt: its step says what is to be
//! done, and unless it does, the run waits for somebody who looks.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::engine::call::{CallFrame, Stage, output};
use crate::engine::command::{Callee, Command, StepCall};
use crate::engine::event::{Called, Decision, Failure};
use crate::engine::frame::{End, FrameId, Kind, Next, Signal};
use crate::engine::step::StepFrame;
use crate::engine::turn::Turn;
use crate::engine::verb;
use crate::expr::value::Value;
use crate::model::code;
use crate::model::effect::Effect;
use crate::model::fault;
use crate::workflow::modifier::InDoubt;
use crate::workflow::verb::Verb;

/// What the address of a call is followed by where another tool is asked about it.
pub(super) const CHECK: &str = "#check";

/// Where the time limit of a step's attempt stands.
pub(super) fn timeout_at(at: &str) -> Arc<str> {
    format!("{at}#timeout").into()
}

/// Where the question stands that another tool is asked about a call.
fn check_at(at: &str) -> Arc<str> {
    format!("{at}{CHECK}").into()
}

impl Turn<'_> {
    /// A call that must not be made twice is about to be sent.
    pub(super) fn intended(&mut self, at: &str, attempt: u32) {
        let Some(&id) = self.state.calls.get(at) else { return };
        if let Some(Kind::Call(call)) = self.state.frames.get_mut(id).and_then(|frame| frame.kind.as_mut())
            && call.attempt == attempt
            && call.stage == Stage::New
        {
            call.stage = Stage::Intended;
        }
    }

    /// Nothing is in flight any more: all that is waited for is asked for again, in a fixed order.
    pub(super) fn resumed(&mut self) {
        let mut timers: Vec<_> = self.state.timers.iter().map(|(at, (due, _))| (*due, at.to_string())).collect();
        timers.sort();
        self.commands.extend(timers.into_iter().map(|(due, at)| Command::Timer { at, due }));
        for id in self.state.questions.values() {
            if let Some(Kind::Ask(ask)) = self.state.frames.get(*id).and_then(|frame| frame.kind.as_ref()) {
                self.commands.push(Command::Ask(ask.question().clone()));
            }
        }
        self.settle_again();
        let mut waiting: Vec<_> = self.state.calls.values().chain(self.state.recalls.values()).copied().collect();
        waiting.sort();
        for id in waiting {
            self.tell(id, Signal::Resumed);
        }
    }

    /// Of one call alone it is known that its answer will not come.
    pub(super) fn lost(&mut self, at: &str, attempt: u32) {
        let Some(&id) = self.state.calls.get(at) else { return };
        let frame = self.state.frames.get(id).and_then(|frame| frame.kind.as_ref());
        if matches!(frame, Some(Kind::Call(call)) if call.attempt == attempt) {
            self.tell(id, Signal::Resumed);
        }
    }

    /// It is said what became of a call.
    pub(super) fn decided(&mut self, at: &str, attempt: u32, decision: Decision) {
        let Some(&id) = self.state.doubts.get(at) else { return };
        let frame = self.state.frames.get(id).and_then(|frame| frame.kind.as_ref());
        if matches!(frame, Some(Kind::Call(call)) if call.attempt == attempt) {
            self.state.doubts.remove(at);
            self.tell(id, Signal::Decided(decision));
        }
    }

    /// The time limit of the attempt that the frame `id` is part of begins anew, or with `None` is off.
    fn restart_limit(&mut self, id: FrameId, is_on: bool) {
        let Some((parent, _)) = self.state.frames.get(id).and_then(|frame| frame.parent) else { return };
        let Some(frame) = self.state.frames.get(parent) else { return };
        let Some(Kind::Step(step)) = &frame.kind else { return };
        let (timer, limit) = (timeout_at(&step.at), step.step(self).timeout);
        self.stop_timer(parent);
        if let Some(limit) = limit.filter(|_| is_on) {
            self.start_timer(parent, timer, limit);
        }
    }

    /// The step that the frame `id` makes its call for.
    pub(super) fn caller_of(&self, id: FrameId) -> Option<&StepFrame> {
        let (parent, _) = self.state.frames.get(id)?.parent?;
        match self.state.frames.get(parent)?.kind.as_ref()? {
            Kind::Step(step) => Some(step),
            _ => None,
        }
    }
}

impl CallFrame {
    /// The address under which something of this call is in flight.
    pub(super) fn in_flight_at(&self) -> Arc<str> {
        if self.stage == Stage::Checked { check_at(&self.at) } else { Arc::clone(&self.at) }
    }

    /// What was in flight is lost.
    pub(super) fn resumed(&mut self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        turn.state.calls.remove(&self.in_flight_at());
        if self.may_have_happened() {
            return self.doubt(turn, id);
        }
        self.repeat(turn, id)
    }

    /// Its time is up: whatever is in flight is given up.
    pub(super) fn gave_up(&mut self, turn: &mut Turn<'_>, id: FrameId, failure: Failure) -> Next {
        let at = self.in_flight_at();
        if turn.state.calls.remove(&at).is_some() {
            turn.commands.push(Command::Cancel { at: at.to_string(), attempt: self.attempt });
        }
        match self.unanswered.take() {
            // Whoever was asked has not answered either.
            Some(failure) => Next::End(End::failed(failure.told(self.effect))),
            None => self.unanswered(turn, id, failure),
        }
    }

    /// The call was sent, and its answer will not come, while the run goes on: another tool is asked, if the step names one.
    pub(super) fn unanswered(&mut self, turn: &mut Turn<'_>, id: FrameId, failure: Failure) -> Next {
        let checks = |step: &StepFrame| matches!(step.step(turn).in_doubt, InDoubt::Check(_));
        if !turn.caller_of(id).is_some_and(checks) {
            return Next::End(End::failed(failure.told(self.effect)));
        }
        self.unanswered = Some(failure.into());
        self.doubt(turn, id)
    }

    /// Makes the call again, with the same key.
    fn repeat(&mut self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        self.stage = Stage::New;
        turn.restart_limit(id, true);
        turn.call(id, &self.at, self.again());
        Next::Wait
    }

    /// Does what the step says about a call that may have been carried out.
    fn doubt(&mut self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        let Some(step) = turn.caller_of(id) else { return self.wait_for_somebody(turn, id) };
        match &step.step(turn).in_doubt {
            InDoubt::Ask => self.wait_for_somebody(turn, id),
            InDoubt::Retry => self.repeat(turn, id),
            InDoubt::Fail => Next::End(End::failed(self.lost())),
            InDoubt::Check(check) => {
                let Verb::Tool { tool, args, .. } = check else { return self.wait_for_somebody(turn, id) };
                let arguments = match verb::arguments(Some(args), &step.scope, &self.at) {
                    Ok(arguments) => arguments,
                    Err(failure) => return Next::End(End::failed(failure)),
                };
                let (callee, at) = (Callee::Tool(tool.clone()), check_at(&self.at));
                let call = StepCall {
                    at: at.to_string(),
                    callee,
                    arguments,
                    providers: Vec::new(),
                    key: None,
                    effect: Effect::Read,
                    ..self.again()
                };
                self.stage = Stage::Checked;
                turn.restart_limit(id, true);
                turn.call(id, &at, call);
                Next::Wait
            }
        }
    }

    fn wait_for_somebody(&mut self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        self.stage = Stage::Doubtful;
        turn.restart_limit(id, false);
        turn.state.doubts.insert(Arc::clone(&self.at), id);
        Next::Wait
    }

    /// Another tool has said whether the call was carried out: nothing, `false` or an empty value means that it was not.
    pub(super) fn checked(&mut self, turn: &mut Turn<'_>, id: FrameId, called: Called) -> Next {
        match (found(called), self.unanswered.take()) {
            // Whoever cannot be asked has said nothing.
            (None, None) => self.wait_for_somebody(turn, id),
            (None, Some(failure)) => Next::End(End::failed(failure.told(self.effect))),
            (Some(found), None) if is_nothing(&found) => self.repeat(turn, id),
            // It is a failure like any other now, which may be tried again.
            (Some(found), Some(failure)) if is_nothing(&found) => {
                Next::End(End::failed(Failure { was_sent: false, ..*failure }))
            }
            (Some(found), _) => Next::End(End::completed(Value::from_json(found))),
        }
    }

    /// Somebody has said what became of the call.
    pub(super) fn decided(&mut self, turn: &mut Turn<'_>, id: FrameId, decision: Decision) -> Next {
        match decision {
            Decision::ItHappened(result) => Next::End(End::completed(Value::from_json(result))),
            Decision::Retry => self.repeat(turn, id),
            Decision::Fail => Next::End(End::failed(self.lost())),
        }
    }

    /// The failure of a call whose answer is lost.
    fn lost(&self) -> Failure {
        let message =
            format!("the program ended while `{}` was in flight, and nobody knows what became of it", self.at);
        let failure = Failure::new(fault::Kind::InDoubt, code::IN_DOUBT, message).at(&self.at);
        Failure { was_sent: true, ..failure }.hint("look whether it has happened before doing it again")
    }
}

/// What was found out about a call; `None` if nothing could be found out.
pub(super) fn found(called: Called) -> Option<Json> {
    match called {
        Called::Result(result) => output(result).ok().map(|found| found.to_json()),
        Called::Failure(_) => None,
    }
}

/// Whether what was found means that the call was not carried out.
pub(super) fn is_nothing(found: &Json) -> bool {
    let is_empty_text = |found: &Json| {
        found.get("content").is_some()
            && found.get("text").and_then(Json::as_str).is_some_and(|text| text.trim().is_empty())
    };
    match found {
        Json::Null | Json::Bool(false) => true,
        Json::Array(items) => items.is_empty(),
        Json::Object(members) => {
            members.is_empty() || members.get("found") == Some(&Json::Bool(false)) || is_empty_text(found)
        }
        _ => false,
    }
}
