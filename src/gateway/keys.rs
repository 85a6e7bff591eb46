//! What makes a run that is wanted twice the same run.

use std::sync::Arc;

use serde_json::Value;

use crate::engine::event::{Event, What};
use crate::engine::run::key as own_key;
use crate::gateway::door::Gateway;
use crate::gateway::runs::Waiter;
use crate::model::call::Call;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::workflow::definition::Workflow;

/// The key of a run.
#[derive(Debug, Clone)]
pub(super) struct Key {
    /// The key with whose it is: no two callers have the same.
    pub(super) text: String,
    /// Whether the caller has given it. Then it stands for one workflow and one input. One that a workflow makes is the
    /// workflow's own, which so says what of the input makes a run another.
    is_given: bool,
}

/// The key of the run that `call` wants, if it has one: given by the caller, or made by the workflow.
pub(super) fn key_of(workflow: &Workflow, input: &Value, call: &Call) -> Result<Option<Key>, Fault> {
    // The work of a step is found by its step.
    if call.parent.is_some() {
        return Ok(None);
    }
    let who = call.principal.name.replace('\n', " ");
    // A call in the middle of a run has the key of its step, which may make more than one.
    if let Some(key) = call.idempotency_key.as_ref().filter(|_| call.root.is_none()) {
        return Ok(Some(Key { text: format!("{who}\n\n{key}"), is_given: true }));
    }
    let made = own_key(workflow, input).map_err(|failure| {
        Fault::new(Kind::Invalid, code::EXPRESSION_FAILED, failure.message).target(workflow.name.as_ref())
    })?;
    Ok(made.map(|key| Key { text: format!("{who}\n{}\n{key}", workflow.name), is_given: false }))
}

impl Key {
    /// Refuses what is not the run that has this key.
    pub(super) fn check(
        &self,
        workflow: &Workflow,
        input: &Value,
        run: &str,
        (its_workflow, its_input): (&str, Option<&Value>),
    ) -> Result<(), Fault> {
        let what = match () {
            () if !self.is_given => return Ok(()),
            () if its_workflow != &*workflow.name => format!("workflow `{its_workflow}`"),
            () if its_input.is_some_and(|its| its != input) => "another input".to_owned(),
            () => return Ok(()),
        };
        Err(Fault::new(Kind::Invalid, code::KEY_TAKEN, format!("the key stands for run {run}, which has {what}"))
            .target(workflow.name.as_ref())
            .hint("nothing was run; another run needs another `idempotency_key`"))
    }
}

/// The input that a run has begun with.
pub(super) fn input_of(history: &[Event]) -> Option<&Value> {
    match &history.first()?.what {
        What::Started { input, .. } => Some(input),
        _ => None,
    }
}

impl Gateway {
    /// The run that has this key and goes on, or has completed, here.
    pub(super) fn joined(&self, key: &Key, workflow: &Workflow, input: &Value) -> Result<Option<Waiter>, Fault> {
        let Some(handle) = self.live.of_key(&key.text) else { return Ok(None) };
        key.check(workflow, input, &handle.run_id, (&handle.workflow, handle.input.as_ref()))?;
        Ok(Some(Waiter::of(Arc::clone(&handle))))
    }
}
