//! Time limits of steps and of runs.

use std::time::Duration;

use serde_json::json;

use crate::engine::command::Command;
use crate::engine::event::{Called, Event, What};
use crate::engine::run::Run;
use crate::engine::tests::play::{Play, workflow};
use crate::model::fault::Kind;
use crate::model::usage::Usage;

#[test]
fn a_call_that_takes_too_long_is_cancelled() {
    let mut play = Play::of("steps:\n  - {id: a, tool: s.get, timeout: 2s}\n", json!({}));
    assert_eq!(play.call("a").timeout, Some(Duration::from_secs(2)));
    assert_eq!(play.timers.get("a#timeout"), Some(&3_000));
    play.pass(2_000);
    let failure = play.failure();
    assert_eq!((&*failure.kind, failure.was_sent, failure.step.as_deref()), ("timeout", true, Some("a")));
    assert!(failure.message.contains("`s.get`") && failure.message.contains("2s"), "{}", failure.message);
}

#[test]
fn a_write_that_takes_too_long_is_in_doubt() {
    let mut play = Play::of("steps:\n  - {id: a, tool: s.post, timeout: 2s, retry: 3}\n", json!({}));
    play.pass(2_000);
    assert_eq!(play.failure().kind, "in_doubt");
}

#[test]
fn each_attempt_has_its_own_time() {
    let text = "steps:\n  - {id: a, tool: s.get, timeout: 2s, retry: {attempts: 2, delay: 1s, jitter: none}}\n";
    let mut play = Play::of(text, json!({}));
    play.pass(2_000);
    assert_eq!(play.timers.keys().collect::<Vec<_>>(), ["a#retry"]);
    play.pass(1_000);
    assert_eq!(play.timers.get("a#timeout"), Some(&6_000));
    play.answer("a", json!(1));
    assert!(play.timers.is_empty());
    assert_eq!(play.output(), json!(1));
}

#[test]
fn a_block_that_takes_too_long_takes_its_calls_with_it() {
    let text = "steps:\n  - {id: a, timeout: 2s, catch: [{on: timeout, value: $error.message}], parallel: {x: {tool: s.get}, y: {tool: s.get}}}\n";
    let mut play = Play::of(text, json!({}));
    play.pass(2_000);
    assert_eq!(play.output(), json!("step `a` was not over after 2s"));
    assert_eq!(play.rows(), ["a completed", "a/x cancelled", "a/y cancelled"]);
}

#[test]
fn a_block_with_a_write_in_flight_is_in_doubt_when_its_time_is_up() {
    let text = "steps:\n  - {id: a, timeout: 2s, retry: 3, steps: [{id: b, tool: s.post}]}\n";
    let mut play = Play::of(text, json!({}));
    play.pass(2_000);
    assert_eq!(play.failure().kind, "in_doubt");
}

#[test]
fn the_steps_of_a_catch_have_time() {
    let text = "steps:\n  - {id: a, tool: s.get, timeout: 2s, catch: [{steps: [{id: b, tool: s.get}]}]}\n";
    let mut play = Play::of(text, json!({}));
    play.pass(60_000);
    assert_eq!(play.waiting(), ["a/catch/b"]);
}

#[test]
fn a_run_that_takes_too_long_fails() {
    let mut play = Play::of("timeout: 1m\nsteps:\n  - {id: a, tool: s.get}\n", json!({}));
    play.pass(60_000);
    let failure = play.failure();
    assert_eq!((&*failure.kind, &*failure.code), ("timeout", "MO4006"));
    assert_eq!(play.rows(), ["a cancelled"]);
}

#[test]
fn what_comes_too_late_or_from_an_earlier_attempt_is_not_heard() {
    let text = "steps:\n  - {id: a, tool: s.get, timeout: 2s, retry: {attempts: 2, delay: 0}}\n";
    let mut play = Play::of(text, json!({}));
    play.fail("a", Kind::Unavailable);
    let late =
        |attempt| What::Called { at: "a".into(), attempt, outcome: Called::Result(json!({})), usage: Usage::CALL };
    for what in [late(1), late(3), What::Fired { at: "a#timeout".into() }, What::Fired { at: "b".into() }] {
        assert_eq!(play.run.apply(Event { now: 1_001, what }), []);
    }
    play.answer("a", json!("second"));
    assert_eq!(play.output(), json!("second"));
    assert_eq!(play.run.apply(Event { now: 9_000, what: late(2) }), []);
    assert_eq!(play.run.apply(Event { now: 9_000, what: What::CancelRequested { why: "late".into() } }), []);
    assert_eq!(play.output(), json!("second"));
}

#[test]
fn nothing_happens_before_the_start() {
    let mut run = Run::new(workflow("steps:\n  - {id: a, set: 1}\n"));
    assert_eq!(run.apply(Event { now: 1, what: What::CancelRequested { why: "x".into() } }), Vec::<Command>::new());
    assert_eq!(run.outcome(), None);
}
