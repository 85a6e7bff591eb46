//! What the agents of a run share.

use serde_json::{Value, json};

use crate::engine::event::Called;
use crate::engine::tests::play::Play;

fn setting(answer: &Value, notes: &Value) -> Called {
    Called::Result(json!({ "structuredContent": answer, "_meta": { "io.mcp-orchestrator/context": notes } }))
}

#[test]
fn what_one_agent_sets_the_next_is_told_and_expressions_see() {
    let text = "steps:\n  - {id: a, agent: x, task: t, context: [found, plan]}\n  \
                - {id: b, agent: x, task: $context.found, context: [plan, found]}\n  - {id: c, set: $context.plan}\n\
                output: [$context.found, $steps.c.output]\n";
    let mut play = Play::of(text, json!({}));
    assert_eq!(play.call("a").arguments["context"], json!({}), "nothing is set yet");
    assert_eq!(play.call("a").arguments["shared"], json!(["found", "plan"]));
    play.comes_back("a", setting(&json!(1), &json!({ "found": 7, "secret": 8 })));
    assert_eq!(play.call("b").arguments["task"], 7);
    assert_eq!(play.call("b").arguments["context"], json!({ "found": 7 }), "what is not shared is not set");
    play.comes_back("b", setting(&json!(2), &json!({ "found": 9 })));
    assert_eq!(play.output(), json!([9, null]));
}

#[test]
fn of_two_that_set_the_same_the_second_is_tried_again_if_it_only_reads() {
    let text = "order: data\nsteps:\n  - {id: a, agent: x, task: t, context: [found], effect: read}\n  \
                - {id: b, agent: x, task: \"${context.found}\", context: [found], effect: read}\noutput: $context.found\n";
    let mut play = Play::of(text, json!({}));
    play.comes_back("a", setting(&json!(1), &json!({ "found": 1 })));
    play.comes_back("b", setting(&json!(2), &json!({ "found": 2 })));
    assert_eq!(
        (&play.call("b").arguments["task"], &play.call("b").arguments["context"]),
        (&json!(1), &json!({ "found": 1 }))
    );
    play.comes_back("b", setting(&json!(2), &json!({ "found": 3 })));
    assert_eq!(play.output(), 3);
    let mut play = Play::of(&text.replace("effect: read", "effect: write"), json!({}));
    play.comes_back("a", setting(&json!(1), &json!({ "found": 1 })));
    play.comes_back("b", setting(&json!(2), &json!({ "found": 2 })));
    assert_eq!(play.failure().code, "MO4022");
}

#[test]
fn who_sets_nothing_is_in_nobodys_way() {
    let text = "order: data\nsteps:\n  - {id: a, agent: x, task: t, context: [found]}\n  \
                - {id: b, agent: x, task: t, context: [found]}\noutput: $context.found\n";
    let mut play = Play::of(text, json!({}));
    play.comes_back("a", setting(&json!(1), &json!({ "found": 1 })));
    play.answer("b", json!(2));
    assert_eq!(play.output(), 1);
}
