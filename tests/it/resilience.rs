//! Fallback servers, health probes, the breaker: what a host notices of them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::web::{Manner, Web};
use crate::support::{DEADLINE, Test, eventually, fixture};

/// A server that can never be started.
const BROKEN: &str = "[servers.primary]\ncommand = \"/does/not/exist\"\nfallback = [\"second\"]\n";

#[test]
fn a_fallback_server_answers_while_the_first_one_is_dead_and_the_result_says_so() {
    let primary = fixture(["healthy"]).with("fallback = [\"second\"]\nretry = 1\n");
    let mut host = Test::new().server("primary", primary).server("second", fixture(["healthy"])).start();
    host.ready(&["primary", "second"]);
    let own = host.call("primary__echo", json!({ "n": 1 }));
    assert_eq!(own["_meta"], Value::Null);
    let id = host.send_call("primary__sleep", json!({ "ms": 3_000 }));
    assert!(eventually(DEADLINE, || host.record("primary", "calls").iter().any(|call| call == "sleep")));
    crate::support::processes::signal(host.pid("primary"), rustix::process::Signal::KILL);
    let answer = host.answer(id);
    assert_eq!(answer["result"]["structuredContent"]["slept"], 3_000, "a read is done by the other server");
    assert_eq!(answer["result"]["_meta"]["io.mcp-orchestrator/served-by"], "second");
}

#[test]
fn a_write_that_was_sent_is_not_given_to_a_fallback_server() {
    let primary = fixture(["healthy"]).with("fallback = [\"second\"]\n");
    let mut host = Test::new().server("primary", primary).server("second", fixture(["healthy"])).start();
    host.ready(&["primary", "second"]);
    let told = host.failure("primary__crash", json!({}));
    assert!(told.contains("primary"), "{told}");
    assert!(host.record("second", "calls").is_empty());
}

#[test]
fn a_fallback_server_answers_for_one_that_was_never_up() {
    let mut host = Test::new().registry(BROKEN).server("second", fixture(["healthy"])).start();
    host.ready(&["second"]);
    let result = host.call("primary__echo", json!({ "n": 1 }));
    assert_eq!(result["structuredContent"], json!({ "n": 1 }), "{result}");
    assert_eq!(result["_meta"]["io.mcp-orchestrator/served-by"], "second");
}

#[test]
fn a_server_whose_tool_probe_hangs_is_started_again() {
    let health = "health = { probe = \"tool:hang\", every = \"200ms\", timeout = \"200ms\", unhealthy_after = 2 }\n";
    let mut host = Test::new().server("ill", fixture(["healthy"]).with(health)).start();
    host.ready(&["ill"]);
    assert!(eventually(DEADLINE, || host.record("ill", "starts").len() >= 2), "it was not replaced");
}

#[test]
fn a_server_whose_tool_probe_answers_is_left_alone() {
    let health = "health = { probe = \"tool:pid\", every = \"100ms\", timeout = \"2s\", unhealthy_after = 1 }\n";
    let mut host = Test::new().server("well", fixture(["healthy"]).with(health)).start();
    host.ready(&["well"]);
    assert!(eventually(DEADLINE, || host.record("well", "calls").iter().filter(|call| *call == "pid").count() >= 3));
    assert_eq!(host.record("well", "starts").len(), 1);
}

#[test]
fn an_http_server_is_probed_at_its_path() {
    let web = Web::start(Manner::Legacy);
    let health = "health = { probe = \"http:/health\", every = \"100ms\", timeout = \"1s\", unhealthy_after = 100 }\n";
    let mut host = Test::new().registry(&format!("{}{health}", web.entry("web"))).start();
    host.ready(&["web"]);
    let is_probed = || web.arrived().iter().any(|request| request.path == "/health");
    assert!(eventually(DEADLINE, is_probed), "{:?}", web.arrived());
}

#[test]
fn an_open_breaker_refuses_at_once_and_a_result_that_is_an_error_never_opens_it() {
    let settings = "timeout = \"200ms\"\nretry = 1\nbreaker = { failures = 3, open_for = \"60s\" }\n\
                    health = { probe = \"none\" }\n";
    let mut host = Test::new().server("weak", fixture(["healthy"]).with(settings)).start();
    host.ready(&["weak"]);
    for _ in 0..10 {
        host.failure("weak__fail", json!({}));
    }
    for _ in 0..3 {
        assert!(host.failure("weak__hang", json!({})).contains("MO5102"));
    }
    let began = Instant::now();
    let told = host.failure("weak__echo", json!({}));
    assert!(told.contains("MO5103") && began.elapsed() < Duration::from_millis(150), "{told}");
    let status = host.call("orchestrator_status", json!({ "server": "weak" }));
    assert_eq!(status["structuredContent"]["servers"][0]["breaker"], "open");
}

#[test]
fn a_server_of_a_version_that_is_not_allowed_is_not_used() {
    let mut host = Test::new().server("old", fixture(["healthy"]).with("version = \">=9\"\n")).start();
    let told = host.failure("old__echo", json!({}));
    assert!(told.contains("MO5111") && told.contains(">=9"), "{told}");
}
