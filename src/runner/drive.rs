//! The loop of one run: event, engine, commands, effects.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::engine::command::{Command, StepCall};
use crate::engine::event::{Called, Event, Identity, Timestamp, What};
use crate::engine::retrace::Retrace;
use crate::engine::run::Run;
use crate::model::call::Progress;
use crate::model::principal::Principal;
use crate::model::usage::Usage;
use crate::runner::bus::Bus;
use crate::runner::effects::{Effects, Through, now};
use crate::runner::gate::Ticket;
use crate::runner::live::{Board, Ends, Handle, Listener, Message, OpenQuestion, Reporter, Signs, View};
use crate::runner::record::{Record, Recorder, is_once_only};
use crate::runner::report::Report;
use crate::runner::shelf::Shelf;
use crate::runner::waiting::{Waited, for_turn};
use crate::workflow::plan::Plan;

/// Everything that a run begins with.
pub struct Begin {
    /// What is to be run.
    pub plan: Plan,
    /// Its input, already accepted by its schema.
    pub input: Value,
    /// The flags as they are for its caller.
    pub flags: Value,
    /// Where its progress is reported.
    pub progress: Option<Arc<dyn Progress>>,
    /// Through what it calls.
    pub through: Through,
    /// Is told of each change, for those who watch.
    pub watcher: Option<Arc<dyn Watch>>,
    /// Where its open questions are put up.
    pub board: Arc<Board>,
    /// What it hears events from.
    pub bus: Bus,
    /// Where results are kept.
    pub shelf: Shelf,
    /// Where it is stored.
    pub record: Record,
    /// What makes a run that is wanted twice the same run.
    pub key: Option<String>,
    /// What has happened to it already, if another process has begun it.
    pub history: Vec<Event>,
    /// Its place among the runs, or its turn to have one.
    pub ticket: Option<Ticket>,
    /// What it takes over from the run that it tries again.
    pub done: Retrace,
    /// How long it may still take when the program ends.
    pub grace: Duration,
    /// Dropped when it is over.
    pub held: Option<Arc<dyn Any + Send + Sync>>,
}

/// Watches a run as it goes on.
pub trait Watch: Send + Sync {
    /// Something has changed. Must not block.
    fn changed(&self, run: &Run);
}

/// A new run's id: unique, and later ones sort after earlier ones.
pub fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// Begins a run: the future that carries it to its end, which somebody has to own, and the handle by which others reach it.
///
/// Without a report the run has been left as it is stored, and the next process takes it up.
pub fn begin(begin: Begin) -> (impl Future<Output = Option<Arc<Report>>> + Send + use<>, Handle) {
    let (handle, Ends { messages, end, listener, signs }) = Handle::of(&begin);
    let going = async move {
        let board = Arc::clone(&begin.board);
        let run_id = begin.through.run.clone();
        let report = drive(begin, listener, messages, signs).await.map(Arc::new);
        board.set(&run_id, Vec::new());
        if let Some(report) = &report {
            end.send_replace(Some(Arc::clone(report)));
        }
        report
    };
    (going, handle)
}

/// The first event of a run.
pub fn started(begin: &Begin) -> What {
    let (run, caller) = (&begin.through.run, &begin.through.principal.name);
    let identity = Identity { id: run.clone(), caller: caller.to_string() };
    What::Started { seed: seed(run), run: identity, input: begin.input.clone(), flags: begin.flags.clone() }
}

/// Runs to the end. When it is stopped the run is cancelled, and what it has done is undone first. When it is to rest, and is
/// stored, what is in flight has a moment to come back, and the rest is left to the next process: then there is no report.
async fn drive(
    mut begin: Begin,
    listener: Arc<Listener>,
    mut messages: mpsc::Receiver<Message>,
    signs: Signs,
) -> Option<Report> {
    let mut ear = begin.bus.listen(begin.plan.workflow.awaited());
    let (board, watcher, grace) = (Arc::clone(&begin.board), begin.watcher.clone(), begin.grace);
    let mut reporter = Reporter::new(listener);
    let (mut is_stopped, mut is_left) = (false, false);
    let mut rest_until = None;
    let Waited::GoesOn(heard) = for_turn(&mut begin, &mut messages, &signs).await else { return None };
    let _place = begin.ticket.take();
    let mut driven = Driven::start(begin).await;
    for what in heard {
        driven.apply(Event { now: now(), what }).await;
    }
    loop {
        if let Some(watcher) = &watcher {
            watcher.changed(&driven.run);
        }
        if let Some(report) = driven.report() {
            driven.end(&report).await;
            return Some(report);
        }
        if rest_until.is_some() && !driven.effects.is_calling() {
            if driven.is_resting {
                return None;
            }
            if driven.run.waits_for_others() {
                signs.stop.cancel();
            }
        }
        reporter.report(&driven.run);
        board.set(&driven.run_id, driven.open_questions());
        let event = tokio::select! {
            biased;
            () = signs.stop.cancelled(), if !is_stopped => {
                is_stopped = true;
                Event { now: now(), what: What::CancelRequested { why: "its caller has left".to_owned() } }
            }
            () = signs.rest.cancelled(), if rest_until.is_none() && !is_stopped => {
                // One that is not stored has this time to come to its end.
                driven.is_resting = driven.recorder.is_safe();
                rest_until = Some(Instant::now() + grace);
                continue;
            }
            () = sleep_until(rest_until.unwrap_or_else(Instant::now)), if rest_until.is_some() && !is_stopped => {
                if driven.recorder.is_safe() {
                    return None;
                }
                signs.stop.cancel();
                continue;
            }
            () = signs.left.cancelled(), if !is_left => {
                is_left = true;
                driven.recorder.is_left();
                driven.store(None).await;
                continue;
            }
            Some(message) = messages.recv() => match message {
                Message::Event(what) => Event { now: now(), what: *what },
                Message::Look(answer) => {
                    // Fails only if nobody wants to know any more.
                    let _ = answer.send(driven.view());
                    continue;
                }
            },
            what = ear.next() => Event { now: now(), what },
            event = driven.next() => match event {
                // What fails because the program ends is begun again by the next.
                Some(event) if driven.is_resting && is_failure(&event) => continue,
                Some(event) => event,
                None => continue,
            },
        };
        driven.apply(event).await;
    }
}

/// A run and what it has set off.
struct Driven {
    run: Run,
    effects: Effects,
    bus: Bus,
    shelf: Shelf,
    caller: Principal,
    run_id: String,
    workflow: Arc<str>,
    began: Timestamp,
    recorder: Recorder,
    is_resting: bool,
    /// What need not be done again.
    done: Retrace,
    ended: Option<Timestamp>,
}

impl Driven {
    /// A run that begins, or goes on from where it is stored.
    async fn start(begin: Begin) -> Self {
        let what = started(&begin);
        let Begin { plan, through, bus, shelf, record, history, done, .. } = begin;
        let run_id = through.run.clone();
        let caller = through.principal.clone();
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
        };
        if history.is_empty() {
            driven.apply(Event { now: driven.began, what }).await;
        } else {
            driven.resume(history).await;
        }
        driven
    }

    /// Goes on after these events.
    async fn resume(&mut self, history: Vec<Event>) {
        let mut last = Vec::new();
        for (place, event) in (0..).zip(history) {
            self.ended = Some(event.now);
            self.recorder.recall(place, &event);
            last = self.run.apply(event);
        }
        // One that has ended has that stored once more: it may have been the last thing that was not.
        if self.run.outcome().is_none() {
            self.ended = None;
            // What the last event was to tell may not have been told; whoever has heard it does not hear it twice.
            last.retain(|command| matches!(command, Command::Emit { .. }));
            if self.recorder.must_store(&self.run, &last) {
                self.store(None).await;
            }
            self.carry_out_all(last);
            self.apply(Event { now: now(), what: What::Resumed }).await;
        }
    }

    /// Waits for the next thing that comes of what the run has set off.
    async fn next(&mut self) -> Option<Event> {
        match self.effects.next().await {
            // Without an event a question could not be put, and stays open for others.
            Some((now, what)) => what.map(|what| Event { now, what }),
            None if self.run.waits_for_others() => std::future::pending().await,
            None => Some(stuck()),
        }
    }

    /// Something has happened. It is stored before anything is done about it that matters.
    async fn apply(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let commands = self.take_in(event);
            if self.recorder.must_store(&self.run, &commands) && !self.store(None).await {
                // A run that must not go on without being stored does nothing more but come to its end.
                let why = "it cannot be stored, and its workflow says `durability: always`".to_owned();
                let mut last = self.run.apply(Event { now: now(), what: What::CancelRequested { why } });
                last.retain(|command| matches!(command, Command::Cancel { .. } | Command::Forget { .. }));
                let unsent = |command: &Command| !matches!(command, Command::Call(_) | Command::Ask(_));
                self.carry_out_all(commands.into_iter().filter(unsent).chain(last));
                return;
            }
            for command in commands {
                let what = self.carry_out(command);
                events.extend(what.map(|what| Event { now: now(), what }));
            }
        }
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
        let is_new = |command: &&Command| !matches!(command, Command::Call(call) if self.done.knows(call));
        let once_only: Vec<_> = commands.iter().filter(is_new).filter_map(is_once_only).collect();
        for (place, attempt) in once_only {
            let intended = Event { now: at, what: What::Intended { at: place.to_owned(), attempt } };
            self.recorder.note(&intended);
            self.run.apply(intended);
        }
        commands
    }

    /// Whether the run may go on: what has happened is stored, or need not be.
    async fn store(&mut self, end: Option<&Report>) -> bool {
        let open = self.open_questions();
        self.recorder.store(&self.run, &open, end).await.is_ok()
    }

    /// The run is over. Whoever waits for it is told once that is stored.
    async fn end(&mut self, report: &Report) {
        self.store(Some(report)).await;
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
            Command::Emit { at, event, data } => self.bus.emit(format!("{}/{at}", self.run_id), event, data),
            Command::Timer { at, due } => self.effects.timer(at, due),
            Command::Cancel { at, attempt } => self.effects.cancel(at, attempt),
            Command::Forget { at } => self.effects.forget(at),
            // The run itself tells its outcome.
            Command::Finish(_) => {}
        }
        None
    }

    /// The questions that nobody is being asked.
    fn open_questions(&self) -> Vec<OpenQuestion> {
        let questions = self.run.questions().into_iter();
        let open = questions.filter(|question| !self.effects.is_asking(question));
        open.map(|question| OpenQuestion { run_id: self.run_id.clone(), question }).collect()
    }

    fn view(&self) -> View {
        View::of(&self.run)
    }

    /// What is to be told of the run, once it is over.
    fn report(&self) -> Option<Report> {
        let took = self.ended.unwrap_or_else(now).saturating_sub(self.began);
        Report::of(&self.run, &self.run_id, &self.workflow, took)
    }
}

/// Ends a run that waits for nothing. The engine never leaves one in that state.
fn stuck() -> Event {
    Event { now: now(), what: What::CancelRequested { why: "nothing is in flight and nothing has ended".to_owned() } }
}

fn is_failure(event: &Event) -> bool {
    matches!(event.what, What::Called { outcome: Called::Failure(_), .. })
}

fn seed(run_id: &str) -> u64 {
    run_id.bytes().fold(0, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)))
}
