//! Servers that are of another version than yesterday.

use std::fs;

use serde_json::json;

use crate::support::launch::fixture_path;
use crate::support::{DEADLINE, Test, eventually, fixture};

#[test]
fn a_version_that_the_registry_does_not_allow_is_not_used() {
    let server = |version| fixture(["healthy", "--version", version]).with(r#"version = ">=1.2, <2""#);
    let test =
        Test::new().server("good", server("v1.4")).server("new", server("2.1.0")).server("none", server("nightly"));
    let mut host = test.start();
    host.ready(&["good"]);
    assert_eq!(host.value("good__echo", json!({ "x": 1 }))["x"], 1);
    for (tool, version) in [("new__echo", "2.1.0"), ("none__echo", "nightly")] {
        let why = host.failure(tool, json!({}));
        assert!(why.contains("MO5111") && why.contains(version) && why.contains(">=1.2, <2"), "{why}");
    }
}

#[test]
fn a_workflow_whose_tool_has_gone_with_an_update_is_not_run_and_says_why() {
    let flow = "steps:\n  - { id: a, tool: gears.write }\n  - { id: b, tool: gears.extra }\n";
    let test = Test::new().server("gears", fixture(["healthy"]).with("retry = 1")).workflow("flow", flow);
    let mut host = test.start();
    host.ready(&["gears"]);
    host.value("gears__add_tool", json!({}));
    host.ready(&["gears__extra"]);
    host.value("flow", json!({}));
    // Its next life has no such tool.
    host.failure("gears__crash", json!({}));
    assert!(host.says("MO5212"), "{}", host.stderr());
    let written = host.record("gears", "written").len();
    let why = host.failure("flow", json!({}));
    assert!(why.contains("MO5212") && why.contains("extra"), "{why}");
    assert_eq!(host.record("gears", "written").len(), written, "nothing of it was run");
    let status = host.value("orchestrator_status", json!({})).to_string();
    assert!(status.contains("workflow `flow` is not run"), "{status}");
    // Nor after a change of something else.
    fs::write(host.home().join("workflows/other.yaml"), format!("name: other\n{flow}")).expect("a workflow");
    host.value("reload_config", json!({}));
    assert!(host.tools().contains(&"other".to_owned()), "{}", host.stderr());
    let why = host.failure("flow", json!({}));
    assert!(why.contains("MO5212") && why.contains("extra"), "{why}");
    host.value("gears__add_tool", json!({}));
    host.ready(&["gears__extra"]);
    host.value("flow", json!({}));
}

#[test]
fn an_update_that_wants_more_is_noticed_against_what_was_offered_before_the_start() {
    let gears = fixture(["healthy"]).env("FIXTURE_NEEDS", "");
    let test = Test::new()
        .server("gears", gears)
        .workflow("flow", "steps:\n  - { id: a, tool: gears.echo, args: { x: 1 } }\n");
    let mut host = test.start();
    host.ready(&["gears"]);
    host.value("flow", json!({}));
    host.leave();
    assert!(host.ended(DEADLINE).is_some());
    let registry = host.home().join("registry.toml");
    let written = fs::read_to_string(&registry).expect("the registry");
    let updated = written.replace(r#"FIXTURE_NEEDS = """#, r#"FIXTURE_NEEDS = "who""#);
    fs::write(&registry, &updated).expect("the registry");
    host.return_with(&[]);
    host.initialize();
    assert!(host.says("MO5212"), "{}", host.stderr());
    let why = host.failure("flow", json!({}));
    assert!(why.contains("MO5212") && why.contains("who"), "{why}");
    // A workflow that fits is run again.
    let file = host.home().join("workflows/flow.yaml");
    fs::write(&file, "name: flow\nsteps:\n  - { id: a, tool: gears.echo, args: { who: me } }\n").expect("the workflow");
    let is_run = eventually(DEADLINE, || host.call("flow", json!({}))["isError"] != true);
    assert!(is_run, "{}", host.stderr());
}

#[test]
fn a_workflow_whose_server_no_source_names_any_more_waits_for_it() {
    let server = json!({ "mcpServers": { "east": { "command": fixture_path(), "args": ["healthy"] } } }).to_string();
    let test = Test::new();
    let file = test.home().join("servers.json");
    let source = format!(
        "[discovery.sources.inventory]\ncommand = \"cat\"\nargs = [{file:?}]\nallow_commands = true\nrefresh = \"200ms\"\ngrace = \"1ms\"\n"
    );
    let flow = "steps:\n  - { id: a, tool: east.echo, args: { x: 1 } }\n";
    let test = test.registry(&source).file("servers.json", &server).workflow("flow", flow);
    let mut host = test.start();
    host.ready(&["east"]);
    host.value("flow", json!({}));
    fs::write(&file, "{\"mcpServers\": {}}").expect("the servers");
    assert!(eventually(DEADLINE, || !host.tools().iter().any(|tool| tool.starts_with("east__"))), "{}", host.stderr());
    let why = host.failure("flow", json!({}));
    assert!(!why.contains("MO5212") && why.contains("MO5205"), "the server has not changed, it is gone: {why}");
    fs::write(&file, server).expect("the servers");
    host.ready(&["east"]);
    host.value("flow", json!({}));
}
