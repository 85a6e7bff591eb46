//! One host's connection: every message is taken in here, whatever carries it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::downstream::protocol::{Era, HOP_KEYS, LOG_LEVEL_KEY};
use crate::gateway::door::Gateway;
use crate::gateway::subscriptions::Subscribed;
use crate::model::ask::Ask;
use crate::model::call::{Call, Progress, Target};
use crate::model::entry::Kind;
use crate::model::port::Invoke as _;
use crate::server::answer;
use crate::server::ask::{AsResult, Asked, Directly};
use crate::server::conversation::{Conversation, Next, owner};
use crate::server::host::{Host, Refusal, Sender};
use crate::server::listen::{ended, listen};
use crate::server::parking::{PREFIX, Parking};
use crate::server::progress::Reporter;
use crate::server::requests;
use crate::wire::envelope::Envelope;
use crate::wire::lines::MAX_LINE;
use crate::wire::object::Object;
use crate::wire::outbox::{Message, Outbox};

/// How many calls of one host are worked on at once; more wait their turn. A call keeps its place until its answer is in
/// the queue to the host, so that results for a host that does not read stay bounded.
const MAX_CALLS: usize = 160;

/// How many questions of one call may wait to be put.
const MAX_QUESTIONS: usize = 16;

/// One host's connection.
pub struct Connection {
    gateway: Arc<Gateway>,
    host: Arc<Host>,
    parking: Arc<Parking>,
    asked: Arc<Asked>,
    tasks: TaskTracker,
    /// The requests in progress by the host's id, for cancellation; guarded for one look-up.
    requests: Arc<Mutex<HashMap<String, AbortHandle>>>,
    /// The resources that a host of the initialize era subscribed to; guarded for one look-up.
    subscribed: Arc<Mutex<HashMap<String, Subscribed>>>,
    places: Arc<Semaphore>,
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
    #[serde(borrow, default, rename = "requestState")]
    state: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "inputResponses")]
    responses: Option<&'a RawValue>,
}

/// The members of a call's params that are not simply passed on.
const READ: [&str; 4] = ["name", "uri", "arguments", "_meta"];

/// A request on its way to its answer.
struct Request {
    id: Box<RawValue>,
    method: String,
    sender: Sender,
    outlet: Outbox,
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
        let read = read_params(params);
        let meta = read.meta.and_then(Object::parse);
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
            "tools/call" => self.call(request, &read, params, text(read.name).map(Target::Exposed)),
            "prompts/get" => self.call(request, &read, params, text(read.name).map(Target::Prompt)),
            "resources/read" => self.call(request, &read, params, text(read.uri).map(Target::Resource)),
            "completion/complete" => self.call(request, &read, params, Some(Target::Completion)),
            _ => match Kind::ALL.into_iter().find(|kind| kind.list_method() == method) {
                Some(kind) => self.list(request, kind),
                None => self.own(request, params),
            },
        }
    }

    fn list(&self, request: Request, kind: Kind) {
        let gateway = Arc::clone(&self.gateway);
        self.tasks.spawn(async move {
            gateway.settle().await;
            post(&request.outlet, answer::list(&request.id, &gateway.catalog(), kind, request.sender.era)).await;
        });
    }

    /// What is asked of us ourselves.
    fn own(&self, request: Request, params: Option<&RawValue>) {
        let (gateway, host) = (Arc::clone(&self.gateway), Arc::clone(&self.host));
        let Request { id, method, sender, outlet } = request;
        match (method.as_str(), sender.era) {
            ("server/discover", Era::Modern) => self.reply(&id, &requests::discover(&gateway), Era::Modern, &outlet),
            ("ping", Era::Legacy) => self.reply(&id, &serde_json::json!({}), Era::Legacy, &outlet),
            ("logging/setLevel", Era::Legacy) => match requests::set_level(&gateway, &host, params) {
                Ok(result) => self.reply(&id, &result, Era::Legacy, &outlet),
                Err(refusal) => self.refusal(&id, &refusal, &outlet),
            },
            ("resources/subscribe" | "resources/unsubscribe", Era::Legacy) => {
                let Some(uri) = requests::member(params, "uri") else {
                    return self.refusal(&id, &Refusal::new(-32602, "which resource? `uri` is missing"), &outlet);
                };
                let subscribed = Arc::clone(&self.subscribed);
                self.tasks.spawn(async move {
                    let new = match method.as_str() {
                        "resources/subscribe" => Some(gateway.subscribe(std::slice::from_ref(&uri)).await),
                        _ => None,
                    };
                    {
                        let mut all = subscribed.lock().unwrap_or_else(PoisonError::into_inner);
                        match new {
                            Some(new) => drop(all.insert(uri, new)),
                            None => drop(all.remove(&uri)),
                        }
                    }
                    post(&outlet, answer::result(&id, &serde_json::json!({}), Era::Legacy)).await;
                });
            }
            ("subscriptions/listen", Era::Modern) => {
                let params = params.map(ToOwned::to_owned);
                let answered = id.clone();
                self.spawn(&id, async move {
                    listen(gateway, answered.clone(), params, outlet.clone()).await;
                    post(&outlet, ended(&answered)).await;
                });
            }
            _ => self.refusal(&id, &Refusal::new(-32601, format!("Method not found: {method}")), &outlet),
        }
    }

    fn call(&self, request: Request, read: &Params<'_>, params: Option<&RawValue>, target: Option<Target>) {
        let Some(target) = target else {
            let refusal = Refusal::new(-32602, format!("the parameters of {} are wrong", request.method));
            return self.refusal(&request.id, &refusal, &request.outlet);
        };
        let arguments = if target == Target::Completion { params } else { read.arguments };
        let owner = owner(&request.sender.principal.name, &request.method, &target.to_string(), arguments);
        let token = read.meta.and_then(Object::parse).and_then(|meta| meta.get("progressToken").map(ToOwned::to_owned));
        let state = text(read.state).filter(|state| state.starts_with(PREFIX));
        let conversation = if let Some(state) = state {
            if let Some(mut conversation) = self.parking.resume(&state, &owner) {
                conversation.progress().redirect(token.as_deref(), request.outlet.clone());
                conversation.answer(read.responses);
                conversation
            } else {
                let refusal =
                    Refusal::new(-32602, "requestState is unknown, has expired, or belongs to another request");
                return self.refusal(&request.id, &refusal, &request.outlet);
            }
        } else {
            // A completion's params are its arguments already.
            let others = params.filter(|_| target != Target::Completion);
            let mut call = Call::new(target, arguments.map(ToOwned::to_owned), request.sender.principal.clone());
            call.meta = self.passed_on(read.meta, request.sender.era);
            call.extra = others.map(extra).unwrap_or_default();
            self.begin(call, &request, token.as_deref())
        };
        self.follow(request, conversation, owner);
    }

    /// Starts a call; its questions are put in the way of the host's era.
    fn begin(&self, mut call: Call, request: &Request, token: Option<&RawValue>) -> Conversation {
        let progress = Arc::new(Reporter::new(token, request.outlet.clone()));
        // Without a token nobody listens, and servers need not tell.
        call.progress = token.map(|_| Arc::clone(&progress) as Arc<dyn Progress>);
        let (questions, asked) = mpsc::channel(MAX_QUESTIONS);
        let (capabilities, is_named) = (Arc::clone(&request.sender.capabilities), self.gateway.names_servers());
        call.ask = Some(match request.sender.era {
            Era::Legacy => Arc::new(Directly {
                host: self.host.id,
                capabilities,
                asked: Arc::clone(&self.asked),
                outlet: request.outlet.clone(),
                is_named,
            }) as Arc<dyn Ask>,
            Era::Modern => {
                // Requests stand for themselves; what they have in common is who makes them.
                let mut hasher = DefaultHasher::new();
                request.sender.principal.name.hash(&mut hasher);
                Arc::new(AsResult { host: hasher.finish(), capabilities, questions, is_named })
            }
        });
        let (gateway, places) = (Arc::clone(&self.gateway), Arc::clone(&self.places));
        let working = self.tasks.spawn(async move {
            let place = places.acquire_owned().await.ok();
            (gateway.invoke(call).await, place)
        });
        Conversation::new(AbortOnDropHandle::new(working), asked, progress)
    }

    /// The caller's `_meta` without what belongs to this hop. A modern server is asked for the log messages that an old host
    /// wants.
    fn passed_on(&self, meta: Option<&RawValue>, era: Era) -> Option<Box<RawValue>> {
        let mut meta = meta.and_then(Object::parse).unwrap_or_default();
        meta.retain(|key| !HOP_KEYS.contains(&key));
        if era == Era::Legacy {
            meta.set(LOG_LEVEL_KEY, &self.host.level());
        }
        (!meta.is_empty()).then(|| meta.to_raw())
    }

    /// Answers the request with what comes next of the conversation.
    fn follow(&self, request: Request, conversation: Conversation, owner: String) {
        let (parking, tasks) = (Arc::clone(&self.parking), self.tasks.clone());
        let Request { id, method, sender, outlet } = request;
        let answered = id.clone();
        self.spawn(&id, async move {
            let next = tokio::select! {
                next = conversation.next() => next,
                // Whoever closes the stream of a modern request has cancelled it.
                () = outlet.closed(), if sender.era == Era::Modern => return,
            };
            let (line, place) = match next {
                Next::Over(result, place) => (answer::outcome(&answered, &method, result, sender.era), place),
                Next::Ask(conversation) => {
                    // The open questions are written down before the conversation is out of hand.
                    let mut shown = conversation.result("");
                    let line = match parking.park(*conversation, &owner, &tasks) {
                        Ok(state) => {
                            shown["requestState"] = state.into();
                            answer::result(&answered, &shown, Era::Modern)
                        }
                        Err(_) => {
                            answer::error(&answered, 5104, "too many calls wait for answers of their hosts", None)
                        }
                    };
                    (line, None)
                }
            };
            post(&outlet, line).await;
            drop(place);
        });
    }

    /// Works on a request that the host may cancel.
    fn spawn(&self, id: &RawValue, work: impl Future<Output = ()> + Send + 'static) {
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

    fn reply(&self, id: &RawValue, result: &serde_json::Value, era: Era, outlet: &Outbox) {
        self.post(answer::result(id, result, era), outlet);
    }

    fn refusal(&self, id: &RawValue, refusal: &Refusal, outlet: &Outbox) {
        self.post(answer::refusal(id, refusal), outlet);
    }

    fn post(&self, line: String, outlet: &Outbox) {
        let outlet = outlet.clone();
        self.tasks.spawn(async move { post(&outlet, line).await });
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.abandon();
    }
}

async fn post(outlet: &Outbox, line: String) {
    // Fails only when the host is gone.
    let _ = outlet.send(Message::from(line)).await;
}

fn read_params(params: Option<&RawValue>) -> Params<'_> {
    params.and_then(|params| serde_json::from_str(params.get()).ok()).unwrap_or_default()
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

/// The members of params that are passed on as they are.
fn extra(params: &RawValue) -> Vec<(String, Box<RawValue>)> {
    let Some(params) = Object::parse(params) else { return Vec::new() };
    params.iter().filter(|(key, _)| !READ.contains(key)).map(|(key, raw)| (key.to_owned(), raw.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;

    use super::*;

    #[test]
    fn what_is_not_read_is_passed_on() {
        let params =
            to_raw_value(&serde_json::json!({ "name": "x", "_meta": {}, "task": { "ttl": 1 }, "requestState": "s" }));
        let kept: Vec<_> = extra(&params.expect("JSON")).into_iter().map(|(key, _)| key).collect();
        assert_eq!(kept, ["task", "requestState"]);
    }
}
