//! One request over one HTTP POST, payloads raw.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::downstream::http::faults::{STILL_REFUSED, bad_answer, read, status_fault};
use crate::downstream::http::link::Link;
use crate::downstream::http::resume::Awaited;
use crate::downstream::http::unasked::InFlight;
use crate::downstream::protocol::Era;
use crate::downstream::request::{Request, notification_line};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::wire::envelope::{Envelope, RpcError};
use crate::wire::header::encoded;
use crate::wire::lines::{MAX_LINE, flatten};
use crate::wire::mirror::name_key;

/// How long a notification or an answer of ours may take.
const SIDE_POST: Duration = Duration::from_secs(5);

/// The headers that are set for this request alone, in place of those that every request has.
fn set(request: &Request) -> HeaderMap {
    let parsed = |(name, value): &(Arc<str>, Arc<str>)| {
        Some((HeaderName::try_from(&**name).ok()?, HeaderValue::try_from(&**value).ok()?))
    };
    request.headers.iter().filter_map(parsed).collect()
}

impl Link {
    /// Sends `request` and waits for its answer. Dropping the future cancels it at the server.
    pub async fn request(self: &Arc<Self>, request: &Request) -> Result<Box<RawValue>, Fault> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let line = request.line(Some(self.about.era), id);
        let over = CancellationToken::new();
        self.in_flight().insert(id, InFlight::new(request, over.clone()));
        let mut guard = Guard { link: self, id, over: over.clone(), is_answered: false };
        let post = self.post(line);
        let post = if self.about.era == Era::Modern { self.with_mirrored(post, request) } else { post };
        let post = match (&request.key_header, &request.idempotency_key) {
            (Some(header), Some(key)) => post.header(header, encoded(key)),
            _ => post,
        };
        let answer = match self.send_for(request, post).await {
            Ok(response) => self.answer(response, &Awaited { id, request, over: &over }).await,
            Err(fault) => Err(fault),
        };
        guard.is_answered = true;
        answer
    }

    /// Sends what is part of `request`, with the headers that are set for it. One that authorizes it stands in for what the program
    /// itself is authorized by.
    pub(super) async fn send_for(
        &self,
        request: &Request,
        part: reqwest::RequestBuilder,
    ) -> Result<reqwest::Response, Fault> {
        let headers = set(request);
        let is_authorized = headers.contains_key(AUTHORIZATION);
        let part = part.headers(headers);
        if is_authorized { self.site.send_as_it_is(part).await } else { self.site.send(part).await }
    }

    fn post(&self, body: String) -> reqwest::RequestBuilder {
        let post = self
            .site
            .post(self.site.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream");
        self.within_session(post).body(body)
    }

    /// The request with what every request within the session carries.
    pub(super) fn within_session(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let request = request.header("MCP-Protocol-Version", self.about.revision.as_str());
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
            if let Err(fault) = own.site.send(own.post(line).timeout(SIDE_POST)).await {
                let fault = own.inbox.secrets().hide_in(fault);
                tracing::debug!(%fault, "a notification did not arrive");
            }
        });
    }

    async fn answer(
        self: &Arc<Self>,
        response: reqwest::Response,
        awaited: &Awaited<'_>,
    ) -> Result<Box<RawValue>, Fault> {
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
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

    /// The fault of a response whose status is no success.
    pub(super) async fn refusal(&self, response: reqwest::Response) -> Fault {
        if response.status() == StatusCode::NOT_FOUND && self.observed.session().is_some() {
            let why = "the server has forgotten the session (HTTP 404)";
            self.close(why);
            return Fault::new(Kind::Unavailable, code::SERVER_DOWN, why);
        }
        match status_fault(response).await {
            fault if fault.code == code::AUTH_NEEDED && self.site.account.is_some() => fault.hint(STILL_REFUSED),
            fault => fault,
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
