//! One host's connection: every message is taken in here, whatever carries it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use crate::downstream::protocol::Era;
use crate::gateway::door::Gateway;
use crate::gateway::subscriptions::Subscribed;
use crate::model::call::Target;
use crate::model::entry::Kind;
use crate::server::answer;
use crate::server::ask::Asked;
use crate::server::call::Params;
use crate::server::host::{Host, Refusal, Sender};
use crate::server::parking::Parking;
use crate::server::requests;
use crate::wire::envelope::Envelope;
use crate::wire::lines::MAX_LINE;
use crate::wire::object::Object;
use crate::wire::outbox::{Message, Outbox};

/// How many calls of one host are worked on at once; more wait their turn. A call keeps its place until its answer is in
/// the queue to the host, so that results for a host that does not read stay bounded.
const MAX_CALLS: usize = 160;

/// How many lists for one host are held at once. They are large and quickly made: what the host does not read yet need not
/// be made yet.
const MAX_LISTS: usize = 4;

/// One host's connection.
pub struct Connection {
    pub(super) gateway: Arc<Gateway>,
    pub(super) host: Arc<Host>,
    pub(super) parking: Arc<Parking>,
    pub(super) asked: Arc<Asked>,
    pub(super) tasks: TaskTracker,
    /// The requests in progress by the host's id, for cancellation; guarded for one look-up.
    requests: Arc<Mutex<HashMap<String, AbortHandle>>>,
    /// The resources that a host of the initialize era subscribed to; guarded for one look-up.
    pub(super) subscribed: Arc<Mutex<HashMap<String, Subscribed>>>,
    pub(super) places: Arc<Semaphore>,
    pub(super) lists: Arc<Semaphore>,
}

/// A request on its way to its answer.
pub(super) struct Request {
    pub(super) id: Box<RawValue>,
    pub(super) method: String,
    pub(super) sender: Sender,
    pub(super) outlet: Outbox,
}

impl Connection {
    /// A connection to a host that has said nothing yet.
    pub fn new(gateway: Arc<Gateway>, host: Arc<Host>, parking: Arc<Parking>, tasks: TaskTracker) -> Self {
        Self {
            gateway,
            host,
            parking,
            asked: Arc::default(),
            tasks,
            requests: Arc::default(),
            subscribed: Arc::default(),
            places: Arc::new(Semaphore::new(MAX_CALLS)),
            lists: Arc::new(Semaphore::new(MAX_LISTS)),
        }
    }

    /// The host.
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// Whether requests are being worked on.
    pub fn is_busy(&self) -> bool {
        !self.requests.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Takes in one message; what is to be answered goes to `outlet`, its progress and questions included.
    pub fn take(&self, line: &[u8], outlet: &Outbox) {
        let Some(envelope) = Envelope::parse(line) else {
            tracing::warn!(bytes = line.len(), "the host sent a line that is not a JSON-RPC message");
            return;
        };
        match (&envelope.method, envelope.id) {
            (Some(method), Some(id)) => self.request(method, id, envelope.params, outlet),
            (Some(method), None) if method == "notifications/cancelled" => self.cancel(envelope.params),
            (Some(method), None) => tracing::debug!(method = %method, "a notification of the host"),
            (None, _) => {
                if !self.asked.deliver(&envelope) {
                    tracing::debug!("an answer of the host to nothing that was asked");
                }
            }
        }
    }

    /// Answers a line that is too long to be read, if its head says which request it is.
    pub fn refuse(&self, head: &[u8], outlet: &Outbox) {
        let text = String::from_utf8_lossy(head);
        let id = text.split_once("\"id\"").and_then(|(_, rest)| rest.trim_start().strip_prefix(':'));
        let id = id.and_then(|rest| rest.trim_start().split([',', '}']).next()).map(str::trim);
        if let Some(id) = id.and_then(|id| RawValue::from_string(id.to_owned()).ok()) {
            self.post(
                answer::error(&id, -32600, &format!("the request is longer than {MAX_LINE} bytes"), None),
                outlet,
            );
        }
    }

    /// Cancels everything in progress.
    pub fn abandon(&self) {
        for (_, request) in self.requests.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            request.abort();
        }
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn request(&self, method: &str, id: &RawValue, params: Option<&RawValue>, outlet: &Outbox) {
        if method == "initialize" {
            let result = requests::initialize(&self.gateway, &self.host, params);
            return self.reply(id, &result, Era::Legacy, outlet);
        }
        let read = Params::of(params);
        let meta = read.get("_meta").and_then(Object::parse);
        // A modern host may come without `initialize`; an old one may ask whether we live before it.
        let sender = match self.host.sender(meta.as_ref()) {
            Ok(sender) => sender,
            Err(_) if method == "ping" && meta.is_none() => {
                return self.reply(id, &serde_json::json!({}), Era::Legacy, outlet);
            }
            Err(refusal) => return self.refusal(id, &refusal, outlet),
        };
        if sender.era == Era::Modern {
            self.gateway.pool().introduce(&sender.capabilities);
        }
        let request = Request { id: id.to_owned(), method: method.to_owned(), sender, outlet: outlet.clone() };
        match method {
            "tools/call" => self.call(request, &read, params, text(read.get("name")).map(Target::Exposed)),
            "prompts/get" => self.call(request, &read, params, text(read.get("name")).map(Target::Prompt)),
            "resources/read" => self.call(request, &read, params, text(read.get("uri")).map(Target::Resource)),
            "completion/complete" => self.call(request, &read, params, Some(Target::Completion)),
            _ if method.starts_with("tasks/") => self.task(request, &read, params),
            _ => match Kind::ALL.into_iter().find(|kind| kind.list_method() == method) {
                Some(kind) => self.list(request, kind, &read),
                None => self.own(request, params),
            },
        }
    }

    /// Works on a request that the host may cancel.
    pub(super) fn spawn(&self, id: &RawValue, work: impl Future<Output = ()> + Send + 'static) {
        let (key, requests) = (id.get().to_owned(), Arc::clone(&self.requests));
        let mut registry = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let task = self.tasks.spawn({
            let key = key.clone();
            async move {
                work.await;
                requests.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
            }
        });
        registry.insert(key, task.abort_handle());
    }

    fn cancel(&self, params: Option<&RawValue>) {
        let id = params.and_then(Object::parse).and_then(|params| Some(params.get("requestId")?.get().to_owned()));
        let request = id.and_then(|id| self.requests.lock().unwrap_or_else(PoisonError::into_inner).remove(&id));
        if let Some(request) = request {
            request.abort();
        }
    }

    pub(super) fn reply(&self, id: &RawValue, result: &serde_json::Value, era: Era, outlet: &Outbox) {
        self.post(answer::result(id, result, era), outlet);
    }

    pub(super) fn refusal(&self, id: &RawValue, refusal: &Refusal, outlet: &Outbox) {
        self.post(answer::refusal(id, refusal), outlet);
    }

    pub(super) fn post(&self, line: String, outlet: &Outbox) {
        let outlet = outlet.clone();
        self.tasks.spawn(async move { post(&outlet, line).await });
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// Sends a line to the host.
pub(super) async fn post(outlet: &Outbox, line: String) {
    // Fails only when the host is gone.
    let _ = outlet.send(Message::from(line)).await;
}

/// The text of a raw member.
pub(super) fn text(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}
