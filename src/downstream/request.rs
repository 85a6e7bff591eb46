//! A request to a server, with its payloads raw.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::downstream::protocol::{
    CLIENT_CAPABILITIES_KEY, CLIENT_INFO_KEY, Era, HOP_KEYS, IDEMPOTENCY_KEY, LOG_LEVEL_KEY, MODERN,
    PROTOCOL_VERSION_KEY, client_info,
};
use crate::downstream::question::{Asking, offered};
use crate::model::ask::Ask;
use crate::model::call::Progress;
use crate::model::chain::{CHAIN_KEY, tell};
use crate::model::limits::Limits;
use crate::model::task::{self, Tasks};
use crate::wire::object::Object;

/// One request before it has an id.
#[derive(Clone, Default)]
pub struct Request {
    /// The method.
    pub method: Cow<'static, str>,
    /// The members of `params` without `_meta`.
    pub members: Vec<(Cow<'static, str>, Box<RawValue>)>,
    /// The caller's `_meta`; keys that belong to one hop are left out when it is passed on.
    pub meta: Option<Box<RawValue>>,
    /// The same key makes a repeated request the same request.
    pub idempotency_key: Option<Arc<str>>,
    /// The header that is to carry it as well, over HTTP.
    pub key_header: Option<String>,
    /// Further headers, over HTTP.
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// Where progress is reported.
    pub progress: Option<Arc<dyn Progress>>,
    /// Who answers questions of the server.
    pub ask: Option<Arc<dyn Ask>>,
    /// The questions that are open.
    pub asking: Arc<Asking>,
    /// What becomes of a task that the server makes of it.
    pub tasks: Tasks,
    /// On whose behalf, for limits of each caller; nobody's if empty.
    pub caller: Arc<str>,
    /// What an orchestrator behind us is told of the call's limits.
    pub limits: Limits,
}

impl Request {
    /// A request without parameters.
    pub fn new(method: impl Into<Cow<'static, str>>) -> Self {
        Self { method: method.into(), ..Self::default() }
    }

    /// Adds a member to `params`.
    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: Box<RawValue>) -> Self {
        self.members.push((key.into(), value));
        self
    }

    /// Adds a member to `params` that is text.
    #[must_use]
    pub fn with_text(self, key: &'static str, value: &str) -> Self {
        let raw = serde_json::value::to_raw_value(value).expect("text always serialises");
        self.with(key, raw)
    }

    /// The text member `key`, for headers that repeat it.
    pub fn text(&self, key: &str) -> Option<String> {
        self.member(key)
    }

    /// The member `key`, read; `None` if it is not there or of another type.
    pub fn member<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let (_, raw) = self.members.iter().find(|(name, _)| name == key)?;
        serde_json::from_str(raw.get()).ok()
    }

    /// The request as a line to a server of `era`; `id` is also the progress token if progress is wanted.
    pub fn line(&self, era: Option<Era>, id: u64) -> String {
        let payload: usize = self.members.iter().map(|(_, value)| value.get().len()).sum();
        let mut line = String::with_capacity(payload + 512);
        let (method, params) = (&self.method, self.params(era, id));
        // Writing to memory does not fail.
        let _ = write!(line, r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        line
    }

    /// `params` as they go to a server of `era`.
    fn params(&self, era: Option<Era>, token: u64) -> Object<'_> {
        let mut params = Object::default();
        for (key, value) in &self.members {
            params.set_raw(key, Cow::Borrowed(value.as_ref()));
        }
        let mut meta = self.meta.as_deref().and_then(Object::parse).unwrap_or_default();
        // An old server has its log level set once, for all requests.
        meta.retain(|key| !HOP_KEYS.contains(&key) && (key != LOG_LEVEL_KEY || era == Some(Era::Modern)));
        if self.progress.is_some() {
            meta.set("progressToken", &token);
        }
        if let Some(key) = &self.idempotency_key {
            meta.set(IDEMPOTENCY_KEY, &key.as_ref());
        }
        if let Some(chain) = tell(&self.limits, Instant::now()).and_then(|chain| RawValue::from_string(chain).ok()) {
            meta.set_raw(CHAIN_KEY, Cow::Owned(chain));
        }
        if era == Some(Era::Modern) {
            meta.set(PROTOCOL_VERSION_KEY, &MODERN);
            meta.set(CLIENT_INFO_KEY, &client_info());
            let mut capabilities =
                self.ask.as_ref().map_or_else(|| serde_json::json!({}), |ask| offered(ask.capabilities()));
            if matches!(self.tasks, Tasks::Relayed | Tasks::Awaited) {
                capabilities["extensions"] = serde_json::json!({ task::EXTENSION: {} });
            }
            meta.set(CLIENT_CAPABILITIES_KEY, &capabilities);
        }
        if !meta.is_empty() {
            params.set_raw("_meta", Cow::Owned(meta.to_raw()));
        }
        params
    }
}

/// A whole response as a line; `answer` is its `result` or `error` member.
pub fn response_line(id: &RawValue, answer: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{},{answer}}}"#, id.get())
}

/// A whole notification as a line.
pub fn notification_line(method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("JSON")
    }

    #[test]
    fn vendor_metadata_is_passed_on_and_hop_metadata_is_not() {
        let request = Request {
            meta: Some(raw(
                r#"{"progressToken":"theirs","traceparent":"00-a","io.modelcontextprotocol/logLevel":"debug"}"#,
            )),
            ..Request::new("tools/call").with_text("name", "echo").with("arguments", raw(r#"{"n": 1.0}"#))
        };
        assert_eq!(
            request.params(Some(Era::Legacy), 7).to_raw().get(),
            r#"{"name":"echo","arguments":{"n": 1.0},"_meta":{"traceparent":"00-a"}}"#
        );
    }

    #[test]
    fn a_modern_request_carries_who_asks() {
        let request = Request::new("tools/list");
        let params = request.params(Some(Era::Modern), 7).to_raw();
        let read: serde_json::Value = serde_json::from_str(params.get()).expect("JSON");
        assert_eq!(read["_meta"][PROTOCOL_VERSION_KEY], MODERN);
        assert_eq!(read["_meta"][CLIENT_INFO_KEY]["name"], "mcp-orchestrator");
    }
}
