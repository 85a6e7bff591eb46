//! Requests and answers over one pair of pipes, payloads raw.
//!
//! Two tasks: one reads and hands each answer to whoever waits for it, the other writes in batches. Neither waits for the
//! other, so a server that stops reading, or floods us, stalls only itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::downstream::ending::Ending;
use crate::downstream::notice::Inbox;
use crate::downstream::protocol::{Era, answer};
use crate::downstream::request::{Request, notification_line, request_line};
use crate::model::call::Progress;
use crate::model::code;
use crate::model::fault::{Fault, Kind, Rpc};
use crate::wire::envelope::{Envelope, RpcError};
use crate::wire::lines::{Line, Lines, MAX_LINE};
use crate::wire::outbox::{CAPACITY, Message, Outbox, Ticket, write_all};

/// How long a server may take nothing from its input before the connection counts as dead.
const WRITE_STALL: Duration = Duration::from_secs(20);

/// What became of a request: its raw result, or the reason why there is none.
type Answer = Result<Box<RawValue>, Fault>;

/// One connection.
pub struct Lane {
    outbox: Mutex<Option<Outbox>>,
    pending: Mutex<HashMap<u64, Pending>>,
    next_id: AtomicU64,
    ending: Ending,
}

/// A request that waits for its answer.
struct Pending {
    answer: oneshot::Sender<Answer>,
    progress: Option<Arc<dyn Progress>>,
}

impl Lane {
    /// Opens a lane over `reader` and `writer`; its two tasks run on `tasks`.
    pub fn open(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
        inbox: Arc<Inbox>,
        tasks: &TaskTracker,
    ) -> Arc<Self> {
        let (outbox, queue) = mpsc::channel(CAPACITY);
        let lane = Arc::new(Self {
            outbox: Mutex::new(Some(outbox)),
            pending: Mutex::default(),
            next_id: AtomicU64::new(1),
            ending: Ending::default(),
        });
        let writing = Arc::clone(&lane);
        tasks.spawn(async move {
            if let Err(error) = write_all(queue, writer, WRITE_STALL).await {
                writing.close(&format!("its input cannot be written: {error}"));
            }
        });
        let reading = Arc::clone(&lane);
        tasks.spawn(async move {
            let why = reading.read(Lines::new(reader, MAX_LINE), &inbox).await;
            reading.close(&why);
        });
        lane
    }

    /// Sends `request` and waits for its answer. Dropping the future withdraws the request, or tells the server that it
    /// is cancelled.
    pub async fn request(self: &Arc<Self>, request: &Request, era: Option<Era>) -> Answer {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let line = request_line(id, &request.method, &request.params(era, id));
        let (answer, answered) = oneshot::channel();
        let ticket = Arc::new(Ticket::default());
        let _guard = Cancel { lane: self, id, ticket: &ticket, method: &request.method };
        self.pending().insert(id, Pending { answer, progress: request.progress.clone() });
        let outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let message = Message { text: line.into(), ticket: Some(Arc::clone(&ticket)) };
        let is_queued = match outbox {
            Some(outbox) => outbox.send(message).await.is_ok(),
            None => false,
        };
        let mark = |fault: Fault| if ticket.was_written() { fault.sent() } else { fault };
        if !is_queued {
            return Err(self.gone());
        }
        answered.await.unwrap_or_else(|_| Err(self.gone())).map_err(mark)
    }

    /// Sends a notification, unless the queue is full or the lane is closed.
    pub fn notify(&self, method: &str, params: &str) {
        self.post(notification_line(method, params));
    }

    /// Waits until the lane is closed; says why it was.
    pub async fn closed(&self) -> String {
        self.ending.wait().await
    }

    /// Closes the lane: nothing more is sent, every waiting request fails with `why`. The first reason stays.
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

    async fn read<R: AsyncRead + Unpin>(&self, mut lines: Lines<R>, inbox: &Inbox) -> String {
        let mut junk = 0_u32;
        loop {
            match lines.next().await {
                Ok(Some(Line::Text(text))) => {
                    if let Some(envelope) = Envelope::parse(&text) {
                        self.dispatch(&envelope, inbox);
                    } else {
                        junk += 1;
                        if junk.is_power_of_two() {
                            tracing::debug!(junk, bytes = text.len(), "a line of the server is not JSON-RPC");
                        }
                        self.salvage(&text, "it cannot be parsed");
                    }
                }
                Ok(Some(Line::TooLong(head))) => self.salvage(&head, &format!("it is longer than {MAX_LINE} bytes")),
                Ok(None) => return "it closed its output".to_owned(),
                Err(error) => return format!("its output cannot be read: {error}"),
            }
        }
    }

    fn dispatch(&self, envelope: &Envelope<'_>, inbox: &Inbox) {
        match (&envelope.method, envelope.id) {
            (Some(method), Some(id)) => self.reply(method, id),
            (Some(method), None) if method == "notifications/progress" => self.progress(envelope.params),
            (Some(method), None) => inbox.hear(method, envelope.params),
            (None, _) => self.deliver(envelope),
        }
    }

    fn deliver(&self, envelope: &Envelope<'_>) {
        let Some(pending) = envelope.number().and_then(|id| self.pending().remove(&id)) else {
            tracing::debug!("an answer to nothing that was asked");
            return;
        };
        let answer = match (envelope.error, envelope.result) {
            (Some(error), _) => Err(rpc_fault(RpcError::parse(error))),
            (None, Some(result)) if result.get().starts_with('{') => Ok(result.to_owned()),
            (None, result) => {
                let what = result.map_or("neither a result nor an error", |_| "a result that is not an object");
                Err(Fault::new(Kind::Internal, code::BAD_ANSWER, format!("the server answered with {what}")))
            }
        };
        // Fails only if the caller has given up in this instant.
        let _ = pending.answer.send(answer);
    }

    /// Fails the request that an unusable line seems to answer, rather than let it run into its time limit.
    fn salvage(&self, head: &[u8], why: &str) {
        let text = String::from_utf8_lossy(&head[..head.len().min(1024)]);
        let Some(pending) = id_in(&text).and_then(|id| self.pending().remove(&id)) else { return };
        let fault = Fault::new(Kind::Internal, code::BAD_ANSWER, format!("the server's answer is unusable: {why}"));
        let _ = pending.answer.send(Err(fault));
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

    fn reply(&self, method: &str, id: &RawValue) {
        let line = match answer(method) {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err(error) => {
                json!({ "jsonrpc": "2.0", "id": id, "error": { "code": error.code, "message": error.message } })
            }
        };
        self.post(line.to_string());
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

/// A server's JSON-RPC error as a fault.
pub fn rpc_fault(error: RpcError) -> Fault {
    let kind = match error.code {
        -32602 => Kind::Invalid,
        -32601 | -32002 => Kind::NotFound,
        _ => Kind::Internal,
    };
    let mut fault = Fault::new(kind, code::SERVER_ERROR, error.message);
    fault.rpc = Some(Rpc { code: error.code, data: error.data });
    fault
}

/// The number after the first `"id":` of a damaged line.
fn id_in(text: &str) -> Option<u64> {
    let rest = text.split_once("\"id\"")?.1.trim_start().strip_prefix(':')?.trim_start().trim_start_matches('"');
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}
