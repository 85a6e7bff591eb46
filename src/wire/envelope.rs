//! A JSON-RPC message, read only at its top level.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::code;
use crate::model::fault::{Fault, Kind, Rpc};

/// One message with its payloads unread. A `null` member counts as absent.
#[derive(Debug, Deserialize)]
pub struct Envelope<'a> {
    /// Marks a message as one of the protocol; some servers forget it in their answers.
    #[serde(borrow, default)]
    pub jsonrpc: Option<&'a RawValue>,
    /// The id, of whatever type the peer chose.
    #[serde(borrow, default)]
    pub id: Option<&'a RawValue>,
    /// The method of a request or notification.
    #[serde(borrow, default)]
    pub method: Option<Cow<'a, str>>,
    /// The parameters of a request or notification.
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
    /// The result of a response.
    #[serde(borrow, default)]
    pub result: Option<&'a RawValue>,
    /// The error of a response.
    #[serde(borrow, default)]
    pub error: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    /// Reads one message; `None` if it is not a JSON object.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        // A list would fill the members by position.
        line.starts_with(b"{").then(|| serde_json::from_slice(line).ok())?
    }

    /// The id as the number that we gave out, also when the peer sends it back as text.
    pub fn number(&self) -> Option<u64> {
        let text = self.id?.get();
        text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text).parse().ok()
    }
}

/// The error object of a response, read leniently: whatever is wrong with it, it remains an error.
#[derive(Debug, Clone)]
pub struct RpcError {
    /// The JSON-RPC error code; -32603 if the peer sent none.
    pub code: i64,
    /// What the peer says, bounded to [`RpcError::MAX_MESSAGE`] bytes.
    pub message: String,
    /// Further data, unread.
    pub data: Option<Box<RawValue>>,
}

impl RpcError {
    /// The longest message that is passed on, in bytes.
    pub const MAX_MESSAGE: usize = 8 * 1024;

    /// Reads an error object.
    pub fn parse(raw: &RawValue) -> Self {
        #[derive(Deserialize)]
        struct Lenient<'a> {
            #[serde(borrow, default)]
            code: Option<&'a RawValue>,
            #[serde(borrow, default)]
            message: Option<&'a RawValue>,
            #[serde(borrow, default)]
            data: Option<&'a RawValue>,
        }
        let Ok(error) = serde_json::from_str::<Lenient<'_>>(raw.get()) else {
            return Self { code: -32603, message: bounded(raw.get(), Self::MAX_MESSAGE), data: None };
        };
        let message = error.message.map_or_else(
            || "the peer gave no reason".to_owned(),
            |message| serde_json::from_str::<String>(message.get()).unwrap_or_else(|_| message.get().to_owned()),
        );
        Self {
            code: error.code.and_then(|code| code.get().parse().ok()).unwrap_or(-32603),
            message: bounded(&message, Self::MAX_MESSAGE),
            data: error.data.filter(|data| data.get().len() <= Self::MAX_MESSAGE).map(ToOwned::to_owned),
        }
    }

    /// The error as the fault of a call.
    pub fn fault(self) -> Fault {
        let kind = match self.code {
            -32602 => Kind::Invalid,
            -32601 | -32002 => Kind::NotFound,
            _ => Kind::Internal,
        };
        let mut fault = Fault::new(kind, code::SERVER_ERROR, self.message);
        fault.rpc = Some(Rpc { code: self.code, data: self.data });
        fault
    }
}

/// `text`, cut at a character boundary to at most `limit` bytes, with a mark where it was cut.
pub fn bounded(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let mut end = limit.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_at_its_top_level_only() {
        let line = br#"{"jsonrpc":"2.0","id":"7","result":{"a":[1,2]},"extra":0}"#;
        let envelope = Envelope::parse(line).expect("an object");
        assert_eq!(envelope.number(), Some(7));
        assert_eq!(envelope.result.map(RawValue::get), Some(r#"{"a":[1,2]}"#));
        assert!(envelope.method.is_none() && envelope.error.is_none());
        assert!(Envelope::parse(b"[1]").is_none());
        assert!(Envelope::parse(b"Server listening").is_none());
    }

    #[test]
    fn an_error_stays_an_error_whatever_its_shape() {
        let read = |text: &str| RpcError::parse(&RawValue::from_string(text.to_owned()).expect("JSON"));
        let good = read(r#"{"code":-32001,"message":"no","data":{"x":1}}"#);
        assert_eq!((good.code, good.message.as_str()), (-32001, "no"));
        assert_eq!(read(r#"{"code":"x","message":5}"#).message, "5");
        assert_eq!(read(r#""broken""#).code, -32603);
        let long = read(&format!(r#"{{"message":"{}"}}"#, "ä".repeat(20_000)));
        assert!(long.message.len() <= RpcError::MAX_MESSAGE && long.message.ends_with('…'));
    }
}
