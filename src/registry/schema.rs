//! A registry file as a JSON Schema (2020-12), for editors.
//!
//! The readers decide what is right; a test holds that they ask for exactly the keys that stand here.

use serde_json::{Map, Value, json};

use crate::document::duration;
use crate::model::effect::Effect;

mod delegation;
mod discovery;
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
        "defaults": table(settings()),
        "server": server(),
        "rate_limit": tooling::rate_limit(),
        "cache": tooling::cache(),
        "batch": tooling::batch(),
        "bounds": bounds(),
        "replicas": replicas(),
        "replica": replica(),
        "retry": retry(),
        "breaker": breaker(),
        "health": health(),
        "tools": tools(),
        "tool": tool(),
        "key_place": key_place(),
        "capability": capability(),
        "weights": weights(),
        "fallback_value": fallback_value(),
        "member": member(),
        "model": delegation::model(),
        "price": delegation::price(),
        "agent": delegation::agent(),
        "limits": delegation::limits(),
        "flag": flag(),
        "auth": auth(),
        "oauth": oauth(),
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

fn settings() -> Vec<Key> {
    vec![
        ("connect_timeout", duration(), "Start and handshake."),
        ("timeout", duration(), "One attempt of one call."),
        ("concurrency", count(1, 10_000), "Calls in flight; more wait within their time limit."),
        ("retry", json!({ "anyOf": [count(1, 100), shared("retry")] }), "How often a call is tried."),
        ("breaker", shared("breaker"), "When a failing server is left alone."),
        ("health", shared("health"), "How it is found out whether the server is well."),
        ("limits", shared("bounds"), "What the server's processes may use of the machine."),
    ]
}

fn server() -> Value {
    let mut keys = server_keys();
    keys.extend(settings());
    table(keys)
}

fn bounds() -> Value {
    table(vec![
        ("memory", text(), "Memory of all its processes together, for example `512MB`."),
        ("cpu_time", duration(), "Processor time of each process."),
        ("files", count(16, 1_000_000), "Files that each process may have open."),
        ("processes", count(1, 100_000), "How many processes there may be."),
    ])
}

fn server_keys() -> Vec<Key> {
    vec![
        ("command", text(), "A program to start; no shell."),
        ("args", texts(), "Its arguments."),
        ("env", named_texts(), "Its environment; `${VAR}` is expanded when it is started."),
        ("cwd", text(), "Its working directory."),
        ("url", text(), "The address of a server that runs already."),
        (
            "type",
            json!({ "enum": ["stdio", "local", "http", "streamable-http", "streamableHttp", "streamable_http", "remote", "sse"] }),
            "What is spoken; seldom needed.",
        ),
        ("headers", named_texts(), "Sent with every request."),
        ("start", json!({ "enum": ["lazy", "eager"] }), "With the program, or when a host first lists or calls."),
        ("required", boolean(), "`serve` ends with an error if it cannot be started."),
        ("priority", count(0, 1_000_000), "Lower first, where two servers offer one resource."),
        ("trusted", boolean(), "Whether its annotations are believed."),
        ("era", json!({ "enum": ["legacy", "modern"] }), "Pins the protocol."),
        ("version", text(), "The versions of the server that are allowed, for example `>=1.2, <3`."),
        ("auth", json!({ "anyOf": [{ "enum": ["oauth"] }, shared("auth")] }), "How it is proved who calls."),
        ("disabled", boolean(), "Leaves it out."),
        ("rate_limit", tooling::limited(), "How often it may be called; more wait for their turn."),
        ("tools", shared("tools"), "Rules for its tools."),
        (
            "replicas",
            json!({ "anyOf": [count(1, 64), shared("replicas"), { "type": "array", "items": shared("replica") }] }),
            "How many instances of it there are; or further ones, and where.",
        ),
        ("sticky", boolean(), "Whether a host keeps the instance that it has called first."),
        ("idle_ttl", duration(), "It is stopped when nobody has used it for so long."),
        ("fallback", texts(), "Servers with the same tools, tried when this one cannot answer."),
    ]
}

fn replicas() -> Value {
    table(vec![
        ("min", count(1, 64), "So many are always there."),
        ("max", count(1, 64), "There are never more."),
        ("warm", count(0, 64), "So many more than are needed are kept ready."),
        ("down_after", duration(), "One that has not been needed for so long is stopped."),
    ])
}

/// An instance of its own, reached as a server is.
fn replica() -> Value {
    let how = ["command", "args", "env", "cwd", "url", "type", "headers", "auth"];
    let mut keys: Vec<Key> = server_keys().into_iter().filter(|(key, ..)| how.contains(key)).collect();
    keys.push(("priority", count(0, 1_000), "Lower ones are used first; that of the first instance is 0."));
    table(keys)
}

fn retry() -> Value {
    table(vec![
        ("attempts", count(1, 100), "How often, the first time included."),
        ("delay", duration(), "The first pause."),
        ("max_delay", duration(), "The longest pause."),
        ("backoff", json!({ "enum": ["fixed", "linear", "exponential"] }), "How pauses grow."),
        ("jitter", json!({ "enum": ["none", "full"] }), "Whether pauses are shortened at random."),
    ])
}

fn breaker() -> Value {
    table(vec![
        ("failures", count(1, 10_000), "So many failures within the window open it."),
        ("window", duration(), "The window."),
        ("open_for", duration(), "How long calls are refused."),
        ("half_open_probes", count(1, 100), "How many calls must succeed then."),
    ])
}

fn health() -> Value {
    table(vec![
        ("every", duration(), "The pause between two looks."),
        ("timeout", duration(), "How long an answer may take."),
        ("unhealthy_after", count(1, 1_000), "So many bad looks make it unwell."),
        ("healthy_after", count(1, 1_000), "So many good ones make it well."),
        ("probe", json!({ "type": "string", "pattern": "^(ping|auto|none|tool:.+|http:/.*)$" }), "What is asked."),
    ])
}

/// The tools of a server: the two lists, and a table for each tool.
fn tools() -> Value {
    let mut tools = table(vec![
        ("allow", texts(), "Only tools that match one of these."),
        ("deny", texts(), "No tools that match one of these."),
    ]);
    tools["additionalProperties"] = shared("tool");
    tools
}

fn tool() -> Value {
    let effects = Effect::ALL.map(Effect::as_str);
    table(vec![
        ("rename", text(), "What hosts see it as."),
        ("title", text(), "A short name for people."),
        ("description", text(), "What models read."),
        ("effect", json!({ "enum": effects }), "What it may do, where its annotations are wrong."),
        ("timeout", duration(), "One attempt of one call."),
        ("rate_limit", tooling::limited(), "How often it may be called; more wait for their turn."),
        (
            "cache",
            json!({ "anyOf": [duration(), shared("cache")] }),
            "For how long its answers are kept, if it only reads.",
        ),
        ("coalesce", boolean(), "Whether equal calls of one caller that are made at once are one request."),
        ("batch", shared("batch"), "A tool that does many calls of it in one, if both only read."),
        ("hedge", duration(), "After how long a late answer is asked for a second time, if it only reads."),
        ("invalidates", texts(), "Tools of the server whose kept answers a call of it makes worthless."),
        ("idempotency", shared("key_place"), "Where the key goes that makes a repeated call the same call."),
    ])
}

fn key_place() -> Value {
    table(vec![
        ("argument", text(), "The argument of the tool that takes it."),
        ("header", text(), "The header of the HTTP request that takes it."),
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

fn auth() -> Value {
    let mut auth = table(vec![("oauth", shared("oauth"), "OAuth, with these settings.")]);
    auth["required"] = json!(["oauth"]);
    auth
}

fn oauth() -> Value {
    let algorithms = ["RS256", "RS384", "RS512", "ES256", "ES384"];
    table(vec![
        ("scopes", texts(), "What is asked for."),
        (
            "grant",
            json!({ "enum": ["authorization_code", "client_credentials"] }),
            "Who logs in: somebody, or the program itself.",
        ),
        ("client_id", text(), "The client that was registered by hand."),
        ("client_secret", text(), "Its secret: `${VAR}` or `${file:PATH}`."),
        ("private_key", text(), "Its key as PEM, in place of a secret."),
        ("algorithm", json!({ "enum": algorithms }), "How the key signs; ES256 if not given."),
        ("client_metadata_url", text(), "Where the client describes itself."),
        ("redirect_port", count(1, 65_535), "Where the browser comes back to; any free port if not given."),
    ])
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
