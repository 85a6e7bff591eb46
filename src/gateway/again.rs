//! A failed run that is tried again: as a new run of the same plan and input, which takes over what the old one has done.
//!
//! The old run is over: it has told its outcome, and what could be undone was. So it is not opened again; the new one has a
//! name and a history of its own, and makes only the calls that the old one had not made with success, or had undone.

use std::sync::{Arc, PoisonError};

use crate::engine::event::{Event, What};
use crate::engine::retrace::Retrace;
use crate::gateway::door::Gateway;
use crate::gateway::durable::{Store, TakenUp, no_such_run};
use crate::gateway::runs::Waiter;
use crate::journal::entry::Stored;
use crate::model::call::{Call, Target};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::limits::Limits;
use crate::model::principal::Principal;
use crate::model::priority::Priority;
use crate::runner::drive::{Begin, new_id};
use crate::workflow::plan::Plan;

fn not_now(message: String) -> Fault {
    Fault::new(Kind::Invalid, code::NOT_RETRYABLE, message)
}

/// Refuses a run that has not failed, or is part of another.
pub(super) fn may_be_tried_again(stored: &Stored) -> Result<(), Fault> {
    let (old, status) = (&stored.opening.run, &stored.standing.status);
    if let Some(parent) = &stored.opening.parent {
        let above = parent.split('/').next().unwrap_or_default();
        return Err(not_now(format!("run `{old}` is part of run `{above}`")).hint("retry that one"));
    }
    if !stored.is_over() || status == "completed" {
        return Err(not_now(format!("run `{old}` has not failed: it is {status}")));
    }
    Ok(())
}

/// Refuses what would do again of what nobody knows whether it was done.
pub(super) fn refuse_doubts(old: &str, done: &Retrace, does_again: bool) -> Result<(), Fault> {
    if does_again || done.doubts.is_empty() {
        return Ok(());
    }
    let steps = done.doubts.iter().map(|at| format!("`{at}`")).collect::<Vec<_>>().join(", ");
    let message = format!("nobody knows whether {steps} of run `{old}` happened, and a retry would do it again");
    Err(Fault::new(Kind::InDoubt, code::IN_DOUBT, message)
        .hint("look with the server's own tools; if it has not happened, retry with `payload: \"retry\"`, or by `runs retry --again`"))
}

impl Gateway {
    /// Tries a run again. What is in doubt keeps it from that, unless `does_again` says that it is to be done again.
    pub(super) fn retry(self: &Arc<Self>, stored: &Stored, does_again: bool) -> Result<Waiter, Fault> {
        self.still_open()?;
        let old = &stored.opening.run;
        may_be_tried_again(stored)?;
        let _beginning = self.live.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(store) = self.store() else { return Err(not_now("runs are not stored here".to_owned())) };
        let already =
            |run: &str| not_now(format!("run `{old}` was retried already, as run `{run}`")).hint("look at that one");
        // One that has only just begun may not be stored yet.
        match self.live.retried(old) {
            Some(handle) if handle.report().is_none() => return Ok(Waiter::of(handle)),
            Some(handle) => return Err(already(&handle.run_id)),
            None => {}
        }
        if let Some(next) = store.read(|reader| reader.retried(old))? {
            return Err(already(&next.opening.run));
        }
        if let Some(key) = &stored.opening.key
            && let Some(run) = self.of_key(store, key)?
        {
            let message = format!("the key of run `{old}` stands for run `{run}` now");
            return Err(not_now(message).hint("look at that one"));
        }
        let TakenUp { plan, history, .. } = store.taken_up(stored)?;
        let done = Retrace::of(Arc::clone(&plan.workflow), &history);
        refuse_doubts(old, &done, does_again)?;
        let call = call_of(stored);
        let ticket = self.admit(&plan.workflow, &call, Limits::default())?;
        let begin = self.again(stored, plan, &history, new_id())?;
        Ok(self.launch(Begin { ticket, done, ..begin }))
    }

    /// All that the next try of a run begins with, but what it takes over.
    pub(super) fn again(
        self: &Arc<Self>,
        stored: &Stored,
        plan: Plan,
        history: &[Event],
        run: String,
    ) -> Result<Begin, Fault> {
        let (mut call, key) = (call_of(stored), stored.opening.key.clone());
        self.keeps_workflow(&plan.workflow.name, &call)?;
        call.retry_of = Some(stored.opening.run.as_str().into());
        let record = self.record(&plan, &call, (&run, key.as_deref()), 0)?;
        Ok(Begin { flags: flags_of(history), key, ..self.unattended(plan, call, run, record, history) })
    }

    /// The run that a key stands for: one that goes on or has completed.
    fn of_key(&self, store: &Store, key: &str) -> Result<Option<String>, Fault> {
        if let Some(handle) = self.live.of_key(key) {
            return Ok(Some(handle.run_id.clone()));
        }
        let found = store.read(|reader| reader.of_key(key))?;
        let found = found.filter(|found| !found.is_over() || found.standing.status == "completed");
        Ok(found.map(|found| found.opening.run))
    }

    /// The same for operators, who may retry the runs of everybody.
    pub async fn retry_run(self: &Arc<Self>, run: &str, does_again: bool) -> Result<Waiter, Fault> {
        let Some(backend) = self.backend().cloned() else { return self.retry(&self.stored_any(run)?, does_again) };
        let stored = backend.run(run).await?.ok_or_else(|| no_such_run(run))?;
        self.retry_beyond(&backend, &stored, does_again).await
    }

    /// What the run that `call` begins may take over from the one that it tries again: of a step, the last run that was its
    /// work. Of a run that goes on already, `history` is what has happened to it.
    pub(super) fn taken_over(&self, call: &Call, history: &[Event]) -> (Option<Arc<str>>, Retrace) {
        let found = call.retry_of.as_deref().and_then(|old| self.retraced(old));
        let Some((old, workflow, mut done)) = found else { return (None, Retrace::default()) };
        if !history.is_empty() {
            done.forget(&Retrace::of(workflow, history));
        }
        (Some(old), done)
    }

    /// What the run, or the run of the step, has done that is tried again.
    fn retraced(&self, old: &str) -> Option<(Arc<str>, Arc<crate::workflow::definition::Workflow>, Retrace)> {
        let store = self.store()?;
        let stored = match old.split_once('/') {
            None => store.read(|reader| reader.run(old)).ok()??,
            Some((run, _)) => {
                let within = format!("{old}#");
                let all = store.read(|reader| reader.children(run)).ok()?;
                let is_it = |stored: &Stored| stored.opening.parent.as_ref().is_some_and(|at| at.starts_with(&within));
                all.into_iter().rfind(is_it)?
            }
        };
        let TakenUp { plan, run, history, .. } = store.taken_up(&stored).ok()?;
        let done = Retrace::of(Arc::clone(&plan.workflow), &history);
        Some((run.into(), plan.workflow, done))
    }
}

/// The call that a stored run was begun by, as far as it is stored.
pub(super) fn call_of(stored: &Stored) -> Call {
    let opening = &stored.opening;
    let principal = Principal::new(opening.caller.clone());
    let mut call = Call::new(Target::Workflow(opening.workflow.clone()), None, principal);
    call.profile = opening.terms["profile"].as_str().map(Arc::from);
    call.priority = opening.terms["priority"].as_str().and_then(Priority::parse);
    call.retry_of = opening.terms["retry_of"].as_str().map(Arc::from);
    call
}

fn flags_of(history: &[Event]) -> serde_json::Value {
    match history.first().map(|first| &first.what) {
        Some(What::Started { flags, .. }) => flags.clone(),
        _ => serde_json::Value::Null,
    }
}
