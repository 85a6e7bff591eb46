//! Tools for runs that go on: looking at them, answering what they ask, signalling and cancelling them.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use uuid::Uuid;

use crate::engine::command::StepCall;
use crate::engine::event::{Answer, Decision, What};
use crate::gateway::beyond::Reached;
use crate::gateway::builtin::{arguments, invalid};
use crate::gateway::door::Gateway;
use crate::gateway::reply;
use crate::journal::entry::Stored;
use crate::model::call::{Call, Reply};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::name::is_event_name;
use crate::model::principal::Principal;
use crate::model::suggest::did_you_mean;
use crate::runner::live::{Handle, OpenQuestion};
use crate::workflow::schema::violations;

/// The longest that `get_run` and `answer_run` wait.
const LONGEST: Duration = Duration::from_mins(10);

/// How long a decision is given to show in the answer.
const DECIDED: Duration = Duration::from_secs(2);

/// The arguments of `get_run`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct GetArguments {
    run_id: Option<String>,
    #[serde(default)]
    wait_ms: u64,
}

/// The arguments of `answer_run`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerArguments {
    pub(super) run_id: String,
    pub(super) step: Option<String>,
    pub(super) answer: Option<Value>,
    #[serde(default)]
    pub(super) decline: bool,
    #[serde(default)]
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) wait_ms: Option<u64>,
}

/// The arguments of `control_run`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ControlArguments {
    run_id: String,
    action: Action,
    #[serde(default)]
    event: Option<String>,
    #[serde(default)]
    data: Value,
    #[serde(default)]
    step: Option<String>,
    #[serde(default)]
    payload: Option<Value>,
}

/// What can be done to a run.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Cancel,
    Resume,
    Retry,
    Approve,
    Reject,
    Signal,
    Decide,
}

impl Gateway {
    pub(super) async fn get_run(self: &Arc<Self>, call: &Call) -> Result<Reply, Fault> {
        let GetArguments { run_id, wait_ms } = arguments(call)?;
        let Some(run_id) = run_id else {
            let mut all = self.open_runs(&call.principal).await?;
            for one in all.iter_mut().filter_map(Value::as_object_mut) {
                one.remove("steps");
            }
            let text = if all.is_empty() { "no run goes on".to_owned() } else { format!("{} runs go on", all.len()) };
            return Ok(reply::success(&json!({ "runs": all }), &text));
        };
        let handle = match self.reach(&run_id, &call.principal).await? {
            Reached::Here(handle) => handle,
            Reached::Over(stored) => return Ok(kept(&stored)),
        };
        // Whether it has ended in that time is in the answer.
        let _ = timeout(Duration::from_millis(wait_ms).min(LONGEST), handle.ended()).await;
        Ok(shown(&handle).await)
    }

    /// The runs of `caller` that go on, wherever that is.
    async fn open_runs(&self, caller: &Principal) -> Result<Vec<Value>, Fault> {
        if let Some(backend) = self.backend() {
            return Ok(backend.open(&caller.name).await?.iter().map(Stored::to_json).collect());
        }
        let mut all = Vec::new();
        for handle in self.live.of(caller) {
            all.push(handle.to_json().await);
        }
        Ok(all)
    }

    pub(super) async fn answer_run(self: &Arc<Self>, call: &Call) -> Result<Reply, Fault> {
        self.give_answer(call, arguments(call)?).await
    }

    async fn give_answer(self: &Arc<Self>, call: &Call, given: AnswerArguments) -> Result<Reply, Fault> {
        let asker = self.going(&given.run_id, call).await?;
        // Once it has looked up, what it asks is to be seen.
        let _ = asker.look().await;
        let open = asker.board.open();
        let question = chosen(&open, &given)?;
        let answer = answer(&question, &given)?;
        // The run that asks may be one that the run in hand has started.
        let (at, attempt) = (question.question.at.to_string(), question.question.attempt);
        self.tell_run(&question.run_id, What::Answered { at, attempt, answer }).await?;
        if question.run_id != asker.run_id {
            let _ = asker.look().await;
        }
        let wait = given.wait_ms.map_or(LONGEST, Duration::from_millis).min(LONGEST);
        let _ = timeout(wait, async {
            tokio::select! {
                _ = asker.ended() => {}
                () = asker.board.has_changed(&open) => {}
            }
            // It goes on until it has ended or needs another answer.
            tokio::select! {
                biased;
                _ = asker.ended() => {}
                () = asker.board.has_some() => {}
            }
        })
        .await;
        Ok(shown(&asker).await)
    }

    /// The run that `call` speaks of, which may have ended here.
    async fn going(self: &Arc<Self>, run: &str, call: &Call) -> Result<Arc<Handle>, Fault> {
        match self.reach(run, &call.principal).await? {
            Reached::Here(handle) => Ok(handle),
            Reached::Over(stored) => {
                let message = format!("run `{run}` has ended: it is {}", stored.standing.status);
                Err(Fault::new(Kind::NotFound, code::NO_SUCH_RUN, message).hint("`get_run` shows how"))
            }
        }
    }

    pub(super) async fn control_run(self: &Arc<Self>, call: &Call) -> Result<Reply, Fault> {
        let ControlArguments { run_id, action, event, data, step, payload } = arguments(call)?;
        let answer = |answer, decline, reason| AnswerArguments {
            run_id: run_id.clone(),
            step: step.clone(),
            answer,
            decline,
            reason,
            wait_ms: None,
        };
        match action {
            Action::Approve => {
                let agreed = payload.unwrap_or(Value::Bool(true));
                return self.give_answer(call, answer(Some(agreed), false, None)).await;
            }
            Action::Reject => {
                let reason = payload.map(|why| why.as_str().map_or_else(|| why.to_string(), ToOwned::to_owned));
                return self.give_answer(call, answer(None, true, reason)).await;
            }
            Action::Retry => {
                let (stored, again) = (self.kept_run(&run_id, call).await?, does_again(payload.as_ref())?);
                let begun = match self.backend().cloned() {
                    Some(backend) => self.retry_beyond(&backend, &stored, again).await?,
                    None => self.retry(&stored, again)?,
                };
                let begun = begun.leave();
                return Ok(reply::begun(&begun, begun.look().await.as_ref()));
            }
            Action::Resume if self.backend().is_none() && self.live.any(&run_id).is_none() => {
                let resumed = self.take_up(&self.stored_of(&run_id, call)?)?;
                return Ok(reply::begun(&resumed, resumed.look().await.as_ref()));
            }
            Action::Resume | Action::Cancel | Action::Signal | Action::Decide => {}
        }
        let handle = self.going(&run_id, call).await?;
        match action {
            Action::Cancel => {
                let why = format!("{} cancelled it", call.principal.name);
                self.tell_run(&run_id, What::CancelRequested { why }).await?;
                let _ = timeout(LONGEST, handle.ended()).await;
            }
            Action::Signal => {
                if payload.is_some() {
                    return Err(invalid("`signal` tells what is known about the event by `data`, not by `payload`"));
                }
                let event = event
                    .filter(|event| is_event_name(event))
                    .ok_or_else(|| invalid("`signal` needs `event`, the name of an event, such as `order.shipped`"))?;
                let id = Uuid::now_v7().to_string();
                if !self.tell_run(&run_id, What::Arrived { id, event, data }).await? {
                    let message = format!("run `{run_id}` has ended and hears no signals");
                    return Err(Fault::new(Kind::Invalid, code::BAD_REQUEST, message));
                }
            }
            Action::Resume | Action::Retry | Action::Approve | Action::Reject => {}
            Action::Decide => {
                self.decide(&handle, step.as_deref(), payload.unwrap_or_default()).await?;
                let _ = timeout(DECIDED, handle.ended()).await;
            }
        }
        Ok(shown(&handle).await)
    }

    /// Says what became of a call of `handle` that is in doubt.
    pub(super) async fn decide(&self, handle: &Handle, step: Option<&str>, payload: Value) -> Result<(), Fault> {
        let doubts = handle.look().await.map(|view| view.doubts).unwrap_or_default();
        let (found, decision) = decided(&doubts, step, payload)?;
        let what = What::Decided { at: found.at.clone(), attempt: found.attempt, decision };
        self.tell_run(&handle.run_id, what).await.map(|_| ())
    }
}

/// Whether a retry is to do again what is in doubt.
pub(super) fn does_again(payload: Option<&Value>) -> Result<bool, Fault> {
    match payload {
        None => Ok(false),
        Some(word) if word == "retry" => Ok(true),
        Some(_) => Err(invalid("`payload` of `retry` is `\"retry\"`, which does again what is in doubt, or nothing")),
    }
}

/// The call of which is said what became of it, and that.
pub(super) fn decided<'a>(
    doubts: &'a [StepCall],
    step: Option<&str>,
    payload: Value,
) -> Result<(&'a StepCall, Decision), Fault> {
    let steps = || doubts.iter().map(|call| call.at.as_str());
    let found = match step {
        Some(step) => doubts.iter().find(|call| call.at == step),
        None => doubts.first().filter(|_| doubts.len() == 1),
    };
    let Some(found) = found else {
        let fault = Fault::new(Kind::Invalid, code::BAD_REQUEST, "no such call of that run is in doubt");
        let all = steps().collect::<Vec<_>>().join(", ");
        return Err(if all.is_empty() { fault } else { fault.hint(format!("these are; say which by `step`: {all}")) });
    };
    let decision: Decision = serde_json::from_value(payload).map_err(|_| {
        invalid("`payload` must be `{\"it_happened\": RESULT}`, `\"retry\"` or `\"fail\"`")
            .hint("look first, with the server's own tools, whether it has happened")
    })?;
    Ok((found, decision))
}

/// A run as it is stored.
fn kept(stored: &Stored) -> Reply {
    let structured = stored.to_json();
    let status = structured["status"].as_str().unwrap_or_default();
    reply::success(&structured, &format!("run {} of `{}`: {status}", stored.opening.run, stored.opening.workflow))
}

/// How a run stands.
async fn shown(handle: &Handle) -> Reply {
    let structured = handle.to_json().await;
    if let Some(report) = handle.report() {
        return reply::report(&report);
    }
    let open = handle.board.open();
    if !open.is_empty() {
        return reply::waiting(handle, &open, false);
    }
    let status = structured["status"].as_str().unwrap_or_default();
    reply::success(&structured, &format!("run {} of `{}` is {status}", handle.run_id, handle.workflow))
}

/// The question that is to be answered: the one of `step`, or the only one.
pub(super) fn chosen(open: &[OpenQuestion], given: &AnswerArguments) -> Result<OpenQuestion, Fault> {
    let steps = || open.iter().map(|open| &*open.question.at);
    let found = match &given.step {
        Some(step) => open.iter().find(|open| *open.question.at == **step),
        None => open.first().filter(|_| open.len() == 1),
    };
    found.cloned().ok_or_else(|| {
        let (message, hint) = match &given.step {
            _ if open.is_empty() => (format!("run `{}` asks nothing", given.run_id), None),
            Some(step) => (format!("step `{step}` asks nothing"), did_you_mean(step, steps())),
            None => ("several steps ask something; say which one by `step`".to_owned(), None),
        };
        let asking = (!open.is_empty()).then(|| format!("these ask: {}", steps().collect::<Vec<_>>().join(", ")));
        let fault = Fault::new(Kind::Invalid, code::BAD_REQUEST, message);
        match hint.or(asking) {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    })
}

/// The answer, if it fits the question.
pub(super) fn answer(question: &OpenQuestion, given: &AnswerArguments) -> Result<Answer, Fault> {
    if given.decline {
        return Ok(Answer::Declined { why: given.reason.clone() });
    }
    // To say nothing is not to agree.
    let Some(content) = &given.answer else {
        return Err(invalid("give an `answer`, `true` if there is nothing to fill in, or `decline`"));
    };
    let why = match &question.question.schema {
        None => match Answer::yes_or_no(content) {
            Some(answer) => return Ok(answer),
            None => vec!["it is a question of yes or no, answered by `true` or `false`".to_owned()],
        },
        Some(schema) => violations(schema, content, "the answer"),
    };
    if why.is_empty() {
        return Ok(Answer::Given(content.clone()));
    }
    let message = format!("the answer does not fit: {}", why.join("; "));
    Err(Fault::new(Kind::Invalid, code::WRONG_ANSWER, message).hint("the question is still open"))
}
