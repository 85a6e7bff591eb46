//! Putting a server's question to the host: as a request in the initialize era, as a result in the newer one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use crate::downstream::question::{capability_for, signed, unanswered};
use crate::model::ask::{Ask, Question};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::port::BoxFuture;
use crate::wire::envelope::{Envelope, RpcError};
use crate::wire::outbox::{Message, Outbox};

/// What our requests to hosts have as the beginning of their ids.
const PREFIX: &str = "mo-";

/// An answer of the host, or why there is none.
pub type Answer = Result<Box<RawValue>, Fault>;

/// Our requests to one host that wait for an answer.
#[derive(Debug, Default)]
pub struct Asked {
    next: AtomicU64,
    /// Guarded for one look-up.
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
}

impl Asked {
    /// Takes in a response of the host; false if it answers nothing of ours.
    pub fn deliver(&self, envelope: &Envelope<'_>) -> bool {
        let id = envelope.id.and_then(|id| id.get().trim_matches('"').strip_prefix(PREFIX)?.parse().ok());
        let Some(waiting) = id.and_then(|id| self.waiting().remove(&id)) else { return false };
        let answer = match (envelope.error, envelope.result) {
            (Some(error), _) => Err(RpcError::parse(error).fault()),
            (None, Some(result)) => Ok(result.to_owned()),
            (None, None) => Err(Fault::new(Kind::Invalid, code::BAD_REQUEST, "the host answered with nothing")),
        };
        // Fails only if nobody wants to know any more.
        let _ = waiting.send(answer);
        true
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A host of the initialize era, asked by a request over the stream of its own call.
pub struct Directly {
    /// Tells the host from others.
    pub host: u64,
    /// What it can do.
    pub capabilities: Arc<Value>,
    /// Its requests that wait.
    pub asked: Arc<Asked>,
    /// Where its call is answered.
    pub outlet: Outbox,
    /// Whether questions name the server that asks.
    pub is_named: bool,
}

impl Ask for Directly {
    fn id(&self) -> u64 {
        self.host
    }

    fn capabilities(&self) -> &Value {
        &self.capabilities
    }

    fn takes_questions_as_result(&self) -> bool {
        false
    }

    fn ask(self: Arc<Self>, question: Question) -> BoxFuture<Answer> {
        Box::pin(async move {
            let question = signed(question, self.is_named);
            let id = self.asked.next.fetch_add(1, Ordering::Relaxed);
            let (answer, answered) = oneshot::channel();
            self.asked.waiting().insert(id, answer);
            let withdraw = Withdraw { ask: &self, id };
            let params = question.params.as_deref().map_or("{}", RawValue::get);
            let line =
                format!(r#"{{"jsonrpc":"2.0","id":"{PREFIX}{id}","method":"{}","params":{params}}}"#, question.method);
            let gone = || Fault::new(Kind::Cancelled, code::RUN_CANCELLED, "the host has left");
            self.outlet.send(Message::from(line)).await.map_err(|_| gone())?;
            let answer = answered.await.map_err(|_| gone());
            drop(withdraw);
            answer?
        })
    }
}

/// Takes back a question that nobody waits for any more.
struct Withdraw<'a> {
    ask: &'a Directly,
    id: u64,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        if self.ask.asked.waiting().remove(&self.id).is_some() {
            let params = format!(r#"{{"requestId":"{PREFIX}{}"}}"#, self.id);
            let line = format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#);
            // A host that does not read will not miss it.
            let _ = self.ask.outlet.try_send(Message::from(line));
        }
    }
}

/// A question on its way to a modern host.
pub struct Open {
    /// What is asked.
    pub question: Question,
    /// The capability that the host would need and has not declared.
    pub lacking: Option<&'static str>,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Answer>,
}

/// A modern host, which takes questions as the result of its call: see `conversation`.
pub struct AsResult {
    /// Tells the host from others.
    pub host: u64,
    /// What the host can do.
    pub capabilities: Arc<Value>,
    /// Where questions go.
    pub questions: mpsc::Sender<Open>,
    /// Whether questions name the server that asks.
    pub is_named: bool,
}

impl Ask for AsResult {
    fn id(&self) -> u64 {
        self.host
    }

    fn capabilities(&self) -> &Value {
        &self.capabilities
    }

    fn takes_questions_as_result(&self) -> bool {
        true
    }

    fn ask(self: Arc<Self>, question: Question) -> BoxFuture<Answer> {
        Box::pin(async move {
            let gone = || Fault::new(Kind::Cancelled, code::RUN_CANCELLED, "the host has given the call up");
            let needed =
                capability_for(&question.method).filter(|key| self.capabilities.get(key).is_none_or(Value::is_null));
            // What can be answered without the host is; nobody but it can do the rest.
            if needed.is_some()
                && let Some(answer) = unanswered(&question.method).strip_prefix("\"result\":")
            {
                return Ok(RawValue::from_string(answer.to_owned()).expect("a constant of valid JSON"));
            }
            let (answer, answered) = oneshot::channel();
            let open = Open { question: signed(question, self.is_named), lacking: needed, answer };
            self.questions.send(open).await.map_err(|_| gone())?;
            answered.await.map_err(|_| gone())?
        })
    }
}
