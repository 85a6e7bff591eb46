//! What went wrong over HTTP, in words that hold no credentials.

use bytes::BytesMut;
use futures::StreamExt as _;
use http::StatusCode;
use http::header::RETRY_AFTER;
use jiff::Timestamp;

use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::wire::envelope::{Envelope, RpcError, bounded};
use crate::wire::header;

/// The longest body that is read to explain an error, in bytes.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// What to do about a server that wants to know who asks.
pub const NEEDS_TOKEN: &str =
    "set the server's `headers` in the registry, or `auth = \"oauth\"` if one logs in there with a browser";

/// What to do about a server that refuses a new token, too.
pub const STILL_REFUSED: &str = "see `mcp-orchestrator auth status`; the account may not be allowed to use this server";

/// The fault of a response whose status is no success.
pub async fn status_fault(response: reqwest::Response) -> Fault {
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = retry_after.and_then(|value| header::retry_after(value, Timestamp::now()));
    let body = read(response, MAX_ERROR_BODY).await.unwrap_or_default();
    let envelope = Envelope::parse(&body).and_then(|envelope| envelope.error.map(RpcError::parse));
    let said = bounded(&without_urls(&String::from_utf8_lossy(&body)), 300);
    let said = if said.trim().is_empty() || said.contains('<') { String::new() } else { format!(": {said}") };
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let message = format!("the server demands authentication (HTTP {status})");
            Fault::new(Kind::Denied, code::AUTH_NEEDED, message).hint(NEEDS_TOKEN)
        }
        StatusCode::TOO_MANY_REQUESTS => {
            let fault = Fault::new(Kind::RateLimited, code::SERVER_BUSY, format!("too many requests (HTTP {status})"));
            Fault { retry_after, ..fault }
        }
        _ if let Some(error) = envelope => error.fault(),
        _ if status.is_server_error() => {
            let message = format!("the server failed (HTTP {status}){said}");
            Fault { retry_after, ..Fault::new(Kind::Unavailable, code::SERVER_DOWN, message).sent() }
        }
        _ => bad_answer(format!("the server refused the request (HTTP {status}){said}")),
    }
}

/// The body of a response, if it is not longer than `limit`.
pub async fn read(response: reqwest::Response, limit: usize) -> Result<BytesMut, Fault> {
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

/// The server's answer is not what the protocol allows.
pub fn bad_answer(message: impl Into<String>) -> Fault {
    Fault::new(Kind::Internal, code::BAD_ANSWER, message)
}

/// The connection was lost after a request had left.
pub fn lost(message: String) -> Fault {
    Fault::new(Kind::Unavailable, code::SERVER_DOWN, message).sent()
}

/// An error and what caused it, outermost first, without repetitions.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut reasons = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        let reason = cause.to_string();
        if !reasons.iter().any(|known| known.contains(&reason)) {
            reasons.push(reason);
        }
        source = cause.source();
    }
    reasons.join(": ")
}

/// `text` with the query of every URL cut off, since that is where credentials are.
pub fn without_urls(text: &str) -> String {
    let cut = |word: &str| match (word.contains("://"), word.find('?')) {
        (true, Some(query)) => format!("{}?…", &word[..query]),
        _ => word.to_owned(),
    };
    text.split(' ').map(cut).collect::<Vec<_>>().join(" ")
}
