//! `expect`.

use serde_json::json;

use crate::engine::tests::play::Play;

fn of(tool: &str, more: &str) -> Play {
    Play::of(&format!("steps:\n  - {{id: a, tool: s.{tool}, {more}}}\n"), json!({}))
}

#[test]
fn a_result_must_fit_the_schema_and_may_have_more() {
    let mut play = of("get", "expect: {n: integer}");
    play.answer("a", json!({"n": 1, "more": true}));
    assert_eq!(play.output(), json!({"n": 1, "more": true}));
    let mut play = of("get", "expect: {n: integer}");
    play.answer("a", json!({"n": "one"}));
    let failure = play.failure();
    assert_eq!((&*failure.kind, &*failure.code, failure.step.as_deref()), ("tool_error", "MO4017", Some("a")));
    assert_eq!(failure.data, json!({"n": "one"}));
    assert!(failure.message.contains("integer"), "{}", failure.message);
}

#[test]
fn a_condition_looks_at_the_result_before_it_is_mapped() {
    let of = |n: u64| {
        let mut play =
            of("get", "expect: result.n > 1, output: $result.v, catch: [{on: tool_error, value: $error.data.n}]");
        play.answer("a", json!({"n": n, "v": "right"}));
        play.output()
    };
    assert_eq!((of(2), of(1)), (json!("right"), json!(1)));
}

#[test]
fn a_read_may_be_tried_again_and_a_write_that_was_done_may_not() {
    let more = "expect: result == 2, retry: {attempts: 2, delay: 0, on: [tool_error]}, fallback: [{tool: s.get}], catch: [{value: caught}]";
    let mut play = of("get", more);
    play.answer("a", json!(1));
    assert_eq!(play.call("a").attempt, 2);
    play.answer("a", json!(2));
    assert_eq!(play.output(), json!(2));
    let mut play = of("post", more);
    play.answer("a", json!(1));
    assert_eq!(play.output(), json!("caught"));
}

#[test]
fn what_is_not_as_expected_is_undone_and_other_verbs_expect_too() {
    let mut play = of("post", "expect: result == 2, undo: {tool: s.put}");
    play.answer("a", json!(1));
    assert_eq!(play.waiting(), ["a#undo"]);
    assert_eq!(Play::of("steps:\n  - {id: a, set: [1], expect: array}\n", json!({})).output(), json!([1]));
    assert_eq!(Play::of("steps:\n  - {id: a, set: 1, expect: array}\n", json!({})).failure().code, "MO4017");
}
