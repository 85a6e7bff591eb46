//! `ask`.

use serde_json::{Value, json};

use crate::engine::event::{Answer, What};
use crate::engine::tests::play::Play;

/// A run that asks for a number between two reads, with these modifiers.
fn of(modifiers: &str) -> Play {
    let text = format!(
        "input: {{who: string}}\nsteps:\n  - {{id: a, tool: s.get}}\n  - {{id: q, ask: 'How many, ${{input.who}}?', answer: {{count: integer}}{modifiers}}}\n  - {{id: b, tool: s.get}}\noutput: $steps.q.output\n"
    );
    let mut play = Play::of(&text, json!({"who": "Ada"}));
    assert_eq!(play.waiting(), ["a"], "what stands below waits, too");
    play.answer("a", json!(1));
    play
}

fn given(content: Value) -> Answer {
    Answer::Given(content)
}

#[test]
fn an_answer_is_the_output_of_its_step() {
    let mut play = of("");
    assert_eq!(play.questions[0].message, "How many, Ada?");
    assert!(play.waiting().is_empty(), "what stands below waits for the answer");
    play.say("q", given(json!({"count": 3})));
    play.answer("b", json!(1));
    assert_eq!(play.output(), json!({"count": 3}));
}

#[test]
fn who_agrees_needs_no_form() {
    let mut play = Play::of("steps: [{id: q, ask: Go on?}]", json!({}));
    assert_eq!(play.questions[0].schema, None);
    play.say("q", given(json!({})));
    assert_eq!(play.output(), json!(true));
}

#[test]
fn no_is_a_failure_that_can_be_caught() {
    let mut play = of("");
    play.say("q", Answer::Declined { why: Some("too late".into()) });
    let failure = play.failure();
    assert_eq!((&*failure.kind, &*failure.code), ("rejected", "MO4032"));
    assert!(failure.message.contains("too late"), "{}", failure.message);
    let mut play = of(", catch: [{on: rejected, value: {count: 0}}]");
    play.say("q", Answer::Declined { why: None });
    play.answer("b", json!(1));
    assert_eq!(play.output(), json!({"count": 0}));
}

#[test]
fn what_does_not_fit_is_told_and_can_be_asked_for_again() {
    let mut play = of(", retry: {attempts: 2, delay: 0, on: [invalid]}");
    play.say("q", given(json!({"count": "many"})));
    play.pass(1);
    assert_eq!(play.questions[0].attempt, 2);
    play.say("q", given(json!({"count": "few"})));
    assert_eq!(play.failure().code, "MO4033");
}

#[test]
fn a_default_counts_if_nobody_answers_but_not_if_somebody_says_no() {
    let mut play = of(", timeout: 1h, default: {count: 7}");
    play.pass(3_600_000);
    play.answer("b", json!(1));
    assert_eq!(play.output(), json!({"count": 7}));
    assert_eq!(play.row("q").status.as_str(), "skipped");
    let mut play = of(", timeout: 1h, default: {count: 7}");
    play.say("q", Answer::Declined { why: None });
    assert_eq!(play.failure().kind, "rejected");
}

#[test]
fn nobody_is_waited_for_longer_than_a_day() {
    let mut play = of("");
    play.pass(24 * 3_600_000 - 1);
    assert_eq!(play.questions.len(), 1);
    play.pass(1);
    assert_eq!((&*play.failure().kind, &*play.failure().code), ("timeout", "MO4031"));
}

#[test]
fn a_question_ends_with_the_run_and_with_the_branch_that_asks() {
    let mut play = of("");
    play.happens(What::CancelRequested { why: "enough".into() });
    assert!(play.questions.is_empty() && play.run.outcome().is_some());
    let text = "steps:\n  - id: p\n    join: {quorum: 1, cancel_rest: true}\n    parallel:\n      a: {ask: One?}\n      b: {ask: Two?}\n";
    let mut play = Play::of(text, json!({}));
    assert_eq!(play.run.questions().len(), 2);
    play.say("p/b", given(json!({})));
    assert_eq!(play.output(), json!({"a": null, "b": true}));
}
