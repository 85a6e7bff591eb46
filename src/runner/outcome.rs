//! What has come of a call, as a run stores it.

use serde::Deserialize as _;
use serde_json::Value;

use crate::engine::command::{Callee, StepCall};
use crate::engine::event::{Called, Failure, Timestamp, What};
use crate::model::call::Reply;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::usage::{USAGE_KEY, Usage};
use crate::runner::effects::now;

/// What has come of a call.
pub(super) fn happened(step: StepCall, made: Result<Reply, Fault>) -> (Timestamp, Option<What>) {
    let (outcome, usage) = match made {
        Ok(reply) => {
            let outcome = read_result(reply.body.get());
            let usage = used(&outcome, &step.callee);
            (outcome, usage)
        }
        Err(fault) => (Called::Failure(failure(&fault)), spent(&fault, &step.callee)),
    };
    (now(), Some(What::Called { at: step.at, attempt: step.attempt, outcome, usage }))
}

fn read_result(body: &str) -> Called {
    match serde_json::from_str::<Value>(body) {
        Ok(result) => Called::Result(result),
        Err(error) => {
            let fault = Fault::new(Kind::Internal, code::BAD_ANSWER, format!("the result cannot be read: {error}"));
            Called::Failure(failure(&fault))
        }
    }
}

/// What a call has used up, as its result says: a call itself, if it says nothing. A workflow is no call, its steps are.
fn used(outcome: &Called, callee: &Callee) -> Usage {
    let Called::Result(result) = outcome else { return Usage::CALL };
    let told = result.get("_meta").and_then(|meta| meta.get(USAGE_KEY));
    let told = told.and_then(|usage| Usage::deserialize(usage).ok()).unwrap_or_default();
    let least = u64::from(!matches!(callee, Callee::Workflow(_)));
    Usage { calls: told.calls.max(least), ..told }
}

/// What a call has used up that has failed.
fn spent(fault: &Fault, callee: &Callee) -> Usage {
    let least = u64::from(fault.was_sent && !matches!(callee, Callee::Workflow(_)));
    let told = fault.spent.as_deref().copied().unwrap_or_default();
    Usage { calls: told.calls.max(least), ..told }
}

/// A fault as a run stores it.
pub(super) fn failure(fault: &Fault) -> Failure {
    Failure {
        kind: fault.kind.as_str().to_owned(),
        code: fault.code.as_str().to_owned(),
        message: fault.message.clone(),
        step: None,
        server: fault.server.clone(),
        target: fault.target.clone(),
        hint: fault.hint.clone(),
        retry_after: fault.retry_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        was_sent: fault.was_sent,
        data: fault
            .rpc
            .as_ref()
            .and_then(|rpc| serde_json::from_str(rpc.data.as_ref()?.get()).ok())
            .unwrap_or_default(),
    }
}
