//! What is known of the host at the other end of a connection.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::downstream::protocol::{CLIENT_CAPABILITIES_KEY, CLIENT_INFO_KEY, Era, MODERN, PROTOCOL_VERSION_KEY};
use crate::model::principal::Principal;
use crate::wire::object::Object;

/// The log levels of the protocol, mildest first (RFC 5424).
pub const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// The level that is forwarded before the host has asked for one.
const DEFAULT_LEVEL: u8 = 1;

/// The host of one connection.
#[derive(Debug)]
pub struct Host {
    /// The name that it gave at `initialize`; guarded for one assignment.
    initialized: Mutex<Option<Arc<str>>>,
    level: AtomicU8,
}

impl Default for Host {
    fn default() -> Self {
        Self { initialized: Mutex::default(), level: AtomicU8::new(DEFAULT_LEVEL) }
    }
}

impl Host {
    /// Takes note of the parameters of `initialize`.
    pub fn initialize(&self, params: Option<&RawValue>) {
        #[derive(Deserialize)]
        struct Params {
            #[serde(rename = "clientInfo", default)]
            client: Client,
        }
        let params = params.and_then(|params| serde_json::from_str::<Params>(params.get()).ok());
        let name = params.map_or_else(|| Arc::from("host"), |params| params.client.principal());
        *self.initialized.lock().unwrap_or_else(PoisonError::into_inner) = Some(name);
    }

    /// Whether the host has opened the connection in the old way.
    pub fn is_initialized(&self) -> bool {
        self.initialized.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Who makes a request with this `_meta`, and in which era; `None` if it does not say enough to be answered.
    pub fn sender(&self, meta: Option<&Object<'_>>) -> Option<(Principal, Era)> {
        if let Some(version) = meta.and_then(|meta| meta.get(PROTOCOL_VERSION_KEY)) {
            let meta = meta?;
            let is_complete = version.get().trim_matches('"') == MODERN && meta.get(CLIENT_CAPABILITIES_KEY).is_some();
            let client = meta.get(CLIENT_INFO_KEY).and_then(|raw| serde_json::from_str::<Client>(raw.get()).ok());
            return is_complete.then(|| (Principal::new(client.unwrap_or_default().principal()), Era::Modern));
        }
        let name = self.initialized.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        Some((Principal::new(name), Era::Legacy))
    }

    /// Asks for log messages of `level` and above; false if there is no such level.
    pub fn set_level(&self, level: &str) -> bool {
        let rank = rank(level);
        if let Some(rank) = rank {
            self.level.store(rank, Ordering::Relaxed);
        }
        rank.is_some()
    }

    /// Whether the host wants log messages of `level`.
    pub fn wants(&self, level: &str) -> bool {
        rank(level).is_some_and(|rank| rank >= self.level.load(Ordering::Relaxed))
    }
}

fn rank(level: &str) -> Option<u8> {
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
        assert!(host.sender(None).is_none(), "nothing is answered before the connection is opened");
        let meta = raw(
            r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},
            "io.modelcontextprotocol/clientInfo":{"name":"new","version":"1"}}"#,
        );
        let meta = Object::parse(&meta).expect("an object");
        assert_eq!(host.sender(Some(&meta)), Some((Principal::new("new"), Era::Modern)));
        host.initialize(Some(&raw(r#"{"clientInfo":{"name":"old"}}"#)));
        assert_eq!(host.sender(None), Some((Principal::new("old"), Era::Legacy)));
    }

    #[test]
    fn log_messages_below_the_level_are_not_wanted() {
        let host = Host::default();
        assert!(host.wants("info") && !host.wants("debug") && !host.wants("loud"));
        assert!(host.set_level("error") && !host.set_level("loud"));
        assert!(host.wants("critical") && !host.wants("warning"));
    }
}
