//! A run and what it has set off: what happens to it is stored, then what comes of that is done.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::engine::command::{Command, StepCall};
use crate::engine::event::{Called, Event, Failure, Timestamp, What};
use crate::engine::retrace::Retrace;
use crate::engine::run::Run;
use crate::model::code;
use crate::model::fault::Kind;
use crate::model::principal::Principal;
use crate::model::priority::Priority;
use crate::model::usage::Usage;
use crate::runner::bus::Bus;
use crate::runner::drive::{Begin, started};
use crate::runner::effects::{Effects, now};
use crate::runner::live::{Message, OpenQuestion, View};
use crate::runner::place::Place;
use crate::runner::record::{Recorder, emission_id};
use crate::runner::report::Report;
use crate::runner::shelf::Shelf;

/// A run and what it has set off.
pub(super) struct Driven {
    pub(super) run: Run,
    pub(super) effects: Effects,
    bus: Bus,
    shelf: Shelf,
    caller: Principal,
    pub(super) run_id: String,
    workflow: Arc<str>,
    began: Timestamp,
    pub(super) recorder: Recorder,
    pub(super) is_resting: bool,
    /// What need not be done again.
    done: Retrace,
    ended: Option<Timestamp>,
    place: Place,
    priority: Priority,
    /// The calls that are made once its place is there again.
    held: Vec<StepCall>,
}

impl Driven {
    /// A run that begins, or goes on from where it is stored.
    pub(super) async fn start(begin: Begin) -> Self {
        let what = started(&begin);
        let Begin { plan, through, bus, shelf, record, history, missed, done, ticket, .. } = begin;
        let run_id = through.run.clone();
        let (caller, priority) = (through.principal.clone(), through.priority);
        let mut driven = Self {
            workflow: Arc::clone(&plan.workflow.name),
            run: Run::new(plan.workflow),
            effects: Effects::new(through),
            bus,
            shelf,
            caller,
            recorder: Recorder::new(run_id.clone(), record),
            run_id,
            began: history.first().map_or_else(now, |first| first.now),
            is_resting: false,
            done,
            ended: None,
            place: Place::new(ticket),
            priority,
            held: Vec::new(),
        };
        if history.is_empty() {
            driven.apply(Event { now: driven.began, what }).await;
        } else {
            driven.resume(history, missed).await;
        }
        driven
    }

    /// Goes on after these events, and hears what it has missed.
    async fn resume(&mut self, history: Vec<Event>, missed: Vec<What>) {
        for (place, event) in (0..).zip(&history) {
            self.ended = Some(event.now);
            self.recorder.recall(place, event);
        }
        let untold = self.run.replay(history);
        if self.recorder.must_store(&self.run, &untold) {
            self.store(None).await;
        }
        self.carry_out_all(untold);
        // One that has ended has that stored once more: it may have been the last thing that was not.
        if self.run.outcome().is_none() {
            self.ended = None;
            self.apply(Event { now: now(), what: What::Resumed }).await;
            for what in missed {
                self.apply(Event { now: now(), what }).await;
            }
        }
    }

    /// Waits for the next thing that comes of what the run has set off; nothing if its place is there again.
    pub(super) async fn next(&mut self) -> Option<Event> {
        let is_patient = !self.held.is_empty() || self.run.waits_for_others();
        tokio::select! {
            biased;
            () = self.place.called() => None,
            happened = self.effects.next() => match happened {
                // Without an event a question could not be put, and stays open for others.
                Some((now, what)) => what.map(|what| Event { now, what }),
                None if is_patient => {
                    self.place.called().await;
                    None
                }
                None => Some(stuck()),
            }
        }
    }

    /// Makes the calls that wait for the run's place once that is there; lends it to others while the run only waits.
    pub(super) async fn mind_place(&mut self) {
        if !self.held.is_empty() {
            if !self.is_resting && self.place.is_there(self.priority) {
                let calls: Vec<_> = std::mem::take(&mut self.held).into_iter().map(Command::Call).collect();
                self.intend(now(), &calls);
                self.carry_on(calls).await;
            }
        } else if !self.effects.is_calling() && (self.run.waits_for_others() || self.effects.is_pausing()) {
            self.place.lend();
        }
    }

    /// Something has happened. It is stored before anything is done about it that matters.
    pub(super) async fn apply(&mut self, event: Event) {
        let commands = self.take_in(event);
        self.carry_on(commands).await;
    }

    /// Does what is wanted, and what comes of that at once.
    async fn carry_on(&mut self, commands: Vec<Command>) {
        let mut events = VecDeque::from(self.act(commands).await);
        while let Some(what) = events.pop_front() {
            let commands = self.take_in(Event { now: now(), what });
            events.extend(self.act(commands).await);
        }
        if !self.is_resting {
            self.effects.release();
        }
    }

    /// Stores what has happened, then does what is wanted about it. Gives back what has come of it at once.
    async fn act(&mut self, commands: Vec<Command>) -> Vec<What> {
        self.recorder.note_told(&commands);
        let is_stored = !self.recorder.must_store(&self.run, &commands) || self.store(None).await;
        // What a run has done is undone even if that cannot be stored.
        if !is_stored && !self.run.is_undoing() {
            return self.cut_off(commands);
        }
        let mut events: Vec<_> = commands.into_iter().filter_map(|command| self.carry_out(command)).collect();
        if self.run.is_undoing() {
            events.extend(std::mem::take(&mut self.held).into_iter().map(unsent));
        }
        events
    }

    /// A run that must not go on without being stored does nothing more but come to its end.
    fn cut_off(&mut self, commands: Vec<Command>) -> Vec<What> {
        let why = "it cannot be stored, and its workflow says `durability: always`".to_owned();
        let mut events = vec![What::CancelRequested { why }];
        for command in commands {
            match command {
                Command::Call(call) => events.push(unsent(call)),
                Command::Ask(_) => {}
                other => _ = self.carry_out(other),
            }
        }
        events
    }

    /// Carries out what leads to no event at once.
    fn carry_out_all(&mut self, commands: impl IntoIterator<Item = Command>) {
        for command in commands {
            let _ = self.carry_out(command);
        }
    }

    /// What the run wants done about `event`, and the intention to do once what must not be done twice.
    fn take_in(&mut self, event: Event) -> Vec<Command> {
        let at = event.now;
        self.recorder.note(&event);
        let mut commands = self.run.apply(event);
        if self.is_resting {
            // What is not begun now is begun by the next process.
            commands.retain(|command| !matches!(command, Command::Call(_) | Command::Ask(_) | Command::Timer { .. }));
        }
        let commands = self.hold_back(commands);
        self.intend(at, &commands);
        commands
    }

    /// `commands` but for the calls that have to wait for the run's place. What comes after its failure waits for nothing.
    fn hold_back(&mut self, commands: Vec<Command>) -> Vec<Command> {
        let needs_place = |command: &Command| matches!(command, Command::Call(call) if !call.is_afterwards);
        if self.held.is_empty() && (!commands.iter().any(needs_place) || self.place.is_there(self.priority)) {
            return commands;
        }
        let (held, now): (Vec<_>, Vec<_>) = commands.into_iter().partition(needs_place);
        let calls = held.into_iter().filter_map(|held| if let Command::Call(call) = held { Some(call) } else { None });
        self.held.extend(calls);
        now
    }

    /// Notes that calls are about to be made that must not be made twice.
    fn intend(&mut self, at: Timestamp, commands: &[Command]) {
        for command in commands {
            let Command::Call(call) = command else { continue };
            // One that has to wait is intended when its turn has come.
            if call.is_once_only() && !self.done.knows(call) && self.effects.has_leave(call) {
                let what = What::Intended { at: call.at.clone(), attempt: call.attempt };
                let intended = Event { now: at, what };
                self.recorder.note(&intended);
                self.run.apply(intended);
            }
        }
    }

    /// Whether the run may go on: what has happened is stored, or need not be.
    pub(super) async fn store(&mut self, end: Option<&Report>) -> bool {
        let open = self.open_questions();
        self.recorder.store(&self.run, &open, end).await.is_ok()
    }

    /// The run is over. Whoever waits for it is told once that is stored.
    pub(super) async fn end(&mut self, report: &Report) {
        self.store(Some(report)).await;
    }

    /// Leaves the run to the next process, with all that it was told. There is a report if that has ended it.
    pub(super) async fn rest(&mut self, mut messages: mpsc::Receiver<Message>) -> Option<Report> {
        self.is_resting = true;
        messages.close();
        while let Some(message) = messages.recv().await {
            match message {
                Message::Event(what) => self.apply(Event { now: now(), what: *what }).await,
                // Fails only if nobody wants to know any more.
                Message::Look(answer) => _ = answer.send(self.view()),
            }
        }
        let report = self.report()?;
        self.end(&report).await;
        Some(report)
    }

    /// Does what the run wants done; gives back what has come of it at once.
    fn carry_out(&mut self, command: Command) -> Option<What> {
        match command {
            Command::Recall { at, kept_as } => {
                let kept = self.shelf.find(&kept_as, &self.caller);
                return Some(What::Recalled { at, kept });
            }
            Command::Keep { kept_as, value } => self.shelf.keep(&kept_as, &self.caller, &value, now()),
            Command::Call(call) => {
                if let Some(result) = self.done.take(&call) {
                    let StepCall { at, attempt, .. } = call;
                    let (outcome, usage) = (Called::Result(result), Usage::default());
                    return Some(What::Called { at, attempt, outcome, usage });
                }
                self.effects.call(call);
            }
            Command::Ask(question) => self.effects.ask(&self.workflow, &question),
            Command::Emit { at, event, data } => self.bus.emit(emission_id(&self.run_id, &at), event, data),
            Command::Timer { at, due } => self.effects.timer(at, due),
            Command::Cancel { at, attempt } => {
                self.held.retain(|call| (&call.at, call.attempt) != (&at, attempt));
                self.effects.cancel(at, attempt);
            }
            Command::Forget { at } => self.effects.forget(at),
            // The run itself tells its outcome.
            Command::Finish(_) => {}
        }
        None
    }

    /// The questions that nobody is being asked.
    pub(super) fn open_questions(&self) -> Vec<OpenQuestion> {
        let questions = self.run.questions().into_iter();
        let open = questions.filter(|question| !self.effects.is_asking(question));
        open.map(|question| OpenQuestion { run_id: self.run_id.clone(), question }).collect()
    }

    pub(super) fn view(&self) -> View {
        View { is_queued: !self.held.is_empty(), ..View::of(&self.run) }
    }

    /// What is to be told of the run, once it is over.
    pub(super) fn report(&self) -> Option<Report> {
        let took = self.ended.unwrap_or_else(now).saturating_sub(self.began);
        Report::of(&self.run, &self.run_id, &self.workflow, took)
    }
}

/// A call that was wanted and not made.
fn unsent(call: StepCall) -> What {
    let failure = Failure::new(Kind::Cancelled, code::RUN_CANCELLED, "the run has ended before the call was made");
    What::Called { at: call.at, attempt: call.attempt, outcome: Called::Failure(failure), usage: Usage::default() }
}

/// Ends a run that waits for nothing. The engine never leaves one in that state.
fn stuck() -> Event {
    Event { now: now(), what: What::CancelRequested { why: "nothing is in flight and nothing has ended".to_owned() } }
}
