//! `wait`.

use serde_json::{Value, json};

use crate::engine::event::What;
use crate::engine::tests::play::Play;

/// A run that waits like this, between two reads.
fn of(wait: &str, input: Value) -> Play {
    let text = format!(
        "input: {{at: {{optional: true}}}}\nsteps:\n  - {{id: a, tool: s.get}}\n  - {{id: w, wait: {wait}}}\n  - {{id: b, tool: s.get}}\n"
    );
    let mut play = Play::of(&text, input);
    assert_eq!(play.waiting(), ["a"], "what stands below waits, too");
    play.answer("a", json!(1));
    play
}

#[test]
fn time_passes_before_the_next_step() {
    let mut play = of("1h", json!({}));
    assert_eq!((play.waiting().len(), play.timers.get("w#wait")), (0, Some(&3_601_000)));
    play.pass(3_600_000);
    assert_eq!(play.waiting(), ["b"]);
    play.answer("b", json!(2));
    assert_eq!(play.output(), json!(2));
}

#[test]
fn the_time_may_come_from_anywhere() {
    for (wait, at, due) in [
        ("$input.at", json!("90s"), 91_000),
        ("$input.at", json!(500), 1_500),
        ("{until: $input.at}", json!("1970-01-01T00:01:00Z"), 60_000),
        ("{until: $input.at}", json!(5_000), 5_000),
    ] {
        assert_eq!(of(wait, json!({"at": at})).timers.get("w#wait"), Some(&due), "{wait} {at}");
    }
}

#[test]
fn what_has_passed_is_not_waited_for() {
    assert_eq!(of("{until: $input.at}", json!({"at": 999})).waiting(), ["b"]);
    assert_eq!(of("0s", json!({})).waiting(), ["b"]);
}

#[test]
fn what_is_no_time_is_told() {
    for wait in ["$input.at", "{until: $input.at}"] {
        let failure = of(wait, json!({"at": "soon"})).failure();
        assert_eq!((&*failure.kind, failure.step.as_deref()), ("invalid", Some("w")));
        assert!(failure.message.contains("soon"), "{}", failure.message);
    }
}

#[test]
fn a_wait_ends_with_its_step_and_with_the_run() {
    let mut play = Play::of("steps:\n  - {id: w, wait: 1h, timeout: 1s, optional: true}\n", json!({}));
    play.pass(1_000);
    assert_eq!(play.output(), json!(null));
    let mut play = of("1h", json!({}));
    play.happens(What::CancelRequested { why: "enough".into() });
    assert!(play.timers.is_empty());
}
