//! Verbs, order, scopes and addresses.

use std::sync::Arc;

use serde_json::json;

use crate::engine::command::{Callee, Command, Outcome};
use crate::engine::event::What;
use crate::engine::tests::play::{Play, workflow};

#[test]
fn the_last_output_is_the_workflows_unless_it_says_otherwise() {
    let steps = "steps:\n  - {id: a, set: {x: 1}}\n  - {id: b, set: $steps.a.output.x}\n";
    assert_eq!(Play::of(steps, json!({})).output(), json!(1));
    assert_eq!(Play::of(&format!("{steps}output: {{b: $steps.a.output}}"), json!({})).output(), json!({"b": {"x": 1}}));
}

#[test]
fn reads_run_side_by_side_and_a_write_waits_for_them() {
    let text = r"
input: {q: string}
steps:
  - {id: one, tool: s.get_one, args: {q: $input.q}}
  - {id: two, tool: s.get_two}
  - {id: both, tool: s.post, args: {one: $steps.one.output.v, two: $steps.two.output.v}}
  - {id: after, tool: s.get_after}
";
    let mut play = Play::of(text, json!({"q": "why"}));
    assert_eq!(play.waiting(), ["one", "two"]);
    assert_eq!(play.call("one").arguments, json!({"q": "why"}));
    play.answer("two", json!({"v": 2}));
    assert_eq!(play.waiting(), ["one"]);
    play.answer("one", json!({"v": 1}));
    assert_eq!(play.waiting(), ["both"]);
    assert_eq!(play.call("both").arguments, json!({"one": 1, "two": 2}));
    play.answer("both", json!("sent"));
    play.answer("after", json!("seen"));
    assert_eq!(play.output(), json!("seen"));
    assert_eq!(play.run.progress().done, 4);
}

#[test]
fn a_step_starts_as_soon_as_what_it_waits_for_is_over() {
    let text = r"
order: data
steps:
  - {id: slow, tool: s.get}
  - {id: fast, tool: s.get}
  - {id: next, tool: s.get, args: {v: $steps.fast.output.v}}
";
    let mut play = Play::of(text, json!({}));
    play.answer("fast", json!({"v": 1}));
    assert_eq!(play.waiting(), ["slow", "next"], "no barrier between levels");
}

#[test]
fn parallel_branches_give_an_object_and_have_addresses() {
    let text = r"
steps:
  - id: quotes
    parallel:
      dhl: {tool: s.get_dhl}
      ups:
        - {id: login, tool: s.get_login}
        - {id: price, tool: s.get_price, args: {t: $steps.login.output.t}}
";
    let mut play = Play::of(text, json!({}));
    assert_eq!(play.waiting(), ["quotes/dhl", "quotes/ups/login"]);
    play.answer("quotes/ups/login", json!({"t": "x"}));
    play.answer("quotes/ups/price", json!(5));
    play.answer("quotes/dhl", json!(4));
    assert_eq!(play.output().to_string(), r#"{"dhl":4,"ups":5}"#);
}

#[test]
fn a_failing_branch_cancels_the_others() {
    let text = "steps:\n  - id: p\n    parallel:\n      a: {tool: s.get}\n      b: {tool: s.get}\n";
    let mut play = Play::of(text, json!({}));
    let commands = play.refuse("p/b", "no");
    assert_eq!(commands[0], Command::Cancel { at: "p/a".into(), attempt: 1 });
    let failure = play.failure();
    assert_eq!((failure.step.as_deref(), &*failure.kind, &*failure.message), (Some("p/b"), "tool_error", "no"));
    assert_eq!(play.rows(), ["p failed", "p/a cancelled", "p/b failed"]);
}

#[test]
fn a_failure_ends_its_block_at_once() {
    let text = "order: data\nsteps:\n  - {id: a, tool: s.get}\n  - {id: b, tool: s.get}\n  - {id: c, tool: s.get, after: [a]}\n";
    let mut play = Play::of(text, json!({}));
    let commands = play.refuse("a", "broken");
    assert_eq!(commands.len(), 2, "{commands:?}");
    assert_eq!(play.rows(), ["a failed", "b cancelled"]);
}

#[test]
fn switch_runs_the_first_case_that_holds() {
    let text = r"
input: {n: integer}
steps:
  - id: route
    switch:
      - when: input.n > 10
        steps: [{id: big, set: big}]
      - when: input.n > 5
        steps: [{id: middle, set: middle}]
      - else: [{id: small, tool: s.get}]
";
    assert_eq!(Play::of(text, json!({"n": 11})).output(), json!("big"));
    assert_eq!(Play::of(text, json!({"n": 6})).output(), json!("middle"));
    assert_eq!(Play::of(text, json!({"n": 1})).waiting(), ["route/small"]);
    let without_else =
        "input: {n: integer}\nsteps:\n  - id: r\n    switch: [{when: input.n > 1, steps: [{id: x, set: 1}]}]\n";
    assert_eq!(Play::of(without_else, json!({"n": 1})).output(), json!(null));
}

#[test]
fn a_nested_block_sees_its_own_steps_and_those_around_it() {
    let text = r"
steps:
  - {id: outer, set: 1}
  - id: body
    steps:
      - {id: inner, set: 2}
      - {id: sum, set: '${steps.outer.output + steps.inner.output}'}
";
    let play = Play::of(text, json!({}));
    assert_eq!(play.output(), json!(3));
    assert_eq!(play.rows(), ["outer completed", "body completed", "body/inner completed", "body/sum completed"]);
}

#[test]
fn for_each_keeps_a_window_open_and_the_order_of_items() {
    let text = "input: {ids: {type: array}}\nsteps:\n  - {id: f, for_each: $input.ids, concurrency: 2, tool: s.get, args: {id: $item, i: $index}}\n";
    let mut play = Play::of(text, json!({"ids": ["a", "b", "c"]}));
    assert_eq!(play.waiting(), ["f[0]", "f[1]"]);
    assert_eq!(play.call("f[1]").arguments, json!({"id": "b", "i": 1}));
    play.answer("f[1]", json!("B"));
    assert_eq!(play.waiting(), ["f[0]", "f[2]"]);
    play.answer("f[2]", json!("C"));
    play.answer("f[0]", json!("A"));
    assert_eq!(play.output(), json!(["A", "B", "C"]));
    assert_eq!(play.rows(), ["f completed", "f[0] completed", "f[1] completed", "f[2] completed"]);
}

#[test]
fn items_may_be_steps_and_have_a_name() {
    let text = r"
steps:
  - id: f
    for_each: [1, 2]
    as: number
    steps:
      - {id: twice, set: '${number * 2}'}
      - {id: more, set: '${steps.twice.output + number}'}
";
    let play = Play::of(text, json!({}));
    assert_eq!(play.output(), json!([3, 6]));
    assert_eq!(play.row("f[1]/more").attempts, 1);
}

#[test]
fn a_failed_item_fails_is_left_out_or_is_collected() {
    let of = |on_error: &str| {
        let text =
            format!("steps:\n  - {{id: f, for_each: [1, 2, 3], concurrency: 3, on_error: {on_error}, tool: s.get}}\n");
        let mut play = Play::of(&text, json!({}));
        play.answer("f[0]", json!("A"));
        play.refuse("f[1]", "no");
        if play.run.outcome().is_none() {
            play.answer("f[2]", json!("C"));
        }
        play
    };
    assert_eq!(of("fail").failure().step.as_deref(), Some("f[1]"));
    assert_eq!(of("skip").output(), json!(["A", "C"]));
    let collected = of("collect").output();
    assert_eq!(
        (&collected[0], &collected[1]["error"]["message"], &collected[2]),
        (&json!("A"), &json!("no"), &json!("C"))
    );
}

#[test]
fn a_for_each_over_nothing_says_what_it_was_given() {
    let text =
        "input: {ids: {type: array, optional: true}}\nsteps:\n  - {id: f, for_each: '${input.get(\"ids\")}', set: 1}\n";
    let text = text.replace(r#"${input.get("ids")}"#, "$input.ids");
    let failure = Play::of(&text, json!({"ids": null})).failure();
    assert_eq!((&*failure.code, failure.step.as_deref()), ("MO4004", Some("f")));
    assert!(failure.message.contains("`f`") && failure.message.contains("null"), "{}", failure.message);
    assert!(failure.hint.is_some_and(|hint| hint.contains("default")));
    assert_eq!(Play::of(&text, json!({"ids": []})).output(), json!([]));
}

#[test]
fn return_ends_the_whole_run_from_anywhere() {
    let text = r"
order: data
steps:
  - {id: slow, tool: s.get}
  - id: inner
    steps:
      - {id: look, tool: s.get}
      - {id: done, when: steps.look.output.found, return: {found: true}}
      - {id: never, tool: s.post, after: [done]}
output: nothing
";
    let mut play = Play::of(text, json!({}));
    let commands = play.answer("inner/look", json!({"found": true}));
    assert_eq!(commands[0], Command::Cancel { at: "slow".into(), attempt: 1 });
    assert_eq!(play.output(), json!({"found": true}));
    assert_eq!(play.rows(), ["slow cancelled", "inner completed", "inner/look completed", "inner/done completed"]);
}

#[test]
fn fail_ends_in_a_rejection_with_its_message() {
    let failure = Play::of("steps:\n  - {id: no, fail: out of stock}\n", json!({})).failure();
    assert_eq!((&*failure.kind, &*failure.code, &*failure.message), ("rejected", "MO4005", "out of stock"));
    assert_eq!(failure.step.as_deref(), Some("no"));
}

#[test]
fn another_workflow_is_called_like_a_tool() {
    let mut play = Play::of("steps:\n  - {id: w, workflow: child, args: {x: 1}}\n", json!({}));
    assert_eq!(play.call("w").callee, Callee::Workflow("child".into()));
    play.answer("w", json!({"y": 2}));
    assert_eq!(play.output(), json!({"y": 2}));
}

#[test]
fn a_cancelled_run_cancels_its_calls_and_is_over() {
    let text = "timeout: 1m\nsteps:\n  - {id: a, tool: s.get, timeout: 5s}\n  - {id: b, tool: s.get}\n";
    let mut play = Play::of(text, json!({}));
    let commands = play.happens(What::CancelRequested { why: "enough".into() });
    assert!(commands.contains(&Command::Forget { at: "#timeout".into() }));
    assert_eq!(play.run.outcome(), Some(&Outcome::Cancelled { why: "enough".into() }));
    assert_eq!(play.rows(), ["a cancelled", "b cancelled"]);
}

#[test]
fn progress_names_the_call_that_takes_longest() {
    let mut play = Play::of("steps:\n  - {id: z, tool: s.get}\n  - {id: a, tool: s.get}\n", json!({}));
    assert_eq!(play.run.progress().current.as_deref(), Some("z"));
    play.answer("z", json!(1));
    let progress = play.run.progress();
    assert_eq!((progress.done, progress.total, progress.current.as_deref()), (1, 2, Some("a")));
}

#[test]
fn the_run_knows_itself() {
    let play = Play::of("steps:\n  - {id: a, set: ['$run.id', '$run.caller', '$run.started_at']}\n", json!({}));
    assert_eq!(play.output(), json!(["r1", "tester", 1_000]));
}

#[test]
fn steps_that_wait_for_each_other_fail_instead_of_hanging() {
    let mut workflow = workflow("steps:\n  - {id: a, set: 1}\n  - {id: b, set: 1}\n  - {id: c, set: 1}\n");
    let steps = &mut Arc::make_mut(&mut workflow).body.steps;
    steps[1].waits = vec![2];
    steps[2].waits = vec![1, 77];
    let failure = Play::begin(&workflow, json!({}), 1).failure();
    assert_eq!((&*failure.kind, &*failure.message), ("internal", "the steps that are left wait for each other"));
}
