//! One event's worth of work: frames are told what happened, and tell each other, until nothing is left to say.
//!
//! What one frame sets off is done before whatever was waiting already. So the consequences of a failure come before the
//! start of the next step: where a step has failed, none starts any more.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use crate::engine::aftermath::{self, Deed};
use crate::engine::arrival::{Arrival, Mailbox};
use crate::engine::block;
use crate::engine::board::Board;
use crate::engine::bounds::Size;
use crate::engine::budget::{self, Purse};
use crate::engine::cache;
use crate::engine::chance;
use crate::engine::command::{Command, Outcome, StepCall, StepQuestion};
use crate::engine::event::{Answer, Called, Failure, Kept, Timestamp};
use crate::engine::frame::{FrameId, Frames, Kind, Next, Signal};
use crate::engine::scope::Scope;
use crate::engine::settling::Settling;
use crate::engine::view::{Origin, Rows, Undone};
use crate::engine::wait;
use crate::expr::value::Value;
use crate::model::usage::Usage;
use crate::workflow::definition::Workflow;

/// What a run remembers between events.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) frames: Frames,
    pub(super) root: Option<FrameId>,
    pub(super) rows: Rows,
    pub(super) outcome: Option<Outcome>,
    /// What became of undoing.
    pub(super) undone: Vec<Undone>,
    /// How many steps of the body are over.
    pub(super) done: usize,
    /// The calls in flight, by address.
    pub(super) calls: HashMap<Arc<str>, FrameId>,
    /// The calls of which nobody knows whether they were carried out, by address.
    pub(super) doubts: BTreeMap<Arc<str>, FrameId>,
    /// The questions that wait for an answer, by address.
    pub(super) questions: BTreeMap<Arc<str>, FrameId>,
    /// The steps that look for a kept result, by address.
    pub(super) recalls: HashMap<Arc<str>, FrameId>,
    /// The steps that wait for an event.
    pub(super) awaiting: BTreeSet<FrameId>,
    /// The events that have come and were not used.
    pub(super) mailbox: Mailbox,
    /// What can be undone, in the order in which it was done.
    pub(super) deeds: Vec<Deed>,
    /// The calls that were in flight when the run ended and of which nobody knows whether they were carried out.
    pub(super) lost: Vec<StepCall>,
    /// What the workflow sees before its first step.
    pub(super) scope: Option<Scope>,
    /// What was in flight when something failed, while it is waited for, and how often that was.
    pub(super) settling: Vec<Settling>,
    pub(super) settled: u64,
    /// What goes on after the run has failed, and how it will have ended.
    pub(super) aftermath: Option<(FrameId, Outcome)>,
    /// What its agents share.
    pub(super) board: Board,
    /// What the run has used up.
    pub(super) purse: Purse,
    pub(super) timers: HashMap<Arc<str>, (Timestamp, FrameId)>,
    pub(super) now: Timestamp,
    seed: u64,
    pub(super) size: Size,
}

/// The work that one event sets off.
pub(super) struct Turn<'run> {
    /// The definition, which outlives every frame.
    pub(super) workflow: &'run Workflow,
    pub(super) state: &'run mut State,
    pub(super) commands: Vec<Command>,
    /// What is to be told to whom; the last comes first.
    pub(super) waiting: Vec<(FrameId, Signal)>,
    /// What the frame that is being told something sets off, in order.
    pub(super) fresh: Vec<(FrameId, Signal)>,
}

impl<'run> Turn<'run> {
    /// A turn at `now`. Time never goes back within a run, whatever the clock of its driver does.
    pub(super) fn new(workflow: &'run Workflow, state: &'run mut State, now: Timestamp) -> Self {
        state.now = state.now.max(now);
        Self { workflow, state, commands: Vec::new(), waiting: Vec::new(), fresh: Vec::new() }
    }

    /// The run begins.
    pub(super) fn started(&mut self, root: Kind, seed: u64) {
        self.state.seed = seed;
        self.state.board = Board::of(self.workflow);
        let id = self.state.frames.add(None, root);
        self.state.root = Some(id);
        if let Some(timeout) = self.workflow.timeout {
            self.start_timer(id, "#timeout".into(), timeout);
        }
        self.start_budget(id);
        self.tell(id, Signal::Start);
    }

    /// A call came back. An answer that nobody waits for is not heard.
    pub(super) fn called(&mut self, at: &str, attempt: u32, outcome: Called, usage: Usage) {
        let frame = self.state.calls.get(at).and_then(|id| Some((*id, self.state.frames.get(*id)?.kind.as_ref()?)));
        match frame {
            Some((id, Kind::Call(call))) if call.attempt == attempt => {
                self.state.calls.remove(at);
                self.pay(usage);
                self.tell(id, Signal::Answered(outcome.into()));
            }
            _ => self.settled(at, attempt, outcome, usage),
        }
    }

    /// A question was answered. An answer that nobody waits for is not heard.
    pub(super) fn answered(&mut self, at: &str, attempt: u32, answer: Answer) {
        let Some(&id) = self.state.questions.get(at) else { return };
        let frame = self.state.frames.get(id).and_then(|frame| frame.kind.as_ref());
        if matches!(frame, Some(Kind::Ask(ask)) if ask.question().attempt == attempt) {
            self.state.questions.remove(at);
            self.tell(id, Signal::Told(answer));
        }
    }

    /// A kept result was looked for.
    pub(super) fn recalled(&mut self, at: &str, kept: Option<Kept>) {
        if let Some(id) = self.state.recalls.remove(at) {
            self.tell(id, Signal::Recalled(kept));
        }
    }

    /// Something has happened outside; whoever has waited longest looks at it first.
    pub(super) fn arrived(&mut self, id: String, event: &str, data: Json) {
        if self.state.mailbox.add(id, Arrival { event: event.into(), data }) {
            for id in self.state.awaiting.clone() {
                self.tell(id, Signal::Arrived);
            }
        }
    }

    /// A timer went off at `now`. One that goes off before it is due is left over from an earlier attempt, so whoever
    /// keeps the timers must not say an earlier time than the one it was asked for, whatever its clock does.
    pub(super) fn fired(&mut self, at: &str, now: Timestamp) {
        let Some(&(due, id)) = self.state.timers.get(at) else { return };
        if due <= now {
            self.state.timers.remove(at);
            if at == budget::TIMER {
                return self.out_of_time();
            }
            if self.is_settled_by(at) {
                return;
            }
            if let Some(frame) = self.state.frames.get_mut(id) {
                frame.timer = None;
            }
            self.tell(id, Signal::Fired);
        }
    }

    /// Does all the work and gives back what is to be done outside.
    pub(super) fn run(mut self) -> Vec<Command> {
        loop {
            self.waiting.extend(self.fresh.drain(..).rev());
            let Some((id, signal)) = self.waiting.pop() else { break };
            let kind = self.state.frames.get_mut(id).and_then(|frame| frame.kind.take());
            // A frame that is no longer there was cancelled after somebody spoke to it.
            let Some(mut kind) = kind else { continue };
            let next = self.deliver(id, &mut kind, signal);
            if let Some(frame) = self.state.frames.get_mut(id) {
                frame.kind = Some(kind);
            }
            match next {
                Next::Wait => {}
                Next::End(end) => self.end(id, end),
                Next::Finish(outcome) => self.finish_from(id, *outcome),
            }
        }
        self.commands
    }

    fn deliver(&mut self, id: FrameId, kind: &mut Kind, signal: Signal) -> Next {
        match (kind, signal) {
            (Kind::Block(block), Signal::Start) => block.start(self, id),
            (Kind::Block(block), Signal::ChildEnded(slot, end)) => block.child_ended(self, id, slot, end),
            (Kind::Block(_), Signal::Fired) => block::run_timed_out(self.workflow),
            (Kind::Each(each), Signal::Start) => each.start(self, id),
            (Kind::Each(each), Signal::ChildEnded(slot, end)) => each.child_ended(self, id, slot, end),
            (Kind::Repeat(repeat), Signal::Start | Signal::Fired) => repeat.start(self, id),
            (Kind::Repeat(repeat), Signal::ChildEnded(_, end)) => repeat.child_ended(self, id, end),
            (Kind::Step(step), Signal::Start) => step.start(self, id),
            (Kind::Step(step), Signal::ChildEnded(_, end)) => step.child_ended(self, id, end),
            (Kind::Step(step), Signal::Fired) => step.fired(self, id),
            (Kind::Step(step), Signal::Recalled(kept)) => cache::recalled(step, self, id, kept),
            (Kind::Step(step), Signal::Resumed) => cache::resumed(step, self),
            (Kind::Parallel(parallel), Signal::Start) => parallel.start(self, id),
            (Kind::Parallel(parallel), Signal::ChildEnded(slot, end)) => parallel.child_ended(self, id, slot, end),
            (Kind::Aftermath(aftermath), Signal::Start) => aftermath.start(self, id),
            (Kind::Aftermath(aftermath), Signal::ChildEnded(_, end)) => aftermath.child_ended(self, id, end),
            (Kind::Aftermath(_), Signal::Fired) => aftermath::timed_out(),
            (Kind::Parallel(parallel), Signal::Fired) => parallel.fired(self, id),
            (Kind::Wait(wait), Signal::Start) => wait.start(self, id),
            (Kind::Wait(_), Signal::Fired) => wait::over(),
            (Kind::Call(call), Signal::Start) => call.start(self, id),
            (Kind::Call(call), Signal::Answered(called)) => call.answered(self, id, *called),
            (Kind::Call(call), Signal::OutOfTime(failure)) => call.gave_up(self, id, *failure),
            (Kind::Call(call), Signal::Resumed) => call.resumed(self, id),
            (Kind::Call(call), Signal::Decided(decision)) => call.decided(self, id, decision),
            (Kind::Ask(ask), Signal::Start) => ask.start(self, id),
            (Kind::Ask(ask), Signal::Told(answer)) => ask.answered(answer),
            (Kind::Await(wait), Signal::Start | Signal::Arrived) => wait.look(self, id),
            _ => Next::Wait,
        }
    }

    /// Starts something in a slot of `parent`.
    pub(super) fn spawn(&mut self, parent: FrameId, slot: usize, kind: Kind) {
        let id = self.state.frames.add(Some((parent, slot)), kind);
        self.tell(id, Signal::Start);
    }

    /// Says something to a frame once the frame at hand is done.
    pub(super) fn tell(&mut self, id: FrameId, signal: Signal) {
        self.fresh.push((id, signal));
    }

    /// What time it is.
    pub(super) fn now(&self) -> Timestamp {
        self.state.now
    }

    /// How many things that `id` started are not over.
    pub(super) fn running(&self, id: FrameId) -> usize {
        self.state.frames.get(id).map_or(0, |frame| frame.children.len())
    }

    /// Makes a call for the frame `id`, under the address `at`.
    pub(super) fn call(&mut self, id: FrameId, at: &Arc<str>, call: StepCall) {
        let call = StepCall { is_afterwards: self.is_cleaning_up(), ..call };
        self.state.calls.insert(Arc::clone(at), id);
        self.commands.push(Command::Call(call));
    }

    /// Puts a question for the frame `id`.
    pub(super) fn ask(&mut self, id: FrameId, question: StepQuestion) {
        self.state.questions.insert(Arc::clone(&question.at), id);
        self.commands.push(Command::Ask(question));
    }

    /// Tells the world that something has happened.
    pub(super) fn emit(&mut self, at: &Arc<str>, event: &Arc<str>, data: Json) {
        self.commands.push(Command::Emit { at: at.to_string(), event: Arc::clone(event), data });
    }

    /// Starts the timer of the frame `id`; a timer takes at least a millisecond, so that no event can set it off twice.
    pub(super) fn start_timer(&mut self, id: FrameId, at: Arc<str>, after: Duration) {
        self.start_own_timer(id, Arc::clone(&at), after);
        if let Some(frame) = self.state.frames.get_mut(id) {
            frame.timer = Some(at);
        }
    }

    /// Starts a timer that the frame `id` has beside its own, and that goes on when that ends.
    pub(super) fn start_own_timer(&mut self, id: FrameId, at: Arc<str>, after: Duration) {
        let due = self.state.now.saturating_add(milliseconds(after).max(1));
        self.commands.push(Command::Timer { at: at.to_string(), due });
        self.state.timers.insert(at, (due, id));
    }

    /// Stops the timer of the frame `id`, if one runs.
    pub(super) fn stop_timer(&mut self, id: FrameId) {
        let timer = self.state.frames.get_mut(id).and_then(|frame| frame.timer.take());
        self.forget(timer);
    }

    pub(super) fn forget(&mut self, timer: Option<Arc<str>>) {
        if let Some(at) = timer
            && self.state.timers.remove(&at).is_some()
        {
            self.commands.push(Command::Forget { at: at.to_string() });
        }
    }

    /// Notes that a step begins; returns its row.
    pub(super) fn begin(&mut self, at: &Arc<str>, label: Arc<str>) -> Result<usize, Box<Failure>> {
        self.count()?;
        Ok(self.state.rows.begin(at, label, self.state.now))
    }

    /// Notes one more attempt; returns a number that no other attempt at this address has.
    pub(super) fn attempt(&mut self, row: usize) -> u32 {
        self.state.rows.attempt(row)
    }

    /// Notes where the output of a step comes from.
    pub(super) fn note_origin(&mut self, row: Option<usize>, origin: Origin) {
        if let Some(row) = row {
            self.state.rows.note(row, origin);
        }
    }

    /// Counts one more activation: a step or item that begins, or is tried again.
    pub(super) fn count(&mut self) -> Result<(), Box<Failure>> {
        self.state.size.activate()
    }

    /// Notes that the frame `id` keeps `value` for as long as it lives.
    pub(super) fn keep(&mut self, id: FrameId, value: &Value) -> Result<(), Box<Failure>> {
        let weight = value.weight();
        if let Some(frame) = self.state.frames.get_mut(id) {
            frame.stored += weight;
        }
        self.state.size.keep(weight)
    }

    /// A number in `0.0..1.0` for the jitter of an attempt.
    pub(super) fn random(&self, at: &str, attempt: u32) -> f64 {
        chance::number(self.state.seed, at, attempt)
    }
}

/// Whole milliseconds, rounded down.
fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
