//! Failed workflows undo what they have done, over real servers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{DEADLINE, Host, Test, eventually, fixture};

fn with(text: &str) -> Host {
    let shop = Test::new().server("north", fixture(["healthy"])).server("south", fixture(["healthy"]));
    let mut host = shop.workflow("order", text).start();
    host.ready(&["north", "south"]);
    host
}

const ORDER: &str = r"
steps:
  - { id: reserve, for_each: [1, 2], concurrency: 1, tool: north.write, args: { n: $item }, undo: { tool: south.write, args: { back: $result.n } } }
  - { id: charge, tool: north.write, args: { n: 3 }, undo: { tool: south.fail, args: { message: no refunds } } }
  - { id: LAST }
on_failure: { tool: south.write, args: { told: $error.kind } }
";

#[test]
fn a_failed_workflow_is_undone_and_tells_what_is_left_to_do() {
    let mut host = with(&ORDER.replace("id: LAST", "id: ship, fail: no trucks"));
    let result = host.call("order", json!({}));
    assert_eq!(result["isError"], true);
    let report = &result["structuredContent"];
    assert_eq!((&report["status"], &report["undone"]), (&json!("undo_failed"), &json!(["reserve[1]", "reserve[0]"])));
    let left = &report["not_undone"][0];
    assert_eq!((&left["step"], &left["result"]), (&json!("charge"), &json!({ "n": 3 })));
    assert_eq!(left["error"]["message"], "no refunds");
    assert_eq!(report["error"]["step"], "ship");
    let told = result["content"][0]["text"].as_str().expect("text");
    assert!(told.contains("no trucks") && told.contains("could not be undone and needs somebody: `charge`"), "{told}");
    assert_eq!(host.record("south", "calls"), ["fail", "write", "write", "write"]);
}

/// [`ORDER`] without the undo that fails, in which the last step never ends.
fn stuck(limit: &str) -> String {
    let text = ORDER.replace("tool: south.fail, args: { message: no refunds }", "tool: south.write");
    format!("{}{limit}", text.replace("id: LAST", "id: ship, tool: north.hang"))
}

#[test]
fn a_workflow_that_runs_out_of_time_is_undone() {
    let mut host = with(&stuck("timeout: 1s\n"));
    let result = host.call("order", json!({}));
    assert_eq!(result["structuredContent"]["status"], "undone", "{result}");
    assert_eq!(result["structuredContent"]["error"]["code"], "MO4006");
    assert_eq!(host.record("south", "calls").len(), 4);
}

#[test]
fn a_workflow_whose_caller_has_left_is_undone() {
    let mut host = with(&stuck(""));
    let id = host.send_call("order", json!({}));
    assert!(eventually(DEADLINE, || host.record("north", "calls").len() == 4));
    host.notify("notifications/cancelled", json!({ "requestId": id }));
    assert!(eventually(Duration::from_secs(4), || host.record("south", "calls").len() == 4));
    assert!(!host.heard().iter().any(|heard| heard.message["id"] == id));
}

#[test]
fn a_completed_workflow_is_not_undone() {
    let mut host = with(&ORDER.replace("id: LAST", "id: ship, set: sent"));
    assert_eq!(host.value("order", json!({})), json!({ "result": "sent" }));
    assert_eq!(host.record("south", "calls"), Vec::<Value>::new());
}

#[test]
fn what_a_workflow_within_has_done_is_undone_even_if_only_one_call_may_be_made_at_a_time() {
    let test = Test::new().registry("[orchestrator]\nmax_concurrent_steps = 1\n").server("north", fixture(["healthy"]));
    let step = |n| format!("  - {{ id: w, tool: north.write, args: {{ n: {n} }}, undo: {{ tool: north.write }} }}\n");
    let test = test.workflow(
        "inner",
        &format!("steps:\n{}  - {{ id: seen, tool: north.pid }}\n  - {{ id: long, wait: 1h }}\n", step(2)),
    );
    let outer = format!("steps:\n{}  - {{ id: in, workflow: inner }}\n", step(1));
    let mut host = test.workflow("outer", &outer).start();
    host.ready(&["north"]);
    let run = host.value("run_workflow", json!({ "workflow": "outer", "wait": false }))["run_id"].clone();
    host.await_record("north", "calls", 3);
    host.call("control_run", json!({ "run_id": run, "action": "cancel" }));
    let ended = host.call("get_run", json!({ "run_id": run, "wait_ms": 20_000 }));
    assert_eq!(ended["structuredContent"]["status"], "undone", "{ended}");
    assert_eq!(host.record("north", "calls").len(), 5);
}
