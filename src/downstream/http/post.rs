//! One request over one HTTP POST, payloads raw.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use crate::downstream::http::events::Events;
use crate::downstream::http::faults::{bad_answer, lost, read, status_fault};
use crate::downstream::http::link::Link;
use crate::downstream::protocol::Era;
use crate::downstream::question::answer;
use crate::downstream::request::{Request, notification_line, request_line, response_line};
use crate::downstream::stdio::lane::rpc_fault;
use crate::model::ask::Question;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::wire::envelope::{Envelope, RpcError};
use crate::wire::lines::MAX_LINE;
use crate::wire::lines::flatten;

/// How long a notification or an answer of ours may take.
const SIDE_POST: Duration = Duration::from_secs(5);

impl Link {
    /// Sends `request` and waits for its answer. Dropping the future cancels it at the server.
    pub async fn request(self: &Arc<Self>, request: &Request) -> Result<Box<RawValue>, Fault> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let line = request_line(id, &request.method, &request.params(Some(self.about.era), id));
        let mut cancel = Cancel { link: Some(self), id, over: CancellationToken::new() };
        let over = cancel.over.clone();
        let mut post = self.post(line);
        if self.about.era == Era::Modern {
            post = post.header("Mcp-Method", request.method.as_ref());
            let name = if request.method == "resources/read" { "uri" } else { "name" };
            if let Some(name) = request.text(name) {
                post = post.header("Mcp-Name", header_text(&name));
            }
        }
        let answer = match post.send().await {
            Ok(response) => self.answer(response, id, request, &over).await,
            Err(error) => Err(self.site.unreached(error)),
        };
        cancel.link = None;
        answer
    }

    fn post(&self, body: String) -> reqwest::RequestBuilder {
        let mut post = self
            .site
            .post(self.site.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json, text/event-stream")
            .header("MCP-Protocol-Version", self.about.revision.as_str());
        if let Some(session) = self.observed.session() {
            post = post.header("Mcp-Session-Id", session.as_ref());
        }
        post.body(body)
    }

    /// Sends a message that is not answered, in the background.
    fn post_aside(self: &Arc<Self>, line: String) {
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
        id: u64,
        request: &Request,
        over: &CancellationToken,
    ) -> Result<Box<RawValue>, Fault> {
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.starts_with("text/event-stream") {
            return self.stream(response, id, request, over).await;
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

    async fn stream(
        self: &Arc<Self>,
        response: reqwest::Response,
        id: u64,
        request: &Request,
        over: &CancellationToken,
    ) -> Result<Box<RawValue>, Fault> {
        let mut events = Events::of(response);
        while let Some(event) = events.next().await? {
            let Some(envelope) = Envelope::parse(&event.data) else { continue };
            match (&envelope.method, envelope.id) {
                (None, _) if envelope.number() == Some(id) => return result_of(&envelope),
                (Some(method), Some(theirs)) => self.question((request, over), method, theirs, envelope.params),
                (Some(method), None) if method == "notifications/progress" => progress(request, envelope.params),
                (Some(method), None) => self.inbox.hear(method, envelope.params),
                (None, _) => {}
            }
        }
        Err(lost("the answer broke off before it was complete".to_owned()))
    }

    /// Puts a question of the server, which belongs to `request`, and posts the answer.
    fn question(
        self: &Arc<Self>,
        (request, over): (&Request, &CancellationToken),
        method: &str,
        id: &RawValue,
        params: Option<&RawValue>,
    ) {
        let asker = request.ask.clone().map(|ask| (ask, vec![Arc::clone(&request.asking)]));
        let over = over.clone();
        let (server, method) = (self.inbox.server(), method.to_owned());
        let question = Question { server, method, params: params.map(ToOwned::to_owned) };
        let (link, id) = (Arc::clone(self), id.to_owned());
        self.tasks.spawn(async move {
            let answer = answer(asker, question, over.cancelled()).await;
            link.post_aside(response_line(&id, &answer));
        });
    }

    async fn refusal(&self, response: reqwest::Response) -> Fault {
        if response.status() == StatusCode::NOT_FOUND && self.observed.session().is_some() {
            let why = "the server has forgotten the session (HTTP 404)";
            self.close(why);
            return Fault::new(Kind::Unavailable, code::SERVER_DOWN, why);
        }
        status_fault(response).await
    }
}

/// Tells the server that nobody waits any more.
struct Cancel<'a> {
    link: Option<&'a Arc<Link>>,
    id: u64,
    /// Ends the questions that belong to the request.
    over: CancellationToken,
}

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        self.over.cancel();
        // For a modern server the closed response stream is the cancellation.
        if let Some(link) = self.link.filter(|link| link.about.era == Era::Legacy) {
            link.post_aside(notification_line("notifications/cancelled", &format!(r#"{{"requestId":{}}}"#, self.id)));
        }
    }
}

fn result_of(envelope: &Envelope<'_>) -> Result<Box<RawValue>, Fault> {
    match (envelope.error, envelope.result) {
        (Some(error), _) => Err(rpc_fault(RpcError::parse(error)).sent()),
        (None, Some(result)) if result.get().starts_with('{') => Ok(result.to_owned()),
        _ => Err(bad_answer("the server answered with neither a result nor an error").sent()),
    }
}

fn progress(request: &Request, params: Option<&RawValue>) {
    #[derive(Deserialize)]
    struct Params {
        progress: f64,
        total: Option<f64>,
        message: Option<String>,
    }
    if let (Some(listener), Some(params)) = (&request.progress, params)
        && let Ok(params) = serde_json::from_str::<Params>(params.get())
    {
        listener.report(params.progress, params.total, params.message.as_deref());
    }
}

/// A header's text: names outside of visible ASCII travel as base64 (2026-07-28, basic/transports).
fn header_text(name: &str) -> String {
    use base64::Engine as _;
    if name.bytes().all(|byte| (0x20..0x7f).contains(&byte)) && name.trim() == name {
        return name.to_owned();
    }
    format!("=?base64?{}?=", base64::engine::general_purpose::STANDARD.encode(name))
}
