//! Two programs and three Restate nodes: one of each is killed in the middle, and all runs come to their ends.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::balancer::balance;
use crate::support::restate::{Restate, free_ports};
use crate::support::{Host, Test, fixture};

/// How many runs there are, each of ten steps.
const RUNS: usize = 30;
const STEPS: usize = 10;

/// The longest that it all may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(2);

/// Steps that only read, that may be repeated and that must not be, in turn. One that is in doubt is left at that.
fn flow() -> String {
    let steps = (0..STEPS).map(|step| {
        let tool = ["look", "put", "post"][step % 3];
        let doubt = if tool == "post" { ", in_doubt: fail, optional: true" } else { "" };
        format!(
            "  - {{ id: s{step}, tool: north.{tool}, args: {{ label: \"${{input.n}}-{step}\", ms: 80 }}, retry: 5, after: {}{doubt} }}\n",
            if step == 0 { "[]".to_owned() } else { format!("[s{}]", step - 1) }
        )
    });
    format!("input: {{ n: integer }}\nsteps:\n{}", steps.collect::<String>())
}

fn serve(restate: &Restate, listen: u16, balancer: u16) -> Host {
    let engine = format!("{}advertise = \"http://127.0.0.1:{balancer}\"\n", restate.engine_at(listen));
    let mut host = Test::new().registry(&engine).server("north", fixture(["ledger"])).workflow("flow", &flow()).start();
    host.ready(&["north"]);
    host
}

/// How often each call has begun and come to its end, by its key and its tool.
fn tally(hosts: &[&Host]) -> BTreeMap<(String, String), (usize, usize)> {
    let mut all: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    for line in hosts.iter().flat_map(|host| host.record("north", "ledger")) {
        let mut words = line.split(' ');
        let (Some(what), Some(key), Some(tool)) = (words.next(), words.next(), words.next()) else { continue };
        let counts = all.entry((key.to_owned(), tool.to_owned())).or_default();
        if what == "begin" { counts.0 += 1 } else { counts.1 += 1 }
    }
    all
}

#[test]
fn all_runs_end_although_a_program_and_a_node_are_killed() {
    let Some(mut restate) = Restate::cluster() else { return };
    let ports: [u16; 2] = free_ports();
    let balancer = balance(ports.to_vec());
    let mut first = serve(&restate, ports[0], balancer);
    let mut second = serve(&restate, ports[1], balancer);
    restate.knows_of_us();

    let began = Instant::now();
    let runs: Vec<String> = (0..RUNS)
        .map(|n| {
            let host = if n % 2 == 0 { &mut first } else { &mut second };
            let accepted =
                host.value("run_workflow", json!({ "workflow": "flow", "input": { "n": n }, "wait": false }));
            accepted["run_id"].as_str().expect("a run has an id").to_owned()
        })
        .collect();

    let total = RUNS * STEPS;
    let (mut seen, mut moved, mut stall) = (0, Instant::now(), Duration::ZERO);
    let mut is_killed = false;
    let ends = loop {
        let calls = tally(&[&first, &second]);
        let done = calls.values().map(|(_, ends)| ends).sum::<usize>();
        if done > seen {
            stall = stall.max(moved.elapsed());
            (seen, moved) = (done, Instant::now());
        }
        if !is_killed && done >= total / 4 {
            assert!(!first.record("north", "ledger").is_empty(), "the first has nothing to do");
            assert!(!second.record("north", "ledger").is_empty(), "the second has nothing to do");
            first.signal(Signal::KILL);
            restate.kill(2);
            is_killed = true;
        }
        let is_over = second.value("get_run", json!({ "run_id": runs.last() }))["status"] == "completed";
        if is_killed && is_over {
            break done;
        }
        assert!(
            began.elapsed() < LIMIT,
            "{done} of {total} calls are done\n{}\n{}",
            second.stderr(),
            restate.asked(
                "select target, status, last_failure, retry_count from sys_invocation where status != 'completed'"
            )
        );
        std::thread::park_timeout(Duration::from_millis(100));
    };

    let mut doubts = 0;
    for run in &runs {
        let report = second.value("get_run", json!({ "run_id": run, "wait_ms": 60_000 }));
        assert_eq!(report["status"], "completed", "{report}\n{}", second.stderr());
        let steps = report["steps"].as_array().expect("steps");
        assert_eq!(steps.len(), STEPS, "{report}");
        doubts += steps.iter().filter(|step| step["status"] != "completed").count();
    }
    let calls = tally(&[&first, &second]);
    // One that is in doubt may have been made, or not.
    assert!(calls.len() + doubts >= total, "{} of {total} calls were made, {doubts} are in doubt", calls.len());
    let again = calls.values().filter(|(times, _)| *times > 1).count();
    for ((key, tool), (times, _)) in &calls {
        assert!(tool != "post" || *times == 1, "{key} was made {times} times");
    }
    // Straight to the stream: the test harness hides what a passing test prints.
    let line = format!(
        "\n{RUNS} runs of {STEPS} steps in {:.1?}: {ends} calls came back, {again} were made again, {doubts} were in doubt; \
         longest stall {stall:.1?}\n",
        began.elapsed()
    );
    let _ = std::io::stderr().write_all(line.as_bytes());
}
