//! Servers reached over HTTP+SSE, the transport of 2024-11-05.
//!
//! One event stream brings everything that the server says. Each message of ours is a POST to the address that the first
//! event names.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE};
use reqwest::Url;
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::downstream::greet::introduce;
use crate::downstream::http::events::Events;
use crate::downstream::http::faults::{read, status_fault};
use crate::downstream::http::site::Site;
use crate::downstream::notice::Inbox;
use crate::downstream::protocol::{About, Era};
use crate::downstream::stdio::lane::Lane;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::wire::envelope::Envelope;
use crate::wire::outbox::{Message, Queue};

/// How many POSTs may be open. Those of requests may last as long as their call, and their number has a bound of its own;
/// this one only keeps cancellations and answers to questions from ever having to wait for them.
const POSTS: usize = 1024;

/// How long a notification or an answer of ours may take, and a request whose answer has come already.
const SIDE_POST: Duration = Duration::from_secs(5);

/// The longest confirmation that is read, so that the connection can be used again, in bytes.
const MAX_CONFIRMATION: usize = 64 * 1024;

/// Opens a session with the server whose event stream is at `site`.
///
/// The transport belongs to the initialize era, so that the other is not asked for unless it is `known`.
pub async fn connect(
    site: Site,
    known: Option<Era>,
    capabilities: &Value,
    inbox: &Arc<Inbox>,
    tasks: &TaskTracker,
) -> Result<(Arc<Lane>, About), Fault> {
    let mut events = listen(&site).await?;
    let endpoint = endpoint(&site.url, &mut events).await?;
    let (lane, queue) = Lane::new(inbox, tasks);
    let hearing = Arc::clone(&lane);
    tasks.spawn(async move {
        tokio::select! {
            why = hear(&hearing, events) => hearing.close(&why),
            _ = hearing.closed() => {}
        }
    });
    let sender = Sender { site, endpoint, lane: Arc::clone(&lane) };
    tasks.spawn(async move {
        tokio::select! {
            () = sender.send_all(queue) => {}
            _ = sender.lane.closed() => {}
        }
    });
    introduce(lane, Some(known.unwrap_or(Era::Legacy)), capabilities).await
}

async fn listen(site: &Site) -> Result<Events, Fault> {
    let request = site.get(site.url.clone()).header(ACCEPT, "text/event-stream");
    let response = site.send(request).await.map_err(|fault| match fault.code {
        code::SERVER_DOWN => cannot_connect(&fault.message),
        _ => fault,
    })?;
    let status = response.status();
    if !status.is_success() {
        let fault = status_fault(response).await;
        return Err(match fault.code {
            code::AUTH_NEEDED | code::SERVER_BUSY => fault,
            _ if fault.rpc.is_some() => not_here(&format!("{} (HTTP {status})", fault.message)),
            _ if status.is_client_error() => not_here(&fault.message),
            _ => cannot_connect(&fault.message),
        });
    }
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if !kind.starts_with("text/event-stream") {
        return Err(not_here(&format!("the server answered with content of type {kind:?}, not an event stream")));
    }
    Ok(Events::of(response))
}

/// Where to post messages to. Another origin than that of the event stream would be given the credentials.
async fn endpoint(url: &Url, events: &mut Events) -> Result<Url, Fault> {
    let unfit = |why: &str| Fault { code: code::BAD_ANSWER, ..cannot_connect(why) };
    loop {
        let event = events.next().await.map_err(|fault| cannot_connect(&fault.message))?;
        let event = event.ok_or_else(|| unfit("the event stream ended before it named the address to post to"))?;
        match event.kind() {
            "endpoint" => {
                let named = String::from_utf8_lossy(&event.data);
                return resolve(url, named.trim()).map_err(|why| {
                    unfit(&why).hint("the server must name an address under the scheme, host and port of its `url`")
                });
            }
            "message" => return Err(unfit("the event stream does not begin with the address to post to")),
            // Some begin with a greeting of their own.
            _ => {}
        }
    }
}

/// The address that `named` means on the page `url`, if it is of the same origin.
fn resolve(url: &Url, named: &str) -> Result<Url, String> {
    let endpoint = url.join(named).map_err(|error| format!("the address to post to is wrong: {error}"))?;
    if endpoint.origin() == url.origin() {
        return Ok(endpoint);
    }
    let (theirs, ours) = (endpoint.origin().ascii_serialization(), url.origin().ascii_serialization());
    Err(format!("the server wants messages to be posted to another origin, {theirs} instead of {ours}: refused"))
}

fn cannot_connect(why: &str) -> Fault {
    Fault::new(Kind::Unavailable, code::SERVER_DOWN, format!("cannot connect: {why}"))
}

/// Something is there, but not the event stream.
fn not_here(why: &str) -> Fault {
    cannot_connect(why).hint("`url` must be that of its event stream; a Streamable HTTP server has `type = \"http\"`")
}

/// Hands in every message until the stream ends; says why it did.
async fn hear(lane: &Arc<Lane>, mut events: Events) -> String {
    loop {
        match events.next().await {
            Ok(Some(event)) if event.kind() == "message" => lane.hear(&event.data),
            Ok(Some(_)) => {}
            Ok(None) => return "it ended its event stream".to_owned(),
            Err(fault) => return fault.message,
        }
    }
}

/// Posts messages.
struct Sender {
    site: Site,
    endpoint: Url,
    lane: Arc<Lane>,
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Freight {
    Request(u64),
    Response,
    Notification,
}

/// Why a message did not arrive.
enum Failure {
    /// What concerns this message alone.
    Message(Fault),
    /// The session is gone.
    Session(&'static str),
}

impl Sender {
    /// Posts what is in the queue until that ends.
    ///
    /// Requests do not wait for each other, as a server may answer the POST only when the call is done. A notification is
    /// waited for, since what follows may rely on it: no request may overtake `notifications/initialized`.
    async fn send_all(&self, mut queue: Queue) {
        let mut posts = FuturesUnordered::new();
        let mut is_notifying = false;
        loop {
            tokio::select! {
                Some(freight) = posts.next() => is_notifying &= freight != Freight::Notification,
                message = queue.recv(), if !is_notifying && posts.len() < POSTS => {
                    let Some(message) = message else { return };
                    if message.ticket.as_ref().is_none_or(|ticket| ticket.claim()) {
                        let freight = freight(&message.text);
                        is_notifying = freight == Freight::Notification;
                        posts.push(self.carry(message, freight));
                    }
                }
            }
        }
    }

    async fn carry(&self, message: Message, freight: Freight) -> Freight {
        // The message keeps its room in the queue until it has arrived.
        let post = self.post(message.text.clone().into());
        let result = match freight {
            Freight::Request(id) => {
                let over = self.lane.over(id);
                let moot = async {
                    over.cancelled().await;
                    sleep(SIDE_POST).await;
                };
                tokio::select! {
                    result = post => result,
                    () = moot => Ok(()),
                }
            }
            Freight::Response | Freight::Notification => timeout(SIDE_POST, post).await.unwrap_or(Ok(())),
        };
        let fault = match &result {
            Ok(()) => return freight,
            Err(Failure::Message(fault)) => fault.clone(),
            Err(Failure::Session(why)) => Fault::new(Kind::Unavailable, code::SERVER_DOWN, *why),
        };
        let told = self.lane.inbox().secrets().hide_in(fault.clone());
        tracing::debug!(?freight, fault = %told, "a message did not arrive");
        if let Freight::Request(id) = freight {
            if let Some(ticket) = message.ticket.as_ref().filter(|_| !fault.was_sent) {
                ticket.give_back();
            }
            self.lane.fail(id, fault);
        }
        if let Err(Failure::Session(why)) = result {
            self.lane.close(why);
        }
        freight
    }

    async fn post(&self, body: reqwest::Body) -> Result<(), Failure> {
        let request = self.site.post(self.endpoint.clone()).header(CONTENT_TYPE, "application/json").body(body);
        let response = self.site.send(request).await.map_err(Failure::Message)?;
        match response.status() {
            StatusCode::NOT_FOUND => {
                Err(Failure::Session("the server knows no session at the address that it named (HTTP 404)"))
            }
            status if !status.is_success() => Err(Failure::Message(status_fault(response).await)),
            _ => {
                // What it says beside its event stream is no answer.
                let _ = read(response, MAX_CONFIRMATION).await;
                Ok(())
            }
        }
    }
}

fn freight(text: &[u8]) -> Freight {
    match Envelope::parse(text) {
        Some(envelope) if envelope.method.is_none() => Freight::Response,
        Some(envelope) => envelope.number().map_or(Freight::Notification, Freight::Request),
        None => Freight::Notification,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_to_the_same_origin_only() {
        let url = Url::parse("https://x.example/api/sse?key=1").expect("a URL");
        for (named, expected) in [
            ("/messages?session=1", "https://x.example/messages?session=1"),
            ("messages", "https://x.example/api/messages"),
            ("?session=1", "https://x.example/api/sse?session=1"),
            ("https://x.example:443/m", "https://x.example/m"),
        ] {
            assert_eq!(resolve(&url, named).as_ref().map(Url::as_str), Ok(expected));
        }
        for foreign in
            ["http://x.example/m", "https://x.example:8443/m", "https://y.example/m", "//y.example/m", "data:,x"]
        {
            let why = resolve(&url, foreign).expect_err(foreign);
            assert!(why.contains("another origin"), "{why}");
        }
        assert!(resolve(&url, "https://[").expect_err("no URL").contains("is wrong"));
    }

    #[test]
    fn a_message_is_known_by_its_envelope() {
        for (text, expected) in [
            (r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#, Freight::Request(7)),
            (r#"{"jsonrpc":"2.0","id":"theirs","result":{}}"#, Freight::Response),
            (r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, Freight::Notification),
        ] {
            assert_eq!(freight(text.as_bytes()), expected);
        }
    }
}
