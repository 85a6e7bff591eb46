//! The loop of one run: event, engine, commands, effects.

use std::sync::Arc;

use serde_json::Value;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::engine::command::Command;
use crate::engine::event::{Event, Identity, Timestamp, What};
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
    /// Who owns what is left of a run whose caller has left.
    pub endings: TaskTracker,
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

/// Runs to the end. Dropping the future cancels every call in flight; what the run has done is then undone without it.
pub async fn drive(begin: Begin) -> Report {
    let Begin { plan, input, progress, through, watcher, endings } = begin;
    let run_id = through.run.clone();
    let identity = Identity { id: run_id.clone(), caller: through.principal.name.to_string() };
    let started = What::Started { seed: seed(&run_id), run: identity, input };
    let mut reporter = Reporter { progress, done: None };
    let mut held = Held { driven: Some(Driven::new(plan, run_id, Effects::new(through))), endings };
    let driven = held.driven();
    driven.apply(Event { now: driven.began, what: started });
    loop {
        if let Some(watcher) = &watcher {
            watcher.changed(&driven.run);
        }
        if let Some(report) = driven.report() {
            return report;
        }
        reporter.report(&driven.run);
        driven.step().await;
    }
}

/// A run and what it has set off.
struct Driven {
    run: Run,
    effects: Effects,
    run_id: String,
    workflow: Arc<str>,
    began: Timestamp,
}

impl Driven {
    fn new(plan: Plan, run_id: String, effects: Effects) -> Self {
        let workflow = Arc::clone(&plan.workflow.name);
        Self { run: Run::new(plan.workflow), effects, run_id, workflow, began: now() }
    }

    /// Waits for the next thing to happen and does what follows from it.
    async fn step(&mut self) {
        let event = match self.effects.next().await {
            Some((now, what)) => Event { now, what },
            None => stuck(),
        };
        self.apply(event);
    }

    fn apply(&mut self, event: Event) {
        for command in self.run.apply(event) {
            match command {
                Command::Call(call) => self.effects.call(call),
                Command::Timer { at, due } => self.effects.timer(at, due),
                Command::Cancel { at, attempt } => self.effects.cancel(at, attempt),
                Command::Forget { at } => self.effects.forget(at),
                // The run itself tells its outcome.
                Command::Finish(_) => {}
            }
        }
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

    /// Ends a run that nobody waits for any more. What came of it is in the log, as there is nobody else to tell.
    async fn wind_up(mut self) {
        let report = loop {
            if let Some(report) = self.report() {
                break report;
            }
            self.step().await;
        };
        let undoing = report.undoing().unwrap_or_default();
        tracing::warn!(run = report.run_id, workflow = report.workflow, "the caller left; {undoing}");
    }
}

/// Holds a run for as long as somebody waits for it.
struct Held {
    driven: Option<Driven>,
    endings: TaskTracker,
}

impl Held {
    fn driven(&mut self) -> &mut Driven {
        self.driven.as_mut().expect("it is only taken out when this is dropped")
    }
}

impl Drop for Held {
    /// The caller has left: the run is cancelled, and if it has something to undo, that is done in the background.
    fn drop(&mut self) {
        let Some(mut driven) = self.driven.take().filter(|driven| driven.run.outcome().is_none()) else { return };
        let what = What::CancelRequested { why: "its caller has left".to_owned() };
        driven.apply(Event { now: now(), what });
        if driven.run.outcome().is_none() && Handle::try_current().is_ok() {
            self.endings.spawn(driven.wind_up());
        }
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
