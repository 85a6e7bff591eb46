//! `cache`, and `cached` as a fallback.

use serde_json::json;

use crate::engine::event::Called;
use crate::engine::tests::play::Play;
use crate::engine::view::Origin;
use crate::model::fault::Kind;

fn of(modifiers: &str) -> String {
    format!("input: {{id: integer}}\nsteps:\n  - {{id: a, tool: s.get, args: {{id: $input.id}}, {modifiers}}}\n")
}

/// A run with the id 1 that has had the result `{n: 5}`.
fn done(modifiers: &str) -> Play {
    let mut play = Play::of(&of(modifiers), json!({"id": 1}));
    play.answer("a", json!({"n": 5}));
    play
}

/// Where the output of the step comes from.
fn origin(play: &Play) -> Option<&'static str> {
    play.row("a").origin.map(Origin::as_str)
}

#[test]
fn a_young_result_stands_in_for_the_call() {
    let first = done("cache: 500ms");
    assert_eq!((first.output(), origin(&first)), (json!({"n": 5}), None));
    let again = first.again(&of("cache: 500ms"), json!({"id": 1}), 500);
    assert_eq!((again.output(), origin(&again)), (json!({"n": 5}), Some("cache")));
    assert_eq!(first.again(&of("cache: 500ms"), json!({"id": 1}), 501).waiting(), ["a"], "it is too old");
    assert_eq!(first.again(&of("cache: 500ms"), json!({"id": 2}), 0).waiting(), ["a"], "it is of other arguments");
}

#[test]
fn the_output_is_made_anew_from_the_kept_result() {
    let first = done("cache: 1s, output: $result.n");
    assert_eq!(first.again(&of("cache: 1s, output: '${result.n + 1}'"), json!({"id": 1}), 0).output(), json!(6));
    let odd = first.again(&of("cache: 1s, output: $result.nothing.at.all"), json!({"id": 1}), 0);
    assert_eq!(odd.waiting(), ["a"], "what cannot be used any more is got anew");
}

#[test]
fn a_key_of_ones_own_decides_what_is_the_same() {
    let first = done("cache: {ttl: 1s, key: all, scope: shared}");
    assert!(first.kept[0].0.is_shared);
    assert_eq!(
        first.again(&of("cache: {ttl: 1s, key: all, scope: shared}"), json!({"id": 9}), 0).output(),
        json!({"n": 5})
    );
}

#[test]
fn an_old_result_helps_where_the_step_fails() {
    for modifiers in [
        "fallback: [{cached: 1s}, {value: 0}]",
        "cache: {ttl: 1ms, stale_if_error: 1s}, fallback: [{tool: s.get_other}]",
    ] {
        let first = done(modifiers);
        let mut again = first.again(&of(modifiers), json!({"id": 1}), 900);
        again.fail("a", Kind::Unavailable);
        if modifiers.contains("get_other") {
            again.fail("a", Kind::Unavailable);
        }
        assert_eq!((again.output(), origin(&again)), (json!({"n": 5}), Some("stale_cache")), "{modifiers}");
    }
    let mut again = done("fallback: [{cached: 100ms}, {value: 0}]").again(
        &of("fallback: [{cached: 100ms}, {value: 0}]"),
        json!({"id": 1}),
        900,
    );
    again.fail("a", Kind::Unavailable);
    assert_eq!((again.output(), origin(&again)), (json!(0), Some("fallback")), "one that is too old does not");
}

#[test]
fn the_items_of_a_list_share_what_is_known() {
    let text = "steps:\n  - {id: a, for_each: [1, 2, 1], concurrency: 1, tool: s.get, args: {n: $item}, cache: 1s}\n";
    let mut play = Play::of(text, json!({}));
    play.answer("a[0]", json!({"n": 1}));
    play.answer("a[1]", json!({"n": 2}));
    assert_eq!(play.output(), json!([{"n": 1}, {"n": 2}, {"n": 1}]), "the third needs no call");
}

#[test]
fn a_workflow_may_stand_in() {
    let mut play = Play::of(&of("fallback: [{workflow: child, args: {x: 1}}]"), json!({"id": 1}));
    play.fail("a", Kind::Unavailable);
    assert_eq!(play.call("a").arguments, json!({"x": 1}));
    play.answer("a", json!(7));
    assert_eq!((play.output(), origin(&play)), (json!(7), Some("fallback")));
}

#[test]
fn what_an_agent_shares_does_not_change_what_it_was_asked() {
    let text = "steps:\n  - {id: a, agent: x, task: t, context: [found], cache: 1s}\n";
    let mut first = Play::of(text, json!({}));
    let notes = json!({ "io.mcp-orchestrator/context": { "found": 7 } });
    first.comes_back("a", Called::Result(json!({ "structuredContent": 5, "_meta": notes })));
    let again = first.again(text, json!({}), 0);
    assert_eq!((again.output(), origin(&again)), (json!(5), Some("cache")));
}

#[test]
fn the_result_of_many_turns_is_found_again() {
    let text = "steps:\n  - {id: a, tool: s.get, repeat: {until: result.n == 2, max: 3}, cache: 1s}\n";
    let mut first = Play::of(text, json!({}));
    first.answer("a[0]", json!({"n": 1}));
    first.answer("a[1]", json!({"n": 2}));
    assert_eq!(origin(&first.again(text, json!({}), 0)), Some("cache"));
}
