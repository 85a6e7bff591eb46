//! `repeat`, and `batch` and `at_least` of `for_each`.

use serde_json::json;

use crate::engine::tests::play::Play;
use crate::model::fault::Kind;

const TRACK: &str = r"
steps:
  - id: track
    tool: s.get
    repeat: {until: result.state == 'there', every: 30s, max: 3}
    output: $result.where
";

#[test]
fn a_step_is_repeated_until_its_result_is_right() {
    let mut play = Play::of(TRACK, json!({}));
    assert_eq!(play.waiting(), ["track[0]"]);
    play.answer("track[0]", json!({"state": "on its way"}));
    assert_eq!(play.timers.get("track#repeat"), Some(&31_000));
    play.pass(30_000);
    play.answer("track[1]", json!({"state": "there", "where": "door"}));
    assert_eq!(play.output(), json!("door"));
    assert_eq!(play.rows(), ["track completed", "track[0] completed", "track[1] completed"]);
}

#[test]
fn a_step_that_never_gets_there_fails_and_can_be_rescued() {
    let of = |more: &str| {
        let mut play = Play::of(&format!("{TRACK}{more}"), json!({}));
        for turn in 0..3 {
            play.answer(&format!("track[{turn}]"), json!({"state": "lost"}));
            play.pass(30_000);
        }
        play
    };
    let failure = of("").failure();
    assert_eq!((&*failure.kind, &*failure.code, failure.step.as_deref()), ("budget", "MO4015", Some("track")));
    assert!(failure.message.contains("3 turns"), "{}", failure.message);
    assert_eq!(of("    catch: [{on: budget, value: lost}]\n").output(), json!("lost"));
}

#[test]
fn while_goes_on_as_long_as_it_holds_and_sees_the_item() {
    let text =
        "steps:\n  - {id: f, for_each: [1, 2], concurrency: 1, tool: s.get, repeat: {while: result < item, max: 9}}\n";
    let mut play = Play::of(text, json!({}));
    play.answer("f[0][0]", json!(1));
    play.answer("f[1][0]", json!(1));
    play.answer("f[1][1]", json!(2));
    assert_eq!(play.output(), json!([1, 2]));
}

#[test]
fn without_a_condition_every_turn_is_taken() {
    let text = "steps:\n  - {id: a, tool: s.post, repeat: {max: 2}, undo: {tool: s.put, args: {n: $result}}}\n  - {id: b, fail: no}\n";
    let mut play = Play::of(text, json!({}));
    play.answer("a[0]", json!(1));
    play.answer("a[1]", json!(2));
    assert_eq!(play.call("a[1]#undo").arguments, json!({"n": 2}));
    play.answer("a[1]#undo", json!({}));
    assert_eq!(play.call("a[0]#undo").arguments, json!({"n": 1}));
}

#[test]
fn each_turn_has_its_own_retries_and_a_failed_turn_ends_it() {
    let text = r"
steps:
  - id: a
    tool: s.get
    retry: {attempts: 2, delay: 0}
    repeat: {until: result == 2, max: 5}
    fallback: [{value: $steps}]
    catch: [{value: never}]
";
    let text = text.replace("$steps", "instead");
    let mut play = Play::of(&text, json!({}));
    play.fail("a[0]", Kind::Unavailable);
    play.answer("a[0]", json!(1));
    play.fail("a[1]", Kind::Unavailable);
    assert_eq!(play.call("a[1]").attempt, 2);
    play.fail("a[1]", Kind::Unavailable);
    assert_eq!(play.output(), json!("instead"));
}

#[test]
fn ten_thousand_turns_without_a_pause_need_no_deep_stack() {
    let play = Play::of("steps:\n  - {id: a, set: 1, repeat: {max: 10000}}\n", json!({}));
    assert_eq!(play.run.steps().len(), 10_001);
    assert_eq!(play.output(), json!(1));
}

#[test]
fn steps_may_be_repeated_together() {
    let text = "steps:\n  - id: a\n    repeat: {until: result == 1, max: 3}\n    steps: [{id: b, tool: s.get}]\n";
    let mut play = Play::of(text, json!({}));
    play.answer("a[0]/b", json!(0));
    play.answer("a[1]/b", json!(1));
    assert_eq!(play.output(), json!(1));
}

#[test]
fn a_batch_is_over_before_the_next_begins() {
    let text = "steps:\n  - {id: f, for_each: [1, 2, 3, 4, 5], concurrency: 2, batch: 3, tool: s.get}\n";
    let mut play = Play::of(text, json!({}));
    play.answer("f[0]", json!(0));
    assert_eq!(play.waiting(), ["f[1]", "f[2]"]);
    play.answer("f[1]", json!(1));
    assert_eq!(play.waiting(), ["f[2]"]);
    play.answer("f[2]", json!(2));
    assert_eq!(play.waiting(), ["f[3]", "f[4]"]);
}

#[test]
fn enough_items_must_succeed() {
    let text = "input: {ids: {type: array}}\nsteps:\n  - {id: f, for_each: $input.ids, on_error: skip, at_least: 2, tool: s.get}\n";
    let mut play = Play::of(text, json!({"ids": [1, 2, 3]}));
    play.refuse("f[1]", "no");
    play.answer("f[0]", json!("a"));
    play.answer("f[2]", json!("c"));
    assert_eq!(play.output(), json!(["a", "c"]));

    let mut play = Play::of(text, json!({"ids": [1, 2, 3]}));
    play.refuse("f[1]", "no");
    play.fail("f[0]", Kind::Unavailable);
    let failure = play.failure();
    assert_eq!((&*failure.kind, &*failure.code, failure.step.as_deref()), ("unavailable", "MO4014", Some("f[0]")));
    assert!(failure.message.contains("1 of 3") && failure.message.contains("it is down"), "{}", failure.message);

    let failure = Play::of(text, json!({"ids": [1]})).failure();
    assert_eq!((&*failure.kind, &*failure.code), ("invalid", "MO4014"));
}
