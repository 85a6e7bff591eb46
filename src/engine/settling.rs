//! What is in flight when something fails, and could be undone: its answer is waited for, so that it can be if it has happened.
//!
//! To cancel it would be to never know. The failure goes on once all have answered; what does not answer in time is cancelled
//! then, and reported as in doubt.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::aftermath::Deed;
use crate::engine::call::{CallFrame, output};
use crate::engine::command::{Callee, Command, Outcome, StepCall};
use crate::engine::event::Called;
use crate::engine::frame::{End, FrameId, Kind};
use crate::engine::step::StepFrame;
use crate::engine::turn::{State, Turn};
use crate::expr::value::Value;
use crate::model::effect::Effect;
use crate::model::usage::Usage;

/// How long answers are waited for.
pub(super) const TIME: Duration = Duration::from_secs(10);

/// How the timers of that begin; no step's id holds a `#`.
const TIMER: &str = "#settle";

/// A call by its address and attempt.
type Key = (Arc<str>, u32);

/// The last answers that a failure waits for.
#[derive(Debug)]
pub(super) struct Settling {
    then: Then,
    open: BTreeMap<Key, Open>,
    timer: Arc<str>,
}

/// What comes once they are there.
#[derive(Debug)]
enum Then {
    /// This frame ends.
    Close(FrameId, Box<End>),
    /// The run is undone, and ends.
    Finish(Box<Outcome>),
}

/// A call in flight.
#[derive(Debug)]
struct Open {
    call: StepCall,
    /// What is to be undone if it succeeds, but for its result.
    deed: Deed,
}

impl Open {
    fn is_once_only(&self) -> bool {
        !self.call.effect.may_repeat()
    }
}

impl State {
    /// Whether the run has failed, and waits for the last answers.
    pub(super) fn is_settling(&self) -> bool {
        self.settling.iter().any(|settling| matches!(settling.then, Then::Finish(_)))
    }
}

impl Turn<'_> {
    /// The frame `id` ends. If it has failed it is cut off from all that it has set off but what is worth waiting for; gives its
    /// end back if there is nothing of the sort.
    pub(super) fn settle_frame(&mut self, id: FrameId, end: End) -> Option<End> {
        if !end.is_failure() || self.running(id) == 0 || self.is_cleaning_up() {
            return Some(end);
        }
        let open = self.take_undoable(id);
        if open.is_empty() {
            return Some(end);
        }
        self.note_lost(id);
        self.cancel_children(id);
        self.stop_timer(id);
        self.settle(Then::Close(id, end.into()), open);
        None
    }

    /// The run fails: gives its outcome back if there is nothing to wait for.
    pub(super) fn settle_run(&mut self, root: FrameId, outcome: Outcome) -> Option<Outcome> {
        let open = self.take_undoable(root);
        self.note_lost(root);
        self.cancel_children(root);
        self.cancel(root);
        if open.is_empty() {
            return Some(outcome);
        }
        self.settle(Then::Finish(outcome.into()), open);
        None
    }

    fn settle(&mut self, then: Then, open: BTreeMap<Key, Open>) {
        let Some(root) = self.state.root else { return };
        self.state.settled += 1;
        let timer: Arc<str> = format!("{TIMER}{}", self.state.settled).into();
        self.start_own_timer(root, Arc::clone(&timer), TIME);
        self.state.settling.push(Settling { then, open, timer });
    }

    /// Takes out the calls in flight below the frame `id` whose answers are worth waiting for: nobody cancels them any more. So it
    /// does with what frames below it wait for already.
    fn take_undoable(&mut self, id: FrameId) -> BTreeMap<Key, Open> {
        let mut open = BTreeMap::new();
        for (at, call) in self.state.calls.clone() {
            if let Some(undoable) = self.undoable(call).filter(|_| self.is_below(call, id)) {
                self.state.calls.remove(&at);
                open.insert((at, undoable.call.attempt), undoable);
            }
        }
        for settling in std::mem::take(&mut self.state.settling) {
            match settling.then {
                Then::Close(closing, _) if self.is_below(closing, id) => {
                    self.forget(Some(settling.timer));
                    open.extend(settling.open);
                }
                _ => self.state.settling.push(settling),
            }
        }
        open
    }

    /// The effects of the calls whose answers frames below the frame `id` wait for.
    pub(super) fn awaited(&self, id: FrameId) -> impl Iterator<Item = Effect> {
        let is_below = move |then: &Then| matches!(then, Then::Close(closing, _) if self.is_below(*closing, id));
        let below = self.state.settling.iter().filter(move |settling| is_below(&settling.then));
        below.flat_map(|settling| settling.open.values().map(|open| open.call.effect))
    }

    /// The call of the frame `id`, if it may have changed something that its step can undo.
    fn undoable(&self, id: FrameId) -> Option<Open> {
        let Some(Kind::Call(call)) = self.state.frames.get(id)?.kind.as_ref() else { return None };
        let step = self.caller_of(id).filter(|step| step.step(self).undo.is_some())?;
        call.is_work().then(|| Open { call: call.again(), deed: deed_of(step) })
    }

    /// Notes which calls below the frame `id` nobody will ever know of, now that they are cancelled.
    pub(super) fn note_lost(&mut self, id: FrameId) {
        let open = self.state.calls.values().chain(self.state.doubts.values());
        let lost = open.filter_map(|call| match self.state.frames.get(*call)?.kind.as_ref()? {
            Kind::Call(frame) if frame.may_have_happened() && self.is_below(*call, id) => Some(frame.again()),
            _ => None,
        });
        let lost: Vec<_> = lost.collect();
        for call in lost {
            self.lose(call);
        }
    }

    /// An answer has come to what was waited for. One that nobody waits for is not heard.
    pub(super) fn settled(&mut self, at: &str, attempt: u32, outcome: Called, usage: Usage) {
        let key = (Arc::from(at), attempt);
        let Some(Open { call, deed }) = self.state.settling.iter_mut().find_map(|settling| settling.open.remove(&key))
        else {
            return;
        };
        self.pay(usage);
        match outcome {
            Called::Failure(failure) if failure.leaves_doubt(call.effect) => self.lose(call),
            Called::Failure(_) => {}
            Called::Result(result) => {
                if let Ok(result) = output(result) {
                    // What is too large to be kept is kept all the same: the next thing that is too large ends the run.
                    let _ = self.done(Deed { result, ..deed });
                }
            }
        }
        self.go_on_if_settled();
    }

    /// Whoever has made the calls is gone. Those that may be repeated are, to learn what there is to undo.
    pub(super) fn settle_again(&mut self) {
        let is_cleaning_up = self.state.is_settling();
        for place in 0..self.state.settling.len() {
            let open = std::mem::take(&mut self.state.settling[place].open);
            let (lost, again): (BTreeMap<_, _>, _) = open.into_iter().partition(|(_, open)| open.is_once_only());
            let calls = again.values().map(|open| StepCall { is_afterwards: is_cleaning_up, ..open.call.clone() });
            self.commands.extend(calls.map(Command::Call));
            self.state.settling[place].open = again;
            for open in lost.into_values() {
                self.lose(open.call);
            }
        }
        self.go_on_if_settled();
    }

    /// The timer `at` went off: if it is one of these, whoever has not answered is cancelled. False if it is another.
    pub(super) fn is_settled_by(&mut self, at: &str) -> bool {
        let Some(place) = self.state.settling.iter().position(|settling| *settling.timer == *at) else { return false };
        let open = std::mem::take(&mut self.state.settling[place].open);
        self.give_up(open);
        self.go_on_if_settled();
        true
    }

    /// The frame `id` is cancelled while it waits for answers.
    pub(super) fn stop_settling(&mut self, id: FrameId) {
        let is_its = |settling: &Settling| matches!(settling.then, Then::Close(closing, _) if closing == id);
        if let Some(place) = self.state.settling.iter().position(is_its) {
            let Settling { open, timer, .. } = self.state.settling.remove(place);
            self.forget(Some(timer));
            self.give_up(open);
        }
    }

    fn give_up(&mut self, open: BTreeMap<Key, Open>) {
        for ((at, attempt), open) in open {
            self.commands.push(Command::Cancel { at: at.to_string(), attempt });
            if open.is_once_only() {
                self.lose(open.call);
            }
        }
    }

    fn lose(&mut self, call: StepCall) {
        self.state.lost.push(call);
        self.state.lost.sort_by(|one, other| (&one.at, one.attempt).cmp(&(&other.at, other.attempt)));
    }

    fn go_on_if_settled(&mut self) {
        while let Some(place) = self.state.settling.iter().position(|settling| settling.open.is_empty()) {
            let Settling { then, timer, .. } = self.state.settling.remove(place);
            self.forget(Some(timer));
            match then {
                Then::Close(id, end) => self.close(id, *end),
                Then::Finish(outcome) => self.conclude_or_clean_up(*outcome),
            }
        }
    }
}

fn deed_of(step: &StepFrame) -> Deed {
    let (at, place, scope) = (Arc::clone(&step.at), step.place.clone(), step.scope.clone());
    Deed { at, place, scope, result: Value::null() }
}

impl CallFrame {
    /// Whether it is the work of a tool that changes something, and has been sent as far as anybody knows.
    fn is_work(&self) -> bool {
        let may_be_there = self.effect.may_repeat() || self.may_have_happened();
        matches!(self.callee(), Callee::Tool(_)) && self.is_first_hand() && !self.effect.is_read() && may_be_there
    }
}
