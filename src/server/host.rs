//! What is known of the host at the other end of a connection.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::downstream::protocol::{
    CLIENT_CAPABILITIES_KEY, CLIENT_INFO_KEY, Era, LEGACY, LEGACY_VERSIONS, MODERN, PROTOCOL_VERSION_KEY,
};
use crate::model::principal::Principal;
use crate::wire::object::Object;

/// The log levels of the protocol, mildest first (RFC 5424).
pub const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// The level that is forwarded before the host has asked for one.
const DEFAULT_LEVEL: u8 = 1;

/// The host of one connection.
#[derive(Debug)]
pub struct Host {
    /// Tells this host from others.
    pub id: u64,
    /// The profile through which it sees what there is; all of it if `None`.
    pub profile: Option<Arc<str>>,
    /// What it said at `initialize`; guarded for one assignment.
    initialized: Mutex<Option<(Principal, Arc<Value>)>>,
    level: AtomicU8,
}

/// Who makes one request.
#[derive(Debug, Clone)]
pub struct Sender {
    /// On whose behalf.
    pub principal: Principal,
    /// In which era.
    pub era: Era,
    /// What the host can do.
    pub capabilities: Arc<Value>,
}

/// Why a request cannot be answered: a JSON-RPC error.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The error code.
    pub code: i64,
    /// What is wrong.
    pub message: String,
    /// What the protocol wants to be told with it.
    pub data: Option<Value>,
}

impl Refusal {
    /// A refusal without data.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::seeing(None)
    }
}

impl Host {
    /// A host that has said nothing yet and sees through `profile`.
    pub fn seeing(profile: Option<Arc<str>>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { id, profile, initialized: Mutex::default(), level: AtomicU8::new(DEFAULT_LEVEL) }
    }

    /// Takes note of the parameters of `initialize`; gives back the revision to be spoken.
    pub fn initialize(&self, params: Option<&RawValue>) -> &'static str {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Params {
            #[serde(default)]
            client_info: Client,
            #[serde(default)]
            capabilities: Value,
            #[serde(default)]
            protocol_version: String,
        }
        let params = params.and_then(|params| serde_json::from_str::<Params>(params.get()).ok()).unwrap_or_default();
        let known = (Principal::new(params.client_info.principal()), Arc::new(params.capabilities));
        *self.initialized.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        LEGACY_VERSIONS.into_iter().find(|version| *version == params.protocol_version).unwrap_or(LEGACY)
    }

    /// Whether the host has opened the connection in the old way.
    pub fn is_initialized(&self) -> bool {
        self.initialized.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Who makes a request with this `_meta`, or why it cannot be answered.
    pub fn sender(&self, meta: Option<&Object<'_>>) -> Result<Sender, Refusal> {
        if let Some((meta, version)) = meta.and_then(|meta| Some((meta, meta.get(PROTOCOL_VERSION_KEY)?))) {
            return modern(meta, version);
        }
        let initialized = self.initialized.lock().unwrap_or_else(PoisonError::into_inner).clone();
        initialized.map(|(principal, capabilities)| Sender { principal, era: Era::Legacy, capabilities }).ok_or_else(
            || {
                Refusal::new(
                    -32602,
                    format!("say `initialize` first, or send {PROTOCOL_VERSION_KEY} in `_meta` of each request"),
                )
            },
        )
    }

    /// Asks for log messages of `level` and above; false if there is no such level.
    pub fn set_level(&self, level: &str) -> bool {
        let rank = rank(level);
        if let Some(rank) = rank {
            self.level.store(rank, Ordering::Relaxed);
        }
        rank.is_some()
    }

    /// The mildest level that the host wants.
    pub fn level(&self) -> &'static str {
        LEVELS[usize::from(self.level.load(Ordering::Relaxed)).min(LEVELS.len() - 1)]
    }

    /// Whether the host wants log messages of `level`.
    pub fn wants(&self, level: &str) -> bool {
        rank(level).is_some_and(|rank| rank >= self.level.load(Ordering::Relaxed))
    }
}

fn modern(meta: &Object<'_>, version: &RawValue) -> Result<Sender, Refusal> {
    let version = serde_json::from_str::<String>(version.get())
        .map_err(|_| Refusal::new(-32602, format!("{PROTOCOL_VERSION_KEY} in `_meta` is not text")))?;
    if version != MODERN {
        let data = json!({ "supported": [MODERN], "requested": version });
        return Err(Refusal { data: Some(data), ..Refusal::new(-32022, "Unsupported protocol version") });
    }
    let capabilities = meta.get(CLIENT_CAPABILITIES_KEY).and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    let capabilities = capabilities.filter(Value::is_object).ok_or_else(|| {
        Refusal::new(
            -32602,
            format!("request _meta is missing or has malformed required fields: {CLIENT_CAPABILITIES_KEY}"),
        )
    })?;
    let client = meta.get(CLIENT_INFO_KEY).and_then(|raw| serde_json::from_str::<Client>(raw.get()).ok());
    let principal = Principal::new(client.unwrap_or_default().principal());
    Ok(Sender { principal, era: Era::Modern, capabilities: Arc::new(capabilities) })
}

/// A level's place among [`LEVELS`].
pub fn rank(level: &str) -> Option<u8> {
    let position = LEVELS.iter().position(|known| *known == level)?;
    u8::try_from(position).ok()
}

#[derive(Debug, Default, Deserialize)]
struct Client {
    #[serde(default)]
    name: String,
}

impl Client {
    fn principal(&self) -> Arc<str> {
        let name: String = self.name.chars().filter(|c| !c.is_control()).take(64).collect();
        if name.is_empty() { "host".into() } else { name.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("JSON")
    }

    #[test]
    fn a_request_says_who_sends_it_in_either_era() {
        let host = Host::default();
        assert!(host.sender(None).is_err(), "nothing is answered before the connection is opened");
        let meta = raw(
            r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},
            "io.modelcontextprotocol/clientInfo":{"name":"new","version":"1"}}"#,
        );
        let sender = host.sender(Object::parse(&meta).as_ref()).expect("a modern request");
        assert_eq!((sender.principal, sender.era), (Principal::new("new"), Era::Modern));
        assert_eq!(
            host.initialize(Some(&raw(r#"{"clientInfo":{"name":"old"},"protocolVersion":"2025-06-18"}"#))),
            "2025-06-18"
        );
        let sender = host.sender(None).expect("a legacy request");
        assert_eq!((sender.principal, sender.era), (Principal::new("old"), Era::Legacy));
    }

    #[test]
    fn a_modern_request_that_says_too_little_is_refused_as_the_protocol_wants() {
        let refused = |text: &str| Host::default().sender(Object::parse(&raw(text)).as_ref()).expect_err("refused");
        let old = refused(r#"{"io.modelcontextprotocol/protocolVersion":"1900-01-01"}"#);
        assert_eq!(
            (old.code, old.data),
            (-32022, Some(json!({ "supported": ["2026-07-28"], "requested": "1900-01-01" })))
        );
        assert_eq!(refused(r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#).code, -32602);
    }

    #[test]
    fn log_messages_below_the_level_are_not_wanted() {
        let host = Host::default();
        assert!(host.wants("info") && !host.wants("debug") && !host.wants("loud"));
        assert!(host.set_level("error") && !host.set_level("loud"));
        assert!(host.wants("critical") && !host.wants("warning"));
    }
}
