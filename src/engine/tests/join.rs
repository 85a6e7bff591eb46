//! `join`: how the branches of `parallel` come together.

use serde_json::json;

use crate::engine::command::Command;
use crate::engine::tests::play::Play;
use crate::model::fault::Kind;

/// Three branches that read, joined like this.
fn of(join: &str) -> Play {
    let text = format!(
        "steps:\n  - id: p\n    join: {join}\n    parallel:\n      a: {{tool: s.get}}\n      b: {{tool: s.get}}\n      c: {{tool: s.get}}\n"
    );
    Play::of(&text, json!({}))
}

#[test]
fn any_takes_the_first_success_and_cancels_the_rest() {
    let mut play = of("any");
    play.refuse("p/b", "no");
    let commands = play.answer("p/c", json!(3));
    assert_eq!(commands[0], Command::Cancel { at: "p/a".into(), attempt: 1 });
    assert_eq!(play.output(), json!({"a": null, "b": null, "c": 3}));
}

#[test]
fn any_fails_when_every_branch_has_failed() {
    let mut play = of("any");
    play.refuse("p/a", "one");
    play.refuse("p/b", "two");
    play.fail("p/c", Kind::Unavailable);
    let failure = play.failure();
    assert_eq!((&*failure.code, &*failure.kind, failure.step.as_deref()), ("MO4014", "unavailable", Some("p/c")));
    assert!(failure.message.contains("0 of 3 branches"), "{}", failure.message);
}

#[test]
fn first_is_decided_by_whichever_branch_ends_first() {
    let mut play = of("first");
    play.answer("p/b", json!(2));
    assert_eq!(play.output(), json!({"a": null, "b": 2, "c": null}));
    let mut play = of("first");
    play.refuse("p/b", "no");
    assert_eq!((play.failure().message, play.failure().code), ("no".to_owned(), "MO4002".to_owned()));
}

#[test]
fn a_quorum_ends_it_or_waits_for_the_rest() {
    let mut play = of("{quorum: 2}");
    play.answer("p/a", json!(1));
    play.answer("p/c", json!(3));
    assert_eq!(play.output(), json!({"a": 1, "b": null, "c": 3}));
    let mut play = of("{quorum: 2, cancel_rest: false}");
    play.answer("p/a", json!(1));
    play.answer("p/c", json!(3));
    assert_eq!(play.waiting(), ["p/b"]);
    play.refuse("p/b", "no");
    assert_eq!(play.output(), json!({"a": 1, "b": null, "c": 3}));
}

#[test]
fn a_quorum_that_cannot_be_reached_fails_at_once() {
    let mut play = of("{quorum: 2}");
    play.refuse("p/a", "one");
    play.refuse("p/b", "two");
    assert_eq!(play.failure().code, "MO4014");
    assert_eq!(play.rows(), ["p failed", "p/a failed", "p/b failed", "p/c cancelled"]);
}

#[test]
fn a_quorum_has_its_time() {
    let mut play = of("{quorum: 2, within: 5s}");
    play.answer("p/a", json!(1));
    play.pass(5_000);
    assert_eq!((play.failure().kind, play.failure().code), ("timeout".to_owned(), "MO4016".to_owned()));
    let mut play = of("{quorum: 1, within: 5s, cancel_rest: false}");
    play.answer("p/a", json!(1));
    play.pass(5_000);
    assert_eq!(play.output(), json!({"a": 1, "b": null, "c": null}));
}

#[test]
fn a_write_in_flight_when_the_time_is_up_leaves_doubt() {
    let text = "steps:\n  - {id: p, join: {quorum: 2, within: 1s}, retry: 3, parallel: {a: {tool: s.post}, b: {tool: s.get}}}\n";
    let mut play = Play::of(text, json!({}));
    play.pass(1_000);
    assert_eq!(play.failure().kind, "in_doubt");
}
