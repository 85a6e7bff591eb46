//! How often tools are called, and when one answer serves several calls.

use serde_json::{Value, json};

use super::{count, duration, shared, table, text};

fn rate() -> Value {
    json!({ "type": "string", "pattern": "^ *[0-9]+ */ *[0-9].*$" })
}

pub(super) fn limited() -> Value {
    json!({ "anyOf": [rate(), shared("rate_limit")] })
}

pub(super) fn rate_limit() -> Value {
    let mut limit = table(vec![
        ("limit", rate(), "Calls and time, for example `100/1m`."),
        ("burst", count(0, 1_000_000), "How many calls more may come at once."),
        ("per", json!({ "enum": ["server", "caller"] }), "Whether all callers share it, or each has so many."),
    ]);
    limit["required"] = json!(["limit"]);
    limit
}

pub(super) fn cache() -> Value {
    let mut cache = table(vec![
        ("ttl", duration(), "For how long an answer is as good as a new one."),
        (
            "scope",
            json!({ "enum": ["caller", "shared"] }),
            "Whether each caller has its own answers, or all share them.",
        ),
        ("stale_if_error", duration(), "For how long after that it is better than a failure."),
        ("stale_while_revalidate", duration(), "For how long after that it is given while a new one is fetched."),
    ]);
    cache["required"] = json!(["ttl"]);
    cache
}

pub(super) fn batch() -> Value {
    let mut batch = table(vec![
        ("tool", text(), "The tool of the same server that takes many."),
        ("argument", text(), "The argument that differs from call to call."),
        ("into", text(), "The argument that takes them all, as a list."),
        ("results", text(), "Which member of the result is the list of results."),
        ("key", text(), "Which member of each result repeats the argument; in order if not given."),
        ("window", duration(), "For how long calls are gathered, at most a second."),
        ("max", count(2, 1_000), "So many are made at once."),
    ]);
    batch["required"] = json!(["tool", "argument", "into"]);
    batch
}
