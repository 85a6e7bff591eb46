//! The keys of the schema are the keys that the readers ask for: no more, no fewer.

use std::collections::{BTreeMap, BTreeSet};

use super::schema;
use crate::model::problem::Source;
use crate::registry::load::asked;

/// A file with a table of every kind.
const EVERY_KIND: &str = r#"
[orchestrator]
[defaults]
[servers.one]
command = "x"
replicas = {}
retry = {}
breaker = {}
health = {}
limits = {}
rate_limit = { limit = "1/1s" }
[servers.one.tools.some]
rate_limit = { limit = "1/1s" }
cache = { ttl = "1s" }
idempotency = { argument = "key" }
batch = { tool = "more", argument = "a", into = "b" }
[capabilities."a.b"]
weights = {}
members = [{ tool = "one.x" }]
fallback = { value = 1 }
[models.m]
api = "openai"
model = "x"
price = {}
retry = {}
[agents.thinks]
instructions = "x"
limits = {}
[agents.stands_in]
tool = "one.x"
[flags]
F = { rollout = 1 }
[servers.two]
url = "https://example.com/mcp"
auth = { oauth = {} }
replicas = [{ url = "https://b.example.com/mcp" }]
[levels]
reduced = {}
minimal = {}
[profiles.p]
tools = {}
[discovery.sources.s]
url = "https://x.example/servers.json"
[discovery.sources.k.kubernetes]
labels = "mcp=yes"
[engine.restate]
[[interceptors]]
name = "i"
deny = "no"
"#;

/// The definition that a path belongs to; empty for the file itself.
fn definition(path: &str) -> Option<&'static str> {
    Some(match path {
        "" => "",
        "orchestrator" => "orchestrator",
        "defaults" => "defaults",
        "models.m" => "model",
        "models.m.price" => "price",
        "agents.thinks" | "agents.stands_in" => "agent",
        "agents.thinks.limits" => "limits",
        "flags.F" => "flag",
        "servers.two.auth" => "auth",
        "servers.two.auth.oauth" => "oauth",
        "servers.one" | "servers.two" => "server",
        "servers.one.replicas" => "replicas",
        "servers.two.replicas" => "replica",
        "servers.one.retry" | "models.m.retry" => "retry",
        "servers.one.breaker" => "breaker",
        "servers.one.health" => "health",
        "servers.one.limits" => "bounds",
        "servers.one.rate_limit" | "servers.one.tools.some.rate_limit" => "rate_limit",
        "servers.one.tools.some" => "tool",
        "servers.one.tools.some.cache" => "cache",
        "servers.one.tools.some.idempotency" => "key_place",
        "servers.one.tools.some.batch" => "batch",
        "capabilities.\"a.b\"" => "capability",
        "capabilities.\"a.b\".weights" => "weights",
        "capabilities.\"a.b\".fallback" => "fallback_value",
        "capabilities.\"a.b\".members" => "member",
        "levels" => "levels",
        "levels.reduced" | "levels.minimal" => "level",
        "profiles.p" => "profile",
        "profiles.p.tools" => "visible",
        "discovery" => "discovery",
        "discovery.sources.s" | "discovery.sources.k" => "source",
        "discovery.sources.k.kubernetes" => "kubernetes",
        "engine" => "engine",
        "engine.restate" => "restate",
        "interceptors[0]" => "interceptor",
        _ => return None,
    })
}

#[test]
fn the_readers_ask_for_exactly_the_keys_of_the_schema() {
    let schema = schema();
    let mut found: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (path, keys) in asked(&Source::new("registry.toml", EVERY_KIND)) {
        let Some(name) = definition(&path) else { panic!("a table that the schema does not know: {path}") };
        found.entry(name).or_default().extend(keys.into_iter().map(str::to_owned));
    }
    // Those of other clients, which are read, too.
    for foreign in ["mcpServers", "context_servers"] {
        found.entry("").or_default().remove(foreign);
    }
    let known: BTreeSet<_> = schema["$defs"].as_object().expect("definitions").keys().map(String::as_str).collect();
    let without_reader = ["duration", "tools"];
    let read: BTreeSet<_> = found.keys().copied().filter(|name| !name.is_empty()).chain(without_reader).collect();
    assert_eq!(read, known);
    for (name, asked) in found {
        let table = if name.is_empty() { &schema } else { &schema["$defs"][name] };
        let listed: BTreeSet<_> = table["properties"].as_object().expect("keys").keys().cloned().collect();
        assert_eq!(asked, listed, "`{name}`: src/registry/schema.rs and the readers differ");
    }
}
