//! What hosts ask of us ourselves: who we are, whether we live, what is to be logged and watched.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::downstream::protocol::{Era, MODERN};
use crate::gateway::door::Gateway;
use crate::model::task;
use crate::server::host::{Host, Refusal};
use crate::wire::object::Object;

/// The answer to `initialize`.
pub fn initialize(gateway: &Gateway, host: &Host, params: Option<&RawValue>) -> Value {
    let revision = host.initialize(params);
    let theirs = params
        .and_then(Object::parse)
        .and_then(|params| params.get("capabilities").and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok()));
    gateway.pool().introduce(&theirs.unwrap_or_default());
    json!({
        "protocolVersion": revision,
        "capabilities": capabilities(Era::Legacy),
        "serverInfo": identity(),
        "instructions": gateway.instructions(host.profile.as_deref()),
    })
}

/// The answer to `server/discover`.
pub fn discover(gateway: &Gateway, host: &Host) -> Value {
    json!({
        "supportedVersions": [MODERN],
        "capabilities": capabilities(Era::Modern),
        "instructions": gateway.instructions(host.profile.as_deref()),
        "ttlMs": 0,
        "cacheScope": "private",
    })
}

/// Who we are, towards hosts.
pub fn identity() -> Value {
    json!({ "name": env!("CARGO_PKG_NAME"), "title": "MCP orchestrator", "version": env!("CARGO_PKG_VERSION") })
}

fn capabilities(era: Era) -> Value {
    let mut all = json!({
        "completions": {},
        "logging": {},
        "prompts": { "listChanged": true },
        "resources": { "listChanged": true, "subscribe": true },
        "tools": { "listChanged": true },
    });
    match era {
        Era::Legacy => all["tasks"] = json!({ "cancel": {}, "requests": { "tools": { "call": {} } } }),
        Era::Modern => all["extensions"] = json!({ task::EXTENSION: {} }),
    }
    all
}

/// Sets the log level that a host of the initialize era asks for.
pub fn set_level(gateway: &Gateway, host: &Host, params: Option<&RawValue>) -> Result<Value, Refusal> {
    let level = member(params, "level").filter(|level| host.set_level(level));
    let level = level.ok_or_else(|| Refusal::new(-32602, "there is no such log level"))?;
    gateway.pool().set_log_level(&level);
    Ok(json!({}))
}

/// The text member `key` of a request's parameters.
pub fn member(params: Option<&RawValue>, key: &str) -> Option<String> {
    let params = Object::parse(params?)?;
    serde_json::from_str(params.get(key)?.get()).ok()
}
