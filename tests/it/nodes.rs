//! Several programs that share one Restate: what becomes of runs when one of them, or a connection, is lost.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::balancer::{Balancer, balance, balancer};
use crate::support::restate::{Restate, free_ports};
use crate::support::{DEADLINE, Host, Test, eventually, fixture};

/// A program that waits at `listen` and is reached by way of `advertised`.
fn serve(restate: &Restate, listen: u16, advertised: u16, workflows: &[(&str, &str)]) -> Host {
    let engine = format!("{}advertise = \"http://127.0.0.1:{advertised}\"\n", restate.engine_at(listen));
    let engine = format!("{engine}[orchestrator]\nshutdown_grace = \"1s\"\n");
    let test =
        Test::new().registry(&engine).server("north", fixture(["healthy"])).server("south", fixture(["healthy"]));
    let mut host = workflows.iter().fold(test, |test, (name, text)| test.workflow(name, text)).start();
    host.ready(&["north", "south"]);
    restate.knows_of_us();
    host
}

/// One program whose connections can be broken.
fn serve_breakably(restate: &Restate, workflows: &[(&str, &str)]) -> (Host, Balancer) {
    let between = balancer(vec![restate.listen]);
    (serve(restate, restate.listen, between.port, workflows), between)
}

/// The run's end, whatever it is.
fn end(host: &mut Host, run: &str) -> Value {
    host.call("get_run", json!({ "run_id": run, "wait_ms": 19_000 }))["structuredContent"].clone()
}

#[test]
fn a_lost_connection_does_not_cancel_a_run_within_a_run() {
    let Some(restate) = Restate::start() else { return };
    let inner = "steps:\n  - { id: a, tool: north.write }\n  - { id: b, tool: south.sleep, args: { ms: 1500 } }\n  - { id: c, set: inside }\n";
    let outer = "steps:\n  - { id: in, workflow: inner }\noutput: $steps.in.output\n";
    let (mut host, between) = serve_breakably(&restate, &[("inner", inner), ("outer", outer)]);
    let run = host.begin("outer");
    host.await_record("south", "calls", 1);
    between.cut();
    let report = end(&mut host, &run);
    assert_eq!((&report["status"], &report["output"]), (&json!("completed"), &json!("inside")), "{report}");
    assert_eq!(host.calls("north", "write"), 1);
}

#[test]
fn a_cancel_reaches_a_run_within_and_waits_for_what_it_undoes() {
    let Some(restate) = Restate::start() else { return };
    let step = |n: u8| {
        format!(
            "  - {{ id: s{n}, tool: north.write, args: {{ n: {n} }}, undo: {{ tool: south.write, args: {{ back: {n} }} }} }}\n"
        )
    };
    let inner =
        format!("steps:\n{}  - {{ id: long, tool: south.sleep, args: {{ ms: 15000 }}, after: [s2] }}\n", step(2));
    let outer = format!("steps:\n{}  - {{ id: in, workflow: inner, after: [s1] }}\n", step(1));
    let (mut host, between) = serve_breakably(&restate, &[("inner", &inner), ("outer", &outer)]);
    for is_cut in [false, true] {
        let slept = host.calls("south", "sleep");
        let run = host.begin("outer");
        assert!(eventually(DEADLINE, || host.calls("south", "sleep") > slept), "{}", host.stderr());
        if is_cut {
            between.cut();
        }
        let undone = host.calls("south", "write");
        let done = host.call("control_run", json!({ "run_id": run, "action": "cancel" }))["structuredContent"].clone();
        assert_eq!((&done["status"], &done["undone"]), (&json!("undone"), &json!(["s1"])), "{done}\n{}", host.stderr());
        assert_eq!(host.calls("south", "write"), undone + 2, "{done}\n{}", host.stderr());
    }
}

#[test]
fn one_of_two_programs_may_be_ended_in_the_middle_of_runs() {
    let Some(restate) = Restate::start() else { return };
    let ports: [u16; 2] = free_ports();
    let between = balance(ports.to_vec());
    let inner = "steps:\n  - { id: w, tool: south.write }\n  - { id: a, tool: north.sleep, args: { ms: 2500 } }\n  - { id: b, tool: south.echo }\n";
    let flows = [("inner", inner), ("outer", "steps:\n  - { id: in, workflow: inner }\n")];
    let mut first = serve(&restate, ports[0], between, &flows);
    let mut second = serve(&restate, ports[1], between, &flows);
    let runs: Vec<_> = (0..20).map(|n| if n % 2 == 0 { first.begin("outer") } else { second.begin("outer") }).collect();
    let sleeping = |host: &Host| host.calls("north", "sleep");
    let all_sleep = eventually(DEADLINE, || sleeping(&first) + sleeping(&second) >= runs.len());
    assert!(all_sleep && sleeping(&first) > 0 && sleeping(&second) > 0, "{} {}", sleeping(&first), sleeping(&second));
    first.signal(Signal::TERM);
    let status = first.ended(Duration::from_secs(10));
    assert!(status.is_some_and(|status| status.success()), "{status:?}\n{}", first.stderr());
    for run in &runs {
        let report = end(&mut second, run);
        assert_eq!(report["status"], "completed", "{report}\n{}\n{}", first.stderr(), second.stderr());
    }
}

#[test]
fn a_run_that_is_cancelled_in_restate_undoes_what_it_has_done() {
    let Some(restate) = Restate::start() else { return };
    let flow = "steps:\n  - { id: a, tool: north.write, undo: { tool: south.write } }\n  - { id: pause, wait: 1s }\n  \
                - { id: long, tool: south.sleep, args: { ms: 15000 } }\n";
    let mut host = serve(&restate, restate.listen, restate.listen, &[("flow", flow)]);
    let during = host.begin("flow");
    host.await_record("south", "calls", 1);
    restate.cancel(&during);
    assert_eq!(end(&mut host, &during)["status"], "undone", "{}", host.stderr());
    // The time is up, and then it is cancelled, while nobody carries the run: so it hears of both as it makes the next call.
    let before = host.begin("flow");
    let pauses = eventually(DEADLINE, || {
        let seen = host.call("get_run", json!({ "run_id": before }))["structuredContent"].clone();
        seen["steps"][1] == json!({ "id": "pause", "status": "running" })
    });
    assert!(pauses, "{}", host.stderr());
    host.signal(Signal::KILL);
    let is_up = eventually(DEADLINE, || {
        restate.asked(&format!("select entry_type from sys_journal j join sys_invocation_status i on j.id = i.id where i.target_service_key = '{before}'")).contains("Notification: Sleep")
    });
    assert!(is_up, "{}", restate.asked(&format!("select j.* from sys_journal j join sys_invocation_status i on j.id = i.id where i.target_service_key = '{before}'")));
    restate.cancel(&before);
    host.die_and_return();
    host.initialize();
    let report = end(&mut host, &before);
    assert_eq!(report["status"], "undone", "{report}\n{}", host.stderr());
}

#[test]
fn whoever_answers_while_restate_is_away_is_told_that_the_run_has_not_heard_it() {
    let Some(mut restate) = Restate::start() else { return };
    let flow = "steps:\n  - { id: may, ask: Go on? }\n  - { id: end, set: yes }\n";
    let mut host = serve(&restate, restate.listen, restate.listen, &[("flow", flow)]);
    let run = host.begin("flow");
    host.until(&run, "waiting");
    restate.kill(0);
    let unheard = host.send_call("answer_run", json!({ "run_id": run, "answer": true }));
    // The answer takes as long as Restate is given to come back.
    let mut answer = Value::Null;
    eventually(2 * DEADLINE, || {
        let heard = host.heard().iter().find(|heard| heard.message["id"] == unheard);
        answer = heard.map(|heard| heard.message.clone()).unwrap_or_default();
        !answer.is_null()
    });
    assert!(answer.to_string().contains("MO4055"), "{answer}");
    restate.die_and_return();
    let done = host.value("answer_run", json!({ "run_id": run, "answer": true }));
    assert_eq!((&done["status"], &done["output"]), (&json!("completed"), &json!("yes")), "{done}");
}
