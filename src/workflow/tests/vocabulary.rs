//! The keys as data are the keys that the readers ask for: no more, no fewer.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::format::Format;
use crate::model::fault;
use crate::workflow::authored::asked;
use crate::workflow::tests::source;
use crate::workflow::vocabulary::{Kind, schema};

/// A file with a table of every kind.
const EVERY_KIND: &str = "
name: flow
annotations: {}
on_failure: { set: 1 }
steps:
  - { id: a, tool: world.read, retry: {}, repeat: { max: 1 }, fallback: [{ value: 1 }], catch: [{ value: 1 }], undo: { set: 1 }, check: { tool: s.get } }
  - { id: b, parallel: { x: { set: 1 } }, join: { quorum: 1 } }
  - { id: c, switch: [{ when: 'true', steps: [{ id: d, set: 1 }] }, { else: [{ id: e, set: 1 }] }] }
  - { id: f, wait: { until: 0 } }
  - { id: g, for_each: [], set: 1 }
  - { id: h, llm: Hello, limits: {}, cache: { ttl: 1m } }
  - { id: i, agent: critic, task: 1 }
  - { id: j, tool: s.get }
  - { id: k, ask: Who? }
  - { id: l, emit: done }
  - { id: m, await: done }
  - { id: n, parallel: { x: { llm: Hello } } }
  - { id: o, parallel: { x: { agent: critic, task: 1 } } }
  - { id: p, parallel: { x: { ask: Who? } } }
  - { id: q, parallel: { x: { emit: done } } }
  - { id: r, parallel: { x: { await: done } } }
  - { id: s, parallel: { x: { workflow: other } } }
  - { id: t, workflow: other }
budget: {}
guards: {}
triggers: [{ cron: '* * * * *' }, { webhook: /x, verify: {} }, { file: x }, { mcp: a.b }, { event: done }]
";

/// Which kind of table stands at a path, going by its last part.
fn kind(path: &str) -> Option<Kind> {
    let last = path.rsplit('.').next().unwrap_or_default();
    let name = last.split('[').next().unwrap_or_default();
    Some(match name {
        "" => Kind::Workflow,
        "annotations" => Kind::Annotations,
        "join" => Kind::Join,
        "retry" => Kind::Retry,
        "repeat" => Kind::Repeat,
        "fallback" => Kind::Fallback,
        "catch" => Kind::Catch,
        "wait" => Kind::Wait,
        "limits" => Kind::Limits,
        "budget" => Kind::Budget,
        "guards" => Kind::Guards,
        "triggers" => Kind::Trigger,
        "verify" => Kind::Verify,
        "cache" => Kind::Cache,
        "check" => Kind::Check,
        "switch" if last == "switch[1]" => Kind::Otherwise,
        "switch" => Kind::Case,
        "undo" | "on_failure" | "x" => Kind::NamedStep,
        _ if path.contains("steps.") => Kind::Step,
        _ => return None,
    })
}

#[test]
fn the_readers_ask_for_exactly_the_keys_of_the_vocabulary() {
    let mut found: BTreeMap<Kind, BTreeSet<&str>> = BTreeMap::new();
    for (path, keys) in asked(&source(EVERY_KIND), Format::Yaml) {
        let Some(kind) = kind(&path) else { panic!("a table of no kind: {path}") };
        found.entry(kind).or_default().extend(keys);
    }
    for kind in Kind::ALL {
        let known: BTreeSet<_> = kind.keys().iter().map(|key| key.name).collect();
        let mut asked = found.remove(&kind).unwrap_or_else(|| panic!("no {kind:?} was read"));
        if kind == Kind::Case {
            // Whether it is the last one is found out by asking.
            asked.remove("else");
        }
        assert_eq!(asked, known, "{kind:?}: src/workflow/vocabulary/keys.rs and the readers differ");
    }
}

#[test]
fn the_kinds_of_failure_are_those_that_there_are() {
    let words = schema()["$defs"]["retry"]["properties"]["on"]["anyOf"][0]["enum"].clone();
    assert_eq!(words, serde_json::json!(fault::Kind::ALL.map(fault::Kind::as_str)));
}
