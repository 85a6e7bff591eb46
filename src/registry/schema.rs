//! A registry file as a JSON Schema (2020-12), for editors.
//!
//! The readers decide what is right; a test holds that they ask for exactly the keys that stand here.

use serde_json::{Map, Value, json};

use crate::document::duration;

mod delegation;
mod discovery;
mod servers;
mod tooling;

/// A key, what may stand there, what it is for.
type Key = (&'static str, Value, &'static str);

/// The schema of `registry.toml`.
pub fn schema() -> Value {
    let mut whole = table(vec![
        ("orchestrator", shared("orchestrator"), "Settings of the program itself."),
        ("defaults", shared("defaults"), "Settings that every server inherits."),
        ("servers", map(&shared("server")), "The servers; each name becomes the prefix of its tools."),
        ("capabilities", map(&shared("capability")), "Jobs that several tools can do."),
        ("models", map(&shared("model")), "Models that workflows and agents may ask."),
        ("agents", map(&shared("agent")), "Agents that workflows and hosts may give tasks to."),
        (
            "flags",
            map(&json!({ "anyOf": [shared("flag"), { "type": ["boolean", "string", "number", "array"] }] })),
            "Values that workflows ask for.",
        ),
        ("levels", shared("levels"), "What goes on while required servers are missing."),
        ("profiles", map(&shared("profile")), "Named views of servers, tools and workflows."),
        ("discovery", shared("discovery"), "Where more servers come from."),
        ("engine", shared("engine"), "What carries runs of workflows to their ends."),
        (
            "interceptors",
            json!({ "type": "array", "items": shared("interceptor") }),
            "What happens to calls of servers' tools on their way, in order.",
        ),
    ]);
    whole["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    whole["$id"] = json!("orchestrator://schema/registry");
    whole["title"] = json!("A registry of mcp-orchestrator");
    whole["$defs"] = json!({
        "duration": duration::schema(),
        "orchestrator": orchestrator(),
        "defaults": table(servers::settings()),
        "server": servers::server(),
        "rate_limit": tooling::rate_limit(),
        "cache": tooling::cache(),
        "batch": tooling::batch(),
        "bounds": bounds(),
        "replicas": servers::replicas(),
        "replica": servers::replica(),
        "retry": servers::retry(),
        "breaker": servers::breaker(),
        "health": servers::health(),
        "tools": servers::tools(),
        "tool": servers::tool(),
        "key_place": servers::key_place(),
        "capability": capability(),
        "weights": weights(),
        "fallback_value": fallback_value(),
        "member": member(),
        "model": delegation::model(),
        "price": delegation::price(),
        "agent": delegation::agent(),
        "limits": delegation::limits(),
        "flag": flag(),
        "auth": servers::auth(),
        "oauth": servers::oauth(),
        "levels": levels(),
        "level": level(),
        "profile": profile(),
        "visible": visible(),
        "interceptor": interceptor(),
        "discovery": discovery::discovery(),
        "source": discovery::source(),
        "engine": table(vec![
            ("backend", json!({ "enum": ["embedded", "restate"] }), "This process, or Restate."),
            ("restate", shared("restate"), "Where Restate is, and where it finds us."),
        ]),
        "restate": table(vec![
            ("ingress", text_or_texts(), "Where runs are begun; of several, the next is tried."),
            ("admin", text_or_texts(), "Where runs are looked at; of several, the next is tried."),
            ("listen", text(), "Where we wait for Restate."),
            ("advertise", text(), "Under which address Restate finds us; as `listen` says if not given."),
        ]),
        "kubernetes": discovery::kubernetes(),
    });
    whole
}

fn shared(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

fn map(value: &Value) -> Value {
    json!({ "type": "object", "additionalProperties": value })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn texts() -> Value {
    json!({ "type": "array", "items": { "type": "string" } })
}

fn text_or_texts() -> Value {
    json!({ "anyOf": [text(), texts()] })
}

fn boolean() -> Value {
    json!({ "type": "boolean" })
}

fn duration() -> Value {
    shared("duration")
}

fn count(least: u64, most: u64) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

/// What is written out into a child's environment or a request's headers.
fn named_texts() -> Value {
    map(&json!({ "type": ["string", "integer", "number", "boolean"] }))
}

fn table(keys: Vec<Key>) -> Value {
    let properties: Map<String, Value> = keys
        .into_iter()
        .map(|(name, mut schema, about)| {
            schema["description"] = json!(about);
            (name.to_owned(), schema)
        })
        .collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

fn orchestrator() -> Value {
    table(vec![
        ("workflows", texts(), "Files, folders or globs of workflows, relative to this file."),
        ("max_concurrent_runs", count(1, 100_000), "Workflow runs at once; more wait."),
        ("max_waiting_runs", count(0, 100_000), "Runs that wait for their turn; more are refused."),
        ("max_concurrent_steps", count(1, 100_000), "Tool calls of all runs at once; more wait."),
        ("shutdown_grace", duration(), "How long what goes on may still take when the program is told to end."),
        ("settle", duration(), "How long the first list waits for servers that are still starting."),
        ("remember", duration(), "How long what a server last offered is listed although it does not run."),
        ("prefix", boolean(), "Whether tools carry the name of their server."),
        ("durability", json!({ "enum": ["auto", "always", "none"] }), "How sure it is that runs survive the program."),
        ("keep_runs", duration(), "How long runs that have ended are kept."),
        ("keep_runs_count", count(1, 10_000_000), "How many runs that have ended are kept."),
        ("instructions", text(), "Put before what hosts are told."),
    ])
}

fn interceptor() -> Value {
    let mut interceptor = table(vec![
        ("name", text(), "What it is called in errors."),
        ("tools", texts(), "Patterns of the tools that it concerns, as `server.tool`; all if not given."),
        ("at", json!({ "enum": ["before", "after"] }), "On which side of the call."),
        ("when", text(), "A condition over `call`; always if not given."),
        ("deny", text(), "Why the call is refused, or its result withheld."),
        ("set", json!({ "type": "object" }), "Arguments to be set; one that becomes null is left out."),
        ("set_headers", json!({ "type": "object" }), "Headers that the call is to carry to a server over HTTP."),
        ("output", json!({}), "What the tool has put out instead."),
        ("command", text(), "A program that decides: JSON in, JSON out."),
        (
            "args",
            json!({ "type": "array", "items": { "type": ["string", "integer", "number", "boolean"] } }),
            "Its arguments.",
        ),
        ("env", named_texts(), "Its environment, beside what every child gets."),
        ("cwd", text(), "Its working directory."),
        ("url", text(), "An address that decides: JSON is posted there."),
        ("headers", named_texts(), "Headers of the post."),
        ("timeout", duration(), "How long deciding may take."),
        ("on_error", json!({ "enum": ["deny", "allow"] }), "What becomes of a call without a decision."),
    ]);
    interceptor["required"] = json!(["name"]);
    interceptor
}

fn bounds() -> Value {
    table(vec![
        ("memory", text(), "Memory of all its processes together, for example `512MB`."),
        ("cpu_time", duration(), "Processor time of each process."),
        ("files", count(16, 1_000_000), "Files that each process may have open."),
        ("processes", count(1, 100_000), "How many processes there may be."),
    ])
}

fn capability() -> Value {
    let member = json!({ "anyOf": [text(), shared("member")] });
    let mut capability = table(vec![
        ("description", text(), "What models read."),
        ("route", json!({ "enum": ["order", "score", "sticky"] }), "Which member is tried first."),
        ("weights", shared("weights"), "What counts how much for the score."),
        ("members", json!({ "type": "array", "items": member, "minItems": 1 }), "The tools that can do it."),
        ("fallback", shared("fallback_value"), "What is answered if no member can."),
    ]);
    capability["required"] = json!(["members"]);
    capability
}

fn weights() -> Value {
    let weight = || json!({ "type": "number", "minimum": 0, "maximum": 1000 });
    table(vec![
        ("latency", weight(), "How quick it is."),
        ("load", weight(), "How busy it is."),
        ("reliability", weight(), "How seldom it fails."),
    ])
}

fn fallback_value() -> Value {
    table(vec![
        ("cached", duration(), "An earlier answer to the same question, no older than that."),
        ("value", json!({}), "The result, if there is none."),
    ])
}

fn member() -> Value {
    let mut member = table(vec![
        ("tool", text(), "`server.tool`."),
        ("args", json!({}), "Its arguments, made of `args`."),
        ("output", json!({}), "The job's result, made of `result`."),
    ]);
    member["required"] = json!(["tool"]);
    member
}

fn flag() -> Value {
    let mut flag = table(vec![
        ("rollout", count(0, 100), "For how many percent of the callers it is on."),
        ("on", json!({}), "What it is for them; true if not given."),
        ("off", json!({}), "What it is for the others; false if not given."),
    ]);
    flag["required"] = json!(["rollout"]);
    flag
}

fn levels() -> Value {
    table(vec![
        ("enter_after", duration(), "Required servers must have been missing for so long."),
        ("leave_after", duration(), "They must have been back for so long."),
        ("reduced", shared("level"), "What goes on while some are missing."),
        ("minimal", shared("level"), "What goes on while more are missing."),
    ])
}

fn level() -> Value {
    table(vec![
        ("servers", texts(), "Names or patterns of servers whose calls go on; all if not given."),
        ("workflows", texts(), "Names or patterns of workflows that are begun; all if not given."),
        ("missing", count(1, 10_000), "So many required servers must be missing."),
    ])
}

fn profile() -> Value {
    table(vec![
        ("servers", texts(), "Names or patterns; all if not given."),
        ("workflows", texts(), "Names or patterns; all if not given."),
        ("tools", shared("visible"), "By the names that hosts see."),
    ])
}

fn visible() -> Value {
    table(vec![
        ("allow", texts(), "Only tools that match one of these."),
        ("deny", texts(), "No tools that match one of these."),
    ])
}

#[cfg(test)]
mod tests;
