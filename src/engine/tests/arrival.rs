//! `emit` and `await`.

use serde_json::json;

use crate::engine::event::What;
use crate::engine::tests::play::Play;

const ORDER: &str = "input: {order: string}\nsteps:\n  - {id: paid, await: order.paid, where: event.data.order == input.order}\n  - {id: done, emit: order.done, data: {by: $steps.paid.output.by}}\noutput: $steps.paid.output\n";

#[test]
fn a_run_waits_for_the_event_that_it_means() {
    let mut play = Play::of(ORDER, json!({"order": "A-1"}));
    play.arrives("order.paid", json!({"order": "B-2"}));
    play.arrives("order.lost", json!({"order": "A-1"}));
    assert!(play.run.waits_for_others() && play.run.outcome().is_none());
    play.arrives("order.paid", json!({"order": "A-1", "by": "card"}));
    assert_eq!(play.output(), json!({"order": "A-1", "by": "card"}));
    assert_eq!(play.emitted, [("order.done".to_owned(), json!({"by": "card"}))]);
}

#[test]
fn what_comes_before_it_is_waited_for_is_kept() {
    let text = "steps:\n  - {id: a, tool: s.get}\n  - {id: w, await: go}\n";
    let mut play = Play::of(text, json!({}));
    play.arrives("go", json!(1));
    play.arrives("go", json!(2));
    play.answer("a", json!(1));
    assert_eq!(play.output(), json!(1), "the first to come is the first to be used");
}

#[test]
fn an_event_is_used_once() {
    let text =
        "steps:\n  - {id: one, await: go}\n  - {id: two, await: go}\noutput: [$steps.one.output, $steps.two.output]\n";
    let mut play = Play::of(text, json!({}));
    let once = What::Arrived { id: "x".into(), event: "go".into(), data: json!(1) };
    play.happens(once.clone());
    play.happens(once);
    assert!(play.run.outcome().is_none(), "the same event again");
    play.arrives("go", json!(2));
    assert_eq!(play.output(), json!([1, 2]));
}

#[test]
fn of_two_that_wait_only_one_gets_it() {
    let text = "steps:\n  - id: p\n    parallel:\n      a: {await: go}\n      b: {await: go}\n";
    let mut play = Play::of(text, json!({}));
    play.arrives("go", json!(1));
    assert!(play.run.outcome().is_none());
    play.arrives("go", json!(2));
    assert_eq!(play.output(), json!({"a": 1, "b": 2}));
}

#[test]
fn an_event_that_does_not_come_is_a_time_out() {
    let mut play = Play::of("steps: [{id: w, await: go, timeout: 2s}]", json!({}));
    play.pass(2_000);
    assert_eq!((&*play.failure().kind, &*play.failure().code), ("timeout", "MO4034"));
    assert!(!play.run.waits_for_others());
}

#[test]
fn an_event_that_the_condition_cannot_be_computed_of_is_another() {
    let text = "steps: [{id: w, await: go, where: event.data.n + 1 > 2, timeout: 2s}]";
    let mut play = Play::of(text, json!({}));
    play.arrives("go", json!({"n": "x"}));
    play.arrives("go", json!({"n": 2}));
    assert_eq!(play.output(), json!({"n": 2}));
    let mut play = Play::of(text, json!({}));
    play.arrives("go", json!({}));
    play.pass(2_000);
    let failure = play.failure();
    assert_eq!(failure.code, "MO4034");
    assert!(failure.message.contains("could not be told whether it is meant"), "{}", failure.message);
}
