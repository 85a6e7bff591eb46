//! A modern server's questions, put to a host that does not take them as a result.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::try_join_all;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::timeout;

use crate::downstream::endpoint::{Endpoint, Terms};
use crate::downstream::question::{LONGEST, unanswered};
use crate::downstream::request::Request;
use crate::gateway::awaited::{await_task, made};
use crate::gateway::door::Gateway;
use crate::gateway::tasks::{is_demanded, named};
use crate::model::ask::{Ask, Question};
use crate::model::call::Reply;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::task::Tasks;

/// How often a server may ask in one call.
const MAX_ROUNDS: usize = 10;

/// The members of a request's params that carry answers.
pub(super) const ANSWERS: [&str; 2] = ["inputResponses", "requestState"];

/// A result that is a list of questions (2026-07-28, basic/patterns/mrtr).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Open {
    result_type: String,
    #[serde(default)]
    input_requests: BTreeMap<String, Asked>,
    #[serde(default)]
    request_state: Option<Box<RawValue>>,
}

/// One question of a server.
#[derive(Deserialize)]
pub(super) struct Asked {
    method: String,
    #[serde(default)]
    params: Option<Box<RawValue>>,
}

impl Gateway {
    /// Makes `request` and whatever it takes to answer its caller with a result: the questions of the server are put, its
    /// tasks are waited for, unless the caller sees to them itself.
    pub(super) async fn converse(
        &self,
        endpoint: &Arc<Endpoint>,
        request: Request,
        terms: Terms,
    ) -> Result<Reply, Fault> {
        let _held = endpoint.hold();
        let mut request = Request { limits: self.onward(terms.limits)?, ..request };
        let result = rounds(endpoint, &request, terms).await;
        let is_helpless = request.ask.as_ref().is_none_or(|ask| !ask.takes_questions_as_result());
        let awaits = request.tasks == Tasks::OnDemand || is_helpless && request.tasks == Tasks::None;
        let reply = match result {
            Err(fault) if awaits && is_demanded(&fault) => {
                request.tasks = Tasks::Awaited;
                rounds(endpoint, &request, terms).await?
            }
            result => result?,
        };
        match made(&reply) {
            None => Ok(reply),
            Some(_) if request.tasks == Tasks::Relayed => Ok(named(reply, endpoint)),
            Some(task) => await_task(endpoint, &request, task, &self.tasks).await,
        }
    }
}

/// Makes `request`, and makes it again with the answers for as long as the server asks.
async fn rounds(endpoint: &Endpoint, request: &Request, terms: Terms) -> Result<Reply, Fault> {
    let mut reply = endpoint.request(request, terms).await?;
    let mut again: Option<Request> = None;
    for _ in 0..MAX_ROUNDS {
        let Some(open) = open(&reply) else { return Ok(reply) };
        let Some(ask) = &request.ask else { return Err(nobody(endpoint)) };
        if ask.takes_questions_as_result() {
            return Ok(reply);
        }
        let answers =
            timeout(LONGEST, put(endpoint, ask, open.input_requests)).await.map_err(|_| nobody(endpoint))??;
        let mut next = again.take().unwrap_or_else(|| request.clone());
        next.members.retain(|(key, _)| !ANSWERS.contains(&key.as_ref()));
        if let Ok(answers) = to_raw_value(&answers) {
            next = next.with(ANSWERS[0], answers);
        }
        if let Some(state) = open.request_state {
            next = next.with(ANSWERS[1], state);
        }
        reply = endpoint.request(again.insert(next), terms).await?;
    }
    let message = format!("asked more than {MAX_ROUNDS} times in one call");
    Err(Fault::new(Kind::Internal, code::BAD_ANSWER, message).server(endpoint.server.name.as_ref()).sent())
}

fn open(reply: &Reply) -> Option<Open> {
    // Most results are not of this kind: look before reading.
    let text = reply.body.get();
    if !text.contains("\"input_required\"") {
        return None;
    }
    serde_json::from_str::<Open>(text).ok().filter(|open| open.result_type == "input_required")
}

/// The host's answers to questions of a server.
pub(super) async fn put(
    endpoint: &Endpoint,
    ask: &Arc<dyn Ask>,
    questions: BTreeMap<String, Asked>,
) -> Result<BTreeMap<String, Box<RawValue>>, Fault> {
    let one = |(key, asked): (String, Asked)| async move {
        let question =
            Question { server: Arc::clone(&endpoint.server.name), method: asked.method.clone(), params: asked.params };
        match Arc::clone(ask).ask(question).await {
            Ok(answer) => Ok((key, answer)),
            Err(fault) => match unanswered(&asked.method).strip_prefix("\"result\":") {
                Some(answer) => Ok((key, RawValue::from_string(answer.to_owned()).expect("a constant of valid JSON"))),
                None => Err(fault.server(endpoint.server.name.as_ref())),
            },
        }
    };
    Ok(try_join_all(questions.into_iter().map(one)).await?.into_iter().collect())
}

/// There is nobody to answer a question.
pub(super) fn nobody(endpoint: &Endpoint) -> Fault {
    Fault::new(Kind::Rejected, code::BAD_REQUEST, "has a question, and there is nobody to answer it")
        .server(endpoint.server.name.as_ref())
        .hint("call it from a host that supports elicitation")
}
