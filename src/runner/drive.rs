//! The loop of one run: event, engine, commands, effects.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::engine::command::Command;
use crate::engine::event::{Event, Identity, Timestamp, What};
use crate::engine::run::Run;
use crate::model::call::Progress;
use crate::model::principal::Principal;
use crate::runner::bus::Bus;
use crate::runner::effects::{Effects, Through, now};
use crate::runner::live::{Board, Handle, INBOX, Listener, Message, OpenQuestion, View};
use crate::runner::report::Report;
use crate::runner::shelf::Shelf;
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
pub fn begin(begin: Begin) -> (impl Future<Output = Arc<Report>> + Send + use<>, Handle) {
    let (inbox, messages) = mpsc::channel(INBOX);
    let (end, ended) = watch::channel(None);
    let listener = Arc::new(Listener::new(begin.progress.clone()));
    let handle = Handle {
        run_id: begin.through.run.clone(),
        workflow: Arc::clone(&begin.plan.workflow.name),
        caller: Arc::clone(&begin.through.principal.name),
        board: Arc::clone(&begin.board),
        listener: Arc::clone(&listener),
        stop: CancellationToken::new(),
        inbox,
        ended,
    };
    let stop = handle.stop.clone();
    let going = async move {
        let board = Arc::clone(&begin.board);
        let run_id = begin.through.run.clone();
        let report = Arc::new(drive(begin, listener, messages, stop).await);
        board.set(&run_id, Vec::new());
        end.send_replace(Some(Arc::clone(&report)));
        report
    };
    (going, handle)
}

/// Runs to the end. When `stop` is cancelled the run is, and what it has done is undone first.
async fn drive(
    begin: Begin,
    listener: Arc<Listener>,
    mut messages: mpsc::Receiver<Message>,
    stop: CancellationToken,
) -> Report {
    let Begin { plan, input, flags, through, watcher, board, bus, shelf, .. } = begin;
    let mut ear = bus.listen(plan.workflow.awaited());
    let run_id = through.run.clone();
    let identity = Identity { id: run_id.clone(), caller: through.principal.name.to_string() };
    let started = What::Started { seed: seed(&run_id), run: identity, input, flags };
    let mut reporter = Reporter { listener, done: None };
    let caller = through.principal.clone();
    let mut driven = Driven {
        workflow: Arc::clone(&plan.workflow.name),
        run: Run::new(plan.workflow),
        effects: Effects::new(through),
        bus,
        shelf,
        caller,
        run_id,
        began: now(),
    };
    let mut is_stopped = false;
    driven.apply(Event { now: driven.began, what: started });
    loop {
        if let Some(watcher) = &watcher {
            watcher.changed(&driven.run);
        }
        if let Some(report) = driven.report() {
            return report;
        }
        reporter.report(&driven.run);
        board.set(&driven.run_id, driven.open_questions());
        let event = tokio::select! {
            biased;
            () = stop.cancelled(), if !is_stopped => {
                is_stopped = true;
                Event { now: now(), what: What::CancelRequested { why: "its caller has left".to_owned() } }
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
                Some(event) => event,
                None => continue,
            },
        };
        driven.apply(event);
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
}

impl Driven {
    /// Waits for the next thing that comes of what the run has set off.
    async fn next(&mut self) -> Option<Event> {
        match self.effects.next().await {
            // Without an event a question could not be put, and stays open for others.
            Some((now, what)) => what.map(|what| Event { now, what }),
            None if self.run.waits_for_others() => std::future::pending().await,
            None => Some(stuck()),
        }
    }

    fn apply(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for command in self.run.apply(event) {
                let what = self.carry_out(command);
                events.extend(what.map(|what| Event { now: now(), what }));
            }
        }
    }

    /// Does what the run wants done; gives back what has come of it at once.
    fn carry_out(&mut self, command: Command) -> Option<What> {
        match command {
            Command::Recall { at, kept_as } => {
                let kept = self.shelf.find(&kept_as, &self.caller);
                return Some(What::Recalled { at, kept });
            }
            Command::Keep { kept_as, value } => self.shelf.keep(&kept_as, &self.caller, &value, now()),
            Command::Call(call) => self.effects.call(call),
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
        View { steps: self.run.steps(), is_undoing: self.run.is_undoing() }
    }

    /// What is to be told of the run, once it is over.
    fn report(&self) -> Option<Report> {
        Some(Report {
            run_id: self.run_id.clone(),
            workflow: self.workflow.to_string(),
            outcome: self.run.outcome()?.clone(),
            steps: self.run.steps(),
            undone: self.run.undone().to_vec(),
            usage: self.run.usage(),
            took: now().saturating_sub(self.began),
        })
    }
}

/// Ends a run that waits for nothing. The engine never leaves one in that state.
fn stuck() -> Event {
    Event { now: now(), what: What::CancelRequested { why: "nothing is in flight and nothing has ended".to_owned() } }
}

fn seed(run_id: &str) -> u64 {
    run_id.bytes().fold(0, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

/// Reports progress, each number of finished steps once, since progress must rise.
struct Reporter {
    listener: Arc<Listener>,
    done: Option<usize>,
}

impl Reporter {
    fn report(&mut self, run: &Run) {
        let progress = run.progress();
        if self.done.is_some_and(|done| done >= progress.done) {
            return;
        }
        self.done = Some(progress.done);
        let at = (progress.done + 1).min(progress.total);
        let message = format!("{at}/{} {}", progress.total, progress.current.as_deref().unwrap_or_default());
        #[expect(clippy::cast_precision_loss, reason = "a run has far fewer than 2^52 steps")]
        self.listener.report(progress.done as f64, Some(progress.total as f64), Some(message.trim_end()));
    }
}
