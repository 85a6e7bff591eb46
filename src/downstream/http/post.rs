//! One request over one HTTP POST, payloads raw.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::BytesMut;
use futures::StreamExt as _;
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::downstream::http::events::Awaited;
use crate::downstream::http::link::{Link, causes, without_urls};
use crate::downstream::http::unasked::InFlight;
use crate::downstream::protocol::Era;
use crate::downstream::request::{Request, notification_line, request_line};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::wire::envelope::{Envelope, RpcError, bounded};
use crate::wire::header::encoded;
use crate::wire::lines::{MAX_LINE, flatten};
use crate::wire::mirror::name_key;

/// The longest body that is read to explain an error, in bytes.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// How long a notification or an answer of ours may take.
const SIDE_POST: Duration = Duration::from_secs(5);

impl Link {
    /// Sends `request` and waits for its answer. Dropping the future cancels it at the server.
    pub async fn request(self: &Arc<Self>, request: &Request) -> Result<Box<RawValue>, Fault> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let line = request_line(id, &request.method, &request.params(Some(self.about.era), id));
        let over = CancellationToken::new();
        self.in_flight().insert(id, InFlight::new(request, over.clone()));
        let mut guard = Guard { link: self, id, over: over.clone(), is_answered: false };
        let post = self.post(line);
        let post = if self.about.era == Era::Modern { self.with_mirrored(post, request) } else { post };
        let answer = match post.send().await {
            Ok(response) => self.answer(response, &Awaited { id, request, over: &over }).await,
            Err(error) => Err(transport_fault(error)),
        };
        guard.is_answered = true;
        answer
    }

    /// Asks for `path` on the server's host; any status below 400 is a sign of health.
    pub async fn probe(&self, path: &str) -> Result<(), Fault> {
        let url =
            self.destination.url.join(path).map_err(|error| bad_answer(format!("{path:?} is no path: {error}")))?;
        let mut get = self.client.get(url);
        for (name, value) in &self.destination.headers {
            get = get.header(name, value);
        }
        let status = get.send().await.map_err(transport_fault)?.status();
        if status.is_client_error() || status.is_server_error() {
            return Err(bad_answer(format!("{path} answers with HTTP {status}")));
        }
        Ok(())
    }

    fn post(&self, body: String) -> reqwest::RequestBuilder {
        let post = self
            .client
            .post(self.destination.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream");
        self.dressed(post).body(body)
    }

    /// The request with what every request within the session carries.
    pub(super) fn dressed(&self, mut request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request = request.header("MCP-Protocol-Version", self.about.revision.as_str());
        for (name, value) in &self.destination.headers {
            request = request.header(name, value);
        }
        match self.observed.session() {
            Some(session) => request.header("Mcp-Session-Id", session.as_ref()),
            None => request,
        }
    }

    /// The post with the headers that repeat what its body says.
    fn with_mirrored(&self, post: reqwest::RequestBuilder, request: &Request) -> reqwest::RequestBuilder {
        let mut post = post.header("Mcp-Method", request.method.as_ref());
        let Some(name) = name_key(&request.method).and_then(|key| request.text(key)) else { return post };
        post = post.header("Mcp-Name", encoded(&name));
        let mirrored = self.mirrored.load();
        let Some(wanted) = mirrored.get(&name).filter(|_| request.method == "tools/call") else { return post };
        let arguments: Value = request.member("arguments").unwrap_or_default();
        for argument in wanted {
            if let Some(text) = argument.text(&arguments) {
                post = post.header(&argument.header, encoded(&text));
            }
        }
        post
    }

    /// Sends a message that is not answered, in the background.
    pub(super) fn post_aside(self: &Arc<Self>, line: String) {
        let own = Arc::clone(self);
        self.tasks.spawn(async move {
            if let Err(error) = own.post(line).timeout(SIDE_POST).send().await {
                tracing::debug!(error = %error.without_url(), "a notification did not arrive");
            }
        });
    }

    async fn answer(
        self: &Arc<Self>,
        response: reqwest::Response,
        awaited: &Awaited<'_>,
    ) -> Result<Box<RawValue>, Fault> {
        if !response.status().is_success() {
            return Err(self.status_fault(response).await);
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.starts_with("text/event-stream") {
            return self.events(response, awaited).await;
        }
        if !kind.starts_with("application/json") {
            return Err(bad_answer(format!("the server answered with content of type {kind:?}, not JSON")).sent());
        }
        let mut body = read(response, MAX_LINE).await?;
        flatten(&mut body);
        let envelope =
            Envelope::parse(&body).ok_or_else(|| bad_answer("the server's answer is not JSON-RPC").sent())?;
        result_of(&envelope)
    }

    pub(super) async fn status_fault(&self, response: reqwest::Response) -> Fault {
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let body = read(response, MAX_ERROR_BODY).await.unwrap_or_default();
        let envelope = Envelope::parse(&body).and_then(|envelope| envelope.error.map(RpcError::parse));
        let said = bounded(&without_urls(&String::from_utf8_lossy(&body)), 300);
        let said = if said.trim().is_empty() || said.contains('<') { String::new() } else { format!(": {said}") };
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Fault::new(
                Kind::Denied,
                code::AUTH_NEEDED,
                format!("the server demands authentication (HTTP {status})"),
            )
            .hint("set the server's `headers` in the registry"),
            StatusCode::NOT_FOUND if self.observed.session().is_some() => {
                self.close("the server has forgotten the session (HTTP 404)");
                Fault::new(Kind::Unavailable, code::SERVER_DOWN, "the server has forgotten the session (HTTP 404)")
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let fault =
                    Fault::new(Kind::RateLimited, code::SERVER_BUSY, format!("too many requests (HTTP {status})"));
                match retry_after {
                    Some(seconds) => fault.retry_after(Duration::from_secs(seconds)),
                    None => fault,
                }
            }
            _ if let Some(error) = envelope => error.fault(),
            _ if status.is_server_error() => {
                Fault::new(Kind::Unavailable, code::SERVER_DOWN, format!("the server failed (HTTP {status}){said}"))
                    .sent()
            }
            _ => Fault::new(
                Kind::Internal,
                code::BAD_ANSWER,
                format!("the server refused the request (HTTP {status}){said}"),
            ),
        }
    }
}

/// Takes a request that is over from those in flight. If nobody waits for its answer any more, the server is told.
struct Guard<'a> {
    link: &'a Arc<Link>,
    id: u64,
    /// Ends the questions that belong to the request.
    over: CancellationToken,
    is_answered: bool,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.over.cancel();
        self.link.in_flight().remove(&self.id);
        // For a modern server the closed response stream is the cancellation.
        if !self.is_answered && self.link.about.era == Era::Legacy {
            let params = format!(r#"{{"requestId":{}}}"#, self.id);
            self.link.post_aside(notification_line("notifications/cancelled", &params));
        }
    }
}

pub(super) fn result_of(envelope: &Envelope<'_>) -> Result<Box<RawValue>, Fault> {
    match (envelope.error, envelope.result) {
        (Some(error), _) => Err(RpcError::parse(error).fault().sent()),
        (None, Some(result)) if result.get().starts_with('{') => Ok(result.to_owned()),
        _ => Err(bad_answer("the server answered with neither a result nor an error").sent()),
    }
}

async fn read(response: reqwest::Response, limit: usize) -> Result<BytesMut, Fault> {
    let mut body = BytesMut::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        body.extend_from_slice(&chunk.map_err(|error| lost(format!("the answer broke off: {}", error.without_url())))?);
        if body.len() > limit {
            return Err(bad_answer(format!("the server's answer is longer than {limit} bytes")).sent());
        }
    }
    Ok(body)
}

fn transport_fault(error: reqwest::Error) -> Fault {
    let is_connect = error.is_connect();
    let error = error.without_url();
    let fault = Fault::new(Kind::Unavailable, code::SERVER_DOWN, without_urls(&causes(&error)));
    if is_connect { fault } else { fault.sent() }
}

pub(super) fn bad_answer(message: impl Into<String>) -> Fault {
    Fault::new(Kind::Internal, code::BAD_ANSWER, message)
}

pub(super) fn lost(message: String) -> Fault {
    Fault::new(Kind::Unavailable, code::SERVER_DOWN, message).sent()
}
