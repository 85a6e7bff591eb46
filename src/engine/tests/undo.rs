//! `undo` and `on_failure`.

use serde_json::{Value, json};

use crate::engine::command::Outcome;
use crate::engine::event::What;
use crate::engine::tests::play::Play;
use crate::model::fault::Kind;

const ORDER: &str = r"
timeout: 1m
steps:
  - {id: reserve, for_each: [a, b], concurrency: 2, tool: s.post_reserve, undo: {tool: s.put_release, args: {item: $item, id: $result.id}}}
  - {id: charge, tool: s.post_charge, output: $result.id, undo: {tool: s.put_refund, args: {id: $result.id}}}
  - {id: ship, tool: s.post_ship, undo: {tool: s.put_recall}}
";

/// A run of [`ORDER`] in which everything but the last step is done.
fn nearly_done() -> Play {
    let mut play = Play::of(ORDER, json!({}));
    play.answer("reserve[1]", json!({"id": 2}));
    play.answer("reserve[0]", json!({"id": 1}));
    play.answer("charge", json!({"id": 3}));
    play
}

/// Undoes whatever is asked for; gives back what was asked for, in order.
fn undo_all(play: &mut Play) -> Vec<(String, Value)> {
    let mut asked = Vec::new();
    while let [call] = play.calls.as_slice() {
        let call = call.clone();
        assert!(call.is_afterwards);
        play.answer(&call.at, json!({}));
        asked.push((call.at, call.arguments));
    }
    asked
}

fn undone(play: &Play) -> Vec<(String, bool)> {
    play.run.undone().iter().map(|undone| (undone.at.to_string(), undone.failure.is_none())).collect()
}

fn in_reverse() -> Vec<(String, Value)> {
    vec![
        ("charge#undo".to_owned(), json!({"id": 3})),
        ("reserve[0]#undo".to_owned(), json!({"item": "a", "id": 1})),
        ("reserve[1]#undo".to_owned(), json!({"item": "b", "id": 2})),
    ]
}

#[test]
fn a_failed_run_undoes_what_was_done_the_last_first() {
    let mut play = nearly_done();
    play.refuse("ship", "no trucks");
    assert_eq!(play.run.outcome(), None, "a run is not over before it is undone");
    assert_eq!(undo_all(&mut play), in_reverse());
    assert_eq!(play.failure().message, "no trucks");
    let all = [("charge", true), ("reserve[0]", true), ("reserve[1]", true)];
    assert_eq!(undone(&play), all.map(|(at, is_done)| (at.to_owned(), is_done)));
}

#[test]
fn a_cancelled_run_is_undone_and_what_was_not_sent_is_not() {
    let mut play = nearly_done();
    play.happens(What::CancelRequested { why: "enough".into() });
    play.happens(What::CancelRequested { why: "really".into() });
    assert_eq!(undo_all(&mut play), in_reverse());
    assert_eq!(play.run.outcome(), Some(&Outcome::Cancelled { why: "enough".into() }));
}

#[test]
fn a_run_whose_time_is_up_is_undone() {
    let mut play = nearly_done();
    play.pass(60_000);
    assert_eq!(undo_all(&mut play), in_reverse());
    assert_eq!(play.failure().code, "MO4006");
}

#[test]
fn a_completed_run_is_not_undone() {
    let mut play = nearly_done();
    play.answer("ship", json!("sent"));
    assert_eq!((play.output(), undone(&play)), (json!("sent"), vec![]));
}

#[test]
fn an_output_that_breaks_its_promise_undoes_the_run() {
    let text = format!("{ORDER}output_schema: {{type: object, properties: {{n: {{type: string}}}}, required: [n]}}\n");
    let mut play = Play::of(&text, json!({}));
    for at in ["reserve[0]", "reserve[1]", "charge", "ship"] {
        play.answer(at, json!({"id": 1}));
    }
    assert_eq!(undo_all(&mut play).len(), 4);
    assert_eq!((play.failure().code, play.failure().data), ("MO4010".to_owned(), json!({"id": 1})));
}

#[test]
fn an_undo_is_tried_again_and_its_failure_does_not_stop_the_others() {
    let mut play = nearly_done();
    play.refuse("ship", "no trucks");
    for _ in 0..4 {
        play.fail("charge#undo", Kind::Unavailable);
        play.pass(30_000);
    }
    play.fail("charge#undo", Kind::Unavailable);
    assert_eq!(play.row("charge#undo").attempts, 5);
    assert_eq!(undo_all(&mut play).len(), 2);
    let first = &play.run.undone()[0];
    let failure = first.failure.as_ref().expect("it failed");
    assert_eq!((&*first.at, &*failure.kind, &first.result), ("charge", "unavailable", &json!({"id": 3})));
    assert_eq!(failure.step.as_deref(), Some("charge#undo"));
}

#[test]
fn a_write_that_may_have_been_undone_is_not_undone_twice() {
    let text = "steps:\n  - {id: a, tool: s.post, undo: {tool: s.post_back}}\n  - {id: b, fail: no}\n";
    let mut play = Play::of(text, json!({}));
    play.answer("a", json!(1));
    play.lose("a#undo", Kind::Timeout);
    assert_eq!(play.run.undone()[0].failure.as_ref().map(|failure| &*failure.kind), Some("in_doubt"));
}

#[test]
fn undoing_has_a_time_limit_of_its_own() {
    let mut play = nearly_done();
    play.refuse("ship", "no trucks");
    play.answer("charge#undo", json!({}));
    play.pass(300_000);
    assert_eq!(play.failure().message, "no trucks");
    let all = [("charge", true), ("reserve[0]", false), ("reserve[1]", false)];
    assert_eq!(undone(&play), all.map(|(at, is_done)| (at.to_owned(), is_done)));
    assert_eq!(play.run.undone()[2].failure.as_ref().map(|failure| &*failure.code), Some("MO4013"));
}

#[test]
fn a_step_whose_output_cannot_be_made_has_done_its_work_all_the_same() {
    let text = "steps:\n  - {id: a, tool: s.post, output: $result.no.such, undo: {tool: s.put}}\n";
    let mut play = Play::of(text, json!({}));
    play.answer("a", json!({}));
    assert_eq!(play.waiting(), ["a#undo"]);
}

#[test]
fn a_step_that_was_done_twice_is_undone_twice() {
    let text = r"
steps:
  - id: a
    retry: {attempts: 2, delay: 0}
    steps: [{id: b, tool: s.post, undo: {tool: s.put, args: {n: $result}}}, {id: c, tool: s.get}]
";
    let mut play = Play::of(text, json!({}));
    for n in 1..3 {
        play.answer("a/b", json!(n));
        play.fail("a/c", Kind::Unavailable);
    }
    let asked: Vec<_> = undo_all(&mut play).into_iter().map(|(_, arguments)| arguments["n"].clone()).collect();
    assert_eq!(asked, [2, 1]);
}

#[test]
fn several_steps_may_undo_and_see_what_their_step_saw() {
    let text = r"
steps:
  - {id: who, set: Ada}
  - id: a
    tool: s.post
    args: {who: $steps.who.output}
    undo:
      - {id: look, tool: s.get, args: {id: $result.id}}
      - {id: back, when: steps.look.output.open, tool: s.post, args: {who: $steps.who.output}}
  - {id: b, fail: no}
";
    let mut play = Play::of(text, json!({}));
    play.answer("a", json!({"id": 7}));
    assert_eq!(play.call("a#undo/look").arguments, json!({"id": 7}));
    play.answer("a#undo/look", json!({"open": true}));
    assert_eq!(play.call("a#undo/back").arguments, json!({"who": "Ada"}));
    play.answer("a#undo/back", json!({}));
    assert_eq!(undone(&play), [("a".to_owned(), true)]);
}

#[test]
fn on_failure_comes_last_and_sees_the_failure() {
    let text = format!("{ORDER}on_failure: {{tool: s.put_note, args: {{why: $error.message, where: $error.step}}}}\n");
    let mut play = Play::of(&text, json!({}));
    play.answer("reserve[0]", json!({"id": 1}));
    play.refuse("reserve[1]", "sold out");
    let asked = undo_all(&mut play);
    assert_eq!(asked[0].0, "reserve[0]#undo");
    assert_eq!(asked[1], ("#on_failure".to_owned(), json!({"why": "sold out", "where": "reserve[1]"})));
    assert_eq!(play.failure().message, "sold out");
}

#[test]
fn on_failure_may_be_steps_and_may_fail() {
    let text =
        "on_failure:\n  - {id: told, tool: s.put}\n  - {id: more, fail: worse}\nsteps:\n  - {id: a, fail: bad}\n";
    let mut play = Play::of(text, json!({}));
    play.answer("#on_failure/told", json!({}));
    assert_eq!((play.failure().message, play.row("#on_failure/more").status.as_str()), ("bad".to_owned(), "failed"));
}

#[test]
fn a_run_that_has_grown_too_large_can_still_be_undone() {
    let text = r"
steps:
  - {id: a, tool: s.post, undo: {tool: s.put}}
  - {id: f, for_each: [1, 2, 3, 4, 5], concurrency: 1, tool: s.get}
";
    let mut play = Play::of(text, json!({}));
    play.answer("a", json!(1));
    let big = "x".repeat(16 * 1024 * 1024);
    for item in 0..4 {
        play.answer(&format!("f[{item}]"), json!(big));
    }
    undo_all(&mut play);
    assert_eq!((play.failure().code, undone(&play)), ("MO4008".to_owned(), vec![("a".to_owned(), true)]));
}

/// A run of [`ORDER`] that is cancelled while its last step is in flight.
fn cancelled() -> Play {
    let mut play = nearly_done();
    play.happens(What::Intended { at: "ship".into(), attempt: 1 });
    play.happens(What::CancelRequested { why: "enough".into() });
    assert_eq!(play.waiting(), ["ship"], "it may have happened, and only its server knows");
    assert!(play.run.is_undoing());
    play
}

#[test]
fn what_is_in_flight_when_the_run_ends_is_waited_for_and_undone() {
    let mut play = cancelled();
    play.answer("ship", json!({}));
    let asked = undo_all(&mut play);
    assert_eq!((asked[0].0.as_str(), &asked[1..]), ("ship#undo", in_reverse().as_slice()));
    assert_eq!(play.run.lost(), []);
    assert_eq!(play.run.outcome(), Some(&Outcome::Cancelled { why: "enough".into() }));
}

#[test]
fn what_has_failed_after_all_is_not_undone() {
    let mut play = cancelled();
    play.refuse("ship", "no trucks");
    assert_eq!(undo_all(&mut play), in_reverse());
    assert_eq!(play.run.lost(), []);
}

#[test]
fn what_does_not_answer_or_went_away_is_in_doubt() {
    let mut play = cancelled();
    play.pass(10_000);
    assert_eq!(undo_all(&mut play), in_reverse());
    assert_eq!(play.run.lost()[0].at, "ship");
    let mut play = cancelled();
    play.lose("ship", Kind::Unavailable);
    assert_eq!(undo_all(&mut play), in_reverse());
    assert_eq!(play.run.lost()[0].at, "ship");
}

/// Two at once, one of which can be undone, within a step that may catch.
fn beside(text: &str) -> Play {
    let both = "parallel: {a: {tool: s.put, undo: {tool: s.put_back}}, b: {tool: s.get}}";
    Play::of(&format!("steps:\n  - {{id: p, {both}{text}}}\n  - {{id: after, tool: s.get}}\n"), json!({}))
}

#[test]
fn a_failure_beside_it_waits_for_what_can_be_undone() {
    let mut play = beside("");
    play.refuse("p/b", "no");
    assert_eq!(play.waiting(), ["p/a"]);
    play.answer("p/a", json!({}));
    assert_eq!(undo_all(&mut play), [("p/a#undo".to_owned(), json!({}))]);
    assert_eq!(play.failure().message, "no");
}

#[test]
fn a_time_limit_waits_for_what_can_be_undone() {
    for limit in [", timeout: 5s", ", join: {quorum: 2, within: 5s}"] {
        let mut play = beside(limit);
        play.answer("p/b", json!({}));
        play.pass(5_000);
        assert_eq!(play.waiting(), ["p/a"], "{limit}");
        play.answer("p/a", json!({}));
        assert_eq!(undo_all(&mut play), [("p/a#undo".to_owned(), json!({}))], "{limit}");
        assert_eq!(play.failure().kind, "timeout", "{limit}");
    }
}

#[test]
fn what_is_waited_for_within_what_fails_is_waited_for_still() {
    let inner = "parallel: {a: {tool: s.put, undo: {tool: s.put_back}}, b: {tool: s.get}}";
    let text = format!("steps:\n  - id: p\n    parallel:\n      q: {{{inner}}}\n      c: {{tool: s.get}}\n");
    let mut play = Play::of(&text, json!({}));
    play.refuse("p/q/b", "first");
    play.refuse("p/c", "second");
    assert_eq!(play.waiting(), ["p/q/a"]);
    play.answer("p/q/a", json!({}));
    assert_eq!(undo_all(&mut play), [("p/q/a#undo".to_owned(), json!({}))]);
    assert_eq!(play.failure().message, "second");
}

#[test]
fn a_failure_that_is_caught_waits_as_well_and_what_was_done_can_be_undone_later() {
    let mut play = beside(", catch: [{value: 1}]");
    play.refuse("p/b", "no");
    assert_eq!(play.waiting(), ["p/a"]);
    play.answer("p/a", json!({}));
    assert_eq!(play.waiting(), ["after"]);
    play.refuse("after", "no");
    assert_eq!(undo_all(&mut play).len(), 1);
}
