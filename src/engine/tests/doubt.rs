//! What becomes of what was in flight when the program died.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::engine::command::{Command, StepCall};
use crate::engine::event::{Called, Decision, Event, What};
use crate::engine::run::Run;
use crate::engine::tests::play::{Play, workflow};
use crate::model::fault::Kind;
use crate::model::usage::Usage;

/// The run of this text after the program has died and another has taken over, and what that one is to do. The calls that must
/// not be made twice had been intended.
fn after_a_death(text: &str) -> (Run, Vec<Command>) {
    let play = Play::of(text, json!({}));
    let mut run = Run::new(workflow(text));
    play.events.iter().for_each(|event| drop(run.apply(event.clone())));
    for call in &play.calls {
        happens(&mut run, What::Intended { at: call.at.clone(), attempt: call.attempt });
    }
    let commands = happens(&mut run, What::Resumed);
    (run, commands)
}

fn happens(run: &mut Run, what: What) -> Vec<Command> {
    run.apply(Event { now: 5_000, what })
}

fn calls(commands: &[Command]) -> Vec<&StepCall> {
    commands.iter().filter_map(|command| if let Command::Call(call) = command { Some(call) } else { None }).collect()
}

fn answered(run: &mut Run, at: &str, content: &Value) -> Vec<Command> {
    let outcome = Called::Result(json!({ "structuredContent": content }));
    happens(run, What::Called { at: at.to_owned(), attempt: 1, outcome, usage: Usage::CALL })
}

#[test]
fn what_may_be_repeated_is_and_its_time_begins_anew() {
    for tool in ["s.get", "s.put"] {
        let (_, commands) = after_a_death(&format!("steps:\n  - {{ id: a, tool: {tool}, timeout: 1s }}\n"));
        assert_eq!(calls(&commands)[0].at, "a");
        let last = commands.iter().rev().find_map(|command| match command {
            Command::Timer { due, .. } => Some(*due),
            _ => None,
        });
        assert_eq!(last, Some(6_000));
    }
}

#[test]
fn what_was_not_intended_has_not_been_sent() {
    let play = Play::of("steps:\n  - { id: a, tool: s.post }\n", json!({}));
    let mut run = Run::new(workflow("steps:\n  - { id: a, tool: s.post }\n"));
    play.events.iter().for_each(|event| drop(run.apply(event.clone())));
    assert_eq!(calls(&happens(&mut run, What::Resumed)).len(), 1);
}

#[test]
fn a_write_waits_for_somebody_without_a_limit_of_its_own() {
    let text = "steps:\n  - { id: a, tool: s.post, timeout: 1s }\noutput: $steps.a.output\n";
    let (mut run, commands) = after_a_death(text);
    assert!(calls(&commands).is_empty() && commands.contains(&Command::Forget { at: "a#timeout".to_owned() }));
    assert_eq!(run.doubts()[0].at, "a");
    let decision = Decision::ItHappened(json!(7));
    let ended = happens(&mut run, What::Decided { at: "a".to_owned(), attempt: 1, decision });
    assert!(matches!(&ended[..], [Command::Finish(outcome)] if outcome.failure().is_none()), "{ended:?}");
}

#[test]
fn a_step_may_say_what_becomes_of_a_doubt() {
    let (_, commands) = after_a_death("steps:\n  - { id: a, tool: s.post, in_doubt: retry }\n");
    assert_eq!(calls(&commands)[0].at, "a");
    let (run, _) = after_a_death("steps:\n  - { id: a, tool: s.post, in_doubt: fail }\n");
    let failure = run.outcome().and_then(crate::engine::command::Outcome::failure).expect("a failure");
    assert_eq!((&*failure.kind, &*failure.code), ("in_doubt", "MO4037"));
}

#[test]
fn another_tool_is_asked_whether_it_has_happened() {
    let text = "steps:\n  - { id: a, tool: s.post, check: { tool: s.get_it, args: { of: '${run.id}' } } }\noutput: $steps.a.output.n\n";
    let (mut run, commands) = after_a_death(text);
    let check = calls(&commands)[0];
    assert_eq!((&*check.at, &check.arguments), ("a#check", &json!({ "of": "r1" })));
    let ended = answered(&mut run, "a#check", &json!({ "n": 3 }));
    assert!(matches!(&ended[..], [Command::Finish(_)]), "{ended:?}");
    let (mut run, _) = after_a_death(text);
    assert_eq!(calls(&answered(&mut run, "a#check", &json!({})))[0].at, "a", "it was not found, so it is made");
    let (mut run, _) = after_a_death(text);
    let outcome = Called::Result(json!({ "isError": true, "content": [] }));
    happens(&mut run, What::Called { at: "a#check".to_owned(), attempt: 1, outcome, usage: Usage::CALL });
    assert_eq!(run.doubts().len(), 1, "who cannot be asked has said nothing");
}

#[test]
fn a_key_is_made_of_what_the_step_sees() {
    let play = Play::of(
        "input: { id: integer }\nsteps:\n  - { id: a, tool: s.post, idempotency_key: 'pay-${input.id}' }\n",
        json!({ "id": 4 }),
    );
    assert_eq!(play.call("a").key.as_deref(), Some("pay-4"));
}

#[test]
fn a_death_without_anything_in_flight_changes_nothing() {
    let text = "steps:\n  - { id: a, wait: 1s }\n  - { id: b, ask: Well? }\n";
    let flow = workflow(text);
    let (mut run, commands) = after_a_death(text);
    assert_eq!(commands, [Command::Timer { at: "a#wait".to_owned(), due: 2_000 }]);
    let asked = happens(&mut run, What::Fired { at: "a#wait".to_owned() });
    let again = happens(&mut run, What::Resumed);
    let questions = |commands: &[Command]| commands.iter().filter(|command| matches!(command, Command::Ask(_))).count();
    assert_eq!((questions(&asked), questions(&again)), (1, 1));
    assert_eq!(Arc::strong_count(&flow), 1);
}

#[test]
fn of_two_calls_only_the_lost_one_is_in_doubt() {
    let text = "steps:\n  - id: both\n    parallel: { a: { tool: s.post }, b: { tool: s.post } }\n";
    let play = Play::of(text, json!({}));
    let mut run = Run::new(workflow(text));
    play.events.iter().for_each(|event| drop(run.apply(event.clone())));
    for call in &play.calls {
        happens(&mut run, What::Intended { at: call.at.clone(), attempt: call.attempt });
    }
    let (lost, other) = (play.calls[0].at.clone(), play.calls[1].at.clone());
    assert_eq!(happens(&mut run, What::Lost { at: lost.clone(), attempt: 1 }), []);
    assert_eq!(run.doubts().iter().map(|call| &*call.at).collect::<Vec<_>>(), [&*lost]);
    answered(&mut run, &other, &json!(1));
    happens(&mut run, What::Decided { at: lost, attempt: 1, decision: Decision::ItHappened(json!(2)) });
    assert!(run.outcome().is_some(), "both are known");
}

/// A payment whose answer does not come while the run goes on: it is lost, or its time is up.
fn unanswered(more: &str) -> [Play; 2] {
    let text = format!("steps:\n  - {{ id: pay, tool: s.post, timeout: 5s{more} }}\noutput: $steps.pay.output\n");
    [true, false].map(|is_lost| {
        let mut play = Play::of(&text, json!({}));
        if is_lost {
            play.lose("pay", Kind::Unavailable);
        } else {
            play.pass(5_000);
        }
        play
    })
}

const CHECK: &str = ", check: { tool: s.get, args: { of: pay } }";

#[test]
fn a_tool_that_knows_is_asked_while_the_run_goes_on_too() {
    for mut play in unanswered(CHECK) {
        assert_eq!(play.waiting(), ["pay#check"]);
        play.answer("pay#check", json!({ "receipt": 7 }));
        assert_eq!(play.output(), json!({ "receipt": 7 }));
    }
}

#[test]
fn what_is_known_not_to_have_happened_is_a_failure_like_others() {
    for mut play in unanswered(CHECK) {
        play.answer("pay#check", json!({}));
        let failure = play.failure();
        assert!(!failure.was_sent && ["unavailable", "timeout"].contains(&&*failure.kind), "{failure:?}");
    }
    for mut play in unanswered(&format!("{CHECK}, retry: {{ attempts: 2, delay: 1s }}")) {
        play.answer("pay#check", json!(null));
        play.pass(1_000);
        assert_eq!(play.waiting(), ["pay"]);
        play.answer("pay", json!({ "receipt": 8 }));
        assert_eq!(play.output(), json!({ "receipt": 8 }));
    }
}

#[test]
fn where_nobody_can_say_it_stays_in_doubt() {
    for mut play in unanswered(CHECK) {
        play.fail("pay#check", Kind::Unavailable);
        assert_eq!((&*play.failure().kind, play.failure().was_sent), ("in_doubt", true));
    }
    for mut play in unanswered(CHECK) {
        play.pass(10_000);
        assert_eq!((&*play.failure().kind, play.waiting().len()), ("in_doubt", 0), "it is not asked for ever");
    }
}

#[test]
fn what_is_in_doubt_is_made_again_where_its_step_says_so() {
    for mut play in unanswered(", in_doubt: retry") {
        assert_eq!(play.waiting(), ["pay"]);
        play.lose("pay", Kind::Unavailable);
        assert_eq!(play.failure().kind, "in_doubt", "once");
    }
    for mut play in unanswered(", in_doubt: retry, retry: { attempts: 3, delay: 1s }") {
        play.pass(1_000);
        play.lose("pay", Kind::Unavailable);
        play.pass(2_000);
        play.answer("pay", json!({ "receipt": 9 }));
        assert_eq!(play.output(), json!({ "receipt": 9 }));
    }
    for play in unanswered(", retry: 3") {
        assert_eq!(play.failure().kind, "in_doubt", "not unless it says so");
    }
}
