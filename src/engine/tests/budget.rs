//! What a run may use up: tokens, money, calls and time, and what happens when it is spent.

use serde_json::{Value, json};

use crate::engine::command::{Callee, Command};
use crate::engine::event::Called;
use crate::engine::tests::play::Play;
use crate::model::usage::{Allowance, Cost, Usage};

fn result(content: Value) -> Called {
    Called::Result(Value::from_iter([("structuredContent", content)]))
}

fn used(tokens: u64) -> Usage {
    Usage { tokens, ..Usage::CALL }
}

#[test]
fn a_question_is_a_call_with_everything_it_needs() {
    let text = "input: {who: {default: Ada}}\nsteps:\n  - {id: a, llm: \"Greet ${input.who}.\", providers: x | y, tools: [s.get], \
                limits: {tokens: 2k, turns: 3}, expect: {text: string}}\n";
    let mut play = Play::of(text, json!({ "who": "Ada" }));
    let call = play.call("a").clone();
    assert_eq!(call.callee, Callee::Model);
    assert_eq!((&call.arguments["prompt"], &call.arguments["providers"]), (&json!("Greet Ada."), &json!(["x", "y"])));
    assert_eq!((&call.arguments["turns"], &call.arguments["tools"]), (&json!(3), &json!(["s.get"])));
    assert_eq!(call.arguments["expect"]["required"], json!(["text"]));
    assert_eq!(call.allowance, Allowance { tokens: Some(2_000), ..Allowance::default() });
    play.answer("a", json!({ "text": "Hi" }));
    assert_eq!(play.output(), json!({ "text": "Hi" }));
}

#[test]
fn a_models_text_stays_text_and_an_agents_json_is_read() {
    let mut play = Play::of("steps:\n  - {id: a, llm: x}\n  - {id: b, agent: x, task: y}\n", json!({}));
    play.comes_back("a", result(json!("[1]")));
    play.comes_back("b", Called::Result(json!({ "content": [{ "type": "text", "text": "{\"n\": 1}" }] })));
    assert_eq!(play.output(), json!({ "n": 1 }));
    let mut play = Play::of("steps:\n  - {id: a, llm: x}\n", json!({}));
    play.comes_back("a", result(json!("[1]")));
    assert_eq!(play.output(), json!("[1]"));
}

#[test]
fn each_call_may_use_what_is_left_and_none_is_made_when_nothing_is() {
    let text = "budget: {tokens: 100, cost: 2.5}\norder: data\nsteps:\n  - {id: a, tool: s.get}\n  \
                - {id: b, tool: s.get, after: [a]}\n  - {id: c, tool: s.get, after: [b]}\n";
    let mut play = Play::of(text, json!({}));
    play.comes_back_with("a", result(json!(1)), used(30));
    let left = Allowance { tokens: Some(70), cost: Some(Cost::of(2.5)), calls: None };
    assert_eq!(play.call("b").allowance, left);
    play.comes_back_with("b", result(json!(1)), used(80));
    let failure = play.failure();
    assert_eq!((&*failure.kind, &*failure.code, failure.step.as_deref()), ("budget", "MO4021", Some("c")));
    assert_eq!(failure.data["used"]["tokens"], 110);
    assert_eq!(play.run.usage().calls, 2);
}

#[test]
fn calls_in_flight_count_before_they_come_back() {
    let text = "budget: {calls: 2}\nsteps:\n  - {id: f, for_each: [1, 2, 3], tool: s.get, on_error: collect}\n";
    let mut play = Play::of(text, json!({}));
    assert_eq!(play.waiting(), ["f[0]", "f[1]"]);
    play.answer("f[0]", json!(1));
    play.answer("f[1]", json!(1));
    assert_eq!(play.output()[2]["error"]["kind"], "budget");
}

#[test]
fn when_the_time_is_spent_what_is_in_flight_fails_and_can_be_caught() {
    let text = "budget: {time: 1s}\nsteps:\n  - {id: a, tool: s.get, catch: [{on: budget, value: late}]}\n  \
                - {id: b, tool: s.get, optional: true}\n  - {id: c, set: [$steps.a.output, $steps.b.output]}\n";
    let mut play = Play::of(text, json!({}));
    play.pass(1_000);
    assert_eq!(play.output(), json!(["late", null]));
    assert_eq!(play.calls, []);
}

#[test]
fn a_write_that_the_end_of_the_time_cuts_off_is_in_doubt() {
    let text = "budget: {time: 1s}\nsteps:\n  - {id: a, tool: s.post, fallback: [{tool: s.post_other}]}\n";
    let mut play = Play::of(text, json!({}));
    play.pass(1_000);
    assert_eq!(play.failure().kind, "in_doubt");
}

#[test]
fn undoing_is_not_bound_by_what_ended_the_run() {
    let text =
        "budget: {calls: 1}\nsteps:\n  - {id: a, tool: s.post, undo: {tool: s.post_undo}}\n  - {id: b, tool: s.post}\n";
    let mut play = Play::of(text, json!({}));
    play.answer("a", json!(1));
    assert_eq!(play.waiting().len(), 1, "{:?}", play.waiting());
    let at = play.waiting()[0].to_owned();
    let commands = play.answer(&at, json!(1));
    assert!(matches!(commands.last(), Some(Command::Finish(_))));
    assert_eq!(play.failure().kind, "budget");
}

#[test]
fn a_scarce_budget_is_kept_for_what_is_not_optional() {
    let text = "budget: {tokens: 100, on_exceed: degrade}\norder: data\nsteps:\n  - {id: a, llm: x}\n  \
                - {id: b, llm: x, after: [a], optional: true}\n  - {id: c, llm: x, after: [b]}\n";
    let mut play = Play::of(text, json!({}));
    assert_eq!(play.call("a").arguments.get("thrifty"), None);
    play.comes_back_with("a", result(json!(1)), used(80));
    assert_eq!(play.waiting(), ["c"]);
    assert_eq!(play.call("c").arguments["thrifty"], true);
}
