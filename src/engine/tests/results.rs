//! What a tool's result becomes.

use serde_json::{Value, json};

use crate::engine::event::Called;
use crate::engine::tests::play::Play;

fn called(result: Value) -> Play {
    let mut play = Play::of("steps:\n  - {id: a, tool: s.get}\n", json!({}));
    play.comes_back("a", Called::Result(result));
    play
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

#[test]
fn structured_content_comes_first() {
    let result = json!({ "structuredContent": { "n": 1 }, "content": [text("{\"n\": 2}")] });
    assert_eq!(called(result).output(), json!({ "n": 1 }));
}

#[test]
fn a_single_text_that_is_an_object_or_a_list_is_read() {
    let of = |content: &str| called(json!({ "structuredContent": null, "content": [text(content)] })).output();
    assert_eq!(of(" {\"n\": 2}\n"), json!({ "n": 2 }));
    assert_eq!(of("[1]"), json!([1]));
    assert_eq!(of("12"), json!({ "text": "12", "content": [text("12")] }), "a number may be just a text");
    assert_eq!(of("[not json"), json!({ "text": "[not json", "content": [text("[not json")] }));
}

#[test]
fn anything_else_is_text_and_content() {
    let content = json!([text("a"), { "type": "image", "data": "" }, text("{}")]);
    assert_eq!(called(json!({ "content": content })).output(), json!({ "text": "a\n{}", "content": content }));
    for odd in [json!({}), json!(null), json!("x")] {
        assert_eq!(called(odd).output(), json!({ "text": "", "content": [] }));
    }
}

#[test]
fn an_error_result_is_a_failure_that_says_what_the_tool_said() {
    let failure = called(json!({ "isError": true, "content": [text("bad"), text("luck")] })).failure();
    assert_eq!((&*failure.kind, &*failure.code, &*failure.message), ("tool_error", "MO4002", "bad\nluck"));
    assert_eq!((failure.server.as_deref(), failure.target.as_deref()), (Some("s"), Some("get")));
    assert_eq!(failure.data, json!("bad\nluck"));
    let failure = called(json!({ "isError": true, "structuredContent": { "code": 7 } })).failure();
    assert_eq!(failure.data, json!({ "code": 7 }));
    assert!(!called(json!({ "isError": true })).failure().message.is_empty());
}

#[test]
fn a_long_error_is_cut_between_characters() {
    let failure = called(json!({ "isError": true, "content": [text(&"ä".repeat(5_000))] })).failure();
    assert_eq!(failure.message.chars().count(), 2_001);
    assert_eq!(failure.data.as_str().map(|text| text.chars().count()), Some(5_000));
}
