//! `retry`, and what must not be tried again.

use serde_json::json;

use crate::engine::event::{Called, Failure};
use crate::engine::tests::play::{Play, workflow};
use crate::model::code;
use crate::model::fault::Kind;

const PLAIN: &str =
    "steps:\n  - {id: a, tool: s.get, retry: {attempts: 3, delay: 100ms, backoff: exponential, jitter: none}}\n";

#[test]
fn a_transient_failure_is_tried_again_after_a_growing_wait() {
    let mut play = Play::of(PLAIN, json!({}));
    play.fail("a", Kind::Unavailable);
    assert_eq!(play.timers.get("a#retry"), Some(&1_100));
    play.pass(100);
    assert_eq!(play.call("a").attempt, 2);
    play.fail("a", Kind::RateLimited);
    assert_eq!(play.timers.get("a#retry"), Some(&1_300));
    play.pass(200);
    play.fail("a", Kind::Unavailable);
    assert_eq!((play.failure().kind, play.row("a").attempts), ("unavailable".to_owned(), 3));
}

#[test]
fn what_stays_wrong_is_not_tried_again() {
    let mut play = Play::of(PLAIN, json!({}));
    play.refuse("a", "no such thing");
    assert_eq!(play.failure().message, "no such thing");
}

#[test]
fn the_kinds_may_be_chosen() {
    let text = "steps:\n  - {id: a, tool: s.post, retry: {attempts: 2, delay: 0, on: [tool_error]}}\n";
    let mut play = Play::of(text, json!({}));
    play.refuse("a", "busy");
    assert_eq!(play.call("a").attempt, 2, "the tool has answered, so there is no doubt");
    play.fail("a", Kind::Unavailable);
    assert_eq!(play.failure().kind, "unavailable");
}

#[test]
fn a_server_that_asks_for_time_gets_it() {
    let mut play = Play::of(PLAIN, json!({}));
    let failure =
        Failure { retry_after: Some(5_000), ..Failure::new(Kind::RateLimited, code::SERVER_BUSY, "slow down") };
    play.comes_back("a", Called::Failure(failure));
    assert_eq!(play.timers.get("a#retry"), Some(&6_000));
}

#[test]
fn a_write_that_may_have_happened_is_in_doubt_and_not_repeated() {
    for kind in [Kind::Timeout, Kind::Unavailable] {
        let mut play = Play::of("steps:\n  - {id: a, tool: s.post, retry: 5}\n", json!({}));
        play.lose("a", kind);
        let failure = play.failure();
        assert_eq!(failure.kind, "in_doubt");
        assert!(failure.message.contains("outcome is unknown") && failure.message.contains("not called again"));
        assert!(failure.was_sent);
    }
}

#[test]
fn a_write_that_was_not_sent_and_an_idempotent_one_are_repeated() {
    let mut play = Play::of("steps:\n  - {id: a, tool: s.post, retry: {attempts: 2, delay: 0}}\n", json!({}));
    play.fail("a", Kind::Unavailable);
    assert_eq!(play.call("a").attempt, 2);
    let mut play = Play::of("steps:\n  - {id: a, tool: s.put, retry: {attempts: 2, delay: 0}}\n", json!({}));
    play.lose("a", Kind::Timeout);
    assert_eq!(play.call("a").attempt, 2);
}

#[test]
fn doubt_inside_a_block_is_not_dispelled_by_trying_the_block_again() {
    let text = "steps:\n  - {id: a, retry: {attempts: 3, delay: 0, on: [in_doubt, timeout]}, steps: [{id: b, tool: s.post}]}\n";
    let mut play = Play::of(text, json!({}));
    play.lose("a/b", Kind::Timeout);
    assert_eq!((play.failure().kind, play.failure().step), ("in_doubt".to_owned(), Some("a/b".to_owned())));
}

#[test]
fn a_block_that_is_tried_again_begins_anew_and_no_attempt_has_an_old_number() {
    let text = r"
steps:
  - id: a
    retry: {attempts: 2, delay: 10ms, jitter: none}
    steps: [{id: b, tool: s.get}, {id: c, tool: s.get, after: [b]}]
";
    let mut play = Play::of(text, json!({}));
    play.answer("a/b", json!(1));
    play.fail("a/c", Kind::Unavailable);
    play.pass(10);
    assert_eq!((play.waiting(), play.call("a/b").attempt), (vec!["a/b"], 2));
    play.answer("a/b", json!(2));
    assert_eq!(play.call("a/c").attempt, 2);
    play.answer("a/c", json!("done"));
    assert_eq!(play.rows(), ["a completed", "a/b completed", "a/c completed"]);
    assert_eq!((play.row("a").attempts, play.row("a/b").attempts), (2, 2));
}

#[test]
fn jitter_depends_on_the_seed_and_the_address_alone() {
    let text = "steps:\n  - {id: f, for_each: [1, 2], concurrency: 2, tool: s.get, retry: {attempts: 2, delay: 1h, max_delay: 1h, jitter: full}}\n";
    let due = |seed: u64| {
        let mut play = Play::begin(&workflow(text), json!({}), seed);
        play.fail("f[0]", Kind::Unavailable);
        play.fail("f[1]", Kind::Unavailable);
        play.timers
    };
    assert_eq!(due(1), due(1));
    assert_ne!(due(1), due(2));
    let once = due(1);
    assert_ne!(once["f[0]#retry"], once["f[1]#retry"]);
}
