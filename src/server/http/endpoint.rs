//! The endpoints, `/mcp` and `/mcp/p/PROFILE`: what each HTTP method means to hosts of either era.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Path, State};
use axum::response::Response;
use http::header::{ALLOW, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use serde_json::value::RawValue;
use tokio_util::task::TaskTracker;

use crate::downstream::protocol::LEGACY_VERSIONS;
use crate::gateway::door::Gateway;
use crate::server::answer;
use crate::server::connection::Connection;
use crate::server::host::{Host, Refusal};
use crate::server::http::guard::Policy;
use crate::server::http::modern;
use crate::server::http::sessions::Sessions;
use crate::server::http::stream::{events, json, plain, respond};
use crate::server::parking::Parking;
use crate::wire::envelope::Envelope;
use crate::wire::lines::flatten;
use crate::wire::object::Object;
use crate::wire::outbox::queue;

/// The largest request that is read, in bytes.
pub const MAX_BODY: usize = 32 * 1024 * 1024;

/// How many messages of one request may wait for a host that does not read.
const QUEUE: usize = 256;

/// The header that names a session.
const SESSION: &str = "mcp-session-id";

/// What all requests share.
pub struct Shared {
    /// The one door.
    pub gateway: Arc<Gateway>,
    /// The profile of the main endpoint.
    pub profile: Option<Arc<str>>,
    /// Who may come in.
    pub policy: Policy,
    /// The sessions of old hosts.
    pub sessions: Sessions,
    /// The calls of modern hosts that wait for answers.
    pub parking: Arc<Parking>,
    /// Everything that runs.
    pub tasks: TaskTracker,
}

/// Answers a request at the main endpoint.
pub async fn answer_main(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let profile = shared.profile.clone();
    answer(&shared, profile, request).await
}

/// Answers a request at the endpoint of a profile.
pub async fn answer_profile(
    State(shared): State<Arc<Shared>>,
    Path(profile): Path<String>,
    request: Request<Body>,
) -> Response {
    answer(&shared, Some(profile.into()), request).await
}

async fn answer(shared: &Arc<Shared>, profile: Option<Arc<str>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    if let Err(denied) = shared.policy.judge(&parts.headers) {
        let mut response = plain(denied.status(), denied.reason());
        if denied.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        return response;
    }
    // Who may not come in is not told which profiles there are.
    if let Some(Err(why)) = profile.as_deref().map(|profile| shared.gateway.registry().profile(profile).map(drop)) {
        return plain(StatusCode::NOT_FOUND, &why);
    }
    match parts.method {
        Method::POST => match to_bytes(body, MAX_BODY).await {
            Ok(body) => post(shared, profile, &parts, body).await,
            Err(_) => plain(StatusCode::PAYLOAD_TOO_LARGE, &format!("a request may have {MAX_BODY} bytes")),
        },
        Method::GET => listen(shared, profile.as_deref(), &parts.headers),
        Method::DELETE => match session_id(&parts.headers) {
            Some(id) if shared.sessions.close(id, profile.as_deref()) => plain(StatusCode::OK, ""),
            Some(_) => plain(StatusCode::NOT_FOUND, "there is no such session"),
            None => not_allowed(),
        },
        _ => not_allowed(),
    }
}

fn not_allowed() -> Response {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "this endpoint takes POST");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

fn session_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(SESSION)?.to_str().ok()
}

async fn post(shared: &Arc<Shared>, profile: Option<Arc<str>>, parts: &Parts, body: Bytes) -> Response {
    let mut body = Vec::from(body);
    flatten(&mut body);
    let Some(envelope) = Envelope::parse(body.trim_ascii()) else {
        return refused(StatusCode::BAD_REQUEST, None, &Refusal::new(-32700, "the body is not a JSON-RPC message"));
    };
    if modern::is_modern(&parts.headers, envelope.params) {
        return post_modern(shared, Host::seeing(profile), &parts.headers, &envelope, &body).await;
    }
    if envelope.method.as_deref() == Some("initialize") {
        let (id, session) =
            shared.sessions.open(Host::seeing(profile), &shared.gateway, &shared.parking, &shared.tasks);
        let (outbox, messages) = queue(QUEUE);
        session.connection.take(&body, &outbox);
        drop(outbox);
        let mut response = respond(messages, session).await;
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(SESSION, id);
        }
        return response;
    }
    let Some(id) = session_id(&parts.headers) else {
        let refusal = Refusal::new(-32600, "say `initialize` first and send its Mcp-Session-Id, or speak 2026-07-28");
        return refused(StatusCode::BAD_REQUEST, envelope.id, &refusal);
    };
    if let Some(version) = parts.headers.get("mcp-protocol-version")
        && !LEGACY_VERSIONS.iter().any(|known| version == known)
    {
        return refused(
            StatusCode::BAD_REQUEST,
            envelope.id,
            &Refusal::new(-32600, "MCP-Protocol-Version is not supported"),
        );
    }
    let Some(session) = shared.sessions.get(id, profile.as_deref()) else {
        return refused(StatusCode::NOT_FOUND, envelope.id, &Refusal::new(-32600, "there is no such session"));
    };
    let is_request = envelope.method.is_some() && envelope.id.is_some();
    let (outbox, messages) = queue(QUEUE);
    session.connection.take(&body, &outbox);
    drop(outbox);
    if is_request { respond(messages, session).await } else { plain(StatusCode::ACCEPTED, "") }
}

async fn post_modern(
    shared: &Arc<Shared>,
    host: Host,
    headers: &HeaderMap,
    envelope: &Envelope<'_>,
    body: &[u8],
) -> Response {
    let (Some(method), Some(id)) = (&envelope.method, envelope.id) else {
        // There are no notifications to a server in this revision; nothing is answered to one.
        return plain(StatusCode::ACCEPTED, "");
    };
    let host = Arc::new(host);
    let meta = envelope.params.and_then(Object::parse).and_then(|params| params.get("_meta").map(ToOwned::to_owned));
    let sender = || host.sender(meta.as_deref().and_then(Object::parse).as_ref()).map(drop);
    let checked = modern::check(headers, method, envelope.params, &shared.gateway.seen(host.profile.as_deref()))
        .and_then(|()| sender());
    if let Err(refusal) = checked {
        return refused(StatusCode::BAD_REQUEST, Some(id), &refusal);
    }
    if method == "initialize" {
        let refusal = Refusal::new(-32601, "Method not found: initialize is not of this revision");
        return refused(StatusCode::NOT_FOUND, Some(id), &refusal);
    }
    let gateway = Arc::clone(&shared.gateway);
    let connection = Connection::new(gateway, host, Arc::clone(&shared.parking), shared.tasks.clone());
    let (outbox, messages) = queue(QUEUE);
    connection.take(body, &outbox);
    drop(outbox);
    // The connection lives as long as the response: whoever hangs up has cancelled.
    respond(messages, Box::new(connection)).await
}

fn listen(shared: &Shared, profile: Option<&str>, headers: &HeaderMap) -> Response {
    let Some(id) = session_id(headers) else { return not_allowed() };
    let Some(session) = shared.sessions.get(id, profile) else {
        return plain(StatusCode::NOT_FOUND, "there is no such session");
    };
    match session.listen() {
        Some(listening) => events(None, listening, ()),
        None => plain(StatusCode::CONFLICT, "somebody listens to this session already"),
    }
}

fn refused(status: StatusCode, id: Option<&RawValue>, refusal: &Refusal) -> Response {
    let null = RawValue::from_string("null".to_owned()).expect("a constant of valid JSON");
    json(status, answer::refusal(id.unwrap_or(&null), refusal))
}
