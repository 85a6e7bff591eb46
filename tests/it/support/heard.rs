//! What a host hears of the program.

use std::time::Instant;

use serde_json::{Value, json};

/// One message of the program.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) raw: String,
    pub(crate) message: Value,
    /// When it came.
    pub(crate) at: Instant,
}

impl Heard {
    /// Standard output is the protocol's: anything but a JSON-RPC message on it fails the test.
    pub(super) fn read((raw, at): (String, Instant)) -> Self {
        let message: Value = serde_json::from_str(&raw)
            .or_else(|error| unreadable(&raw).ok_or(error))
            .unwrap_or_else(|error| panic!("{error} in {raw:?}"));
        let is_answer = message.get("result").is_some() != message.get("error").is_some();
        let is_message = message["jsonrpc"] == "2.0" && (message["method"].is_string() || is_answer);
        assert!(is_message, "not a JSON-RPC message: {raw}");
        Self { raw, message, at }
    }

    pub(super) fn is_answer_to(&self, id: u64) -> bool {
        self.message["id"] == id && self.message.get("method").is_none()
    }
}

/// What stands for an answer that is JSON, but more than our own reader takes: too deep, or with a number too large.
fn unreadable(raw: &str) -> Option<Value> {
    serde_json::from_str::<&serde_json::value::RawValue>(raw).ok()?;
    let (id, _) = raw.strip_prefix(r#"{"jsonrpc":"2.0","id":"#)?.split_once(',')?;
    let id: u64 = id.parse().ok()?;
    Some(json!({ "jsonrpc": "2.0", "id": id, "result": { "content": [], "unreadable": true } }))
}
