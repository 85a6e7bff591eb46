//! Runs survive the program: killed at any moment and started again in the same place, it goes on.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{DEADLINE, Host, Test, fixture};

fn with(steps: &str) -> Host {
    let test = Test::new().server("north", fixture(["healthy"])).server("south", fixture(["healthy"]));
    let mut host = test.workflow("flow", steps).start();
    host.ready(&["north", "south"]);
    host
}

fn look(host: &mut Host, run: &str) -> Value {
    host.value("get_run", json!({ "run_id": run, "wait_ms": 20_000 }))
}

#[test]
fn a_read_that_was_in_flight_is_made_again_and_what_was_done_is_not() {
    let mut host = with(
        "steps:\n  - { id: first, tool: north.write, args: { a: 1 } }\n  - { id: slow, tool: south.sleep, args: { ms: 1500 } }\n\
         output: { first: $steps.first.output, slow: $steps.slow.output }\n",
    );
    let run = host.begin("flow");
    host.await_record("south", "calls", 1);
    host.restart();
    let report = look(&mut host, &run);
    assert_eq!(report["status"], "completed", "{report}\n{}", host.stderr());
    assert_eq!(report["output"]["first"], json!({ "a": 1 }));
    assert_eq!((host.calls("north", "write"), host.calls("south", "sleep")), (1, 2));
}

#[test]
fn a_write_that_was_in_flight_is_not_made_again_but_asked_about() {
    let mut host = with("steps:\n  - { id: pay, tool: north.hang }\noutput: $steps.pay.output.receipt\n");
    let run = host.begin("flow");
    host.await_record("north", "calls", 1);
    host.restart();
    let paused = host.until(&run, "paused");
    assert_eq!(paused["in_doubt"][0]["step"], "pay", "{paused}");
    let payload = json!({ "it_happened": { "receipt": 7 } });
    let done =
        host.value("control_run", json!({ "run_id": run, "action": "decide", "step": "pay", "payload": payload }));
    assert_eq!((&done["status"], &done["output"]), (&json!("completed"), &json!(7)));
    assert_eq!(host.calls("north", "hang"), 1);
}

#[test]
fn a_write_that_waited_for_its_turn_is_made_and_in_no_doubt() {
    let test = Test::new().registry("[orchestrator]\nmax_concurrent_steps = 1\n").server("north", fixture(["healthy"]));
    let test = test.workflow("hold", "steps: [{ id: a, tool: north.sleep, args: { ms: 3000 } }]\n");
    let mut host = test.workflow("flow", "steps: [{ id: pay, tool: north.write }]\n").start();
    host.ready(&["north"]);
    host.value("run_workflow", json!({ "workflow": "hold", "wait": false }));
    host.await_record("north", "calls", 1);
    let run = host.begin("flow");
    host.restart();
    assert_eq!(look(&mut host, &run)["status"], "completed", "{}", host.stderr());
    assert_eq!(host.calls("north", "write"), 1);
}

#[test]
fn a_timer_goes_off_and_a_question_stays_open() {
    let mut host =
        with("steps:\n  - { id: pause, wait: 700ms }\n  - { id: may, ask: Go on? }\n  - { id: end, set: yes }\n");
    let run = host.begin("flow");
    host.restart();
    host.until(&run, "waiting");
    host.restart();
    host.until(&run, "waiting");
    let done = host.value("answer_run", json!({ "run_id": run, "answer": true }));
    assert_eq!(done["status"], "completed", "{done}");
    host.restart();
    assert_eq!(look(&mut host, &run)["status"], "completed", "what has ended can still be looked at");
}

#[test]
fn an_undo_goes_on() {
    let mut host = with(
        "steps:\n  - { id: one, tool: north.write, args: { n: 1 }, undo: { tool: south.write, args: { back: 1 } } }\n  \
         - { id: two, tool: north.write, args: { n: 2 }, undo: { tool: south.sleep, args: { ms: 1500 } } }\n  - { id: no, fail: no }\n",
    );
    let run = host.begin("flow");
    host.await_record("south", "calls", 1);
    host.restart();
    let report = host.call("get_run", json!({ "run_id": run, "wait_ms": 20_000 }))["structuredContent"].clone();
    assert_eq!((&report["status"], &report["undone"]), (&json!("undone"), &json!(["two", "one"])), "{report}");
    assert_eq!((host.calls("north", "write"), host.calls("south", "write")), (2, 1));
}

#[test]
fn a_workflow_within_a_workflow_goes_on_where_it_was() {
    let test = Test::new().server("north", fixture(["healthy"])).server("south", fixture(["healthy"]));
    let test = test.workflow(
        "inner",
        "steps:\n  - { id: a, tool: north.write }\n  - { id: b, tool: south.sleep, args: { ms: 1500 } }\n  - { id: c, set: inside }\n",
    );
    let mut host = test.workflow("flow", "steps:\n  - { id: in, workflow: inner }\n").start();
    host.ready(&["north", "south"]);
    let run = host.begin("flow");
    host.await_record("south", "calls", 1);
    host.restart();
    let report = look(&mut host, &run);
    assert_eq!((&report["status"], &report["output"]), (&json!("completed"), &json!("inside")), "{report}");
    assert_eq!(host.calls("north", "write"), 1, "\n{}", host.stderr());
}

#[test]
fn a_workflow_within_that_was_being_undone_is_undone_before_what_was_done_before_it() {
    let test = Test::new().server("north", fixture(["healthy"])).server("south", fixture(["healthy"]));
    let inner = "steps:\n  - { id: w, tool: north.write, undo: { tool: south.sleep, args: { ms: 1500 } } }\n  - { id: seen, tool: north.pid }\n  - { id: long, wait: 1h }\n";
    let flow =
        "steps:\n  - { id: a, tool: north.write, undo: { tool: south.write } }\n  - { id: in, workflow: inner }\n";
    let mut host = test.workflow("inner", inner).workflow("flow", flow).start();
    host.ready(&["north", "south"]);
    let run = host.begin("flow");
    host.await_record("north", "calls", 3);
    host.send_call("control_run", json!({ "run_id": run, "action": "cancel" }));
    host.await_record("south", "calls", 1);
    host.restart();
    let ended = host.call("get_run", json!({ "run_id": run, "wait_ms": 10_000 }));
    let said = (host.record("south", "calls"), host.stderr());
    assert_eq!(ended["structuredContent"]["status"], "undone", "{ended}\n{said:?}");
    assert_eq!(host.record("south", "calls"), ["sleep", "sleep", "write"]);
}

#[test]
fn a_workflow_that_nobody_waits_for_goes_on_after_the_run_that_began_it() {
    let test =
        Test::new().server("north", fixture(["healthy"])).workflow("inner", "steps: [{ id: may, ask: Go on? }]\n");
    let flow = "steps: [{ id: in, workflow: inner, detach: true }]\noutput: $steps.in.output.run_id\n";
    let mut host = test.workflow("flow", flow).start();
    host.ready(&["north"]);
    let inner = host.value("run_workflow", json!({ "workflow": "flow" }))["output"].clone();
    let inner = inner.as_str().expect("an id").to_owned();
    host.until(&inner, "waiting");
    host.restart();
    host.until(&inner, "waiting");
    assert_eq!(host.value("answer_run", json!({ "run_id": inner, "answer": true }))["status"], "completed");
}

#[test]
fn a_changed_file_does_not_change_a_run_that_goes_on() {
    let mut host = with("steps:\n  - { id: pause, wait: 1s }\n  - { id: end, set: old }\n");
    let run = host.begin("flow");
    host.signal(Signal::KILL);
    fs::write(host.home().join("workflows/flow.yaml"), "name: flow\nsteps:\n  - { id: end, set: new }\n")
        .expect("a file");
    host.return_with(&[]);
    host.initialize();
    assert_eq!(look(&mut host, &run)["output"], "old");
}

#[test]
fn a_program_that_is_told_to_end_leaves_its_runs_to_the_next() {
    let mut host = with(
        "steps:\n  - { id: a, tool: north.write }\n  - { id: b, tool: south.sleep, args: { ms: 6000 } }\n  - { id: c, set: done }\n",
    );
    let run = host.begin("flow");
    host.await_record("south", "calls", 1);
    host.signal(Signal::TERM);
    host.return_with(&[]);
    host.initialize();
    let report = look(&mut host, &run);
    assert_eq!((&report["status"], &report["output"]), (&json!("completed"), &json!("done")), "{report}");
    assert_eq!(host.calls("north", "write"), 1);
}

#[test]
fn the_same_key_is_the_same_run() {
    let mut host =
        with("idempotency_key: order-${input.id}\ninput: { id: integer }\nsteps:\n  - { id: a, tool: north.write }\n");
    let one = host.call("flow", json!({ "id": 1 }));
    let again = host.call("flow", json!({ "id": 1 }));
    assert_eq!(one["_meta"], again["_meta"]);
    host.restart();
    host.ready(&["north"]);
    let later = host.call("flow", json!({ "id": 1 }));
    let id = |result: &Value| result["_meta"]["io.mcp-orchestrator/run"]["run_id"].clone();
    assert_eq!((id(&one), host.calls("north", "write")), (id(&later), 1), "{one} {later}");
    host.call("flow", json!({ "id": 2 }));
    assert_eq!(host.calls("north", "write"), 2);
}

#[test]
fn a_second_program_in_the_same_place_works_without_storing_runs_and_says_so() {
    let test = Test::new()
        .server("north", fixture(["healthy"]))
        .workflow("flow", "steps:\n  - { id: a, tool: north.write }\n");
    let mut second = test.command(&["run", "flow"]);
    let mut host = test.start();
    host.ready(&["north"]);
    let done = second.output().expect("the binary can be started");
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && stderr.contains("belongs to process"), "{stderr}");
}

#[test]
fn a_broken_journal_is_put_aside_and_one_that_cannot_be_written_is_done_without() {
    let test = Test::new().server("north", fixture(["healthy"]));
    let test = test.workflow("flow", "steps:\n  - { id: a, tool: north.write }\n");
    let folder = test.home().join("data");
    let flag = folder.to_string_lossy().into_owned();
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("journal.sqlite"), "no journal".repeat(1_000)).expect("a file");
    let done = test.run(&["run", "flow", "--data-dir", &flag]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(folder.join("journal.sqlite.broken-1").exists());
    let nowhere = test.home().join("registry.toml").join("data");
    let done = test.run(&["run", "flow", "--data-dir", &nowhere.to_string_lossy()]);
    assert!(done.code == 0 && done.stderr.contains("runs are not stored"), "{}", done.stderr);
}

#[test]
fn a_run_that_must_be_stored_is_not_begun_where_it_cannot_be() {
    let test = Test::new().server("north", fixture(["healthy"]));
    let test = test.workflow("flow", "durability: always\nsteps:\n  - { id: a, tool: north.write }\n");
    let nowhere = test.home().join("registry.toml").join("data");
    let done = test.run(&["run", "flow", "--data-dir", &nowhere.to_string_lossy()]);
    assert!(done.code != 0 && done.stderr.contains("must be stored"), "{}", done.stderr);
    let done = test.run(&["run", "flow"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.took < Duration::from_secs(20));
}

#[test]
fn an_operator_sees_to_runs_of_a_program_that_goes_on_and_of_one_that_does_not() {
    let test = Test::new().server("north", fixture(["healthy"]));
    let test = test.workflow("flow", "steps:\n  - { id: may, ask: Go on? }\n  - { id: a, tool: north.write }\n");
    let test = test.workflow("short", "steps:\n  - { id: a, tool: north.sleep, args: { ms: 600 } }\n");
    let command = |what: &[&str]| test.command(&[&["runs"], what].concat());
    let mut commands = ["one", "two"].map(|_| command(&["list", "-o", "json"])).into_iter();
    let (mut answer, mut follow, mut resume) = (command(&["answer"]), command(&["follow"]), command(&["resume"]));
    let (mut show, mut export, mut cancel) = (command(&["show"]), command(&["export"]), command(&["cancel"]));
    let mut other = test.command(&["run", "short"]);
    let mut host = test.start();
    host.ready(&["north"]);
    let (one, two) = (host.begin("flow"), host.begin("flow"));
    let listed = stdout(commands.next().expect("a command").output());
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!((&listed[0]["run_id"], &listed[1]["status"]), (&json!(two), &json!("waiting")), "{listed}");
    stdout(answer.args([&one, "yes"]).output());
    assert_eq!(look(&mut host, &one)["status"], "completed");
    let told = stdout(follow.arg(&one).output());
    assert!(
        told.lines().count() >= 4 && told.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "{told}"
    );
    let exported = stdout(export.arg(&one).output());
    assert_eq!(exported.split_once('\n').map(|(_, events)| events), Some(told.as_str()));
    host.leave();
    assert!(host.ended(DEADLINE).is_some());
    stdout(cancel.arg(&two).output());
    // One that has not taken the run up does not spend what was wanted of it.
    stdout(other.output());
    let resumed = resume.output().expect("the binary can be started");
    let told = String::from_utf8_lossy(&resumed.stdout).into_owned();
    assert!(told.contains(&two), "{told}{}", String::from_utf8_lossy(&resumed.stderr));
    let shown: Value = serde_json::from_str(&stdout(show.arg(&two).output())).expect("JSON");
    assert_eq!(shown["status"], "cancelled", "{shown}");
}

fn stdout(done: std::io::Result<std::process::Output>) -> String {
    let done = done.expect("the binary can be started");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("UTF-8")
}

#[test]
fn what_was_told_just_before_the_death_is_heard_after_it() {
    let flow = "steps:\n  - { id: heard, await: it.happened }\n  - { id: done, tool: north.write, args: { n: $steps.heard.output.n } }\n\
                output: $steps.done.output\n";
    let test = Test::new().server("north", fixture(["healthy"])).workflow("flow", flow);
    let tell = "steps:\n  - { id: say, emit: it.happened, data: { n: 3 } }\n";
    let data = test.home().join("data");
    let mut host = test.workflow("tell", tell).flag("--data-dir").flag(&data.to_string_lossy()).start();
    host.ready(&["north"]);
    let run = host.begin("flow");
    host.until(&run, "running");
    host.value("tell", json!({}));
    host.until(&run, "completed");
    host.signal(Signal::KILL);
    host.leaves_nothing(DEADLINE);
    // As if the program had died before it was stored that the run has heard it.
    let journal = rusqlite::Connection::open(data.join("journal.sqlite")).expect("a journal");
    let forget = "delete from event where seq > 0 and run = ?1;";
    journal.execute(forget, [&run]).expect("a run that has heard nothing");
    let go_on = "update run set status = 'running', ended = null, report = null, events = 1 where id = ?1";
    journal.execute(go_on, [&run]).expect("a run that goes on");
    drop(journal);
    host.return_with(&[]);
    host.initialize();
    let report = host.until(&run, "completed");
    assert_eq!(report["output"], json!({ "n": 3 }), "{report}");
    // Once more, and it has heard it: nothing is done again.
    let calls = host.calls("north", "write");
    host.restart();
    assert_eq!((look(&mut host, &run)["status"].clone(), host.calls("north", "write")), (json!("completed"), calls));
}
