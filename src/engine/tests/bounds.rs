//! How large a run may grow, and how quick it stays.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::engine::command::Command;
use crate::engine::event::{Called, Event, Identity, What};
use crate::engine::run::Run;
use crate::engine::tests::play::{Play, workflow};
use crate::model::usage::Usage;

const EACH: &str = "input: {ids: {type: array}}\nsteps:\n  - {id: f, for_each: $input.ids, concurrency: 64, tool: s.get, args: {id: $item}}\n";

#[test]
fn ten_thousand_items_take_time_in_proportion() {
    let mut run = Run::new(workflow(EACH));
    let began = Instant::now();
    let identity = Identity { id: "r".into(), caller: "c".into() };
    let input = json!({ "ids": (0..10_000).collect::<Vec<_>>() });
    let mut commands =
        run.apply(Event { now: 0, what: What::Started { run: identity, input, seed: 1, flags: json!({}) } });
    while let Some(command) = commands.pop() {
        if let Command::Call(call) = command {
            let outcome = Called::Result(json!({ "structuredContent": call.arguments }));
            commands.extend(
                run.apply(Event {
                    now: 1,
                    what: What::Called { at: call.at, attempt: 1, outcome, usage: Usage::CALL },
                }),
            );
        }
    }
    let took = began.elapsed();
    assert!(run.outcome().is_some());
    assert_eq!(run.steps().len(), 10_001);
    // Tenths of a second, even in a debug build; what grew with the square would take minutes.
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn a_thousand_steps_in_a_row_need_no_deep_stack() {
    let mut text = "steps:\n".to_owned();
    for step in 0..999 {
        writeln!(text, "  - {{id: s{step}, set: {step}, effect: write}}").unwrap();
    }
    assert_eq!(Play::of(&text, json!({})).output(), json!(998));
}

#[test]
fn too_many_items_are_refused_and_can_be_caught() {
    let ids = json!({ "ids": vec![0; 10_001] });
    let failure = Play::of(EACH, ids.clone()).failure();
    assert_eq!((&*failure.code, failure.step.as_deref()), ("MO4008", Some("f")));
    let caught = EACH.replace("args: {id: $item}", "catch: [{value: $error.code}]");
    assert_eq!(Play::of(&caught, ids).output(), json!("MO4008"));
}

#[test]
fn too_many_activations_end_the_run() {
    let text = r"
input: {ids: {type: array}}
steps:
  - id: f
    for_each: $input.ids
    as: outer
    on_error: skip
    steps:
      - {id: g, for_each: $input.ids, set: $item}
";
    let failure = Play::of(text, json!({ "ids": vec![0; 1_000] })).failure();
    assert_eq!(&*failure.code, "MO4008");
    assert!(failure.message.contains("100000"), "{}", failure.message);
}

#[test]
fn trying_again_without_a_pause_is_done_at_once() {
    let text = "steps:\n  - {id: a, fail: no, retry: {attempts: 100, delay: 0, on: [rejected]}}\n";
    let play = Play::of(text, json!({}));
    assert_eq!((&*play.failure().code, play.row("a").attempts), ("MO4005", 100));
}

#[test]
fn outputs_beyond_the_bound_end_the_run() {
    let text = "steps:\n  - {id: f, for_each: [1, 2, 3, 4, 5], concurrency: 1, optional: true, tool: s.get}\n";
    let mut play = Play::of(text, json!({}));
    let big = "x".repeat(16 * 1024 * 1024);
    for item in 0..4 {
        play.answer(&format!("f[{item}]"), json!(big));
    }
    assert_eq!((&*play.failure().code, play.failure().step.as_deref()), ("MO4008", Some("f[3]")));
}

#[test]
fn outputs_of_blocks_that_are_over_do_not_count() {
    let text = r"
steps:
  - id: f
    for_each: [1, 2, 3, 4, 5]
    concurrency: 1
    steps: [{id: big, tool: s.get}, {id: small, set: 1, after: [big]}]
";
    let mut play = Play::of(text, json!({}));
    let big = "x".repeat(16 * 1024 * 1024);
    for item in 0..5 {
        play.answer(&format!("f[{item}]/big"), json!(big));
    }
    assert_eq!(play.output(), json!([1, 1, 1, 1, 1]));
}
