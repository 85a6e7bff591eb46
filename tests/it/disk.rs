//! Disks fail: what is damaged is found and told, tools go on, and nothing is done twice.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{DEADLINE, Host, Test, eventually, fixture};

const FLOW: &str = "steps:\n  - { id: a, tool: north.write }\n  - { id: may, ask: Go on? }\n  - { id: b, set: done }\n";

fn host() -> (Host, std::path::PathBuf) {
    let test = Test::new().server("north", fixture(["healthy"])).workflow("flow", FLOW);
    let data = test.home().join("data");
    let test = test.flag("--data-dir").flag(&data.to_string_lossy());
    let mut host = test.start();
    host.ready(&["north"]);
    (host, data)
}

/// A run that has written and waits for an answer.
fn waiting(host: &mut Host) -> String {
    let run = host.value("run_workflow", json!({ "workflow": "flow", "wait": false }))["run_id"].clone();
    let run = run.as_str().expect("a run has an id").to_owned();
    let mut seen = Value::Null;
    let is_there = eventually(DEADLINE, || {
        seen = host.value("get_run", json!({ "run_id": run }));
        seen["status"] == "waiting"
    });
    assert!(is_there, "{seen}");
    run
}

fn append(file: &Path, bytes: &[u8]) {
    let file = OpenOptions::new().append(true).create(true).open(file);
    file.and_then(|mut file| file.write_all(bytes)).expect("a file of our own");
}

fn writes(host: &Host) -> usize {
    host.record("north", "calls").iter().filter(|tool| *tool == "write").count()
}

/// What the damage does to a run that waits: it goes on, or it was put aside and said so. Tools work in any case.
fn damaged(damage: impl Fn(&Path)) -> bool {
    let (mut host, data) = host();
    let run = waiting(&mut host);
    host.signal(Signal::KILL);
    host.leaves_nothing(DEADLINE);
    damage(&data);
    host.return_with(&[]);
    host.initialize();
    host.ready(&["north"]);
    assert_eq!(host.value("north__echo", json!({ "a": 1 })), json!({ "a": 1 }));
    let goes_on = host.call("get_run", json!({ "run_id": run }))["isError"] != true;
    if goes_on {
        assert_eq!(host.value("answer_run", json!({ "run_id": run, "answer": true }))["status"], "completed");
        assert_eq!(writes(&host), 1, "what was done is done again\n{}", host.stderr());
    } else {
        let status = host.value("orchestrator_status", json!({}));
        let aside = status["journal"]["put_aside"].as_str().expect("it is told where the damaged file is");
        assert!(Path::new(aside).exists() && host.says("put aside"), "{}", host.stderr());
        // New runs are stored again.
        waiting(&mut host);
        assert!(data.join("journal.sqlite").exists());
    }
    goes_on
}

#[test]
fn a_torn_last_write_and_zeros_after_a_loss_of_power_lose_no_run() {
    assert!(damaged(|data| append(&data.join("journal.sqlite-wal"), &[0x37; 2_000])));
    assert!(damaged(|data| append(&data.join("journal.sqlite-wal"), &vec![0; 1 << 20])));
    assert!(damaged(|data| append(&data.join("journal.sqlite"), &vec![0; 1 << 20])));
    assert!(damaged(|data| fs::write(data.join("journal.sqlite-shm"), vec![0x55; 32_768]).expect("a file")));
}

#[test]
fn a_file_that_is_no_longer_a_journal_is_put_aside() {
    let all = |data: &Path, bytes: &[u8]| {
        let _ = fs::remove_file(data.join("journal.sqlite-wal"));
        fs::write(data.join("journal.sqlite"), bytes).expect("a file");
    };
    assert!(!damaged(|data| all(data, &vec![0x11; 70_000])));
}

#[test]
fn a_disk_that_is_full_stops_no_call_and_is_told() {
    let test = Test::new().server("north", fixture(["healthy"])).workflow("flow", FLOW);
    let test = test.workflow("quick", "steps:\n  - { id: a, tool: north.write }\n");
    let test = test.workflow("sure", "durability: always\nsteps:\n  - { id: a, tool: north.write }\n");
    let mut host = test.serve_limited(96);
    host.initialize();
    host.ready(&["north"]);
    for number in 0..60 {
        let result = host.call("quick", json!({}));
        assert!(result["isError"] != true, "run {number}: {result}");
    }
    let status = host.value("orchestrator_status", json!({}));
    assert_eq!(status["journal"]["is_failing"], true, "{status}\n{}", host.stderr());
    assert!(host.says("cannot be stored"), "{}", host.stderr());
    let refused = host.call("sure", json!({}));
    assert!(refused["isError"] == true && refused.to_string().contains("must be stored"), "{refused}");
    assert_eq!(writes(&host), 60);
}

#[test]
fn once_there_is_room_again_what_could_not_be_stored_is() {
    let twice =
        "steps:\n  - { id: a, tool: north.write }\n  - { id: one, ask: Go on? }\n  - { id: two, ask: Really? }\n";
    let test = Test::new().server("north", fixture(["healthy"])).workflow("flow", twice);
    let test = test.workflow(
        "quick",
        "steps:\n  - { id: a, tool: north.meta }\n  - { id: b, tool: north.log, args: { level: info } }\n",
    );
    let mut host = test.serve_limited(96);
    host.initialize();
    host.ready(&["north"]);
    let is_full = eventually(DEADLINE, || {
        host.call("quick", json!({}));
        host.value("orchestrator_status", json!({}))["journal"]["is_failing"] == true
    });
    assert!(is_full, "{}", host.stderr());
    let run = waiting(&mut host);
    host.unlimited();
    host.value("answer_run", json!({ "run_id": run, "step": "one", "answer": true, "wait_ms": 0 }));
    let mut seen = Value::Null;
    let is_stored = eventually(DEADLINE, || {
        seen = host.value("orchestrator_status", json!({}))["journal"].clone();
        seen["is_failing"] == false
    });
    assert!(is_stored, "{seen}\n{}", host.stderr());
    host.die_and_return();
    host.initialize();
    assert_eq!(
        host.value("answer_run", json!({ "run_id": run, "answer": true }))["status"],
        "completed",
        "{}",
        host.stderr()
    );
    assert_eq!(writes(&host), 1);
}

#[test]
fn a_run_that_must_be_stored_is_undone_when_the_disk_is_full_in_the_middle_of_it() {
    let sure = "durability: always\nsteps:\n  - { id: a, tool: north.write, undo: { tool: north.pid } }\n  \
        - { id: b, tool: north.big, args: { bytes: 1000000 } }\n  - { id: c, tool: north.write }\n";
    let mut host = Test::new().server("north", fixture(["healthy"])).workflow("sure", sure).serve_limited(400);
    host.initialize();
    host.ready(&["north"]);
    let ended = host.call("run_workflow", json!({ "workflow": "sure" }));
    assert_eq!(ended["structuredContent"]["undone"], json!(["a"]), "{ended}\n{}", host.stderr());
    assert_eq!(host.record("north", "calls"), ["write", "big", "pid"]);
}
