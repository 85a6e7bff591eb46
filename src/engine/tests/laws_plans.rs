//! Workflows at random.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The body of a workflow: a list of steps with ids that do not repeat.
pub(super) fn body() -> impl Strategy<Value = Value> {
    vec(step(), 1..5).prop_map(|mut steps| {
        let mut count = 0;
        for step in &mut steps {
            name(step, &mut count);
        }
        Value::Array(steps)
    })
}

/// Gives every step an id.
fn name(step: &mut Value, count: &mut usize) {
    match step {
        Value::Object(fields) => {
            if fields.remove("id").is_some() {
                *count += 1;
                let mut named = Map::from_iter([("id".to_owned(), json!(format!("s{count}")))]);
                named.append(fields);
                *fields = named;
            }
            fields.values_mut().for_each(|value| name(value, count));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| name(item, count)),
        _ => {}
    }
}

fn step() -> impl Strategy<Value = Value> {
    let leaf = with_modifiers(leaf()).boxed();
    leaf.prop_recursive(3, 24, 4, |inner| {
        let block = vec(inner, 1..4);
        let verbs = prop_oneof![
            block.clone().prop_map(|steps| json!({ "id": null, "steps": steps })),
            (block.clone(), block.clone(), join()).prop_map(|(one, two, join)| {
                json!({ "id": null, "parallel": { "one": one, "two": two }, "join": join })
            }),
            (any::<bool>(), block.clone(), block).prop_map(|(first, one, two)| {
                json!({ "id": null, "switch": [{ "when": first.to_string(), "steps": one }, { "else": two }] })
            }),
        ];
        with_modifiers(verbs)
    })
}

fn join() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => Just(json!("all")),
        1 => Just(json!("any")),
        1 => Just(json!("first")),
        1 => (1_u64..3, any::<bool>()).prop_map(|(quorum, rest)| {
            json!({ "quorum": quorum, "within": "30ms", "cancel_rest": rest })
        }),
    ]
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => prop_oneof![Just("s.get"), Just("s.put"), Just("s.post")].prop_map(|tool| json!({ "id": null, "tool": tool })),
        1 => Just(json!({ "id": null, "workflow": "child" })),
        1 => Just(json!({ "id": null, "llm": "Hello", "limits": { "tokens": 5 } })),
        1 => Just(json!({ "id": null, "agent": "critic", "task": { "n": 1 } })),
        2 => Just(json!({ "id": null, "set": { "a": 1 } })),
        1 => Just(json!({ "id": null, "wait": "7ms" })),
        1 => Just(json!({ "id": null, "fail": "no" })),
        1 => Just(json!({ "id": null, "set": "${run.id - 1}" })),
    ]
}

/// Adds modifiers to a step.
fn with_modifiers(steps: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let retry = json!({ "attempts": 3, "delay": "20ms" });
    let at_once = json!({ "attempts": 2, "delay": 0, "on": ["timeout", "tool_error", "rejected", "in_doubt"] });
    let catch = prop_oneof![
        Just(json!([{ "on": "tool_error", "value": 1 }])),
        Just(json!([{ "when": "error.kind == 'rejected'", "steps": [{ "id": null, "tool": "s.put" }] }])),
        Just(json!([{ "steps": [{ "id": null, "tool": "s.get" }, { "id": null, "set": 1 }] }])),
    ];
    let expect = prop_oneof![Just(json!("object")), Just(json!("result.n is not defined or result.n % 3 > 0"))];
    let repeat = prop_oneof![
        Just(json!({ "max": 2 })),
        Just(json!({ "until": "false", "every": "5ms", "max": 3 })),
        Just(json!({ "while": "result.n is defined and result.n % 2 == 1", "max": 3 })),
    ];
    let undo = prop_oneof![
        Just(json!({ "tool": "s.put_undo", "timeout": "40ms" })),
        Just(json!({ "tool": "s.post_undo", "retry": { "attempts": 2, "delay": 0, "on": ["tool_error"] } })),
        Just(json!([{ "id": null, "tool": "s.get" }, { "id": null, "tool": "s.post_undo" }])),
    ];
    let fallback = prop_oneof![Just(json!([{ "value": 1 }])), Just(json!([{ "tool": "s.get" }, { "tool": "s.post" }]))];
    let modifiers = (
        option::weighted(0.2, any::<bool>().prop_map(|holds| json!(holds.to_string()))),
        option::weighted(0.2, (0_usize..4).prop_map(|items| json!(vec![1; items]))),
        option::weighted(0.3, prop_oneof![Just(retry), Just(at_once)]),
        option::weighted(0.3, (1_u64..60).prop_map(|limit| json!(format!("{limit}ms")))),
        option::weighted(0.2, catch),
        option::weighted(0.2, fallback),
        option::weighted(0.3, Just(json!(true))),
        option::weighted(0.1, Just(json!([]))),
        option::weighted(0.3, undo),
        option::weighted(0.2, repeat),
        option::weighted(0.2, expect),
    );
    (steps, modifiers, 1_usize..4, prop_oneof![Just("fail"), Just("skip"), Just("collect")]).prop_map(
        |(mut step, modifiers, concurrency, on_error)| {
            let (when, each, retry, timeout, catch, fallback, optional, after, undo, repeat, expect) = modifiers;
            if each.is_some() {
                step["concurrency"] = json!(concurrency);
                step["on_error"] = json!(on_error);
                step["batch"] = json!(concurrency + 1);
                if concurrency > 1 {
                    step["at_least"] = json!(concurrency - 1);
                }
            }
            if undo.is_some() && step.get("tool").is_some() {
                // What the tests know calls by that can be undone.
                step["args"] = json!({ "undoable": true });
            }
            let fields = [
                ("when", when),
                ("for_each", each),
                ("retry", retry),
                ("timeout", timeout),
                ("catch", catch),
                ("fallback", fallback),
                ("optional", optional),
                ("after", after),
                ("undo", undo),
                ("repeat", repeat),
                ("expect", expect),
            ];
            for (key, value) in fields {
                if let Some(value) = value {
                    step[key] = value;
                }
            }
            step
        },
    )
}
