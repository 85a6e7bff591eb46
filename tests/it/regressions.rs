//! What once went wrong, each with the smallest thing that shows it.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::web::{Manner, Web};
use crate::support::{DEADLINE, Host, Test, eventually, fixture};

/// How many writes wait in the queue of a server that does not read.
const WRITES: u64 = 6;

#[test]
fn a_write_that_waits_for_a_server_that_does_not_read_is_never_carried_out_twice_or_unknown_to_its_caller() {
    // The call of `pid` runs into its limit, the probe after it too, and so the server is given up while it does not read.
    let settings = "tools = { pid = { timeout = \"300ms\" } }\nbreaker = { failures = 1000 }\n\
                    health = { every = \"200ms\", timeout = \"200ms\", unhealthy_after = 2 }\n";
    let launch = || fixture(["stops-reading-for-a-while"]).with(settings);
    let put = |server: &str| {
        format!("input: {{ n: integer }}\nsteps:\n  - {{ id: put, tool: {server}.write, args: {{ n: $input.n }} }}\n")
    };
    let mut host = Test::new()
        .server("patient", launch())
        .server("hasty", launch().with("retry = 1\n"))
        .server("good", fixture(["healthy"]))
        .workflow("patient_put", &put("patient"))
        .workflow("hasty_put", &put("hasty"))
        .start();
    host.ready(&["patient", "hasty", "good"]);
    let fill = "x".repeat(200 * 1024);
    for server in ["patient", "hasty"] {
        host.send_call(&format!("{server}__echo"), json!({ "text": fill }));
    }
    // By the time that this is answered, both pipes are full.
    host.value("good__echo", json!({}));
    let puts: Vec<_> = (0..WRITES)
        .flat_map(|n| ["patient", "hasty"].map(|server| (server, n)))
        .map(|(server, n)| (server, n, host.send_call(&format!("{server}_put"), json!({ "n": n }))))
        .collect();
    for server in ["patient", "hasty"] {
        host.send_call(&format!("{server}__pid"), json!({}));
    }
    let answers: Vec<_> = puts.into_iter().map(|(server, n, id)| (server, n, host.answer(id))).collect();
    for server in ["patient", "hasty"] {
        // The first process is gone once there is a second one.
        assert!(eventually(DEADLINE, || host.record(server, "starts").len() == 2), "{}", host.stderr());
    }
    let mut unsent = 0;
    for (server, n, answer) in answers {
        let times = host.record(server, "written").iter().filter(|written| **written == n.to_string()).count();
        let result = &answer["result"];
        let was_sent = result["structuredContent"]["error"]["was_sent"].as_bool();
        match was_sent {
            None => assert_eq!(times, 1, "{server} {n} succeeded: {result}"),
            Some(true) => assert!(times <= 1, "{server} {n} was carried out {times} times: {result}"),
            Some(false) => {
                unsent += 1;
                assert_eq!(times, 0, "{server} {n} was carried out although it was not sent: {result}");
            }
        }
    }
    assert!(unsent > 0, "no write was given up before it was sent, so that this shows nothing");
}

#[test]
fn a_server_that_logs_what_it_hears_to_its_output_gets_its_calls_answered() {
    let mut host = Test::new().server("chatty", fixture(["logs-input"])).start();
    host.ready(&["chatty"]);
    for n in 0..5 {
        assert_eq!(host.value("chatty__echo", json!({ "n": n })), json!({ "n": n }));
    }
}

#[test]
fn a_server_whose_first_list_fails_is_listed_later_by_itself() {
    let launch = fixture(["lists-late"]).with("health = { every = \"200ms\" }\n");
    let mut host = Test::new().server("late", launch).start();
    host.ready(&["late"]);
    assert_eq!(host.value("late__echo", json!({ "n": 1 })), json!({ "n": 1 }));
    assert_eq!((host.record("late", "refused").len(), host.record("late", "starts").len()), (1, 1));
}

#[test]
fn a_server_that_answers_no_ping_while_it_works_is_left_to_its_work() {
    let health = "health = { every = \"200ms\", timeout = \"200ms\", unhealthy_after = 2 }\n";
    let mut host = Test::new().server("busy", fixture(["one-at-a-time"]).with(health)).start();
    host.ready(&["busy"]);
    assert_eq!(host.value("busy__sleep", json!({ "ms": 2_000 }))["slept"], 2_000);
    assert_eq!(host.record("busy", "starts").len(), 1);
}

#[test]
fn a_caller_of_little_patience_does_not_get_the_server_restarted() {
    let launch = fixture(["one-at-a-time"]).with("health = { every = \"60s\", timeout = \"200ms\" }\n");
    let of_step = "steps:\n  - { id: nap, tool: busy.sleep, args: { ms: 600 }, timeout: 100ms }\n";
    let of_run = "timeout: 100ms\nsteps:\n  - { id: nap, tool: busy.sleep, args: { ms: 600 } }\n";
    let mut host = Test::new().server("busy", launch).workflow("step", of_step).workflow("run", of_run).start();
    host.ready(&["busy"]);
    for hurried in ["step", "run", "run"] {
        let began = Instant::now();
        host.failure(hurried, json!({}));
        assert!(began.elapsed() < Duration::from_millis(500), "{hurried}: {:?}", began.elapsed());
        assert_eq!(host.value("busy__echo", json!({ "n": 1 })), json!({ "n": 1 }));
        assert_eq!(host.record("busy", "starts").len(), 1, "{hurried}: {}", host.stderr());
    }
}

/// A host of an HTTP server whose first call is refused for `seconds`.
fn refused_for(seconds: u32) -> (Web, Host) {
    let web = Web::start(Manner::Busy(seconds));
    let entry = format!(
        "[servers.web]\nurl = \"http://127.0.0.1:{}/mcp\"\ntools = {{ echo = {{ effect = \"read\" }} }}\n",
        web.port
    );
    let mut host = Test::new().registry(&entry).start();
    host.ready(&["web"]);
    (web, host)
}

fn calls(web: &Web) -> usize {
    web.arrived().iter().filter(|request| request.body["method"] == "tools/call").count()
}

#[test]
fn a_server_that_asks_for_an_hour_is_not_waited_for() {
    let (web, mut host) = refused_for(3_600);
    let began = Instant::now();
    let told = host.failure("web__echo", json!({}));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!(told.contains("MO5104") && told.contains("retry in 3600 s"), "{told}");
    assert_eq!(calls(&web), 1);
}

#[test]
fn a_server_that_asks_for_a_second_is_waited_for() {
    let (web, mut host) = refused_for(1);
    let began = Instant::now();
    assert_eq!(host.value("web__echo", json!({ "n": 1 })), json!({ "given": { "n": 1 } }));
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(calls(&web), 2);
}

/// Runs `steps` with a time limit for the whole run.
fn run_within(host: &mut Host, timeout_ms: u64, steps: &str) -> Value {
    let definition = format!("name: brief\nsteps:\n{steps}");
    host.call("run_workflow", json!({ "definition": definition, "timeout_ms": timeout_ms }))
}

fn north() -> Test {
    Test::new().server("north", fixture(["healthy"]))
}

#[test]
fn a_run_ends_at_its_callers_limit_and_its_step_is_cancelled() {
    let mut host = north().start();
    host.ready(&["north"]);
    for turn in 1..=5 {
        let began = Instant::now();
        let result = run_within(&mut host, 300, "  - { id: nap, tool: north.sleep, args: { ms: 2000 } }\n");
        assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
        assert_eq!(result["structuredContent"]["error"]["code"], "MO4006", "{turn}: {result}");
        let is_cancelled = eventually(DEADLINE, || host.record("north", "cancelled").len() == turn);
        assert!(is_cancelled, "the step is cancelled downstream");
    }
}

#[test]
fn a_run_without_time_sends_no_write() {
    let mut host = north().start();
    host.ready(&["north"]);
    let steps =
        "  - { id: nap, tool: north.sleep, args: { ms: 100 }, optional: true }\n  - { id: put, tool: north.write }\n";
    for timeout in [1, 1, 1, 10, 20, 30, 40, 50] {
        let result = run_within(&mut host, timeout, steps);
        assert_eq!(result["isError"], true, "{result}");
    }
    // What was sent before this is recorded before it.
    host.value("north__echo", json!({}));
    assert!(!host.record("north", "calls").contains(&"write".to_owned()));
}

#[test]
fn a_run_of_a_millisecond_tells_the_truth_about_its_write() {
    let mut host = north().start();
    host.ready(&["north"]);
    for n in 0..20 {
        let result = run_within(&mut host, 1, &format!("  - {{ id: put, tool: north.write, args: {{ n: {n} }} }}\n"));
        host.value("north__echo", json!({}));
        let is_written = host.record("north", "written").contains(&n.to_string());
        let report = &result["structuredContent"];
        let may_be_written = report["status"] == "completed" || report["error"]["was_sent"] == true;
        assert!(may_be_written || !is_written, "{n} was written: {result}");
        assert!(report["status"] != "completed" || is_written, "{n} was not written: {result}");
    }
}

#[test]
fn a_workflow_whose_time_is_up_in_the_middle_of_a_write_is_not_run_again() {
    let inner = "timeout: 100ms\nsteps:\n  - { id: stuck, tool: north.hang }\n";
    let outer = "steps:\n  - { id: again, workflow: inner, retry: { attempts: 2, delay: 10ms } }\n";
    let mut host = north().workflow("inner", inner).workflow("outer", outer).start();
    host.ready(&["north"]);
    for turn in 1..=10 {
        let result = host.call("outer", json!({}));
        assert_eq!(host.record("north", "calls").len(), turn, "{result}");
    }
}

#[test]
fn seventeen_nested_workflows_are_listed_at_once() {
    let mut test = north().workflow("w0", "steps:\n  - { id: a, set: 1 }\n");
    for level in 1..17 {
        let mut steps = "steps:\n".to_owned();
        for id in ["a", "b", "c"] {
            writeln!(steps, "  - {{ id: {id}, workflow: w{} }}", level - 1).expect("a string takes everything");
        }
        test = test.workflow(&format!("w{level}"), &steps);
    }
    let began = Instant::now();
    let mut host = test.start();
    let tools = host.tools();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert!((0..17).all(|level| tools.contains(&format!("w{level}"))), "{tools:?}");
}

#[test]
fn a_log_level_reaches_a_server_that_is_still_starting() {
    let mut host = Test::new().server("slow", fixture(["slow-start", "--ms", "700"])).start();
    assert_eq!(host.request("logging/setLevel", json!({ "level": "debug" }))["result"], json!({}));
    assert!(host.record("slow", "level").is_empty(), "it has not been started yet");
    assert!(eventually(DEADLINE, || host.record("slow", "level") == ["debug"]), "{}", host.stderr());
}

#[test]
fn the_status_of_a_dead_server_shows_its_last_words() {
    let launch = fixture(["exits-at-start", "--stderr", "the licence has expired"]);
    let mut host = Test::new().server("dead", launch).start();
    let mut status = Value::Null;
    let is_told = eventually(DEADLINE, || {
        status = host.call("orchestrator_status", json!({ "server": "dead" }));
        let text = status["content"][0]["text"].as_str().unwrap_or_default();
        status["structuredContent"]["servers"][0]["stderr"] == json!(["the licence has expired"])
            && text.contains("stderr │ the licence has expired")
    });
    assert!(is_told, "{status}");
}

#[test]
fn an_update_with_odd_metadata_does_not_end_a_subscription() {
    let mut host = Test::new().server("shop", fixture(["healthy"])).start_modern();
    host.ready(&["shop"]);
    let uri = host.request("resources/list", json!({}))["result"]["resources"][0]["uri"].clone();
    let subscription =
        host.send("subscriptions/listen", json!({ "notifications": { "resourceSubscriptions": [uri] } }));
    assert!(eventually(DEADLINE, || host.record("shop", "subscribed").len() == 1));
    for meta in [json!("x"), json!({ "turn": "last" })] {
        host.value("shop__touch", json!({ "uri": uri, "meta": meta }));
    }
    let told = host.wait_for("the second update", |message| message["params"]["_meta"]["turn"] == "last");
    assert_eq!(told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"], subscription);
    assert_eq!(host.notifications("notifications/resources/updated").len(), 2);
    assert!(!host.heard().iter().any(|heard| heard.message["id"] == subscription), "it goes on");
}
