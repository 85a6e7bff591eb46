//! The loop of one run: event, engine, commands, effects.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use crate::engine::command::{Command, Outcome};
use crate::engine::event::{Event, Identity, What};
use crate::engine::run::Run;
use crate::model::call::Progress;
use crate::runner::effects::{Effects, Through, now};
use crate::runner::report::Report;
use crate::workflow::plan::Plan;

/// Everything that a run begins with.
pub struct Begin {
    /// What is to be run.
    pub plan: Plan,
    /// Its input, already accepted by its schema.
    pub input: Value,
    /// Where its progress is reported.
    pub progress: Option<Arc<dyn Progress>>,
    /// Through what it calls.
    pub through: Through,
    /// Is told of each change, for those who watch.
    pub watcher: Option<Arc<dyn Watch>>,
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

/// Runs to the end. Dropping the future cancels every call in flight.
pub async fn drive(begin: Begin) -> Report {
    let Begin { plan, input, progress, through, watcher } = begin;
    let run_id = through.run.clone();
    let started = now();
    let mut run = Run::new(Arc::clone(&plan.workflow));
    let mut reporter = Reporter { progress, done: None };
    let identity = Identity { id: run_id.clone(), caller: through.principal.name.to_string() };
    let mut effects = Effects::new(through);
    let mut event = Event { now: started, what: What::Started { run: identity, input, seed: seed(&run_id) } };
    let outcome = loop {
        let commands = run.apply(event);
        if let Some(watcher) = &watcher {
            watcher.changed(&run);
        }
        if let Some(outcome) = carry_out(commands, &mut effects) {
            break outcome;
        }
        reporter.report(&run);
        event = match effects.next().await {
            Some((now, what)) => Event { now, what },
            None => stuck(),
        };
    };
    let workflow = plan.workflow.name.to_string();
    Report { run_id, workflow, outcome, steps: run.steps(), took: now().saturating_sub(started) }
}

fn carry_out(commands: Vec<Command>, effects: &mut Effects) -> Option<Outcome> {
    let mut outcome = None;
    for command in commands {
        match command {
            Command::Call(call) => effects.call(call),
            Command::Timer { at, due } => effects.timer(at, due),
            Command::Cancel { at, attempt } => effects.cancel(at, attempt),
            Command::Forget { at } => effects.forget(at),
            Command::Finish(how) => outcome = Some(how),
        }
    }
    outcome
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
    progress: Option<Arc<dyn Progress>>,
    done: Option<usize>,
}

impl Reporter {
    fn report(&mut self, run: &Run) {
        let Some(listener) = &self.progress else { return };
        let progress = run.progress();
        if self.done.is_some_and(|done| done >= progress.done) {
            return;
        }
        self.done = Some(progress.done);
        let at = (progress.done + 1).min(progress.total);
        let message = format!("{at}/{} {}", progress.total, progress.current.as_deref().unwrap_or_default());
        #[expect(clippy::cast_precision_loss, reason = "a run has far fewer than 2^52 steps")]
        listener.report(progress.done as f64, Some(progress.total as f64), Some(message.trim_end()));
    }
}
