//! Workflows that ask, wait for events and go on by themselves.

use serde_json::{Value, json};

use crate::support::{Host, Test};

const APPROVAL: &str = "input: { order: string }
steps:
  - id: approval
    ask: Ship ${input.order}?
    answer: { proceed: boolean, note: { type: string, optional: true } }
  - { id: told, emit: order.approved, data: { order: $input.order } }
output: { order: $input.order, proceed: $steps.approval.output.proceed }
";

/// Waits for the order's approval by another run.
const WATCHER: &str = "input: { order: string }
steps:
  - { id: seen, await: order.approved, where: event.data.order == input.order }
output: { seen: $steps.seen.output.order }
";

const PARENT: &str = "steps: [{ id: child, workflow: approval, args: { order: A-7 } }]\n";

fn test() -> Test {
    Test::new()
        .registry("# no servers")
        .workflow("approval", APPROVAL)
        .workflow("watcher", WATCHER)
        .workflow("parent", PARENT)
}

/// A host of the initialize era that can show forms, or not.
fn host(capabilities: &Value) -> Host {
    let mut host = test().serve();
    let about = json!({ "name": "test", "version": "1" });
    host.request(
        "initialize",
        json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": about }),
    );
    host.notify("notifications/initialized", json!({}));
    host
}

fn able() -> Host {
    host(&json!({ "elicitation": {} }))
}

fn unable() -> Host {
    host(&json!({}))
}

#[test]
fn a_host_that_can_show_forms_is_asked() {
    let mut host = able();
    let id = host.send_call("approval", json!({ "order": "A-1" }));
    let question = host.wait_for("a question", |message| message["method"] == "elicitation/create");
    assert_eq!(question["params"]["message"], "[approval] Ship A-1?");
    let form = &question["params"]["requestedSchema"];
    assert_eq!((&form["required"], form.get("additionalProperties")), (&json!(["proceed"]), None), "{form}");
    host.respond(&question["id"], json!({ "action": "accept", "content": { "proceed": true } }));
    assert_eq!(host.answer(id)["result"]["structuredContent"], json!({ "order": "A-1", "proceed": true }));
    let id = host.send_call("approval", json!({ "order": "A-2" }));
    let question = host.wait_for("another", |message| {
        message["params"]["message"].as_str().is_some_and(|message| message.contains("A-2"))
    });
    host.respond(&question["id"], json!({ "action": "decline" }));
    let report = &host.answer(id)["result"]["structuredContent"];
    assert_eq!((&report["error"]["kind"], &report["error"]["code"]), (&json!("rejected"), &json!("MO4032")));
}

#[test]
fn a_modern_host_is_asked_by_the_result_of_its_call() {
    let mut host = test().serve();
    (host.is_modern, host.capabilities) = (true, json!({ "elicitation": { "form": {} } }));
    let first = host.call("approval", json!({ "order": "A-1" }));
    let key = first["inputRequests"].as_object().and_then(|all| all.keys().next()).expect("a question").clone();
    let answers = json!({ key: { "action": "accept", "content": { "proceed": false } } });
    let params = json!({ "name": "approval", "arguments": { "order": "A-1" }, "requestState": first["requestState"],
        "inputResponses": answers });
    let result = &host.request("tools/call", params)["result"];
    assert_eq!(result["structuredContent"], json!({ "order": "A-1", "proceed": false }));
}

#[test]
fn a_host_that_cannot_show_forms_answers_by_a_tool() {
    let mut host = unable();
    let waiting = host.value("run_workflow", json!({ "workflow": "approval", "input": { "order": "A-1" } }));
    assert_eq!(waiting["status"], "waiting");
    let question = &waiting["questions"][0];
    assert_eq!((&question["step"], &question["question"]), (&json!("approval"), &json!("Ship A-1?")));
    assert_eq!(question["answer_schema"]["required"], json!(["proceed"]));
    let run = &waiting["run_id"];
    assert_eq!(host.value("get_run", json!({}))["runs"][0]["run_id"], *run);
    let wrong = host.failure("answer_run", json!({ "run_id": run, "answer": { "proceed": "maybe" } }));
    assert!(wrong.contains("MO4033") && wrong.contains("still open"), "{wrong}");
    let wrong = host.failure("answer_run", json!({ "run_id": run, "step": "aproval", "decline": true }));
    assert!(wrong.contains("did you mean `approval`?"), "{wrong}");
    let report = host.value("answer_run", json!({ "run_id": run, "answer": { "proceed": true } }));
    assert_eq!((&report["status"], &report["output"]["proceed"]), (&json!("completed"), &json!(true)));
    assert_eq!(host.value("get_run", json!({ "run_id": run }))["status"], "completed", "it can still be looked at");
    assert_eq!(host.value("get_run", json!({}))["runs"], json!([]));
    let wrong = host.failure("get_run", json!({ "run_id": "nothing" }));
    assert!(wrong.contains("MO4036"), "{wrong}");
}

#[test]
fn a_workflow_tool_that_needs_an_answer_says_how_to_give_it() {
    let mut host = unable();
    let result = host.call("approval", json!({ "order": "A-1" }));
    let told = result["content"][0]["text"].as_str().unwrap_or_default();
    assert!(result["isError"] == true && told.contains("MO4035") && told.contains("answer_run"), "{result}");
    let run = &result["structuredContent"]["run_id"];
    let result = host.call("answer_run", json!({ "run_id": run, "decline": true, "reason": "too dear" }));
    assert_eq!(result["structuredContent"]["error"]["kind"], "rejected", "{result}");
    assert!(result["structuredContent"]["error"]["message"].as_str().is_some_and(|why| why.contains("too dear")));
}

#[test]
fn the_question_of_an_inner_workflow_reaches_whoever_runs_the_outer_one() {
    let mut host = unable();
    let waiting = host.value("run_workflow", json!({ "workflow": "parent" }));
    assert_eq!(waiting["questions"][0]["question"], "Ship A-7?");
    assert_ne!(waiting["questions"][0]["run_id"], waiting["run_id"]);
    let answer = json!({ "run_id": waiting["run_id"], "answer": { "proceed": true } });
    let report = host.value("answer_run", answer);
    assert_eq!((&report["workflow"], &report["status"]), (&json!("parent"), &json!("completed")));
}

#[test]
fn a_run_goes_on_by_itself_and_hears_what_another_emits() {
    let mut host = unable();
    let begin = |host: &mut Host, order: &str| {
        let input = json!({ "workflow": "watcher", "input": { "order": order }, "wait": false });
        host.value("run_workflow", input)["run_id"].clone()
    };
    let (first, second) = (begin(&mut host, "A-1"), begin(&mut host, "A-2"));
    let waiting = host.value("run_workflow", json!({ "workflow": "approval", "input": { "order": "A-2" } }));
    host.value("answer_run", json!({ "run_id": waiting["run_id"], "answer": { "proceed": true } }));
    let report = host.value("get_run", json!({ "run_id": second, "wait_ms": 20_000 }));
    assert_eq!((&report["status"], &report["output"]), (&json!("completed"), &json!({ "seen": "A-2" })));
    assert_eq!(host.value("get_run", json!({ "run_id": first }))["status"], "running");
    let signal = json!({ "run_id": first, "action": "signal", "event": "order.approved", "data": { "order": "A-1" } });
    host.value("control_run", signal.clone());
    let report = host.value("get_run", json!({ "run_id": first, "wait_ms": 20_000 }));
    assert_eq!(report["output"], json!({ "seen": "A-1" }));
    let wrong = host.failure("control_run", signal);
    assert!(wrong.contains("has ended"), "{wrong}");
}

#[test]
fn a_workflow_sets_another_off_and_does_not_wait_for_it() {
    let steps = "steps: [{ id: child, workflow: watcher, args: { order: A-3 }, detach: true }]\noutput: $steps.child.output.run_id\n";
    let mut host = test().workflow("sets_off", steps).serve();
    host.initialize();
    let run = host.value("sets_off", json!({}))["result"].clone();
    assert_eq!(host.value("get_run", json!({ "run_id": run }))["status"], "running", "its caller has ended");
    host.value(
        "control_run",
        json!({ "run_id": run, "action": "signal", "event": "order.approved", "data": { "order": "A-3" } }),
    );
    let report = host.value("get_run", json!({ "run_id": run, "wait_ms": 20_000 }));
    assert_eq!(report["output"], json!({ "seen": "A-3" }));
}

#[test]
fn a_run_that_goes_on_by_itself_can_be_cancelled() {
    let mut host = unable();
    let input = json!({ "workflow": "watcher", "input": { "order": "A-1" }, "wait": false });
    let run = host.value("run_workflow", input)["run_id"].clone();
    let result = host.call("control_run", json!({ "run_id": run, "action": "cancel" }));
    assert_eq!(result["structuredContent"]["status"], "cancelled", "{result}");
    assert_eq!(host.value("get_run", json!({}))["runs"], json!([]));
}

#[test]
fn at_the_command_line_answers_are_given_along() {
    let run = |answers: &[&str]| {
        let given = answers.iter().flat_map(|answer| ["--answer", answer]);
        test().run(&["run", "approval", "order=A-1"].into_iter().chain(given).collect::<Vec<_>>())
    };
    let done = run(&["approval={\"proceed\": true}"]);
    assert_eq!((done.code, done.json()["proceed"].clone()), (0, json!(true)), "{}", done.stderr);
    let missing = run(&[]);
    assert_eq!(missing.code, 5, "{}", missing.stderr);
    assert!(
        missing.stderr.contains("Ship A-1?") && missing.stderr.contains("--answer approval="),
        "{}",
        missing.stderr
    );
    let declined = run(&["approval=no"]);
    assert!(declined.code == 5 && declined.stderr.contains("MO4032"), "{}", declined.stderr);
}

#[test]
fn a_run_whose_question_nobody_answers_at_the_command_line_is_left_for_whoever_does() {
    let test = test();
    let left = test.run(&["run", "approval", "order=A-1"]);
    assert_eq!(left.code, 5, "{}", left.stderr);
    let run =
        left.stderr.split("`runs resume ").nth(1).and_then(|rest| rest.split('`').next()).expect("how it goes on");
    let shown = test.run(&["runs", "show", run]);
    let all = shown.json();
    assert_eq!((&all["status"], &all["input"]), (&json!("waiting"), &json!({ "order": "A-1" })), "{all}");
    assert_eq!((&all["steps"][0]["id"], &all["steps"][0]["status"]), (&json!("approval"), &json!("running")), "{all}");
    assert!(shown.stderr.contains("no program goes on with it now"), "{}", shown.stderr);
    let unanswered = test.run(&["runs", "resume", run]);
    assert!(unanswered.stderr.contains("`approval` asks: Ship A-1?"), "{}", unanswered.stderr);
    assert_eq!(test.run(&["runs", "answer", run, "{\"proceed\": true}"]).code, 0);
    let done = test.run(&["runs", "resume", run]);
    assert!(done.code == 0 && done.stdout.contains("completed"), "{}{}", done.stdout, done.stderr);
}

#[test]
fn only_a_yes_is_a_yes() {
    let test = Test::new().registry("# no servers").workflow("may", "steps:\n  - { id: go, ask: Go on? }\n");
    let mut host = test.serve();
    host.initialize();
    let begun = |host: &mut Host| {
        let run = host.begin("may");
        host.until(&run, "waiting");
        run
    };
    for unsure in
        [json!({}), json!({ "answer": "maybe" }), json!({ "answer": { "go": false } }), json!({ "reason": "no" })]
    {
        let run = begun(&mut host);
        let mut arguments = unsure.clone();
        arguments["run_id"] = json!(run);
        let refused = host.failure("answer_run", arguments);
        assert!(refused.contains("true"), "{unsure}: {refused}");
        assert_eq!(host.value("get_run", json!({ "run_id": run }))["status"], "waiting", "{unsure}");
    }
    for (answer, status) in
        [(json!(true), "completed"), (json!({}), "completed"), (json!(false), "failed"), (json!("no"), "failed")]
    {
        let run = begun(&mut host);
        host.call("answer_run", json!({ "run_id": run, "answer": answer }));
        host.until(&run, status);
    }
    let run = begun(&mut host);
    host.call("control_run", json!({ "run_id": run, "action": "approve", "payload": false }));
    host.until(&run, "failed");
}

#[test]
fn answers_at_the_command_line_are_looked_at_before_anything_is_done() {
    let test = Test::new().registry("# no servers").workflow("may", "steps:\n  - { id: goes, ask: Go on? }\n");
    let wrong = [
        ("goes=maybe", "does not fit"),
        ("goes={\"go\":false}", "does not fit"),
        ("gose=yes", "did you mean `goes`?"),
        ("goes", "STEP=ANSWER"),
    ];
    for (given, why) in wrong {
        let done = test.run(&["run", "may", "--answer", given]);
        assert!(done.code == 2 && done.stderr.contains(why), "{given}: {}", done.stderr);
    }
    assert!(test.run(&["runs", "list"]).stdout.is_empty(), "nothing was begun");
    for no in ["goes=false", "goes=no", "goes=\"no\""] {
        let done = test.run(&["run", "may", "--answer", no]);
        assert!(done.code == 5 && done.stderr.contains("MO4032"), "{no}: {}", done.stderr);
    }
}
