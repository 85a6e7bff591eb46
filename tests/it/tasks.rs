//! Servers whose tools work in tasks, and hosts that know them or do not.

use serde_json::{Value, json};

use crate::support::{DEADLINE, Host, Test, eventually, fixture};

const TASKS: &str = "io.modelcontextprotocol/tasks";

fn elicits() -> Value {
    json!({ "elicitation": { "form": {} } })
}

fn old_host(era: &str, capabilities: &Value) -> Host {
    let mut host = Test::new().server("shop", fixture(["healthy", "--era", era])).serve();
    introduce(&mut host, capabilities);
    host.ready(&["shop"]);
    host
}

fn introduce(host: &mut Host, capabilities: &Value) {
    let client = json!({ "name": "test", "version": "1" });
    host.request(
        "initialize",
        json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": client }),
    );
    host.notify("notifications/initialized", json!({}));
}

fn modern_host(era: &str, capabilities: Value) -> Host {
    let mut host = Test::new().server("shop", fixture(["healthy", "--era", era])).serve();
    host.is_modern = true;
    host.capabilities = capabilities;
    host.ready(&["shop"]);
    host
}

fn knows_tasks() -> Value {
    json!({ "elicitation": { "form": {} }, "extensions": { TASKS: {} } })
}

#[test]
fn a_host_that_knows_no_tasks_is_given_the_result() {
    for (host, server) in [("legacy", "legacy"), ("legacy", "modern"), ("modern", "legacy")] {
        let mut host = if host == "legacy" { old_host(server, &elicits()) } else { modern_host(server, elicits()) };
        let result = host.call("shop__job", json!({ "n": 7 }));
        assert_eq!(result["structuredContent"]["done"], 7, "{server}: {result}");
        assert!(!result.to_string().contains("related-task"), "{server}: of a task it knows nothing: {result}");
    }
}

#[test]
fn a_workflow_is_given_the_result_of_a_task() {
    for era in ["legacy", "modern"] {
        let steps = "steps:\n  - { id: job, tool: shop.job, args: { n: 7 } }\noutput: $steps.job.output.done\n";
        let mut host = Test::new().server("shop", fixture(["healthy", "--era", era])).workflow("work", steps).start();
        host.ready(&["shop"]);
        assert_eq!(host.value("work", json!({})), json!({ "result": 7 }), "{era}");
    }
}

#[test]
fn a_task_that_fails_is_a_call_that_fails() {
    for era in ["legacy", "modern"] {
        let mut host = old_host(era, &elicits());
        let answer = host.send_call("shop__job", json!({ "end": "fail" }));
        let answer = host.answer(answer);
        assert_eq!(answer["error"]["code"], -32050, "{era}: {answer}");
        assert_eq!(answer["error"]["message"], "the job has broken", "{era}");
    }
}

#[test]
fn a_task_asks_a_host_that_knows_no_tasks() {
    for era in ["legacy", "modern"] {
        let mut host = old_host(era, &elicits());
        let id = host.send_call("shop__job", json!({ "message": "Your name?" }));
        let question = host.wait_for("a question", |message| message["method"] == "elicitation/create");
        assert_eq!(question["params"]["message"], "[shop] Your name?", "{era}");
        host.respond(&question["id"], json!({ "action": "accept", "content": { "name": "Ada" } }));
        let answer = host.answer(id);
        let answer = &answer["result"]["structuredContent"]["answer"];
        assert_eq!(answer["content"]["name"], "Ada", "{era}: {answer}");
    }
}

#[test]
fn a_server_whose_task_waits_for_an_answer_is_not_idle() {
    let job = fixture(["healthy", "--era", "modern"]).with("idle_ttl = \"200ms\"");
    let mut host = Test::new().server("shop", job).server("clock", fixture(["healthy"])).serve();
    introduce(&mut host, &elicits());
    host.ready(&["shop", "clock"]);
    let id = host.send_call("shop__job", json!({ "message": "Your name?" }));
    let question = host.wait_for("a question", |message| message["method"] == "elicitation/create");
    let starts = host.record("shop", "starts").len();
    host.value("clock__sleep", json!({ "ms": 1000 }));
    host.respond(&question["id"], json!({ "action": "accept", "content": { "name": "Ada" } }));
    let answer = host.answer(id);
    assert_eq!(answer["result"]["structuredContent"]["answer"]["content"]["name"], "Ada", "{answer}");
    assert_eq!(host.record("shop", "starts").len(), starts);
}

#[test]
fn a_task_that_is_waited_for_outlives_a_change_of_its_server() {
    let mut host = old_host("modern", &elicits());
    let id = host.send_call("shop__job", json!({ "message": "Your name?" }));
    let question = host.wait_for("a question", |message| message["method"] == "elicitation/create");
    let registry = host.home().join("registry.toml");
    let text = std::fs::read_to_string(&registry).expect("the registry");
    std::fs::write(&registry, text.replace("env = { ", r#"env = { COLOUR = "blue", "#)).expect("the registry");
    let is_new = eventually(DEADLINE, || host.value("shop__env", json!({}))["COLOUR"] == "blue");
    assert!(is_new, "{}", host.stderr());
    // Those that are retired are looked at every few hundredths of a second.
    host.value("shop__sleep", json!({ "ms": 500 }));
    host.respond(&question["id"], json!({ "action": "accept", "content": { "name": "Ada" } }));
    let answer = host.answer(id);
    assert_eq!(answer["result"]["structuredContent"]["answer"]["content"]["name"], "Ada", "{answer}");
}

#[test]
fn who_cancels_a_call_cancels_its_task() {
    for era in ["legacy", "modern"] {
        let mut host = old_host(era, &elicits());
        let id = host.send_call("shop__job", json!({ "end": "never" }));
        // The task must have been made before it can be cancelled.
        host.await_record("shop", "followed", 1);
        host.notify("notifications/cancelled", json!({ "requestId": id }));
        host.await_record("shop", "ended", 1);
    }
}

#[test]
fn a_modern_host_follows_the_task_of_a_modern_server() {
    let mut host = modern_host("modern", knows_tasks());
    let made = host.call("shop__job", json!({ "message": "Your name?" }));
    assert_eq!((&made["resultType"], &made["taskId"]), (&json!("task"), &json!("shop~job-1")));
    let ask = |host: &mut Host, method: &str, more: Value| {
        let mut params = more;
        params["taskId"] = json!("shop~job-1");
        host.request(method, params)["result"].clone()
    };
    let task = ask(&mut host, "tasks/get", json!({}));
    assert_eq!((&task["status"], &task["taskId"]), (&json!("input_required"), &json!("shop~job-1")));
    assert_eq!(task["inputRequests"]["name"]["params"]["message"], "Your name?");
    let answers = json!({ "name": { "action": "accept", "content": { "name": "Ada" } } });
    ask(&mut host, "tasks/update", json!({ "inputResponses": answers }));
    let task = ask(&mut host, "tasks/get", json!({}));
    assert_eq!(task["result"]["structuredContent"]["answer"]["content"]["name"], "Ada");
    ask(&mut host, "tasks/cancel", json!({}));
    host.await_record("shop", "ended", 1);
}

#[test]
fn an_old_host_follows_the_task_of_an_old_server() {
    let mut host = old_host("legacy", &elicits());
    let params = json!({ "name": "shop__job", "arguments": { "message": "Your name?" }, "task": { "ttl": 60_000 } });
    let made = host.request("tools/call", params)["result"].clone();
    assert_eq!(made["task"]["taskId"], "shop~job-1", "{made}");
    let task = host.request("tasks/get", json!({ "taskId": "shop~job-1" }))["result"].clone();
    assert_eq!((&task["status"], &task["taskId"]), (&json!("input_required"), &json!("shop~job-1")));
    let id = host.send("tasks/result", json!({ "taskId": "shop~job-1" }));
    let question = host.wait_for("a question", |message| message["method"] == "elicitation/create");
    let related = "io.modelcontextprotocol/related-task";
    assert_eq!(question["params"]["_meta"][related]["taskId"], "shop~job-1");
    host.respond(&question["id"], json!({ "action": "accept", "content": { "name": "Ada" } }));
    let result = host.answer(id)["result"].clone();
    assert_eq!(result["structuredContent"]["answer"]["content"]["name"], "Ada");
    assert_eq!(result["_meta"][related]["taskId"], "shop~job-1");
}

#[test]
fn tasks_are_refused_as_the_protocol_wants() {
    let mut host = modern_host("modern", elicits());
    let answer = host.request("tasks/get", json!({ "taskId": "shop~job-1" }));
    assert_eq!(answer["error"]["code"], -32021, "it has not said that it knows tasks");
    assert!(answer["error"]["data"]["requiredCapabilities"]["extensions"][TASKS].is_object(), "{answer}");
    let answer = host.request("tools/call", json!({ "name": "shop__job", "arguments": {} }));
    assert_eq!(answer["error"]["code"], -32021, "nor are tasks made for it");
    host.capabilities = knows_tasks();
    for unknown in ["shop~none", "nowhere~job-1", "job-1"] {
        let answer = host.request("tasks/get", json!({ "taskId": unknown }));
        assert_eq!(answer["error"]["code"], -32602, "{unknown}: {answer}");
    }
    assert_eq!(host.request("tasks/list", json!({}))["error"]["code"], -32601);
    assert_eq!(host.request("tasks/result", json!({ "taskId": "shop~job-1" }))["error"]["code"], -32601);
}
