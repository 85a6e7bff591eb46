//! Reading an answer, whole or piece by piece, to its end.

use std::time::Duration;

use futures::StreamExt as _;
use http::header::CONTENT_TYPE;
use serde_json::Value;
use tokio::time::timeout;

use crate::downstream::http::faults::read;
use crate::llm::draft::Draft;
use crate::llm::faults::{Hidden, interrupted, lost, unreadable};
use crate::llm::{anthropic, openai};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::registry::model::Api;
use crate::wire::events::{Broken, Events};

/// The longest answer, all pieces together, in bytes.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// The longest piece.
const MAX_PIECE: usize = 4 * 1024 * 1024;

/// How long a stream may stay open when the answer in it has ended.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// Reads the answer out of a successful response. Between two pieces no more than `idle` may pass.
pub async fn answer(response: reqwest::Response, api: Api, idle: Duration, hidden: &Hidden) -> Result<Draft, Fault> {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("text/event-stream") {
        return pieces(response, api, idle, hidden).await;
    }
    let body = read(response, MAX_ANSWER).await?;
    let whole: Value = serde_json::from_slice(&body).map_err(|error| unreadable(&error.to_string(), hidden))?;
    let mut draft = Draft::default();
    let heard = match api {
        Api::OpenAi => openai::hear(&mut draft, &whole),
        Api::Anthropic => anthropic::read(&mut draft, &whole),
    };
    heard.map_err(|said| interrupted(&said, hidden))?;
    if draft.stop.is_none() {
        return Err(unreadable("there is no answer in it", hidden));
    }
    Ok(draft)
}

async fn pieces(response: reqwest::Response, api: Api, idle: Duration, hidden: &Hidden) -> Result<Draft, Fault> {
    let mut events = Events::new(response.bytes_stream().boxed(), MAX_PIECE);
    let mut draft = Draft::default();
    let mut length = 0;
    while !draft.is_over {
        // What may still come after the end of the answer is only what it has cost.
        let patience = if draft.stop.is_some() { idle.min(AFTERWARDS) } else { idle };
        let event = match timeout(patience, events.next()).await {
            Ok(Ok(Some(event))) => event,
            Ok(Ok(None)) => break,
            _ if draft.stop.is_some() => break,
            Ok(Err(Broken::Lost(error))) => return Err(lost(error, hidden)),
            Ok(Err(Broken::TooLong)) => return Err(too_long()),
            Err(_) => return Err(silent(idle)),
        };
        length += event.data.len();
        if length > MAX_ANSWER {
            return Err(too_long());
        }
        if event.data == b"[DONE]" {
            draft.is_over = true;
        } else if !event.data.is_empty() {
            let piece: Value =
                serde_json::from_slice(&event.data).map_err(|error| unreadable(&error.to_string(), hidden))?;
            let heard = match api {
                Api::OpenAi => openai::hear(&mut draft, &piece),
                Api::Anthropic => anthropic::hear(&mut draft, &piece),
            };
            heard.map_err(|said| interrupted(&said, hidden))?;
        }
    }
    // What broke off must not be taken for the whole.
    if draft.stop.is_some() { Ok(draft) } else { Err(interrupted("it broke off before its end", hidden)) }
}

fn too_long() -> Fault {
    let message = format!("the model's answer is longer than {MAX_ANSWER} bytes");
    Fault::new(Kind::Invalid, code::BAD_ANSWER, message).sent()
}

fn silent(idle: Duration) -> Fault {
    let message = format!("the model has said nothing for {idle:?} in the middle of its answer");
    Fault::new(Kind::Timeout, code::CALL_TIMEOUT, message).sent()
}
