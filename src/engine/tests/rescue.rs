//! `when`, `default`, `optional`, `fallback`, `catch` and `output`.

use serde_json::json;

use crate::engine::command::Callee;
use crate::engine::event::Called;
use crate::engine::tests::play::Play;
use crate::model::fault::Kind;
use crate::model::name::ToolRef;

#[test]
fn a_step_whose_condition_fails_is_skipped_and_has_its_default() {
    let text = r"
input: {go: boolean}
steps:
  - {id: a, when: input.go, tool: s.get, default: {v: 0}}
  - {id: b, set: ['$steps.a.output.v', '$steps.a.status']}
";
    assert_eq!(Play::of(text, json!({"go": false})).output(), json!([0, "skipped"]));
    assert_eq!(Play::of(text, json!({"go": false})).row("a").attempts, 0);
    assert_eq!(Play::of(text, json!({"go": true})).waiting(), ["a"]);
}

#[test]
fn an_optional_step_that_fails_is_skipped() {
    let text = r"
steps:
  - {id: a, tool: s.get, optional: true, default: none so far}
  - {id: b, set: ['$steps.a.output', '$steps.a.status', '$steps.a.error.kind', '$steps.a.attempts']}
";
    let mut play = Play::of(text, json!({}));
    play.refuse("a", "no");
    assert_eq!(play.output(), json!(["none so far", "skipped", "tool_error", 1]));
    assert_eq!(play.row("a").error.map(|error| error.message).as_deref(), Some("no"));
}

#[test]
fn fallbacks_are_tried_in_order_and_count_on() {
    let text = r"
steps:
  - id: a
    tool: s.get_first
    args: {q: 1}
    output: $result.v
    fallback: [{tool: s.get_second}, {tool: s.get_third, args: {q: 3}}, {value: last resort}]
";
    let mut play = Play::of(text, json!({}));
    play.refuse("a", "1");
    let second = play.call("a").clone();
    assert_eq!(second.callee, Callee::Tool(ToolRef { server: "s".into(), tool: "get_second".into() }));
    assert_eq!((second.attempt, second.arguments), (2, json!({"q": 1})));
    play.refuse("a", "2");
    assert_eq!((play.call("a").attempt, &play.call("a").arguments), (3, &json!({"q": 3})));
    play.answer("a", json!({"v": "third"}));
    assert_eq!(play.output(), json!("third"), "`output` maps what a fallback tool gives");

    let mut play = Play::of(text, json!({}));
    for _ in 0..3 {
        play.refuse("a", "no");
    }
    assert_eq!(play.output(), json!("last resort"), "`output` does not map a fallback value");
    assert_eq!(play.row("a").attempts, 3);
}

#[test]
fn a_fallback_tool_does_not_repeat_what_may_have_happened() {
    let text = "steps:\n  - {id: a, tool: s.post, fallback: [{tool: s.post_other}, {value: unknown}]}\n";
    let mut play = Play::of(text, json!({}));
    play.lose("a", Kind::Timeout);
    assert_eq!(play.output(), json!("unknown"));
}

#[test]
fn the_first_catch_that_matches_counts() {
    let text = r"
steps:
  - id: a
    tool: s.get
    catch:
      - {on: timeout, value: late}
      - {on: tool_error, when: error.data.code == 'declined', value: '${error.data.code}'}
      - {on: [tool_error], steps: [{id: note, tool: s.get_note, args: {m: $error.message}}]}
  - {id: b, set: ['$steps.a.output', '$steps.a.status', '$steps.a.error.kind']}
";
    let mut play = Play::of(text, json!({}));
    play.comes_back("a", Called::Result(json!({"isError": true, "structuredContent": {"code": "declined"}})));
    assert_eq!(play.output(), json!(["declined", "completed", "tool_error"]));

    let mut play = Play::of(text, json!({}));
    play.comes_back("a", Called::Result(json!({"isError": true, "structuredContent": {"code": "x"}})));
    assert_eq!(play.waiting(), ["a/catch/note"]);
    assert_eq!(play.call("a/catch/note").arguments, json!({"m": r#"{"code":"x"}"#}));
    play.answer("a/catch/note", json!("noted"));
    assert_eq!(play.output(), json!(["noted", "completed", "tool_error"]));

    let mut play = Play::of(text, json!({}));
    play.fail("a", Kind::Denied);
    assert_eq!(play.failure().kind, "denied");
}

#[test]
fn a_failing_catch_fails_the_step_unless_it_is_optional() {
    let text = |more: &str| {
        format!("steps:\n  - {{id: a, tool: s.get, catch: [{{steps: [{{id: b, fail: worse}}]}}]{more}}}\n")
    };
    let mut play = Play::of(&text(""), json!({}));
    play.refuse("a", "bad");
    assert_eq!((play.failure().message, play.failure().step), ("worse".to_owned(), Some("a/catch/b".to_owned())));
    let mut play = Play::of(&text(", optional: true, default: 1"), json!({}));
    play.refuse("a", "bad");
    assert_eq!(play.output(), json!(1));
}

#[test]
fn a_failure_inside_can_be_caught_outside() {
    let text = "steps:\n  - {id: a, steps: [{id: b, tool: s.get}], catch: [{value: $error.step}]}\n";
    let mut play = Play::of(text, json!({}));
    play.refuse("a/b", "no");
    assert_eq!(play.output(), json!("a/b"));
}

#[test]
fn an_expression_that_fails_is_a_failure_like_any_other_but_is_not_retried() {
    let text = |more: &str| {
        format!(
            "steps:\n  - {{id: a, tool: s.get}}\n  - {{id: b, set: $steps.a.output.nothing.there, retry: {{attempts: 5, on: [invalid]}}{more}}}\n"
        )
    };
    let mut play = Play::of(&text(""), json!({}));
    play.answer("a", json!({}));
    let failure = play.failure();
    assert_eq!((&*failure.kind, &*failure.code, failure.step.as_deref()), ("invalid", "MO4003", Some("b")));
    assert!(failure.message.contains("nothing") && failure.message.contains("`b`"), "{}", failure.message);
    assert_eq!(play.row("b").attempts, 1);
    let mut play = Play::of(&text(", catch: [{on: invalid, value: mended}]"), json!({}));
    play.answer("a", json!({}));
    assert_eq!(play.output(), json!("mended"));
}

#[test]
fn a_list_that_is_none_can_be_caught() {
    let text = "steps:\n  - {id: a, tool: s.get}\n  - {id: f, for_each: $steps.a.output, set: $item, catch: [{on: invalid, value: []}]}\n";
    let mut play = Play::of(text, json!({}));
    play.answer("a", json!({"items": []}));
    assert_eq!(play.output(), json!([]));
}

#[test]
fn each_item_has_its_own_rescue() {
    let text = "steps:\n  - {id: f, for_each: [1, 2], concurrency: 2, tool: s.get, retry: {attempts: 2, delay: 0}, catch: [{on: tool_error, value: caught}]}\n";
    let mut play = Play::of(text, json!({}));
    play.fail("f[0]", Kind::Unavailable);
    assert_eq!(play.call("f[0]").attempt, 2);
    play.answer("f[0]", json!("ok"));
    play.refuse("f[1]", "no");
    assert_eq!(play.output(), json!(["ok", "caught"]));
}

#[test]
fn a_write_that_succeeded_is_not_done_again_because_its_output_cannot_be_made() {
    let text = |tool: &str| {
        format!(
            "steps:\n  - {{id: a, tool: s.{tool}, output: $result.no.such, fallback: [{{tool: s.{tool}_other}}], catch: [{{value: $error.code}}]}}\n"
        )
    };
    let mut play = Play::of(&text("post"), json!({}));
    play.answer("a", json!({}));
    assert_eq!(play.output(), json!("MO4003"));
    let mut play = Play::of(&text("get"), json!({}));
    play.answer("a", json!({}));
    assert_eq!(play.call("a").attempt, 2);
}
