//! Orchestrators behind orchestrators: everything passes, and nothing goes round in circles.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::launch::fixture_path;
use crate::support::{DEADLINE, Host, Test, command, eventually};

const ORCHESTRATOR: &str = env!("CARGO_BIN_EXE_mcp-orchestrator");

fn orchestrator(registry: &Path) -> crate::support::launch::Launch {
    command(ORCHESTRATOR, &["serve", "--registry", &registry.to_string_lossy()])
}

/// A registry with one server, as text.
fn registry(server: &str, program: &str, arguments: &[&str]) -> String {
    format!("[servers.{server}]\ncommand = {}\nargs = {}\n", json!(program), json!(arguments))
}

/// Three orchestrators in a row, and the fixture behind the last.
fn three() -> Test {
    let test = Test::new();
    let at = |name: &str| test.home().join(name).to_string_lossy().into_owned();
    let (second, third, leaf) = (at("second.toml"), at("third.toml"), at("leaf"));
    let fixture = fixture_path();
    let inner = registry("leaf", &fixture.to_string_lossy(), &["healthy", "--record", &leaf]);
    let middle = registry("c", ORCHESTRATOR, &["serve", "--registry", &third]);
    let outer = orchestrator(Path::new(&second));
    test.file("third.toml", &inner).file("second.toml", &middle).server("b", outer)
}

#[test]
fn a_call_passes_three_orchestrators_with_its_progress() {
    let mut host = three().start();
    host.ready(&["b__c__leaf"]);
    let params = json!({ "name": "b__c__leaf__progress", "arguments": { "n": 5 }, "_meta": { "progressToken": "p" } });
    let id = host.send("tools/call", params);
    let answer = host.answer(id);
    assert_eq!(answer["result"]["structuredContent"]["done"], 5);
    let told = |message: &Value| message["method"] == "notifications/progress";
    let steps: Vec<_> = host
        .heard()
        .iter()
        .filter(|heard| told(&heard.message))
        .map(|heard| heard.message["params"]["progress"].as_f64())
        .collect();
    assert_eq!(steps, [1.0, 2.0, 3.0, 4.0, 5.0].map(Some));
}

#[test]
fn a_cancelled_call_is_cancelled_at_the_far_end() {
    let mut host = three().start();
    host.ready(&["b__c__leaf"]);
    let id = host.send_call("b__c__leaf__hang", json!({}));
    host.await_record("leaf", "calls", 1);
    host.notify("notifications/cancelled", json!({ "requestId": id }));
    assert!(eventually(Duration::from_secs(2), || host.record("leaf", "cancelled").len() == 1));
}

#[test]
fn the_time_that_is_left_is_told_to_the_far_end() {
    let steps = "timeout: 9s\nsteps:\n  - { id: far, tool: b.c__leaf__meta }\noutput: $steps.far.output\n";
    let mut host = three().workflow("far", steps).start();
    host.ready(&["b__c__leaf"]);
    let meta = host.value("far", json!({}));
    let chain = &meta["io.mcp-orchestrator/chain"];
    assert_eq!(chain["hops"].as_array().map(Vec::len), Some(3), "{meta}");
    let left = chain["deadline_ms"].as_u64().expect("a deadline");
    assert!((1_000..=9_300).contains(&left), "{meta}");
    assert_eq!(chain["depth"], 1, "it is nested in one workflow: {meta}");
}

#[test]
fn a_deadline_holds_at_the_far_end() {
    let mut host = three().start();
    host.ready(&["b__c__leaf"]);
    let chain = json!({ "io.mcp-orchestrator/chain": { "hops": ["00000000000000aa"], "deadline_ms": 300 } });
    let params = json!({ "name": "b__c__leaf__hang", "arguments": {}, "_meta": chain });
    let answer = host.request("tools/call", params);
    assert!(answer["result"]["isError"] == true && answer.to_string().contains("MO5102"), "{answer}");
    assert!(eventually(Duration::from_secs(2), || host.record("leaf", "cancelled").len() == 1));
}

#[test]
fn an_orchestrator_that_would_start_itself_is_refused() {
    let test = Test::new();
    let own = test.home().join("registry.toml");
    let fixture = fixture_path();
    let mut host = test
        .server("own", orchestrator(&own))
        .server("shop", command(&fixture.to_string_lossy(), &["healthy"]))
        .start();
    host.ready(&["shop"]);
    let said = host.failure("own__list_workflows", json!({}));
    assert!(said.contains("MO1011") && said.contains("reads this registry again"), "{said}");
}

/// An orchestrator, and behind it another one, which has the first one as a server.
fn circle() -> Host {
    // Another process may take the port before it is used again; then the test fails.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
    let test = Test::new();
    let fixture = fixture_path();
    let inner = registry("shop", &fixture.to_string_lossy(), &["healthy"])
        + &format!("[servers.first]\nurl = \"http://127.0.0.1:{port}/mcp\"\n");
    let second = test.home().join("second.toml");
    let test = test.file("second.toml", &inner).server("second", orchestrator(&second));
    let test = test.server("mine", command(&fixture.to_string_lossy(), &["healthy"]));
    let mut host = test.serve_with(&["--http", &format!("127.0.0.1:{port}"), "--stdio", "--no-auth"]);
    host.initialize();
    host.ready(&["second__shop", "mine"]);
    // The second one is connected to the first, too, once it has been told what there is.
    let began = std::time::Instant::now();
    while !host.value("second__orchestrator_status", json!({ "server": "first" })).to_string().contains("ready") {
        assert!(began.elapsed() < DEADLINE, "{}", host.stderr());
    }
    host
}

#[test]
fn what_has_come_through_an_orchestrator_is_not_offered_back_to_it() {
    let mut host = circle();
    // What the second one offers is listed anew.
    host.value("second__shop__add_tool", json!({}));
    host.ready(&["second__shop__extra"]);
    let tools = host.tools();
    let returned: Vec<_> = tools.iter().filter(|tool| tool.starts_with("second__first__")).collect();
    assert!(returned.is_empty(), "{returned:?}");
}

#[test]
fn a_call_that_comes_back_is_refused() {
    let mut host = circle();
    let definition = json!({ "name": "back", "steps": [{ "id": "back", "tool": "first.mine__echo", "args": {} }] });
    let said = host.failure("second__run_workflow", json!({ "definition": definition, "input": {} }));
    assert!(said.contains("MO5208"), "{said}");
}
