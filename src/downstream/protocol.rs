//! What both transports say about us, and what they accept from a server.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::chain::CHAIN_KEY;

/// The newest revision of the initialize era, which we ask for.
pub const LEGACY: &str = "2025-11-25";

/// The revision without sessions, whose requests carry their own metadata.
pub const MODERN: &str = "2026-07-28";

/// The revisions of the initialize era that we can talk.
pub const LEGACY_VERSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", LEGACY];

/// The keys of `_meta` that belong to one hop and are never passed on.
pub const HOP_KEYS: [&str; 7] = [
    CHAIN_KEY,
    "progressToken",
    PROTOCOL_VERSION_KEY,
    CLIENT_INFO_KEY,
    CLIENT_CAPABILITIES_KEY,
    "io.modelcontextprotocol/serverInfo",
    "io.modelcontextprotocol/subscriptionId",
];

/// The `_meta` key of a modern request's revision.
pub const PROTOCOL_VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";

/// The `_meta` key of a modern request's client identity.
pub const CLIENT_INFO_KEY: &str = "io.modelcontextprotocol/clientInfo";

/// The `_meta` key of a modern request's client capabilities.
pub const CLIENT_CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";

/// The `_meta` key by which a modern request asks for log messages.
pub const LOG_LEVEL_KEY: &str = "io.modelcontextprotocol/logLevel";

/// The `_meta` key under which the idempotency key of a call travels.
pub const IDEMPOTENCY_KEY: &str = "io.mcp-orchestrator/idempotency-key";

/// Which of the two protocols a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// `initialize`, sessions, pushed notifications; up to 2025-11-25.
    Legacy,
    /// `server/discover`, stateless requests; 2026-07-28.
    Modern,
}

impl Era {
    /// The word that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Legacy => "legacy",
            Self::Modern => "modern",
        }
    }
}

/// What a server said about itself when the connection was opened.
#[derive(Debug, Clone)]
pub struct About {
    /// The protocol in use.
    pub era: Era,
    /// The revision in use.
    pub revision: String,
    /// The server's own name, if it gave one.
    pub name: Option<String>,
    /// The server's own version, if it gave one.
    pub version: Option<String>,
    /// Its advice to models.
    pub instructions: Option<String>,
    /// Its capabilities object.
    pub capabilities: Value,
}

impl About {
    /// Whether the server declared the capability `name`.
    pub fn can(&self, name: &str) -> bool {
        self.capabilities.get(name).is_some_and(|value| !value.is_null())
    }

    /// Reads the result of `initialize`; an error in words if we cannot talk to such a server.
    pub fn from_initialize(result: &str) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Initialized {
            protocol_version: String,
            #[serde(default)]
            capabilities: Value,
            #[serde(default)]
            server_info: Value,
            #[serde(default)]
            instructions: Option<String>,
        }
        let read: Initialized =
            serde_json::from_str(result).map_err(|error| format!("its answer to `initialize` is wrong: {error}"))?;
        if !LEGACY_VERSIONS.contains(&read.protocol_version.as_str()) {
            return Err(format!("it insists on protocol revision {:?}, which is not supported", read.protocol_version));
        }
        Ok(Self {
            era: Era::Legacy,
            revision: read.protocol_version,
            name: text(&read.server_info, "name"),
            version: text(&read.server_info, "version"),
            instructions: read.instructions,
            capabilities: read.capabilities,
        })
    }

    /// Reads the result of `server/discover`; an error in words if we cannot talk to such a server.
    pub fn from_discover(result: &str) -> Result<Self, String> {
        let read: Value = serde_json::from_str(result)
            .map_err(|error| format!("its answer to `server/discover` is wrong: {error}"))?;
        let supported = read.get("supportedVersions").and_then(Value::as_array);
        if !supported.is_some_and(|versions| versions.iter().any(|version| version == MODERN)) {
            return Err(format!("it does not list protocol revision {MODERN} in its answer to `server/discover`"));
        }
        let info = read.pointer("/_meta/io.modelcontextprotocol~1serverInfo").or_else(|| read.get("serverInfo"));
        let info = info.cloned().unwrap_or_default();
        Ok(Self {
            era: Era::Modern,
            revision: MODERN.to_owned(),
            name: text(&info, "name"),
            version: text(&info, "version"),
            instructions: text(&read, "instructions"),
            capabilities: read.get("capabilities").cloned().unwrap_or_default(),
        })
    }
}

fn text(object: &Value, key: &str) -> Option<String> {
    object.get(key)?.as_str().map(ToOwned::to_owned)
}

/// Who we are, towards servers.
pub fn client_info() -> Value {
    json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_each_era_is_understood() {
        let legacy = About::from_initialize(
            r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}"#,
        )
        .expect("a legacy server");
        assert!(legacy.era == Era::Legacy && legacy.can("tools") && !legacy.can("prompts"));
        let modern = About::from_discover(
            r#"{"supportedVersions":["2026-07-28"],"capabilities":{},
                "_meta":{"io.modelcontextprotocol/serverInfo":{"name":"y","version":"2"}}}"#,
        )
        .expect("a modern server");
        assert_eq!((modern.era, modern.version.as_deref()), (Era::Modern, Some("2")));
    }

    #[test]
    fn a_server_that_we_cannot_talk_to_is_refused_with_the_reason() {
        let refused = About::from_initialize(r#"{"protocolVersion":"1999-01-01"}"#).expect_err("too old");
        assert_eq!(refused, "it insists on protocol revision \"1999-01-01\", which is not supported");
        assert!(About::from_initialize(r#"{"tools":[]}"#).is_err());
        assert!(About::from_discover(r#"{"supportedVersions":["2099-01-01"]}"#).is_err());
    }
}
