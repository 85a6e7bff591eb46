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
        .workflow("hold", "steps: [{ id: a, tool: north.hang, effect: read }]\n")
        .workflow("ask", "steps:\n  - { id: may, ask: Go on? }\n  - { id: b, tool: north.meta, after: [may] }\n")
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

fn cancel(host: &mut Host, run: &str) {
    let cancelled = host.call("control_run", json!({ "run_id": run, "action": "cancel" }));
    assert_eq!(cancelled["structuredContent"]["status"], "cancelled", "{cancelled}");
}

fn status(host: &mut Host, run: &str) -> Value {
    host.value("get_run", json!({ "run_id": run }))["status"].clone()
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
    cancel(&mut host, &hold);
    for begun in waiting.iter().chain([&raised]) {
        assert_eq!(look(&mut host, &id(begun))["status"], "completed");
    }
    assert_eq!(host.record("north", "calls"), ["hang", "write", "echo", "pid", "echo"]);
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
    cancel(&mut host, &queued);
    let other = id(&begin(&mut host, json!({ "workflow": "usual" })));
    cancel(&mut host, &hold);
    assert_eq!(look(&mut host, &other)["status"], "completed");
    assert_eq!(host.record("north", "calls"), ["hang", "pid"]);
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
    assert_eq!(host.record("north", "calls"), ["hang"]);
}

#[test]
fn a_run_that_waits_survives_the_program() {
    let mut host = narrow("");
    let hold = id(&begin(&mut host, json!({ "workflow": "hold" })));
    let queued = id(&begin(&mut host, json!({ "workflow": "urgent" })));
    host.die_and_return();
    host.initialize();
    host.await_record("north", "calls", 2);
    assert_eq!(status(&mut host, &queued), "queued");
    cancel(&mut host, &hold);
    assert_eq!(look(&mut host, &queued)["status"], "completed", "{}", host.stderr());
    assert_eq!(host.record("north", "calls"), ["hang", "hang", "write"]);
}

#[test]
fn a_run_that_waits_for_somebody_lends_its_place_and_goes_on_when_it_has_it_again() {
    let mut host = narrow("");
    let asking = id(&begin(&mut host, json!({ "workflow": "ask" })));
    assert!(eventually(DEADLINE, || status(&mut host, &asking) == "waiting"), "{}", host.stderr());
    let hold = id(&begin(&mut host, json!({ "workflow": "hold" })));
    host.await_record("north", "calls", 1);
    let answered = host.value("answer_run", json!({ "run_id": asking, "answer": true, "wait_ms": 0 }));
    assert_ne!(answered["status"], "completed", "{answered}");
    assert!(eventually(DEADLINE, || status(&mut host, &asking) == "queued"), "{}", host.stderr());
    // What was answered is stored.
    host.die_and_return();
    host.initialize();
    assert_eq!(look(&mut host, &asking)["status"], "completed", "{}", host.stderr());
    cancel(&mut host, &hold);
    assert_eq!(host.record("north", "calls").iter().filter(|tool| *tool == "meta").count(), 1);
}

#[test]
fn runs_that_wait_for_each_other_need_no_more_than_one_place() {
    let mut host = narrow("");
    let asking: Vec<_> = (0..20).map(|_| id(&begin(&mut host, json!({ "workflow": "ask" })))).collect();
    for run in &asking {
        assert!(eventually(DEADLINE, || status(&mut host, run) == "waiting"), "{}", host.stderr());
    }
    let first = id(&begin(&mut host, json!({ "workflow": "usual" })));
    assert_eq!(look(&mut host, &first)["status"], "completed");
    for run in &asking {
        host.value("answer_run", json!({ "run_id": run, "answer": true, "wait_ms": 0 }));
    }
    for run in &asking {
        assert_eq!(look(&mut host, run)["status"], "completed", "{}", host.stderr());
    }
}

#[test]
fn whoever_has_the_least_going_on_has_the_next_turn() {
    let test = Test::new()
        .registry("[orchestrator]\nmax_concurrent_runs = 2\n")
        .server("north", fixture(["healthy"]))
        .workflow("hold", "steps: [{ id: a, tool: north.hang, effect: read }]\n")
        .workflow("theirs", "steps: [{ id: a, tool: north.pid }]\n")
        .workflow("ours", "steps: [{ id: a, tool: north.meta }]\n");
    let mut host = test.start_modern();
    host.name = "greedy";
    host.ready(&["north"]);
    let held = ["hold", "hold"].map(|workflow| id(&begin(&mut host, json!({ "workflow": workflow }))));
    let theirs = [0; 3].map(|_| id(&begin(&mut host, json!({ "workflow": "theirs" }))));
    host.name = "modest";
    let ours = id(&begin(&mut host, json!({ "workflow": "ours" })));
    assert_eq!(status(&mut host, &ours), "queued");
    host.name = "greedy";
    cancel(&mut host, &held[0]);
    for run in &theirs {
        assert_eq!(look(&mut host, run)["status"], "completed");
    }
    assert_eq!(host.record("north", "calls"), ["hang", "hang", "meta", "pid", "pid", "pid"]);
}

#[test]
fn a_run_whose_turn_would_come_too_late_is_refused_at_once() {
    let mut host = narrow("");
    let usual = json!({ "definition": { "name": "slow", "steps": [{ "id": "a", "tool": "north.sleep", "args": { "ms": 1500 } }] } });
    host.value("run_workflow", usual);
    let hold = id(&begin(&mut host, json!({ "workflow": "hold" })));
    begin(&mut host, json!({ "workflow": "urgent" }));
    let refused = host.call("run_workflow", json!({ "workflow": "usual", "deadline": "500ms" }));
    let error = &refused["structuredContent"]["error"];
    assert_eq!(error["code"], "MO4051", "{refused}");
    assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("nothing was run")), "{error}");
    cancel(&mut host, &hold);
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
fn more_calls_than_may_wait_are_refused_and_the_program_goes_on() {
    let each = "input: { items: array }\nsteps:\n  - { id: all, for_each: $input.items, concurrency: 1000, tool: north.hang, effect: read }\n";
    let test = Test::new().registry("[orchestrator]\nmax_concurrent_steps = 1\n").server("north", fixture(["healthy"]));
    let mut host = test.workflow("each", each).start();
    host.ready(&["north"]);
    let items: Vec<_> = (0..1_000).collect();
    let runs: Vec<_> = (0..11)
        .map(|_| {
            let wanted = json!({ "workflow": "each", "input": { "items": items }, "wait": false });
            let begun = host.call("run_workflow", wanted);
            assert!(begun["structuredContent"]["run_id"].is_string(), "{begun}");
            id(&begun["structuredContent"])
        })
        .collect();
    let mut last = Value::Null;
    let is_refused = eventually(DEADLINE, || {
        last = host.call("get_run", json!({ "run_id": runs[10] }))["structuredContent"].clone();
        last["status"] == "failed"
    });
    assert!(is_refused && last["error"]["code"] == "MO4052", "{last}");
    assert!(last["error"]["message"].as_str().is_some_and(|text| text.contains("10000 calls of runs wait")), "{last}");
    assert_eq!(host.record("north", "calls"), ["hang"]);
    assert_eq!(host.value("north__echo", json!({ "n": 1 })), json!({ "n": 1 }));
    for run in &runs[..10] {
        cancel(&mut host, run);
    }
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
