//! What went wrong with a model's API, in words that hold no key.

use std::time::Duration;

use http::StatusCode;
use http::header::RETRY_AFTER;
use jiff::Timestamp;
use serde_json::Value;

use crate::downstream::http::faults::{causes, without_urls};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::wire::envelope::bounded;
use crate::wire::header;

/// How much of what an API says is repeated, in characters.
const SHOWN: usize = 300;

/// What nobody may see.
#[derive(Clone, Default)]
pub struct Hidden(Option<String>);

impl Hidden {
    /// Hides `key`. One that is too short to be a secret is left alone, as it would be found in every word.
    pub fn new(key: Option<&str>) -> Self {
        Self(key.filter(|key| key.len() >= 6).map(ToOwned::to_owned))
    }

    /// `text` without it, and no longer than a message may be.
    pub fn told(&self, text: &str) -> String {
        let text = match &self.0 {
            Some(key) => text.replace(key.as_str(), "****"),
            None => text.to_owned(),
        };
        bounded(&without_urls(&text), SHOWN)
    }
}

/// The fault of a request that got no response, or whose response broke off.
pub fn lost(error: reqwest::Error, hidden: &Hidden) -> Fault {
    let is_connect = error.is_connect();
    let why = hidden.told(&causes(&error.without_url()));
    let fault = Fault::new(Kind::Unavailable, code::SERVER_DOWN, format!("the model's API cannot be reached: {why}"));
    if is_connect { fault.hint("check the model's `url` in the registry") } else { fault.sent() }
}

/// When a refused request may be made again, as its answer says.
pub fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    header::retry_after(response.headers().get(RETRY_AFTER)?.to_str().ok()?, Timestamp::now())
}

/// The fault that a status and the body of a refusal stand for.
pub fn refused(status: StatusCode, retry_after: Option<Duration>, body: &[u8], hidden: &Hidden) -> Fault {
    let said: Option<Value> = serde_json::from_slice(body).ok();
    let said = said.as_ref().and_then(|said| said["error"]["message"].as_str().or_else(|| said["error"].as_str()));
    let said = said.map_or_else(String::new, |said| format!(": {}", hidden.told(said)));
    let told = |what: &str| format!("{what} (HTTP {}){said}", status.as_u16());
    match status.as_u16() {
        401 | 403 => Fault::new(Kind::Denied, code::AUTH_NEEDED, told("the model's API demands another key"))
            .hint("set the model's `key` in the registry"),
        429 => {
            let fault = Fault::new(Kind::RateLimited, code::SERVER_BUSY, told("the model has too many requests"));
            retry_after.map_or_else(|| fault.clone(), |after| fault.clone().retry_after(after))
        }
        408 | 409 | 500.. => {
            let fault = Fault::new(Kind::Unavailable, code::SERVER_DOWN, told("the model's API failed")).sent();
            retry_after.map_or_else(|| fault.clone(), |after| fault.clone().retry_after(after))
        }
        _ => Fault::new(Kind::Invalid, code::MODEL_REFUSED, told("the model's API refused the request"))
            .hint("check the model's `model` and `url` in the registry, and what it is asked"),
    }
}

/// The fault of an answer that cannot be understood.
pub fn unreadable(why: &str, hidden: &Hidden) -> Fault {
    let message =
        format!("the model's API answered with something else than its protocol allows: {}", hidden.told(why));
    Fault::new(Kind::Unavailable, code::BAD_ANSWER, message).sent()
}

/// The fault that an API tells of in the middle of an answer.
pub fn interrupted(said: &str, hidden: &Hidden) -> Fault {
    let message = format!("the model's answer was interrupted: {}", hidden.told(said));
    Fault::new(Kind::Unavailable, code::SERVER_DOWN, message).sent()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_never_repeats_the_key() {
        let hidden = Hidden::new(Some("sk-very-secret"));
        let body = br#"{"error":{"message":"Incorrect API key provided: sk-very-secret."}}"#;
        let fault = refused(StatusCode::UNAUTHORIZED, None, body, &hidden);
        assert_eq!(
            fault.to_string(),
            "[MO5109] the model's API demands another key (HTTP 401): Incorrect API key provided: ****.; set the model's \
             `key` in the registry"
        );
    }

    #[test]
    fn a_status_tells_what_may_be_done_again() {
        let of = |status: u16| {
            let status = StatusCode::from_u16(status).expect("a status");
            refused(status, Some(Duration::from_secs(2)), b"", &Hidden::default())
        };
        assert_eq!((of(429).kind, of(429).retry_after), (Kind::RateLimited, Some(Duration::from_secs(2))));
        assert_eq!((of(529).kind, of(503).kind, of(400).kind), (Kind::Unavailable, Kind::Unavailable, Kind::Invalid));
    }
}
