//! The host's lines: calls and lists are answered here with raw payloads, the rest is passed to rmcp.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rmcp::model::ClientJsonRpcMessage;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use crate::downstream::protocol::{Era, HOP_KEYS};
use crate::gateway::door::Gateway;
use crate::model::call::{Call, Progress, Target};
use crate::model::entry::Kind;
use crate::model::port::Invoke as _;
use crate::model::principal::Principal;
use crate::server::answer;
use crate::server::host::Host;
use crate::wire::envelope::Envelope;
use crate::wire::lines::MAX_LINE;
use crate::wire::object::Object;
use crate::wire::outbox::{Message, Outbox};

/// How many calls of one host are worked on at once; more wait their turn. A call keeps its place until its answer is in
/// the queue to the host, so that results for a host that does not read stay bounded.
const MAX_CALLS: usize = 160;

/// One host's connection.
pub struct Lane {
    gateway: Arc<Gateway>,
    host: Arc<Host>,
    outbox: Outbox,
    tasks: TaskTracker,
    /// The calls in progress by the host's id, for cancellation; guarded for one look-up.
    calls: Arc<Mutex<HashMap<String, AbortHandle>>>,
    places: Arc<Semaphore>,
    has_seen_request: bool,
}

/// A request that is answered here.
enum Raw {
    List(Kind),
    Call(fn(&Params<'_>) -> Option<Target>),
}

/// The parameters of a call, read at their top level.
#[derive(Deserialize, Default)]
struct Params<'a> {
    #[serde(borrow, default)]
    name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    uri: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "_meta")]
    meta: Option<&'a RawValue>,
}

impl Lane {
    /// A connection that answers through `outbox`.
    pub fn new(gateway: Arc<Gateway>, host: Arc<Host>, outbox: Outbox, tasks: TaskTracker) -> Self {
        let places = Arc::new(Semaphore::new(MAX_CALLS));
        Self { gateway, host, outbox, tasks, calls: Arc::default(), places, has_seen_request: false }
    }

    /// Takes in one line; gives back what is rmcp's to answer.
    pub async fn take(&mut self, line: &Bytes) -> Option<ClientJsonRpcMessage> {
        let Some(envelope) = Envelope::parse(line) else {
            tracing::warn!(bytes = line.len(), "the host sent a line that is not a JSON-RPC message");
            return None;
        };
        match (&envelope.method, envelope.id) {
            (Some(method), Some(id)) => {
                self.has_seen_request = true;
                if method == "initialize" {
                    self.host.initialize(envelope.params);
                }
                match self.is_ours(method, envelope.params) {
                    Some((raw, principal, era)) => {
                        self.start(&raw, method, id, envelope.params, principal, era);
                        None
                    }
                    None => self.decode(line, Some(id)).await,
                }
            }
            (Some(method), None) => {
                let is_done = method == "notifications/cancelled" && self.cancel(envelope.params);
                // A notification before the first request would make rmcp give the connection up.
                if is_done || !self.has_seen_request { None } else { self.decode(line, None).await }
            }
            (None, _) if self.has_seen_request => self.decode(line, None).await,
            (None, _) => None,
        }
    }

    /// Answers a line that is too long to be read, if its head says which request it is.
    pub async fn refuse(&self, head: &[u8]) {
        let text = String::from_utf8_lossy(head);
        let id = text.split_once("\"id\"").and_then(|(_, rest)| rest.trim_start().strip_prefix(':'));
        let id = id.and_then(|rest| rest.trim_start().split([',', '}']).next()).map(str::trim);
        if let Some(id) = id.and_then(|id| RawValue::from_string(id.to_owned()).ok()) {
            self.post(answer::error(&id, -32600, &format!("the request is longer than {MAX_LINE} bytes"), None)).await;
        }
    }

    /// Cancels every call in progress.
    pub fn abandon(&self) {
        for (_, call) in self.calls.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            call.abort();
        }
    }

    /// What of ours a request is, if its sender may be answered: everything else is rmcp's to answer or refuse.
    fn is_ours(&self, method: &str, params: Option<&RawValue>) -> Option<(Raw, Principal, Era)> {
        let raw = match method {
            "tools/call" => Raw::Call(|params| text(params.name).map(Target::Exposed)),
            "prompts/get" => Raw::Call(|params| text(params.name).map(Target::Prompt)),
            "resources/read" => Raw::Call(|params| text(params.uri).map(Target::Resource)),
            "completion/complete" => Raw::Call(|_| Some(Target::Completion)),
            _ => Raw::List(Kind::ALL.into_iter().find(|kind| kind.list_method() == method)?),
        };
        let params = read_params(params);
        let meta = params.meta.and_then(Object::parse);
        let (principal, era) = self.host.sender(meta.as_ref())?;
        Some((raw, principal, era))
    }

    fn start(&self, raw: &Raw, method: &str, id: &RawValue, params: Option<&RawValue>, principal: Principal, era: Era) {
        let (gateway, outbox, places) = (Arc::clone(&self.gateway), self.outbox.clone(), Arc::clone(&self.places));
        let id = id.to_owned();
        match raw {
            Raw::List(kind) => {
                let kind = *kind;
                self.tasks.spawn(async move {
                    gateway.settle().await;
                    post(&outbox, answer::list(&id, &gateway.catalog(), kind, era)).await;
                });
            }
            Raw::Call(target) => {
                let Some(call) = self.call(*target, params, principal) else {
                    let line = answer::error(&id, -32602, &format!("the parameters of {method} are wrong"), None);
                    self.tasks.spawn(async move { post(&outbox, line).await });
                    return;
                };
                let (method, key, calls) = (method.to_owned(), id.get().to_owned(), Arc::clone(&self.calls));
                let mut registry = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
                let task = self.tasks.spawn({
                    let key = key.clone();
                    async move {
                        let Ok(_place) = places.acquire().await else { return };
                        let result = gateway.invoke(call).await;
                        let line = answer::outcome(&id, &method, result, era);
                        calls.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
                        post(&outbox, line).await;
                    }
                });
                registry.insert(key, task.abort_handle());
            }
        }
    }

    fn call(
        &self,
        target: fn(&Params<'_>) -> Option<Target>,
        params: Option<&RawValue>,
        principal: Principal,
    ) -> Option<Call> {
        let read = read_params(params);
        let target = target(&read)?;
        let arguments = if target == Target::Completion { params } else { read.arguments };
        let mut call = Call::new(target, arguments.map(ToOwned::to_owned), principal);
        let mut meta = read.meta.and_then(Object::parse).unwrap_or_default();
        call.progress = meta.get("progressToken").map(|token| self.progress(token));
        meta.retain(|key| !HOP_KEYS.contains(&key));
        call.meta = (!meta.is_empty()).then(|| meta.to_raw());
        Some(call)
    }

    fn progress(&self, token: &RawValue) -> Arc<dyn Progress> {
        Arc::new(Reporter { token: token.to_owned(), outbox: self.outbox.clone(), last: Mutex::new(None) })
    }

    fn cancel(&self, params: Option<&RawValue>) -> bool {
        #[derive(Deserialize)]
        struct Cancelled<'a> {
            #[serde(borrow, rename = "requestId")]
            request: &'a RawValue,
        }
        let Some(Ok(cancelled)) = params.map(|params| serde_json::from_str::<Cancelled<'_>>(params.get())) else {
            return false;
        };
        let call = self.calls.lock().unwrap_or_else(PoisonError::into_inner).remove(cancelled.request.get());
        call.map(|call| call.abort()).is_some()
    }

    async fn decode(&self, line: &[u8], id: Option<&RawValue>) -> Option<ClientJsonRpcMessage> {
        match serde_json::from_slice(line) {
            Ok(message) => Some(message),
            Err(error) => {
                tracing::debug!(%error, "the host sent a message that is not understood");
                if let Some(id) = id {
                    self.post(answer::error(id, -32600, &format!("the request is not valid: {error}"), None)).await;
                }
                None
            }
        }
    }

    async fn post(&self, line: String) {
        post(&self.outbox, line).await;
    }
}

async fn post(outbox: &Outbox, line: String) {
    // Fails only when the host is gone.
    let _ = outbox.send(Message::from(line)).await;
}

fn read_params(params: Option<&RawValue>) -> Params<'_> {
    params.and_then(|params| serde_json::from_str(params.get()).ok()).unwrap_or_default()
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

/// Passes progress on to the host, rising only, under the host's own token.
struct Reporter {
    token: Box<RawValue>,
    outbox: Outbox,
    /// Guards the last value that was sent.
    last: Mutex<Option<f64>>,
}

impl Progress for Reporter {
    fn report(&self, progress: f64, total: Option<f64>, message: Option<&str>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| progress <= last) {
            return;
        }
        *last = Some(progress);
        let mut params = serde_json::json!({ "progressToken": self.token, "progress": progress });
        if let Some(total) = total {
            params["total"] = total.into();
        }
        if let Some(message) = message {
            params["message"] = message.into();
        }
        let line = format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#);
        // A host that does not keep up loses progress rather than answers.
        let _ = self.outbox.try_send(Message::from(line));
    }
}
