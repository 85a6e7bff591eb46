//! Runs that are carried elsewhere than in this process: begun here, and reached here whoever has begun them.

use std::sync::Arc;

use serde_json::Value;

use crate::engine::command::Command;
use crate::engine::event::What;
use crate::engine::retrace::Retrace;
use crate::engine::run::Run;
use crate::gateway::again::{call_of, may_be_tried_again, refuse_doubts};
use crate::gateway::control::{AnswerArguments, answer, chosen, decided};
use crate::gateway::door::Gateway;
use crate::gateway::durable::{TakenUp, no_such_run};
use crate::gateway::keys::{Key, input_of};
use crate::gateway::runs::Waiter;
use crate::gateway::workflows::Wanted;
use crate::journal::entry::Stored;
use crate::journal::mail::Wish;
use crate::model::call::Call;
use crate::model::code;
use crate::model::durability::Durability;
use crate::model::fault::{Fault, Kind};
use crate::model::principal::Principal;
use crate::runner::backend::Backend;
use crate::runner::drive::{Begin, Watch, id_of, new_id};
use crate::runner::live::{Handle, OpenQuestion};
use crate::runner::record::Record;
use crate::workflow::definition::Workflow;
use crate::workflow::pin::replan;
use crate::workflow::plan::Plan;

/// How often one key may be tried again.
const MAX_TRIES: u32 = 1_000;

/// A run that somebody asks for.
pub(super) enum Reached {
    /// It goes on, or has ended lately.
    Here(Arc<Handle>),
    /// It has ended, and this is what is kept of it.
    Over(Box<Stored>),
}

impl Gateway {
    /// Has runs carried by `backend` from now on. To be said once, before the first run.
    pub fn carry_runs_by(&self, backend: Arc<dyn Backend>) {
        let _ = self.live.backend.set(backend);
    }

    /// What carries the runs, if this process does not.
    pub fn backend(&self) -> Option<&Arc<dyn Backend>> {
        self.live.backend.get()
    }

    /// Begins a run that `backend` carries. The same step of the same run, and the same key, always make the same run, whichever
    /// process is asked: its id is made from them.
    pub(super) async fn begin_beyond(
        self: Arc<Self>,
        backend: &Arc<dyn Backend>,
        workflow: &Workflow,
        wanted: Wanted,
        mut call: Call,
        watcher: Option<Arc<dyn Watch>>,
    ) -> Result<Waiter, Fault> {
        let run = match (&call.parent, &wanted.key) {
            (Some(parent), _) => id_of(parent),
            (None, Some(key)) => id_of_key(backend, workflow, &wanted.input, key).await?,
            (None, None) => new_id(),
        };
        if let Some(handle) = self.live.reached(&run) {
            return Ok(Waiter::of(handle));
        }
        let (retry_of, done) = match &call.retry_of {
            Some(old) => done_by(backend, old).await?,
            None => (None, Retrace::default()),
        };
        call.retry_of = retry_of;
        let plan = self.planned(workflow, wanted.limits);
        let begin = self.prepared(TakenUp::new(plan, run), wanted, call, None)?;
        Ok(self.launch(Begin { watcher, done, ..begin }))
    }

    /// A run of `caller`, wherever it goes on.
    pub(super) async fn reach(self: &Arc<Self>, run: &str, caller: &Principal) -> Result<Reached, Fault> {
        let here = match self.live.find(run, caller) {
            Ok(handle) => return Ok(Reached::Here(handle)),
            Err(fault) => fault,
        };
        let Some(backend) = self.backend() else {
            return self.stored_run(run, caller).map(|stored| Reached::Over(Box::new(stored))).ok_or(here);
        };
        let found = backend.run(run).await?.filter(|found| *found.opening.caller == *caller.name);
        let found = found.ok_or(here)?;
        if found.is_over() {
            return Ok(Reached::Over(Box::new(found)));
        }
        Ok(Reached::Here(self.followed(&found)?))
    }

    /// Tries a run again that `backend` keeps, once: the next try of a run is always the same run.
    pub(super) async fn retry_beyond(
        self: &Arc<Self>,
        backend: &Arc<dyn Backend>,
        stored: &Stored,
        does_again: bool,
    ) -> Result<Waiter, Fault> {
        self.still_open()?;
        may_be_tried_again(stored)?;
        let old = &stored.opening.run;
        let run = id_of(&format!("{old} again"));
        if let Some(handle) = self.live.reached(&run) {
            return Ok(Waiter::of(handle));
        }
        let history = backend.events(old).await?;
        let plan = Plan { workflow: replanned(stored)? };
        let done = Retrace::of(Arc::clone(&plan.workflow), &history);
        refuse_doubts(old, &done, does_again)?;
        let begin = self.again(stored, plan, &history, run)?;
        Ok(self.launch(Begin { done, ..begin }))
    }

    /// A run of `caller` that is kept, wherever that is.
    pub(super) async fn kept_run(&self, run: &str, call: &Call) -> Result<Stored, Fault> {
        let Some(backend) = self.backend() else { return self.stored_of(run, call) };
        let found = backend.run(run).await?.filter(|found| *found.opening.caller == *call.principal.name);
        found.ok_or_else(|| no_such_run(run))
    }

    /// A run that goes on elsewhere, followed from now on.
    pub(super) fn followed(self: &Arc<Self>, found: &Stored) -> Result<Arc<Handle>, Fault> {
        let opening = &found.opening;
        let plan = Plan { workflow: replanned(found)? };
        let record = Record { journal: None, durability: Durability::Auto, opening: None, stored: 0 };
        let begin = self.unattended(plan, call_of(found), opening.run.clone(), record, &[]);
        let begin = Begin { key: opening.key.clone(), ..begin };
        Ok(self.launch(begin).leave())
    }
}

fn replanned(found: &Stored) -> Result<Arc<Workflow>, Fault> {
    let opening = &found.opening;
    let workflow = replan(&opening.workflow, &opening.definition, &opening.format, &opening.plan);
    workflow.map(Arc::new).map_err(|why| {
        let message = format!("run `{}` of `{}` cannot be followed here: {why}", opening.run, opening.workflow);
        Fault::new(Kind::Invalid, code::NOT_RESUMABLE, message).hint("another version of the program has begun it")
    })
}

/// What the run `old` has done, or the last run that was the work of the step `old`.
async fn done_by(backend: &Arc<dyn Backend>, old: &str) -> Result<(Option<Arc<str>>, Retrace), Fault> {
    let last = match old.split_once('/') {
        Some((run, at)) => last_within(backend, run, at).await?,
        None => backend.run(old).await?,
    };
    let Some(found) = last else { return Ok((None, Retrace::default())) };
    let run = found.opening.run.as_str();
    let done = Retrace::of(replanned(&found)?, &backend.events(run).await?);
    Ok((Some(run.into()), done))
}

/// The last run that was the work of the step `at` of a run, which knows how often it has tried.
async fn last_within(backend: &Arc<dyn Backend>, run: &str, at: &str) -> Result<Option<Stored>, Fault> {
    let Some(above) = backend.run(run).await? else { return Ok(None) };
    let mut folded = Run::new(replanned(&above)?);
    let mut attempts = 0;
    for event in backend.events(run).await? {
        for command in folded.apply(event) {
            if let Command::Call(call) = command
                && call.at == at
            {
                attempts = attempts.max(call.attempt);
            }
        }
    }
    for attempt in (1..=attempts).rev() {
        if let Some(found) = backend.run(&id_of(&format!("{run}/{at}#{attempt}"))).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The run that a key stands for: one that goes on or has completed, else the next. What has failed may be tried again.
async fn id_of_key(backend: &Arc<dyn Backend>, workflow: &Workflow, input: &Value, key: &Key) -> Result<String, Fault> {
    for number in 0..MAX_TRIES {
        let id = id_of(&format!("{}\n\n{number}", key.text));
        let Some(found) = backend.run(&id).await? else { return Ok(id) };
        if !found.is_over() || found.standing.status == "completed" {
            let history = backend.events(&id).await?;
            key.check(workflow, input, &id, (&found.opening.workflow, input_of(&history)))?;
            return Ok(id);
        }
    }
    Err(Fault::new(Kind::Invalid, code::KEY_TAKEN, format!("runs with this key have failed {MAX_TRIES} times"))
        .target(workflow.name.as_ref())
        .hint("take another `idempotency_key`"))
}

/// Does what an operator wants of a run that `backend` carries.
pub async fn grant(backend: &Arc<dyn Backend>, run: &str, wish: Wish) -> Result<(), Fault> {
    let found = backend.run(run).await?.ok_or_else(|| no_such_run(run))?;
    if found.is_over() {
        let message = format!("run `{run}` has ended: {}", found.standing.status);
        return Err(Fault::new(Kind::Invalid, code::BAD_REQUEST, message));
    }
    let what = match wish {
        Wish::Cancel => What::CancelRequested { why: "an operator cancelled it".to_owned() },
        Wish::Signal { event, data } => What::Arrived { id: new_id(), event, data },
        Wish::Answer { step, answer: given } => {
            let decline = given.is_none();
            let given =
                AnswerArguments { run_id: run.to_owned(), step, answer: given, decline, reason: None, wait_ms: None };
            let questions = folded(backend, &found).await?.questions().into_iter();
            let open: Vec<_> = questions.map(|question| OpenQuestion { run_id: run.to_owned(), question }).collect();
            let question = chosen(&open, &given)?;
            let answer = answer(&question, &given)?;
            What::Answered { at: question.question.at.to_string(), attempt: question.question.attempt, answer }
        }
        Wish::Decide { step, payload } => {
            let doubts = folded(backend, &found).await?.doubts();
            let (call, decision) = decided(&doubts, step.as_deref(), payload)?;
            What::Decided { at: call.at.clone(), attempt: call.attempt, decision }
        }
        // Neither is told to a run.
        Wish::Retry { .. } | Wish::Level { .. } => return Ok(()),
    };
    backend.tell(run, what).await
}

/// A run as it stands.
async fn folded(backend: &Arc<dyn Backend>, found: &Stored) -> Result<Run, Fault> {
    let mut run = Run::new(replanned(found)?);
    for event in backend.events(&found.opening.run).await? {
        run.apply(event);
    }
    Ok(run)
}
