//! What a connection says in answer to one request, as JSON or as an event stream.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures::Stream;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use crate::wire::envelope::{Envelope, RpcError};
use crate::wire::outbox::{Message, Queue};

/// How often an event stream without events shows that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The response to a request whose answer comes out of `queue`: JSON if the answer is the first thing that comes, an event
/// stream otherwise. `keep` lives as long as the response does.
pub async fn respond(mut queue: Queue, keep: impl Send + Unpin + 'static) -> Response {
    let Some(first) = queue.recv().await else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "the request was given up");
    };
    let envelope = Envelope::parse(&first.text);
    match envelope {
        Some(envelope) if envelope.method.is_none() => {
            let code = envelope.error.map(|error| RpcError::parse(error).code);
            json(status_of(code), first.text)
        }
        _ => events(Some(first), Channel(queue), keep),
    }
}

/// The status that goes with a JSON-RPC error (2026-07-28, basic/transports).
fn status_of(code: Option<i64>) -> StatusCode {
    match code {
        Some(-32601) => StatusCode::NOT_FOUND,
        Some(-32700 | -32600 | -32022..=-32020) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

/// A JSON response.
pub fn json(status: StatusCode, text: impl Into<Body>) -> Response {
    build(status, "application/json", text.into())
}

/// A response in words.
pub fn plain(status: StatusCode, text: &str) -> Response {
    build(status, "text/plain; charset=utf-8", Body::from(text.to_owned()))
}

/// An event stream of `messages`.
pub fn events(
    first: Option<Message>,
    messages: impl Stream<Item = Message> + Send + Unpin + 'static,
    keep: impl Send + Unpin + 'static,
) -> Response {
    let mut alive = interval_at(tokio::time::Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let body = Body::from_stream(Events { first, messages, alive, _keep: keep });
    let mut response = build(StatusCode::OK, "text/event-stream", body);
    response.headers_mut().insert(CACHE_CONTROL, http::HeaderValue::from_static("no-cache"));
    // Proxies must not collect events.
    response.headers_mut().insert("x-accel-buffering", http::HeaderValue::from_static("no"));
    response
}

fn build(status: StatusCode, kind: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(kind));
    response
}

struct Events<M, K> {
    first: Option<Message>,
    messages: M,
    alive: Interval,
    _keep: K,
}

impl<M: Stream<Item = Message> + Unpin, K: Unpin> Stream for Events<M, K> {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(event(&first))));
        }
        match Pin::new(&mut self.messages).poll_next(cx) {
            Poll::Ready(next) => Poll::Ready(next.map(|message| Ok(event(&message)))),
            Poll::Pending => match self.alive.poll_tick(cx) {
                Poll::Ready(_) => Poll::Ready(Some(Ok(Bytes::from_static(b": alive\n\n")))),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

/// A channel as a stream.
struct Channel(Queue);

impl Stream for Channel {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

fn event(message: &Message) -> Bytes {
    let mut text = Vec::with_capacity(message.text.len() + 24);
    text.extend_from_slice(b"event: message\ndata: ");
    text.extend_from_slice(&message.text);
    text.extend_from_slice(b"\n\n");
    text.into()
}
