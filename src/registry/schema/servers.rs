//! Servers, how they are reached, and their tools.

use serde_json::{Value, json};

use crate::model::effect::Effect;
use crate::registry::schema::{Key, boolean, count, duration, named_texts, shared, table, text, texts, tooling};

pub(super) fn settings() -> Vec<Key> {
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

pub(super) fn server() -> Value {
    let mut keys = server_keys();
    keys.extend(settings());
    table(keys)
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
        (
            "weight",
            count(0, 1_000_000),
            "Beside such further ones, the share of the calls that the first one gets: 1 if not given.",
        ),
        ("sticky", boolean(), "Whether a host keeps the instance that it has called first."),
        ("idle_ttl", duration(), "It is stopped when nobody has used it for so long."),
        ("fallback", texts(), "Servers with the same tools, tried when this one cannot answer."),
    ]
}

pub(super) fn replicas() -> Value {
    table(vec![
        ("min", count(1, 64), "So many are always there."),
        ("max", count(1, 64), "There are never more."),
        ("warm", count(0, 64), "So many more than are needed are kept ready."),
        ("down_after", duration(), "One that has not been needed for so long is stopped."),
    ])
}

/// An instance of its own, reached as a server is.
pub(super) fn replica() -> Value {
    let how = ["command", "args", "env", "cwd", "url", "type", "headers", "auth"];
    let mut keys: Vec<Key> = server_keys().into_iter().filter(|(key, ..)| how.contains(key)).collect();
    keys.push(("priority", count(0, 1_000), "Lower ones are used first; that of the first instance is 0."));
    keys.push((
        "weight",
        count(0, 1_000_000),
        "Its share of the calls among those with the same priority: 1 if not given.",
    ));
    table(keys)
}

pub(super) fn retry() -> Value {
    table(vec![
        ("attempts", count(1, 100), "How often, the first time included."),
        ("delay", duration(), "The first pause."),
        ("max_delay", duration(), "The longest pause."),
        ("backoff", json!({ "enum": ["fixed", "linear", "exponential"] }), "How pauses grow."),
        ("jitter", json!({ "enum": ["none", "full"] }), "Whether pauses are shortened at random."),
    ])
}

pub(super) fn breaker() -> Value {
    table(vec![
        ("failures", count(1, 10_000), "So many failures within the window open it."),
        ("window", duration(), "The window."),
        ("open_for", duration(), "How long calls are refused."),
        ("half_open_probes", count(1, 100), "How many calls must succeed then."),
    ])
}

pub(super) fn health() -> Value {
    table(vec![
        ("every", duration(), "The pause between two looks."),
        ("timeout", duration(), "How long an answer may take."),
        ("unhealthy_after", count(1, 1_000), "So many bad looks make it unwell."),
        ("healthy_after", count(1, 1_000), "So many good ones make it well."),
        ("probe", json!({ "type": "string", "pattern": "^(ping|auto|none|tool:.+|http:/.*)$" }), "What is asked."),
    ])
}

/// The tools of a server: the two lists, and a table for each tool.
pub(super) fn tools() -> Value {
    let mut tools = table(vec![
        ("allow", texts(), "Only tools that match one of these."),
        ("deny", texts(), "No tools that match one of these."),
    ]);
    tools["additionalProperties"] = shared("tool");
    tools
}

pub(super) fn tool() -> Value {
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

pub(super) fn key_place() -> Value {
    table(vec![
        ("argument", text(), "The argument of the tool that takes it."),
        ("header", text(), "The header of the HTTP request that takes it."),
    ])
}

pub(super) fn auth() -> Value {
    let mut auth = table(vec![("oauth", shared("oauth"), "OAuth, with these settings.")]);
    auth["required"] = json!(["oauth"]);
    auth
}

pub(super) fn oauth() -> Value {
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
