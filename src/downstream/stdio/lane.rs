//! Requests and answers as single messages, payloads raw, whatever carries the messages.
//!
//! Those who carry them are two tasks: one hands in what the server says, the other takes what is to be said from a queue.
//! Neither waits for the other, so a server that stops reading, or floods us, stalls only itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::downstream::candidates::{Candidate, choose};
use crate::downstream::ending::Ending;
use crate::downstream::notice::Inbox;
use crate::downstream::protocol::Era;
use crate::downstream::question::{Asking, answer, unanswered};
use crate::downstream::request::{Request, notification_line, response_line};
use crate::model::ask::{Ask, Question};
use crate::model::call::Progress;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::wire::envelope::{Envelope, RpcError};
use crate::wire::object::Object;
use crate::wire::outbox::{CAPACITY, Message, Outbox, Queue, Ticket, queue};

/// What became of a request: its raw result, or the reason why there is none.
type Answer = Result<Box<RawValue>, Fault>;

/// One connection.
pub struct Lane {
    outbox: Mutex<Option<Outbox>>,
    pending: Mutex<HashMap<u64, Pending>>,
    next_id: AtomicU64,
    ending: Ending,
    /// Where the server's notifications go.
    inbox: Arc<Inbox>,
    /// How many messages of the server were none.
    junk: AtomicU32,
    /// Where the tasks run that wait for answers to the server's questions.
    tasks: TaskTracker,
    /// The server's questions by its ids; guarded for one look-up.
    questions: Mutex<HashMap<String, CancellationToken>>,
}

/// A request that waits for its answer.
struct Pending {
    answer: Option<oneshot::Sender<Answer>>,
    progress: Option<Arc<dyn Progress>>,
    ask: Option<Arc<dyn Ask>>,
    asking: Arc<Asking>,
    /// Cancelled when the request is over.
    over: CancellationToken,
}

impl Pending {
    fn end(mut self, answer: Answer) {
        if let Some(waiting) = self.answer.take() {
            // Fails only if the caller has given up in this instant.
            let _ = waiting.send(answer);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

impl Lane {
    /// A lane, and the queue of what is to be sent: it ends when the lane is closed.
    pub fn new(inbox: &Arc<Inbox>, tasks: &TaskTracker) -> (Arc<Self>, Queue) {
        let (outbox, queue) = queue(CAPACITY);
        let lane = Self {
            outbox: Mutex::new(Some(outbox)),
            pending: Mutex::default(),
            next_id: AtomicU64::new(1),
            ending: Ending::default(),
            inbox: Arc::clone(inbox),
            junk: AtomicU32::new(0),
            tasks: tasks.clone(),
            questions: Mutex::default(),
        };
        (Arc::new(lane), queue)
    }

    /// Sends `request` and waits for its answer. Dropping the future withdraws the request, or tells the server that it
    /// is cancelled.
    pub async fn request(self: &Arc<Self>, request: &Request, era: Option<Era>) -> Answer {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let line = request.line(era, id);
        let (answer, answered) = oneshot::channel();
        let ticket = Arc::new(Ticket::default());
        let _guard = Cancel { lane: self, id, ticket: &ticket, method: &request.method };
        let pending = Pending {
            answer: Some(answer),
            progress: request.progress.clone(),
            ask: request.ask.clone(),
            asking: Arc::clone(&request.asking),
            over: CancellationToken::new(),
        };
        self.pending().insert(id, pending);
        let outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let message = Message::with_ticket(line, &ticket);
        let is_queued = match outbox {
            Some(outbox) => outbox.send(message).await.is_ok(),
            None => false,
        };
        // Whoever fails takes the request back; if that is too late, it may have been carried out.
        let mark = |fault: Fault| if ticket.withdraw() { fault } else { fault.sent() };
        if !is_queued {
            return Err(self.gone());
        }
        answered.await.unwrap_or_else(|_| Err(self.gone())).map_err(mark)
    }

    /// Sends a notification, unless the queue is full or the lane is closed.
    pub fn notify(&self, method: &str, params: &str) {
        self.post(notification_line(method, params));
    }

    /// Where what the server says unasked arrives.
    pub fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// Waits until the lane is closed; says why it was.
    pub async fn closed(&self) -> String {
        self.ending.wait().await
    }

    /// Closes the lane: every waiting request fails with `why`, and is taken back if it has not been written yet. The first
    /// reason stays.
    pub fn close(&self, why: &str) {
        self.ending.announce(why);
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Dropping the senders wakes the waiting requests, which then find the reason.
        self.pending().clear();
    }

    fn pending(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gone(&self) -> Fault {
        let why = self.ending.reason().unwrap_or_else(|| "the connection is closed".to_owned());
        Fault::new(Kind::Unavailable, code::SERVER_DOWN, why)
    }

    fn post(&self, line: String) {
        if let Some(outbox) = &*self.outbox.lock().unwrap_or_else(PoisonError::into_inner) {
            // A full queue belongs to a server that does not read; it will not miss this message either.
            let _ = outbox.try_send(line.into());
        }
    }

    /// Takes in one message of the server.
    pub fn hear(self: &Arc<Self>, text: &[u8]) {
        if let Some(envelope) = Envelope::parse(text) {
            return self.dispatch(&envelope);
        }
        let junk = self.junk.fetch_add(1, Ordering::Relaxed) + 1;
        if junk.is_power_of_two() {
            tracing::debug!(junk, bytes = text.len(), "a line of the server is not JSON-RPC");
        }
        self.salvage(text, "it cannot be parsed");
    }

    /// Fails the request `id`, if it still waits: whoever was to send it knows that it will not be answered.
    pub fn fail(&self, id: u64, fault: Fault) {
        let pending = self.pending().remove(&id);
        if let Some(pending) = pending {
            pending.end(Err(fault));
        }
    }

    /// Is cancelled when the request `id` is over.
    pub fn over(&self, id: u64) -> CancellationToken {
        let token = self.pending().get(&id).map(|pending| pending.over.clone());
        token.unwrap_or_else(|| {
            let token = CancellationToken::new();
            token.cancel();
            token
        })
    }

    fn dispatch(self: &Arc<Self>, envelope: &Envelope<'_>) {
        match (&envelope.method, envelope.id) {
            (Some(method), Some(id)) => self.question(method, id, envelope.params),
            (Some(method), None) if method == "notifications/progress" => self.progress(envelope.params),
            (Some(method), None) if method == "notifications/cancelled" => self.withdrawn(envelope.params),
            (Some(method), None) => self.inbox.hear(method, envelope.params),
            (None, _) => self.deliver(envelope),
        }
    }

    fn deliver(&self, envelope: &Envelope<'_>) {
        if envelope.error.is_none() && envelope.result.is_none() && envelope.jsonrpc.is_none() {
            return;
        }
        let Some(pending) = envelope.number().and_then(|id| self.pending().remove(&id)) else {
            tracing::debug!("an answer to nothing that was asked");
            return;
        };
        let answer = match (envelope.error, envelope.result) {
            (Some(error), _) => Err(RpcError::parse(error).fault()),
            (None, Some(result)) if result.get().starts_with('{') => Ok(result.to_owned()),
            (None, result) => {
                let what = result.map_or("neither a result nor an error", |_| "a result that is not an object");
                Err(Fault::new(Kind::Internal, code::BAD_ANSWER, format!("the server answered with {what}")))
            }
        };
        pending.end(answer);
    }

    /// Fails the request that an unusable line seems to answer, rather than let it run into its time limit.
    pub fn salvage(&self, head: &[u8], why: &str) {
        let text = String::from_utf8_lossy(&head[..head.len().min(1024)]);
        // A server that logs what it hears must not fail its own calls.
        let is_answer = text.starts_with('{') && !text.contains("\"method\"");
        if !is_answer || !(text.contains("\"result\"") || text.contains("\"error\"")) {
            return;
        }
        let Some(pending) = id_in(&text).and_then(|id| self.pending().remove(&id)) else { return };
        let fault = Fault::new(Kind::Internal, code::BAD_ANSWER, format!("the server's answer is unusable: {why}"));
        pending.end(Err(fault));
    }

    fn progress(&self, params: Option<&RawValue>) {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Params<'a> {
            progress_token: serde_json::Value,
            progress: f64,
            total: Option<f64>,
            #[serde(borrow)]
            message: Option<std::borrow::Cow<'a, str>>,
        }
        let Some(params) = params.and_then(|params| serde_json::from_str::<Params<'_>>(params.get()).ok()) else {
            return;
        };
        let token = &params.progress_token;
        let token = token.as_u64().or_else(|| token.as_str()?.parse().ok());
        let listener = token.and_then(|token| self.pending().get(&token)?.progress.clone());
        if let Some(listener) = listener {
            listener.report(params.progress, params.total, params.message.as_deref());
        }
    }

    /// Puts a question of the server to the host whose call it belongs to, if there can be only one.
    fn question(self: &Arc<Self>, method: &str, id: &RawValue, params: Option<&RawValue>) {
        let candidate = |(id, pending): (&u64, &Pending)| {
            let (asking, over) = (Arc::clone(&pending.asking), pending.over.clone());
            Some(Candidate { id: *id, ask: pending.ask.clone()?, asking, over })
        };
        let candidates = self.pending().iter().filter_map(candidate).collect();
        let Some(chosen) = choose(candidates) else {
            self.post(response_line(id, &unanswered(method)));
            return;
        };
        let question =
            Question { server: self.inbox.server(), method: method.to_owned(), params: params.map(ToOwned::to_owned) };
        let withdrawn = CancellationToken::new();
        self.questions().insert(id.get().to_owned(), withdrawn.clone());
        let (lane, id) = (Arc::clone(self), id.to_owned());
        let over = chosen.moot();
        self.tasks.spawn(async move {
            let moot = async {
                tokio::select! {
                    () = withdrawn.cancelled() => {}
                    () = over => {}
                }
            };
            let answer = answer(Some(chosen.asker), question, moot).await;
            lane.questions().remove(id.get());
            lane.post(response_line(&id, &answer));
        });
    }

    /// The server no longer wants to know.
    fn withdrawn(&self, params: Option<&RawValue>) {
        let id = params.and_then(Object::parse).and_then(|params| Some(params.get("requestId")?.get().to_owned()));
        if let Some(question) = id.and_then(|id| self.questions().remove(&id)) {
            question.cancel();
        }
    }

    fn questions(&self) -> std::sync::MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Withdraws or cancels a request whose caller is gone before its answer has come.
struct Cancel<'a> {
    lane: &'a Arc<Lane>,
    id: u64,
    ticket: &'a Ticket,
    method: &'a str,
}

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        let is_waiting = self.lane.pending().remove(&self.id).is_some();
        // `initialize` must not be cancelled (2025-11-25, basic/utilities/cancellation).
        if is_waiting && !self.ticket.withdraw() && self.method != "initialize" {
            self.lane.notify("notifications/cancelled", &format!(r#"{{"requestId":{}}}"#, self.id));
        }
    }
}

/// The number after the first `"id":` of a damaged line.
fn id_in(text: &str) -> Option<u64> {
    let rest = text.split_once("\"id\"")?.1.trim_start().strip_prefix(':')?.trim_start().trim_start_matches('"');
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}
