//! Workflows over real servers: as tools of their own, by name, and inline.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{DEADLINE, Host, Test, eventually, fixture};

const ORDER: &str = r"
title: Take an order
description: Takes an order.
input:
  order_id: string
  quantity: { type: integer, minimum: 1, default: 2 }
steps:
  - { id: stock, tool: north.sleep, args: { ms: 1000, tag: stock } }
  - { id: price, tool: south.sleep, args: { ms: 1000, tag: price } }
  - { id: record, tool: north.write, args: { order: $input.order_id, first: $steps.stock.output.tag } }
output:
  order: $steps.record.output.order
  quantity: $input.quantity
  both: ['$steps.stock.output.tag', '$steps.price.output.tag']
";

fn shop() -> Test {
    Test::new().server("north", fixture(["healthy"])).server("south", fixture(["healthy"]))
}

/// A host of the shop with one workflow, everything connected.
fn with(name: &str, text: &str) -> Host {
    let mut host = shop().workflow(name, text).start();
    host.ready(&["north", "south"]);
    host
}

/// The output of a workflow that is given inline.
fn inline(steps: &str, output: &str) -> Value {
    let mut host = shop().start();
    host.ready(&["north", "south"]);
    let definition = format!("name: inline\nsteps:\n{steps}\noutput: {output}\n");
    host.value("run_workflow", json!({ "definition": definition }))["output"].clone()
}

#[test]
fn a_workflow_is_a_tool_with_the_schema_of_its_input() {
    let mut host = with("order", ORDER);
    let answer = host.request("tools/list", json!({}));
    let tools = answer["result"]["tools"].as_array().expect("a list").clone();
    let tool = tools.iter().find(|tool| tool["name"] == "order").expect("it is listed");
    assert_eq!((&tool["title"], &tool["description"]), (&json!("Take an order"), &json!("Takes an order.")));
    assert_eq!(tool["inputSchema"]["required"], json!(["order_id"]));
    assert_eq!(tool["inputSchema"]["properties"]["quantity"]["default"], 2);
    assert!(tool["annotations"]["readOnlyHint"] != true, "it has a step that writes: {tool}");
}

#[test]
fn reads_overlap_defaults_hold_and_the_output_is_structured_and_text() {
    let mut host = with("order", ORDER);
    let began = Instant::now();
    let result = host.call("order", json!({ "order_id": "A-1" }));
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_millis(1_900), "two reads of 1 s took {took:?}");
    let output = json!({ "order": "A-1", "quantity": 2, "both": ["stock", "price"] });
    assert_eq!(result["structuredContent"], output);
    let text = result["content"][0]["text"].as_str().expect("text");
    assert_eq!(serde_json::from_str::<Value>(text).expect("JSON"), output);
    assert_eq!(host.record("north", "calls"), ["sleep", "write"]);
}

#[test]
fn an_input_that_does_not_fit_is_refused_with_every_reason_and_nothing_is_run() {
    let mut host = with("order", ORDER);
    let told = host.failure("order", json!({ "quantity": 0, "colour": "red" }));
    assert!(told.contains("MO4001") && told.contains("order_id") && told.contains("quantity"), "{told}");
    assert!(host.record("north", "calls").is_empty());
}

#[test]
fn progress_of_a_workflow_is_told_step_by_step() {
    let mut host = with("order", ORDER);
    let params = json!({ "name": "order", "arguments": { "order_id": "A" }, "_meta": { "progressToken": "mine" } });
    let id = host.send("tools/call", params);
    host.answer(id);
    let told = host.notifications("notifications/progress");
    assert!(
        told.len() >= 2 && told.iter().all(|step| step["progressToken"] == "mine" && step["total"] == 3.0),
        "{told:?}"
    );
    assert!(told[0]["message"].as_str().is_some_and(|text| text.starts_with("1/3")), "{told:?}");
    let numbers: Vec<_> = told.iter().filter_map(|step| step["progress"].as_f64()).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
}

#[test]
fn a_step_runs_for_each_item_side_by_side_and_in_order() {
    let began = Instant::now();
    let steps = "  - { id: naps, for_each: [1, 2, 3, 4], tool: north.sleep, args: { ms: 300, tag: $item } }";
    assert_eq!(inline(steps, "${steps.naps.output|map(attribute='tag')|list}"), json!([1, 2, 3, 4]));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn a_step_is_repeated_until_it_may_end_and_enough_items_must_succeed() {
    let began = Instant::now();
    let steps = r"
  - { id: turns, tool: north.echo, args: { n: 1 }, repeat: { while: result.n == 1, every: 200ms, max: 3 }, catch: [{ on: budget, value: $error.code }] }
  - { id: naps, for_each: [1, 2, 3, 4], batch: 2, at_least: 3, on_error: skip, tool: south.sleep, args: { ms: 300, tag: $item } }";
    let output = inline(steps, "['$steps.turns.output', \"${steps.naps.output|map(attribute='tag')|list}\"]");
    assert_eq!(output, json!(["MO4015", [1, 2, 3, 4]]));
    assert!(began.elapsed() >= Duration::from_millis(600), "two batches: {:?}", began.elapsed());
}

#[test]
fn a_quorum_of_branches_does_not_wait_for_the_slowest() {
    let began = Instant::now();
    let steps = r"
  - id: quotes
    join: { quorum: 2, within: 8s }
    parallel:
      slow: { tool: north.sleep, args: { ms: 9000 } }
      cheap: { tool: south.echo, args: { price: 3 } }
      quick: { tool: south.echo, args: { price: 4 } }";
    let output = inline(steps, "['$steps.quotes.output.slow', '$steps.quotes.output.quick.price']");
    assert_eq!(output, json!([null, 4]));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_wait_lets_time_pass_before_what_stands_below_it() {
    let began = Instant::now();
    let steps = r"
  - { id: pause, wait: 700ms }
  - { id: past, wait: { until: $run.started_at } }
  - { id: then, tool: north.echo, args: { paused: $steps.pause.output } }";
    assert_eq!(inline(steps, "$steps.then.output.paused"), json!(null));
    assert!(began.elapsed() >= Duration::from_millis(700), "{:?}", began.elapsed());
}

#[test]
fn a_result_that_is_not_as_expected_fails_its_step() {
    let steps = r"
  - { id: fits, tool: north.echo, args: { n: 1 }, expect: { n: integer } }
  - { id: other, tool: north.echo, args: { n: 1 }, expect: result.n > 1, catch: [{ on: tool_error, value: $error.code }] }";
    assert_eq!(inline(steps, "['$steps.fits.output.n', '$steps.other.output']"), json!([1, "MO4017"]));
}

#[test]
fn a_switch_takes_the_first_case_that_holds() {
    let steps = r"
  - id: size
    set: 7
  - id: kind
    switch:
      - when: steps.size.output > 100
        steps: [{ id: huge, tool: north.echo, args: { kind: huge } }]
      - when: steps.size.output > 5
        steps: [{ id: large, tool: south.echo, args: { kind: large } }]
      - else: [{ id: small, fail: too small }]";
    assert_eq!(inline(steps, "$steps.kind.output.kind"), json!("large"));
}

#[test]
fn a_failed_step_is_replaced_by_its_fallback_or_caught() {
    let steps = r"
  - id: first
    tool: north.fail
    fallback: [{ tool: south.echo, args: { by: fallback } }]
  - id: second
    tool: south.fail
    args: { message: out of stock }
    catch:
      - on: tool_error
        steps: [{ id: told, tool: north.echo, args: { why: $error.message } }]";
    let output = inline(steps, "['$steps.first.output.by', '$steps.second.output.why']");
    assert_eq!(output, json!(["fallback", "out of stock"]));
}

#[test]
fn a_step_is_retried_when_it_may_be() {
    let text = r"
steps:
  - id: nap
    tool: north.sleep
    args: { ms: 400 }
    timeout: 50ms
    retry: { attempts: 3, delay: 10ms, jitter: none }
    optional: true
output: $steps.nap.attempts
";
    let mut host = with("patient", text);
    assert_eq!(host.value("patient", json!({})), json!({ "result": 3 }));
    assert_eq!(host.record("north", "calls").len(), 3);
}

#[test]
fn a_write_that_timed_out_is_not_retried() {
    let text = r"
steps:
  - { id: stuck, tool: north.hang, timeout: 200ms, retry: { attempts: 3, delay: 10ms }, catch: [{ value: given up }] }
output: $steps.stuck.output
";
    let mut host = with("careful", text);
    assert_eq!(host.value("careful", json!({})), json!({ "result": "given up" }));
    assert_eq!(host.record("north", "calls"), ["hang"]);
}

#[test]
fn a_workflow_calls_another_and_may_return_early() {
    let inner = r"
input: { name: string }
steps:
  - { id: known, when: input.name == 'Ada', return: { greeting: Welcome back } }
  - { id: new, tool: south.echo, args: { greeting: 'Hello ${input.name}' } }
output: $steps.new.output
";
    let outer = r"
steps:
  - { id: first, workflow: greet, args: { name: Ada } }
  - { id: second, workflow: greet, args: { name: Bob } }
output: ['$steps.first.output.greeting', '$steps.second.output.greeting']
";
    let mut host = shop().workflow("greet", inner).workflow("party", outer).start();
    host.ready(&["north", "south"]);
    assert_eq!(host.value("party", json!({})), json!({ "result": ["Welcome back", "Hello Bob"] }));
}

#[test]
fn a_failed_step_ends_the_run_and_is_named() {
    let text = r"
steps:
  - { id: first, tool: north.write, args: { n: 1 } }
  - { id: broken, tool: south.fail, args: { message: no paper } }
  - { id: last, tool: north.write, args: { n: 3 } }
";
    let mut host = with("print", text);
    let result = host.call("print", json!({}));
    let told = result["content"][0]["text"].as_str().expect("text");
    assert!(result["isError"] == true && told.contains("`broken`") && told.contains("no paper"), "{result}");
    assert!(told.contains("south"), "the server is named: {told}");
    assert_eq!(result["structuredContent"]["error"]["step"], "broken", "{result}");
    assert_eq!(host.record("north", "calls"), ["write"]);
}

#[test]
fn a_server_that_dies_in_a_step_does_not_make_it_run_twice() {
    let text = "steps:\n  - { id: first, tool: north.write }\n  - { id: gone, tool: south.crash, args: { code: 4 } }\n";
    let mut host = with("doomed", text);
    let told = host.failure("doomed", json!({}));
    assert!(told.contains("`gone`") && told.contains("south") && told.contains("code 4"), "{told}");
    assert_eq!(host.record("south", "calls"), ["crash"]);
    assert_eq!(host.record("north", "calls"), ["write"]);
}

#[test]
fn a_workflow_fails_with_its_own_words() {
    let text = "input: { why: string }\nsteps:\n  - { id: stop, fail: 'stopped because of ${input.why}' }\n";
    let told = with("stop", text).failure("stop", json!({ "why": "rain" }));
    assert!(told.contains("MO4005") && told.contains("stopped because of rain"), "{told}");
}

#[test]
fn a_run_has_a_time_limit() {
    let mut host = with("slow", "timeout: 300ms\nsteps:\n  - { id: nap, tool: north.sleep, args: { ms: 5000 } }\n");
    let began = Instant::now();
    let told = host.failure("slow", json!({}));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert!(told.contains("nap") || told.contains("slow"), "{told}");
    assert!(eventually(DEADLINE, || host.record("north", "cancelled").len() == 1), "the step is cancelled downstream");
}

#[test]
fn a_cancelled_workflow_cancels_its_step_at_the_server() {
    let mut host = with("wait", "steps:\n  - { id: hung, tool: north.hang }\n  - { id: next, tool: south.write }\n");
    let id = host.send_call("wait", json!({}));
    assert!(eventually(DEADLINE, || host.record("north", "calls").len() == 1));
    host.notify("notifications/cancelled", json!({ "requestId": id }));
    assert!(eventually(Duration::from_secs(4), || host.record("north", "cancelled").len() == 1));
    assert_eq!(host.value("south__echo", json!({ "a": 1 })), json!({ "a": 1 }));
    assert_eq!(host.record("south", "calls"), ["echo"]);
    assert!(!host.heard().iter().any(|heard| heard.message["id"] == id));
}

#[test]
fn a_workflow_that_calls_itself_is_stopped() {
    let text = "steps:\n  - { id: again, workflow: mirror }\n";
    let mut host = with("mirror", text);
    let told = host.failure("mirror", json!({}));
    assert!(told.contains("MO4007") && told.contains("mirror"), "{told}");
}

#[test]
fn a_workflow_is_run_by_name_and_listed() {
    let mut host = with("order", ORDER);
    let report = host.value("run_workflow", json!({ "workflow": "order", "input": { "order_id": "B-2" } }));
    assert_eq!((&report["status"], &report["output"]["order"]), (&json!("completed"), &json!("B-2")));
    assert!(report["run_id"].as_str().is_some_and(|id| id.len() >= 32), "{report}");
    let steps: Vec<_> = report["steps"].as_array().expect("a list").iter().map(|step| &step["id"]).collect();
    assert_eq!(steps.len(), 3, "{steps:?}");
    let listed = host.value("list_workflows", json!({}));
    assert_eq!(listed["workflows"][0]["name"], "order");
    let told = host.failure("run_workflow", json!({ "workflow": "odrer" }));
    assert!(told.contains("MO5204") && told.contains("order"), "{told}");
}

#[test]
fn an_inline_workflow_may_be_an_object_or_text() {
    let mut host = shop().start();
    host.ready(&["north", "south"]);
    let object = json!({
        "name": "inline",
        "input": { "who": "string" },
        "steps": [{ "id": "said", "tool": "north.echo", "args": { "who": "$input.who" } }],
        "output": "$steps.said.output.who",
    });
    let yaml = "name: inline\ninput: { who: string }\nsteps:\n  - { id: said, tool: north.echo, args: { who: $input.who } }\n\
                output: $steps.said.output.who\n";
    for definition in [object.clone(), json!(yaml), json!(object.to_string())] {
        let report = host.value("run_workflow", json!({ "definition": definition, "input": { "who": "Ada" } }));
        assert_eq!(report["output"], "Ada", "{report}");
    }
}

/// Runs an inline workflow that is wrong; gives back what is said about it.
fn refused(steps: &str) -> String {
    let mut host = shop().start();
    host.ready(&["north", "south"]);
    let told = host.failure("run_workflow", json!({ "definition": format!("name: inline\nsteps:\n{steps}") }));
    assert!(told.contains("MO4011") && told.contains("nothing was run"), "{told}");
    assert!(host.record("north", "calls").is_empty());
    told
}

#[test]
fn mistakes_in_the_form_of_an_inline_workflow_are_all_told_with_their_places() {
    let told =
        refused("  - { id: a, tol: north.echo }\n  - { id: b, set: $steps.nobody.output }\n  - { id: b, set: 1 }\n");
    for part in ["definition:3:", "definition:4:", "definition:5:", "tol", "MO2004"] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
}

#[test]
fn names_that_no_server_knows_in_an_inline_workflow_are_all_told_with_their_places() {
    let told = refused("  - { id: a, tool: north.ecko }\n  - { id: b, tool: nroth.echo }\n");
    for part in ["definition:3:", "definition:4:", "`north.echo`", "`north`", "MO2001", "MO2002"] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
}

#[test]
fn mistakes_of_both_kinds_in_an_inline_workflow_are_told_at_once() {
    let told = refused("  - { id: a, tool: north.ecko }\n  - { id: b, set: $steps.nobody.output }\n");
    for part in ["definition:3:", "definition:4:"] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
}

#[test]
fn a_dry_run_calls_nothing_and_shows_the_plan() {
    let mut host = with("order", ORDER);
    let shown = host.value("run_workflow", json!({ "workflow": "order", "input": {}, "dry_run": true }));
    let plan = shown["plan"].as_str().expect("text");
    assert!(["stock", "price", "record"].iter().all(|step| plan.contains(step)), "{plan}");
    assert!(shown["input_problems"][0].as_str().is_some_and(|text| text.contains("order_id")), "{shown}");
    assert!(host.record("north", "calls").is_empty());
}

#[test]
fn a_broken_workflow_file_hides_neither_the_others_nor_the_tools() {
    let mut host = shop()
        .workflow("order", ORDER)
        .workflow("broken", "steps:\n  - { id: a, tol: north.echo }\n")
        .workflow("garbage", "steps: [")
        .start();
    host.ready(&["north", "south"]);
    let tools = host.tools();
    assert!(tools.iter().any(|name| name == "order") && !tools.iter().any(|name| name == "broken"), "{tools:?}");
    assert_eq!(host.value("order", json!({ "order_id": "A" }))["order"], "A");
    let status = host.value("orchestrator_status", json!({}));
    let problems = status["problems"].to_string();
    assert!(problems.contains("broken.yaml:3:") && problems.contains("garbage.yaml:"), "{problems}");
}

#[test]
fn a_definition_can_be_checked_without_running_it() {
    let mut host = Test::new().server("shop", fixture(["healthy"])).start();
    host.ready(&["shop"]);
    let definition = "name: x\nsteps:\n  - id: order\n    tool: shop.echo\noutput: $steps.oder.output\n";
    let checked = host.value("validate_workflow", json!({ "definition": definition }));
    let problem = &checked["problems"][0];
    assert_eq!((&checked["valid"], &problem["code"], &problem["line"]), (&json!(false), &json!("MO2004"), &json!(5)));
    let patch = &problem["patch"];
    let at = |key: &str| usize::try_from(patch[key].as_u64().expect("a number")).expect("a small one");
    let mut mended = definition.to_owned();
    mended.replace_range(at("start")..at("end"), patch["replacement"].as_str().expect("text"));
    let checked = host.value("validate_workflow", json!({ "definition": mended }));
    assert_eq!((&checked["valid"], &checked["effect"]), (&json!(true), &json!("read")), "{checked}");
    assert!(host.record("shop", "calls").is_empty(), "nothing was run");
}
