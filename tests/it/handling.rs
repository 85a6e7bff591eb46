//! What users and operators do with runs: try them again, answer them, signal to them, ask about them, carry them elsewhere.

use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::web::{Manner, Web};
use crate::support::{DEADLINE, Host, Test, eventually, fixture};

const ASKS: &str =
    "steps:\n  - { id: a, tool: north.write }\n  - { id: in, workflow: inner }\n  - { id: c, tool: north.pid }\n";
const INNER: &str = "steps:\n  - { id: w, tool: south.write }\n  - { id: may, ask: Go on? }\n";

fn test(steps: &str) -> Test {
    let test = Test::new().server("north", fixture(["healthy"])).server("south", fixture(["healthy"]));
    test.workflow("inner", INNER).workflow("flow", steps)
}

fn start(test: Test) -> Host {
    let mut host = test.start();
    host.ready(&["north", "south"]);
    host
}

fn id(shown: &Value) -> String {
    shown["run_id"].as_str().expect("a run has an id").to_owned()
}

fn control(host: &mut Host, run: &str, action: &str, payload: Value) -> Value {
    let mut arguments = json!({ "run_id": run, "action": action });
    arguments["payload"] = payload;
    host.call("control_run", arguments)["structuredContent"].clone()
}

fn output(command: &mut Command) -> String {
    let done = command.output().expect("the binary can be started");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("UTF-8")
}

fn complaint(command: &mut Command) -> String {
    let done = command.output().expect("the binary can be started");
    assert!(!done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    String::from_utf8(done.stderr).expect("UTF-8")
}

#[test]
fn a_retry_takes_over_what_was_done_also_after_another_crash() {
    let mut host = start(test(ASKS));
    let old = host.begin("flow");
    host.until(&old, "waiting");
    let rejected = control(&mut host, &old, "reject", json!("not today"));
    assert_eq!(rejected["error"]["code"], "MO4032", "{rejected}");
    let new = control(&mut host, &old, "retry", Value::Null);
    let new = id(&new);
    assert_ne!(new, old);
    host.until(&new, "waiting");
    host.die_and_return();
    host.initialize();
    host.until(&new, "waiting");
    let done = control(&mut host, &new, "approve", Value::Null);
    assert_eq!((&done["status"], &done["run_id"]), (&json!("completed"), &json!(new)), "{done}");
    assert_eq!((host.calls("north", "write"), host.calls("south", "write")), (1, 1));
    assert_eq!(host.calls("north", "pid"), 1);
    for run in [&old, &new] {
        let refused = host.failure("control_run", json!({ "run_id": run, "action": "retry" }));
        assert!(refused.contains("MO4054"), "{refused}");
    }
}

#[test]
fn retries_at_the_same_time_are_one_run() {
    let mut host = start(test("steps:\n  - { id: a, tool: north.write }\n  - { id: may, ask: Go on? }\n"));
    let old = host.begin("flow");
    host.until(&old, "waiting");
    control(&mut host, &old, "reject", Value::Null);
    let retry = json!({ "run_id": old, "action": "retry" });
    let sent: Vec<_> = (0..4).map(|_| host.send_call("control_run", retry.clone())).collect();
    let begun: Vec<_> = sent.into_iter().map(|sent| id(&host.answer(sent)["result"]["structuredContent"])).collect();
    assert!(begun.iter().all(|run| *run == begun[0]), "{begun:?}");
}

#[test]
fn a_run_that_has_lost_its_key_is_not_retried() {
    let mut host = start(test("steps:\n  - { id: a, tool: north.write }\n  - { id: may, ask: Go on? }\n"));
    let wanted = json!({ "workflow": "flow", "wait": false, "idempotency_key": "k" });
    let old = id(&host.value("run_workflow", wanted.clone()));
    host.until(&old, "waiting");
    control(&mut host, &old, "reject", Value::Null);
    let new = id(&host.value("run_workflow", wanted));
    let refused = host.failure("control_run", json!({ "run_id": old, "action": "retry" }));
    assert!(refused.contains("MO4054") && refused.contains(&new), "{refused}");
}

#[test]
fn who_joins_a_run_keeps_it_going_when_the_first_leaves() {
    let mut host = start(test("steps:\n  - { id: may, await: shop.open }\n  - { id: a, tool: north.write }\n"));
    let wanted = json!({ "workflow": "flow", "idempotency_key": "k" });
    let first = host.send_call("run_workflow", wanted.clone());
    let second = host.send_call("run_workflow", wanted);
    let mut run = Value::Null;
    assert!(eventually(DEADLINE, || {
        run = host.value("get_run", json!({}))["runs"][0]["run_id"].clone();
        run.is_string()
    }));
    host.notify("notifications/cancelled", json!({ "requestId": first }));
    host.call("control_run", json!({ "run_id": run, "action": "signal", "event": "shop.open" }));
    let done = host.answer(second)["result"]["structuredContent"].clone();
    assert_eq!(done["status"], "completed", "{done}");
}

#[test]
fn what_was_undone_is_done_again() {
    let mut host = start(test(
        "steps:\n  - { id: a, tool: north.write, undo: { tool: south.write } }\n  - { id: b, tool: north.pid }\n  - { id: may, ask: Go on? }\n",
    ));
    let old = host.begin("flow");
    host.until(&old, "waiting");
    assert_eq!(control(&mut host, &old, "reject", Value::Null)["status"], "undone");
    let new = id(&control(&mut host, &old, "retry", Value::Null));
    host.until(&new, "waiting");
    assert_eq!(control(&mut host, &new, "approve", Value::Null)["status"], "completed");
    assert_eq!((host.calls("north", "write"), host.calls("north", "pid")), (2, 1));
}

#[test]
fn what_is_in_doubt_is_done_again_only_if_somebody_says_so() {
    let mut host = start(test("steps:\n  - { id: pay, tool: north.hang, timeout: 300ms }\n"));
    let old = id(&host.failed("run_workflow", json!({ "workflow": "flow" })));
    let refused = host.failure("control_run", json!({ "run_id": old, "action": "retry" }));
    assert!(refused.contains("MO4037") && refused.contains("`pay`"), "{refused}");
    assert_eq!(host.calls("north", "hang"), 1);
    let new = id(&control(&mut host, &old, "retry", json!("retry")));
    host.until(&new, "failed");
    assert_eq!(host.calls("north", "hang"), 2);
}

#[test]
fn operators_signal_and_retry_beside_the_program_and_without_it() {
    let test = test(
        "steps:\n  - { id: a, tool: north.write }\n  - { id: may, ask: Go on? }\n  - { id: e, await: shop.open }\n",
    );
    let runs = |what: &[&str]| test.command(&[&["runs"], what].concat());
    let (mut retry, mut again, mut signal) = (runs(&["retry"]), runs(&["retry"]), runs(&["signal"]));
    let mut reject = [runs(&["answer"]), runs(&["answer"])].into_iter();
    let mut answer = runs(&["answer"]);
    let mut host = start(test);
    let old = host.begin("flow");
    host.until(&old, "waiting");
    output(reject.next().expect("a command").args([&old, "no"]));
    host.until(&old, "failed");
    let new = output(retry.arg(&old)).trim().to_owned();
    host.until(&new, "waiting");
    output(reject.next().expect("a command").args([&new, "no"]));
    host.until(&new, "failed");
    host.leave();
    assert!(host.ended(DEADLINE).is_some());
    let shown = again.arg(&new).output().expect("the binary can be started");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("waiting"), "{shown}");
    let third = shown.split_whitespace().next().expect("an id").to_owned();
    host.return_with(&[]);
    host.initialize();
    host.until(&third, "waiting");
    output(answer.args([&third, "yes"]));
    output(signal.args([&third, "shop.open", r#"{"at": 9}"#]));
    host.until(&third, "completed");
    assert_eq!(host.calls("north", "write"), 1);
}

#[test]
fn what_operators_say_without_the_program_is_heard_by_whoever_goes_on_with_the_run() {
    let test = test("steps:\n  - { id: pay, tool: north.hang }\noutput: $steps.pay.output.receipt\n");
    let of = |what: &str| test.command(&["runs", what]);
    let (mut decide, mut decide_other, mut resume, mut resume_other) =
        (of("decide"), of("decide"), of("resume"), of("resume"));
    let mut host = start(test);
    let all = [host.begin("flow"), host.begin("flow")];
    host.await_record("north", "calls", 2);
    host.signal(Signal::KILL);
    assert!(host.ended(DEADLINE).is_some());
    let [run, other] = &all;
    output(decide.args([run, r#"{"receipt": 7}"#]));
    output(decide_other.args([other, r#"{"receipt": 8}"#]));
    for (run, resume) in [(run, &mut resume), (other, &mut resume_other)] {
        let done = output(resume.arg(run));
        assert!(done.contains("completed"), "{done}");
    }
    assert_eq!(host.calls("north", "hang"), 2);
}

#[test]
fn what_a_run_is_told_before_its_turn_is_still_known_after_a_restart() {
    let registry = "[orchestrator]\nmax_concurrent_runs = 1\nshutdown_grace = \"100ms\"\n";
    let test = Test::new().registry(registry).server("north", fixture(["healthy"]));
    let test = test.workflow("hold", "steps: [{ id: a, tool: north.sleep, args: { ms: 5000 } }]\n");
    let mut host = test.workflow("flow", "steps:\n  - { id: e, await: shop.open }\n").start();
    host.ready(&["north"]);
    host.value("run_workflow", json!({ "workflow": "hold", "wait": false }));
    let run = host.begin("flow");
    let signal = json!({ "run_id": run, "action": "signal", "event": "shop.open", "data": { "at": 9 } });
    assert_eq!(host.value("control_run", signal)["status"], "queued");
    host.signal(Signal::TERM);
    host.return_with(&[]);
    host.initialize();
    host.until(&run, "completed");
}

#[test]
fn the_journal_answers_questions_and_changes_nothing() {
    let test = test("steps: [{ id: a, tool: north.write }]\n");
    assert_eq!(test.run(&["run", "flow"]).code, 0);
    let asked = test.run(&["runs", "query", "select workflow, status from run"]);
    assert_eq!(asked.stdout, "workflow  status\nflow      completed\n", "{}", asked.stderr);
    let asked = test.run(&["runs", "query", "select workflow, ended > began as late from run", "-o", "json"]);
    assert_eq!(asked.json()[0]["workflow"], "flow");
    let all = "with recursive n(i) as (select 1 union all select i + 1 from n) select i from n";
    let cut = test.run(&["runs", "query", all, "--limit", "3"]);
    assert!(cut.stdout.lines().count() == 4 && cut.stderr.contains("more than 3"), "{}{}", cut.stdout, cut.stderr);
    for wrong in
        ["delete from run", "with a as (select 1) delete from run", "pragma user_version = 9", "attach 'x' as y"]
    {
        let refused = test.run(&["runs", "query", wrong]);
        assert_eq!(refused.code, 2, "{wrong}: {}", refused.stdout);
    }
    assert_eq!(test.run(&["runs", "list", "-o", "json"]).json().as_array().map(Vec::len), Some(1));
}

#[test]
fn a_run_is_carried_elsewhere_and_nothing_is_overwritten() {
    let test = test("steps: [{ id: in, workflow: sub }]\n").workflow("sub", "steps: [{ id: w, tool: south.write }]\n");
    assert_eq!(test.run(&["run", "flow"]).code, 0);
    let run = test.run(&["runs", "list", "-o", "json"]).json();
    let run = run.as_array().expect("a list").iter().find(|run| run["workflow"] == "flow").map(id).expect("a run");
    let exported = test.run(&["runs", "export", &run]).stdout;
    assert!(exported.lines().filter(|line| line.contains("\"journal\":1")).count() == 2, "{exported}");
    let test = test.file("run.jsonl", &exported).file("cut.jsonl", "{\"now\":1}\n");
    let refused = test.run(&["runs", "import", "run.jsonl"]);
    assert!(refused.code == 5 && refused.stderr.contains("is here already"), "{}", refused.stderr);
    let test = test.file("twice.jsonl", &format!("{exported}{exported}"));
    let refused = test.run(&["runs", "import", "twice.jsonl", "--data-dir", "other"]);
    assert!(refused.code == 2 && refused.stderr.contains("twice"), "{}", refused.stderr);
    let elsewhere = test.run(&["runs", "import", "run.jsonl", "--data-dir", "other"]);
    assert_eq!(elsewhere.code, 0, "{}", elsewhere.stderr);
    assert_eq!(test.run(&["runs", "export", &run, "--data-dir", "other"]).stdout, exported);
    let shown = test.run(&["runs", "show", &run, "--data-dir", "other"]).json();
    assert_eq!(shown, test.run(&["runs", "show", &run]).json());
    assert_eq!(test.run(&["runs", "import", "cut.jsonl", "--data-dir", "other"]).code, 2);
    let mut import = test.command(&["runs", "import", "run.jsonl"]);
    let mut host = test.start();
    host.ready(&["north"]);
    let refused = complaint(&mut import);
    assert!(refused.contains("belongs to process"), "{refused}");
}

#[test]
fn the_key_of_a_call_goes_where_its_tool_wants_it() {
    let web = Web::start(Manner::Streaming);
    let entry = web.entry("web") + "tools = { echo = { idempotency = { header = \"Idempotency-Key\" } } }\n";
    let north = fixture(["healthy"]).with("tools = { write = { idempotency = { argument = \"request_id\" } } }");
    let test = Test::new().registry(&entry).server("north", north);
    let flow = "steps:\n  - { id: a, tool: north.write, args: { n: 1 }, idempotency_key: \"order-${ 1 + 1 }\" }\n  \
        - { id: b, tool: web.echo, args: { text: hello } }\n  - { id: m, tool: north.meta }\noutput: { a: $steps.a.output, m: $steps.m.output }\n";
    let mut host = test.workflow("flow", flow).start();
    host.ready(&["north", "web"]);
    let report = host.value("run_workflow", json!({ "workflow": "flow" }));
    let run = id(&report);
    assert_eq!(report["output"]["a"], json!({ "n": 1, "request_id": "order-2" }), "{report}");
    assert_eq!(report["output"]["m"]["io.mcp-orchestrator/idempotency-key"], format!("{run}/m"), "{report}");
    let arrived = web.arrived();
    let called = arrived.iter().find(|request| request.body["method"] == "tools/call").expect("a call");
    assert!(called.headers.to_lowercase().contains(&format!("idempotency-key: {run}/b")), "{}", called.headers);
    // A call of a host has one, too, unless it gives its own.
    let own = host.value("north__write", json!({ "request_id": "mine" }));
    assert_eq!(own, json!({ "request_id": "mine" }));
    assert!(host.value("north__write", json!({}))["request_id"].is_string());
}

#[test]
fn a_key_in_a_header_needs_http() {
    let north = fixture(["healthy"]).with("tools = { write = { idempotency = { header = \"Idempotency-Key\" } } }");
    let wrong = Test::new().server("north", north).run(&["check"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("Streamable HTTP"), "{}", wrong.stderr);
}

#[test]
fn a_write_that_was_in_flight_when_the_run_ended_is_listed() {
    let flow = "steps:\n  - { id: a, tool: south.write, undo: { tool: south.pid } }\n  - { id: pay, tool: north.hang, args: { amount: 7 } }\n";
    let mut host = start(test(flow));
    let run = host.begin("flow");
    host.await_record("north", "calls", 1);
    let ended = host.call("control_run", json!({ "run_id": run, "action": "cancel" }));
    let report = &ended["structuredContent"];
    assert_eq!((&report["status"], &report["undone"]), (&json!("undone"), &json!(["a"])), "{ended}");
    let doubt = json!([{ "step": "pay", "tool": "north.hang", "arguments": { "amount": 7 } }]);
    assert_eq!(report["in_doubt"], doubt, "{ended}");
    let text = crate::support::host::text(&ended);
    assert!(text.contains("nobody knows whether it happened: `pay`"), "{text}");
    // A read that was in flight is nothing to worry about.
    let mut host = start(test("timeout: 400ms\nsteps:\n  - { id: look, tool: north.sleep, args: { ms: 9000 } }\n"));
    let report = host.failed("run_workflow", json!({ "workflow": "flow" }));
    assert!(report.get("in_doubt").is_none(), "{report}");
}

#[test]
fn a_write_that_was_in_flight_when_the_run_ended_and_can_be_undone_is() {
    let flow = "steps:\n  - { id: a, tool: south.write, undo: { tool: south.pid } }\n  - { id: pay, tool: north.sleep, effect: write, args: { ms: 700 }, undo: { tool: north.meta } }\n";
    let mut host = start(test(flow));
    let run = host.begin("flow");
    host.await_record("north", "calls", 1);
    let ended = host.call("control_run", json!({ "run_id": run, "action": "cancel" }));
    let report = &ended["structuredContent"];
    assert_eq!((&report["status"], &report["undone"]), (&json!("undone"), &json!(["pay", "a"])), "{ended}");
    assert!(report.get("in_doubt").is_none(), "{ended}");
    assert_eq!((host.calls("north", "meta"), host.calls("south", "pid")), (1, 1));
}

#[test]
fn what_a_workflow_within_has_done_is_undone_before_what_was_done_before_it() {
    let inner = "steps:\n  - { id: w, tool: north.write, undo: [{ id: slow, tool: north.sleep, args: { ms: 800 } }, { id: end, tool: north.meta }] }\n  \
        - { id: pay, tool: north.hang }\n";
    let flow =
        "steps:\n  - { id: a, tool: north.write, undo: { tool: north.pid } }\n  - { id: in, workflow: inside }\n";
    let mut host = start(test(flow).workflow("inside", inner));
    let run = host.begin("flow");
    host.await_record("north", "calls", 3);
    let ended = host.call("control_run", json!({ "run_id": run, "action": "cancel" }));
    assert_eq!(ended["structuredContent"]["undone"], json!(["a"]), "{ended}");
    assert_eq!(host.record("north", "calls"), ["write", "write", "hang", "sleep", "meta", "pid"]);
}

const WAITING: &str = "steps:\n  - { id: a, tool: north.write }\n  - { id: may, ask: Go on? }\n";

#[test]
fn a_run_that_could_not_be_taken_up_goes_on_once_it_can() {
    let test = test(WAITING);
    let data = test.home().join("data");
    let mut host = start(test.flag("--data-dir").flag(&data.to_string_lossy()));
    let run = host.begin("flow");
    host.until(&run, "waiting");
    host.signal(rustix::process::Signal::KILL);
    host.leaves_nothing(DEADLINE);
    let journal = rusqlite::Connection::open(data.join("journal.sqlite")).expect("a journal");
    journal.execute("update event set sum = sum + 1 where seq = 0", []).expect("a damaged event");
    host.return_with(&[]);
    host.initialize();
    host.ready(&["north"]);
    assert!(host.says("is not what was written"), "{}", host.stderr());
    let refused = host.failure("control_run", json!({ "run_id": run, "action": "resume" }));
    assert!(refused.contains("is not what was written"), "{refused}");
    journal.execute("update event set sum = sum - 1 where seq = 0", []).expect("an event as it was");
    let resumed = control(&mut host, &run, "resume", Value::Null);
    assert_eq!(id(&resumed), run, "{resumed}");
    host.until(&run, "waiting");
    assert_eq!(host.value("answer_run", json!({ "run_id": run, "answer": true }))["status"], "completed");
    assert_eq!(host.calls("north", "write"), 1);
}

#[test]
fn what_has_ended_is_deleted_beside_a_program_that_goes_on_and_what_has_not_stays() {
    let test = test(WAITING);
    let (mut prune, mut list) = (test.command(&["runs", "prune", "--days", "0"]), test.command(&["runs", "list"]));
    let mut host = start(test);
    let runs = [0; 3].map(|_| host.begin("flow"));
    for run in &runs {
        host.until(run, "waiting");
    }
    assert_eq!(host.value("answer_run", json!({ "run_id": runs[0], "answer": true }))["status"], "completed");
    output(&mut prune);
    let left = output(&mut list);
    assert!(!left.contains(&runs[0]) && left.contains(&runs[1]) && left.contains(&runs[2]), "{left}");
    host.die_and_return();
    host.initialize();
    for run in &runs[1..] {
        host.until(run, "waiting");
        assert_eq!(host.value("answer_run", json!({ "run_id": run, "answer": true }))["status"], "completed");
    }
    assert_eq!(host.calls("north", "write"), 3);
}
