//! The loop of one run: event, engine, commands, effects.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use crate::engine::event::{Called, Event, Identity, What};
use crate::engine::retrace::Retrace;
use crate::engine::run::Run;
use crate::model::call::Progress;
use crate::runner::bus::Bus;
use crate::runner::driven::Driven;
use crate::runner::effects::{Through, now};
use crate::runner::gate::Ticket;
use crate::runner::live::{Board, Ends, Handle, Listener, Message, Reporter, Signs};
use crate::runner::record::Record;
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
    /// What others have told meanwhile, as far as it has not heard it.
    pub missed: Vec<What>,
    /// Its place among the runs, or its turn to have one.
    pub ticket: Option<Ticket>,
    /// What it takes over from the run that it tries again.
    pub done: Retrace,
    /// How long it may still take when the program ends.
    pub grace: Duration,
    /// Dropped when it is over.
    pub held: Option<Arc<dyn Any + Send + Sync>>,
}

impl Begin {
    /// A run that nobody watches or waits for, with events and results of its own.
    pub fn new(plan: Plan, input: Value, through: Through, record: Record) -> Self {
        Self {
            plan,
            input,
            flags: Value::Null,
            progress: None,
            through,
            watcher: None,
            board: Arc::default(),
            bus: Bus::default(),
            shelf: Shelf::default(),
            record,
            key: None,
            history: Vec::new(),
            missed: Vec::new(),
            ticket: None,
            done: Retrace::default(),
            grace: Duration::ZERO,
            held: None,
        }
    }
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

/// The id of the run that is made for `seed`: the same whoever makes it.
pub fn id_of(seed: &str) -> String {
    let hash = Sha256::digest(seed.as_bytes());
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    Uuid::from_bytes(id).to_string()
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
    // What it takes to begin is more than what it takes to wait, and thousands may wait.
    let mut driven = Box::pin(Driven::start(begin)).await;
    for what in heard {
        driven.apply(Event { now: now(), what }).await;
    }
    loop {
        driven.mind_place().await;
        if let Some(watcher) = &watcher {
            watcher.changed(&driven.run);
        }
        if let Some(report) = driven.report() {
            driven.end(&report).await;
            return Some(report);
        }
        if rest_until.is_some() && !driven.effects.is_calling() {
            if driven.is_resting {
                return driven.rest(messages).await;
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
                    return driven.rest(messages).await;
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
                // What fails or would be made because the program ends is begun again by the next.
                Some(event) if driven.is_resting && is_for_the_next(&event) => continue,
                Some(event) => event,
                None => continue,
            },
        };
        driven.apply(event).await;
    }
}

/// Whether what has happened is left to the next program, as this one is about to end: it may have happened for that reason.
pub fn is_for_the_next(event: &Event) -> bool {
    matches!(event.what, What::Called { outcome: Called::Failure(_), .. } | What::Intended { .. })
}

fn seed(run_id: &str) -> u64 {
    run_id.bytes().fold(0, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)))
}
#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::document::format::Format;
    use crate::journal::entry::Opening;
    use crate::journal::retention::Retention;
    use crate::journal::writer::Journal;
    use crate::model::call::{Call, Reply};
    use crate::model::durability::Durability;
    use crate::model::fault::Fault;
    use crate::model::port::{BoxFuture, Invoke};
    use crate::model::principal::Principal;
    use crate::model::problem::Source;
    use crate::runner::gate::Gate;
    use crate::workflow::authored::drafts;

    struct Nobody;

    impl Invoke for Nobody {
        fn invoke(self: Arc<Self>, _call: Call) -> BoxFuture<Result<Reply, Fault>> {
            Box::pin(std::future::pending())
        }
    }

    /// A run of `text` that is stored in `journal`.
    fn stored(text: &str, journal: &Arc<Journal>) -> Begin {
        let mut workflows = drafts(&Source::new("flow.yaml", text), Format::Yaml).0;
        let through = Through::new(Arc::new(Nobody), Principal::new("ada"), "r1", Gate::new(1, 1));
        let journal = Some(Arc::clone(journal));
        let opening = Some(Opening { definition: text.to_owned(), ..Opening::example("r1") }.into());
        let record = Record { journal, durability: Durability::Auto, opening, stored: 0 };
        Begin::new(Plan { workflow: workflows.remove(0).into() }, json!({}), through, record)
    }

    #[tokio::test]
    async fn what_a_run_is_told_as_the_program_ends_is_stored() {
        let home = tempfile::tempdir().expect("a folder");
        let journal = Arc::new(Journal::open(home.path(), Retention::default(), 10).expect("a journal"));
        let (going, handle) = begin(stored("name: flow\nsteps: [{ id: e, await: shop.open }]\n", &journal));
        handle.rest.cancel();
        let signal = What::Arrived { id: "1".to_owned(), event: "shop.open".to_owned(), data: json!(9) };
        assert!(handle.tell(signal.clone()).await, "it is taken");
        let report = going.await;
        let history = journal.reader().and_then(|reader| reader.events("r1", 0)).expect("events");
        assert!(history.iter().any(|event| event.what == signal), "{history:?}");
        assert!(report.is_some(), "that was all that it has waited for");
    }
}
