//! Runs that outlive the program: where they are stored, and how they are taken up again.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;

use crate::engine::event::{Event, What};
use crate::gateway::admission::priority;
use crate::gateway::again::call_of;
use crate::gateway::door::Gateway;
use crate::gateway::keys::input_of;
use crate::gateway::left::Purpose;
use crate::gateway::runs::Waiter;
use crate::journal::entry::{Entry, Opening, Standing, Stored};
use crate::journal::reader::Reader;
use crate::journal::writer::Journal;
use crate::model::call::Call;
use crate::model::code;
use crate::model::durability::Durability;
use crate::model::fault::{Fault, Kind};
use crate::model::limits::Limits;
use crate::model::port::Invoke;
use crate::model::principal::Principal;
use crate::runner::drive::Begin;
use crate::runner::effects::{Through, now};
use crate::runner::live::Handle;
use crate::runner::record::Record;
use crate::runner::waiting::QUEUED;
use crate::workflow::pin::Pin;
use crate::workflow::plan::Plan;
use crate::workflow::plans::Plans;

/// Where runs are stored.
pub(super) struct Store {
    pub(super) journal: Arc<Journal>,
    /// Guarded for one look-up.
    reader: Mutex<Reader>,
    plans: Plans,
}

/// A run to be begun, or to be gone on with.
pub(super) struct TakenUp {
    pub(super) plan: Plan,
    pub(super) run: String,
    pub(super) history: Vec<Event>,
    /// What others have told meanwhile, as far as it has not heard it.
    pub(super) missed: Vec<What>,
}

impl TakenUp {
    /// A run that begins.
    pub(super) fn new(plan: Plan, run: String) -> Self {
        Self { plan, run, history: Vec::new(), missed: Vec::new() }
    }
}

impl Store {
    pub(super) fn read<T>(&self, read: impl FnOnce(&Reader) -> rusqlite::Result<T>) -> Result<T, Fault> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        read(&reader)
            .map_err(|why| Fault::new(Kind::Internal, code::INTERNAL, format!("the journal cannot be read: {why}")))
    }

    /// A stored run, ready to go on.
    pub(super) fn taken_up(&self, stored: &Stored) -> Result<TakenUp, Fault> {
        let Opening { run, workflow: name, definition, format, plan, .. } = &stored.opening;
        let unfit = |why: &str| {
            let message = format!("run `{run}` of `{name}` cannot be taken up again: {why}");
            Fault::new(Kind::Invalid, code::NOT_RESUMABLE, message)
                .hint("`runs show` says what it has done; end it with `runs cancel`")
        };
        let workflow = self.plans.of(name, definition, format, plan).map_err(|why| unfit(&why))?;
        let history = self.read(|reader| reader.events(run, 0))?;
        if !matches!(history.first(), Some(Event { what: What::Started { .. }, .. })) {
            return Err(unfit("its beginning is missing"));
        }
        let missed = self.missed(&workflow, &history)?;
        Ok(TakenUp { plan: Plan { workflow }, run: run.clone(), history, missed })
    }
}

impl Gateway {
    /// Stores runs from now on. To be said once, before the first run.
    pub fn store_runs(&self, journal: Arc<Journal>) -> Result<(), String> {
        let reader = journal.reader().map_err(|why| why.to_string())?;
        let _ = self.live.store.set(Store { journal, reader: Mutex::new(reader), plans: Plans::default() });
        Ok(())
    }

    /// Does from now on what operators want of this run, or of any. To be said once the runs of an earlier process have been taken up, so that
    /// what was wanted of them meanwhile finds them.
    pub fn hear_operators(self: &Arc<Self>, only: Option<&str>) {
        if self.store().is_some() {
            self.tasks.spawn(Arc::clone(self).read_mail(only.map(ToOwned::to_owned), self.stop.clone()));
        }
    }

    /// Where runs are stored, if they are.
    pub(super) fn store(&self) -> Option<&Store> {
        self.live.store.get()
    }

    /// Stores what is left to be stored.
    pub(super) async fn close_store(&self) {
        if let Some(store) = self.store() {
            let journal = Arc::clone(&store.journal);
            let _ = tokio::task::spawn_blocking(move || journal.close()).await;
        }
    }

    /// The run that `call` has begun before, if it has: as the same step of the same run, or by the same key.
    pub(super) fn stored_for(&self, call: &Call, key: Option<&str>) -> Result<Option<TakenUp>, Fault> {
        let Some(store) = self.store() else { return Ok(None) };
        let found = match (&call.parent, key) {
            (Some(parent), _) => store.read(|reader| reader.child(parent))?,
            // What has failed may be tried again; what has not ended goes on.
            (None, Some(key)) => store
                .read(|reader| reader.of_key(key))?
                .filter(|found| !found.is_over() || found.standing.status == "completed"),
            (None, None) => None,
        };
        found.map(|found| store.taken_up(&found)).transpose()
    }

    /// How a run is stored of which so many events are.
    pub(super) fn record(
        &self,
        plan: &Plan,
        call: &Call,
        (run, key): (&str, Option<&str>),
        stored: usize,
    ) -> Result<Record, Fault> {
        let workflow = &plan.workflow;
        let durability = workflow.conduct.durability.unwrap_or(self.registry().orchestrator.durability);
        // What an agent begins in the middle of its work is begun anew with it.
        let is_loose = call.root.is_some() && call.parent.is_none();
        let durability = if is_loose { Durability::None } else { durability };
        let journal = self.store().map(|store| Arc::clone(&store.journal));
        if self.backend().is_none()
            && durability == Durability::Always
            && journal.as_ref().is_none_or(|journal| journal.is_failing())
        {
            let message = format!("runs of `{}` must be stored, and cannot be", workflow.name);
            return Err(Fault::new(Kind::Unavailable, code::NOT_DURABLE, message)
                .target(workflow.name.as_ref())
                .hint("see the log for what is wrong with the data directory; nothing was run"));
        }
        let opening = (stored == 0).then(|| {
            Arc::new(Opening {
                run: run.to_owned(),
                workflow: workflow.name.to_string(),
                definition: workflow.source.text.clone(),
                format: workflow.format.as_str().to_owned(),
                plan: serde_json::to_value(Pin::of(workflow)).unwrap_or_default(),
                caller: call.principal.name.to_string(),
                parent: call.parent.as_deref().map(ToOwned::to_owned),
                key: key.map(ToOwned::to_owned),
                terms: json!({
                    "profile": call.profile.as_deref(),
                    "priority": priority(workflow, call).as_str(),
                    "retry_of": call.retry_of.as_deref(),
                    "detached": call.is_detached,
                }),
                began: now(),
            })
        });
        Ok(Record { journal, durability, opening, stored: stored as u64 })
    }

    /// Ends a run that cannot be taken up.
    pub(super) async fn bury(&self, run: &str) -> Result<(), Fault> {
        let none = || Fault::new(Kind::NotFound, code::NO_SUCH_RUN, format!("run `{run}` does not go on here"));
        let store = self.store().ok_or_else(none)?;
        store.read(|reader| reader.run(run))?.filter(|run| !run.is_over()).ok_or_else(none)?;
        let standing = Standing { status: "cancelled".to_owned(), ended: Some(now()), report: None };
        let entry = Entry { run: run.to_owned(), standing: Some(standing), ..Entry::default() };
        let stored = store.journal.append(entry).await;
        stored.map_err(|why| Fault::new(Kind::Internal, code::NOT_DURABLE, why.to_string()))
    }

    /// Takes up every run that another process has left, or the one that is named.
    pub fn resume_runs(self: &Arc<Self>, only: Option<&str>) -> Vec<Waiter> {
        let Some(store) = self.store() else { return Vec::new() };
        if only.is_none() {
            self.live.inherit();
        }
        let open = match store.read(Reader::open_runs) {
            Ok(open) => open,
            Err(fault) => {
                tracing::error!(%fault, "no run can be taken up again");
                return Vec::new();
            }
        };
        let left = store.read(Reader::left_open).unwrap_or_else(|fault| {
            tracing::error!(%fault, "what ended runs have left behind cannot be taken up again");
            Vec::new()
        });
        let open = open.into_iter().map(|stored| (stored, Purpose::GoOn));
        let left = left.into_iter().map(|stored| {
            let purpose = Purpose::without_caller(&stored, None);
            (stored, purpose)
        });
        let mut waiters = Vec::new();
        for (stored, purpose) in
            open.chain(left).filter(|(stored, _)| only.is_none_or(|only| stored.opening.run == only))
        {
            match self.resume(store, &stored, purpose) {
                Ok(waiter) => {
                    tracing::info!(run = stored.opening.run, workflow = stored.opening.workflow, "a run goes on");
                    waiters.push(waiter);
                }
                Err(fault) => tracing::error!("{fault}"),
            }
        }
        waiters
    }

    pub(super) fn resume(self: &Arc<Self>, store: &Store, stored: &Stored, purpose: Purpose) -> Result<Waiter, Fault> {
        let TakenUp { plan, run, mut history, missed } = store.taken_up(stored)?;
        let opening = &stored.opening;
        let call = call_of(stored);
        let record = self.record(&plan, &call, (&run, opening.key.as_deref()), history.len())?;
        let priority = priority(&plan.workflow, &call);
        let (retry_of, done) = self.taken_over(&call, &history);
        let (ticket, held) = match purpose {
            Purpose::GoOn => (self.admit_again(&call.principal.name, priority, stored.standing.status == QUEUED), None),
            Purpose::End(held) => {
                let why = "the step that has begun it is over".to_owned();
                history.push(Event { now: now(), what: What::CancelRequested { why } });
                (None, held)
            }
        };
        let begin = self.unattended(plan, Call { retry_of, ..call }, run, record, &history);
        self.take_up_within((&begin.through.run, &begin.plan.workflow, &history), &begin.through.within);
        Ok(self.launch(Begin { key: opening.key.clone(), history, missed, ticket, done, held, ..begin }))
    }

    /// A run that nobody waits for, as it begins.
    pub(super) fn unattended(
        self: &Arc<Self>,
        plan: Plan,
        call: Call,
        run: String,
        record: Record,
        history: &[Event],
    ) -> Begin {
        let priority = priority(&plan.workflow, &call);
        let via = Arc::clone(self) as Arc<dyn Invoke>;
        let through = Through {
            profile: call.profile,
            // Its time is kept by the run itself.
            limits: Limits { depth: 1, ..Limits::default() },
            priority,
            retry_of: call.retry_of,
            ..Through::new(via, call.principal, run, Arc::clone(&self.steps))
        };
        let input = input_of(history).cloned().unwrap_or_default();
        Begin {
            bus: self.live.bus.clone(),
            shelf: self.live.shelf.clone(),
            grace: self.registry().orchestrator.shutdown_grace,
            ..Begin::new(plan, input, through, record)
        }
    }

    /// Goes on with a stored run that does not go on here.
    pub(super) fn take_up(self: &Arc<Self>, stored: &Stored) -> Result<Arc<Handle>, Fault> {
        let run = &stored.opening.run;
        if stored.is_over() || stored.opening.parent.is_some() {
            let message = format!("run `{run}` cannot be taken up: it is {}", stored.standing.status);
            return Err(Fault::new(Kind::Invalid, code::NOT_RESUMABLE, message)
                .hint("one that has failed is tried again by `retry`; one that is part of another goes on with it"));
        }
        let store = self.store().ok_or_else(|| no_such_run(run))?;
        let _beginning = self.live.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handle) = self.live.any(run) {
            return Ok(handle);
        }
        Ok(self.resume(store, stored, Purpose::GoOn)?.leave())
    }

    /// Whether the run is stored, and has not ended: another process can go on with it.
    pub fn is_kept(&self, run: &str) -> bool {
        self.stored_any(run).is_ok_and(|stored| !stored.is_over())
    }

    /// A run of `caller` as it is stored.
    pub(super) fn stored_run(&self, run_id: &str, caller: &Principal) -> Option<Stored> {
        self.stored_any(run_id).ok().filter(|found| *found.opening.caller == *caller.name)
    }

    /// The run as it is stored that `call` speaks of.
    pub(super) fn stored_of(&self, run_id: &str, call: &Call) -> Result<Stored, Fault> {
        self.stored_run(run_id, &call.principal).ok_or_else(|| no_such_run(run_id))
    }

    /// A run as it is stored, whoever wants to know.
    pub(super) fn stored_any(&self, run_id: &str) -> Result<Stored, Fault> {
        let store = self.store().ok_or_else(|| no_such_run(run_id))?;
        store.read(|reader| reader.run(run_id))?.ok_or_else(|| no_such_run(run_id))
    }
}

pub(super) fn no_such_run(run: &str) -> Fault {
    Fault::new(Kind::NotFound, code::NO_SUCH_RUN, format!("no run `{run}` of yours is stored here"))
        .hint("`get_run` without a `run_id` lists those that go on")
}
