//! More is wanted at once than may go on: what waits, in which order, and what is refused.

use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{DEADLINE, Host, Test, eventually, fixture};

/// One run at a time, and three that tell by their tools which of them it was.
fn narrow(settings: &str) -> Host {
    let test = Test::new().registry(&format!("[orchestrator]\nmax_concurrent_runs = 1\n{settings}"));
    let test = test
        .server("north", fixture(["healthy"]))
        .workflow("hold", "steps: [{ id: may, ask: Go on? }]\n")
        .workflow("idle", "priority: low\nsteps: [{ id: a, tool: north.echo }]\n")
        .workflow("usual", "steps: [{ id: a, tool: north.pid }]\n")
        .workflow("urgent", "priority: critical\nsteps: [{ id: a, tool: north.write }]\n");
    let mut host = test.start();
    host.ready(&["north"]);
    host
}

fn begin(host: &mut Host, arguments: Value) -> Value {
    let mut all = arguments;
    all["wait"] = json!(false);
    host.value("run_workflow", all)
}

fn id(begun: &Value) -> String {
    begun["run_id"].as_str().expect("a run has an id").to_owned()
}

fn look(host: &mut Host, run: &str) -> Value {
    host.value("get_run", json!({ "run_id": run, "wait_ms": 20_000 }))
}

#[test]
fn runs_wait_for_their_turn_and_the_urgent_come_first() {
    let mut host = narrow("");
    let hold = id(&begin(&mut host, json!({ "workflow": "hold" })));
    let waiting: Vec<_> = ["idle", "usual", "urgent"]
        .map(|workflow| begin(&mut host, json!({ "workflow": workflow })))
        .into_iter()
        .collect();
    assert!(waiting.iter().all(|begun| begun["status"] == "queued"), "{waiting:?}");
    let raised = begin(&mut host, json!({ "workflow": "idle", "priority": "high" }));
    assert_eq!(host.value("get_run", json!({ "run_id": id(&raised) }))["status"], "queued");
    host.value("answer_run", json!({ "run_id": hold }));
    for begun in waiting.iter().chain([&raised]) {
        assert_eq!(look(&mut host, &id(begun))["status"], "completed");
    }
    assert_eq!(host.record("north", "calls"), ["write", "echo", "pid", "echo"]);
}

#[test]
fn a_full_queue_refuses_and_says_what_how_many_and_when() {
    let mut host = narrow("max_waiting_runs = 1\n");
    let hold = id(&begin(&mut host, json!({ "workflow": "hold" })));
    let queued = id(&begin(&mut host, json!({ "workflow": "usual" })));
    let refused = host.call("usual", json!({}));
    let error = &refused["structuredContent"]["error"];
    assert_eq!((&error["code"], &error["retryable"]), (&json!("MO4012"), &json!(true)), "{refused}");
    assert!(error["retry_after_ms"].as_u64().is_some_and(|after| after >= 1_000), "{error}");
    assert!(
        error["message"].as_str().is_some_and(|why| why.contains("1 runs go on") && why.contains("1 wait")),
        "{error}"
    );
    // Who leaves the queue makes room.
    let cancelled = host.call("control_run", json!({ "run_id": queued, "action": "cancel" }));
    assert_eq!(cancelled["structuredContent"]["status"], "cancelled", "{cancelled}");
    let other = id(&begin(&mut host, json!({ "workflow": "usual" })));
    host.value("answer_run", json!({ "run_id": hold }));
    assert_eq!(look(&mut host, &other)["status"], "completed");
    assert_eq!(host.record("north", "calls").len(), 1);
}

#[test]
fn a_deadline_ends_the_waiting_and_one_that_is_over_is_refused() {
    let mut host = narrow("");
    begin(&mut host, json!({ "workflow": "hold" }));
    let began = Instant::now();
    let late = host.call("run_workflow", json!({ "workflow": "urgent", "deadline": "300ms" }));
    assert_eq!(late["structuredContent"]["error"]["code"], "MO4006", "{late}");
    assert!(began.elapsed() < DEADLINE / 2);
    let never = host.failure("run_workflow", json!({ "workflow": "urgent", "deadline": "2020-01-01T00:00:00Z" }));
    assert!(never.contains("nothing was run"), "{never}");
    let wrong = host.failure("run_workflow", json!({ "workflow": "urgent", "deadline": "soon" }));
    assert!(wrong.contains("90s"), "{wrong}");
    let wrong = host.failure("run_workflow", json!({ "workflow": "urgent", "priority": "very" }));
    assert!(wrong.contains("`critical`"), "{wrong}");
    assert!(host.record("north", "calls").is_empty());
}

#[test]
fn a_run_that_waits_survives_the_program() {
    let mut host = narrow("");
    let hold = id(&begin(&mut host, json!({ "workflow": "hold" })));
    let queued = id(&begin(&mut host, json!({ "workflow": "urgent" })));
    host.die_and_return();
    host.initialize();
    let is_asked = eventually(DEADLINE, || host.value("get_run", json!({ "run_id": hold }))["status"] == "waiting");
    assert!(is_asked, "{}", host.stderr());
    assert_eq!(host.value("get_run", json!({ "run_id": queued }))["status"], "queued");
    host.value("answer_run", json!({ "run_id": hold }));
    assert_eq!(look(&mut host, &queued)["status"], "completed", "{}", host.stderr());
    assert_eq!(host.record("north", "calls"), ["write"]);
}

#[test]
fn calls_of_runs_wait_by_the_urgency_of_their_runs() {
    let test = Test::new().registry("[orchestrator]\nmax_concurrent_steps = 1\n");
    let test = test
        .server("north", fixture(["healthy"]))
        .workflow("hold", "steps: [{ id: a, tool: north.sleep, args: { ms: 1500 } }]\n")
        .workflow("idle", "priority: low\nsteps: [{ id: a, tool: north.echo }]\n")
        .workflow("urgent", "priority: critical\nsteps: [{ id: a, tool: north.write }]\n");
    let mut host = test.start();
    host.ready(&["north"]);
    begin(&mut host, json!({ "workflow": "hold" }));
    host.await_record("north", "calls", 1);
    let runs = ["idle", "urgent"].map(|workflow| id(&begin(&mut host, json!({ "workflow": workflow }))));
    for run in runs {
        assert_eq!(look(&mut host, &run)["status"], "completed");
    }
    assert_eq!(host.record("north", "calls"), ["sleep", "write", "echo"]);
}

#[test]
fn a_key_stands_for_one_workflow_and_one_input() {
    let test = Test::new()
        .server("north", fixture(["healthy"]))
        .workflow("order", "input: { id: integer }\nsteps: [{ id: a, tool: north.write, args: { id: $input.id } }]\n")
        .workflow("other", "input: { id: integer }\nsteps: [{ id: may, ask: Go on? }]\n");
    let mut host = test.start();
    host.ready(&["north"]);
    let with = |workflow: &str, id: i32| json!({ "workflow": workflow, "input": { "id": id }, "idempotency_key": "k" });
    let first = host.value("run_workflow", with("order", 1));
    assert_eq!(host.value("run_workflow", with("order", 1)), first, "a run that has ended answers again");
    for wrong in [with("order", 2), with("other", 1)] {
        let refused = host.failure("run_workflow", wrong);
        assert!(refused.contains("MO4053") && refused.contains(&id(&first)), "{refused}");
    }
    // So it is when another process has begun it, and while it goes on.
    let going = begin(&mut host, json!({ "workflow": "other", "input": { "id": 1 }, "idempotency_key": "q" }));
    host.signal(Signal::KILL);
    host.return_with(&[]);
    host.initialize();
    host.ready(&["north"]);
    assert!(host.failure("run_workflow", with("order", 2)).contains("MO4053"));
    assert_eq!(host.value("run_workflow", with("order", 1))["run_id"], first["run_id"]);
    let joined = host.value(
        "run_workflow",
        json!({ "workflow": "other", "input": { "id": 1 }, "idempotency_key": "q", "wait": false }),
    );
    assert_eq!(id(&joined), id(&going));
    let refused = json!({ "workflow": "other", "input": { "id": 2 }, "idempotency_key": "q" });
    assert!(host.failure("run_workflow", refused).contains("MO4053"));
    assert_eq!(host.record("north", "calls"), ["write"]);
}

#[test]
fn a_program_that_is_told_to_end_lets_runs_come_to_their_ends_and_begins_no_others() {
    let test = Test::new().registry("[orchestrator]\nshutdown_grace = \"15s\"\n").server("north", fixture(["healthy"]));
    let test = test.workflow(
        "flow",
        "steps:\n  - { id: a, tool: north.sleep, args: { ms: 1500 } }\n  - { id: b, tool: north.sleep, args: { ms: 10 } }\noutput: done\n",
    );
    let mut host = test.start();
    host.ready(&["north"]);
    let asked = host.send_call("flow", json!({}));
    host.await_record("north", "calls", 1);
    host.signal(Signal::TERM);
    let refused = eventually(DEADLINE, || {
        let other = host.call("run_workflow", json!({ "workflow": "flow", "wait": false }));
        other["structuredContent"]["error"]["code"] == "MO5301"
    });
    assert!(refused, "{}", host.stderr());
    let answer = host.answer(asked);
    assert_eq!(answer["result"]["structuredContent"]["result"], "done", "{answer}");
    assert!(host.ended(DEADLINE).is_some_and(|status| status.success()), "{}", host.stderr());
}
