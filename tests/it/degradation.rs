//! Levels: what goes on while servers are missing that much depends on.

use serde_json::{Value, json};

use crate::support::{DEADLINE, Host, Test, eventually, fixture};

const LEVELS: &str = "[levels]\nenter_after = \"100ms\"\nleave_after = \"500ms\"\n\
                      reduced = { servers = [\"vital\", \"base\"], workflows = [\"kept\"] }\n\
                      minimal = { servers = [\"base\"], workflows = [], missing = 2 }\n";

const STEPS: &str = "steps:\n  - { id: said, tool: extra.echo, args: { n: 1 } }\noutput: $steps.said.output\n";

/// A host with the servers `vital`, `base` and `extra`, and two workflows that use `extra`.
fn start() -> Host {
    // One call that hangs, and it is missing for as long as a test needs to look.
    let settings = "required = true\ntimeout = \"150ms\"\nhealth = { probe = \"none\" }\n\
                    breaker = { failures = 1, open_for = \"4s\" }\n";
    let vital = fixture(["healthy"]).with(settings);
    let mut host = Test::new()
        .registry(LEVELS)
        .server("vital", vital)
        .server("base", fixture(["healthy"]))
        .server("extra", fixture(["healthy"]))
        .workflow("kept", STEPS)
        .workflow("other", STEPS)
        .start();
    host.ready(&["vital", "base", "extra"]);
    host
}

fn level(host: &mut Host) -> Value {
    host.call("orchestrator_status", json!({}))["structuredContent"]["level"].clone()
}

fn is(host: &mut Host, name: &str) -> bool {
    level(host)["name"] == name
}

/// The lines about levels that the host was told.
fn told(host: &mut Host) -> Vec<String> {
    let messages = host.notifications("notifications/message");
    let ours = messages.into_iter().filter(|message| message["logger"] == "mcp-orchestrator/levels");
    ours.filter_map(|message| message["data"].as_str().map(str::to_owned)).collect()
}

#[test]
fn while_a_required_server_is_missing_only_what_is_kept_goes_on_and_the_host_is_told_once() {
    let mut host = start();
    assert!(is(&mut host, "normal"));
    assert!(host.failure("vital__hang", json!({})).contains("MO5102"));
    assert!(eventually(DEADLINE, || is(&mut host, "reduced")), "{}", level(&mut host));
    let refused = host.failure("extra__echo", json!({ "n": 1 }));
    assert!(refused.contains("MO5120") && refused.contains("reduced"), "{refused}");
    assert_eq!(host.value("base__echo", json!({ "n": 1 })), json!({ "n": 1 }));
    assert_eq!(host.value("kept", json!({})), json!({ "n": 1 }), "a workflow that is kept may use what it needs");
    assert!(host.failure("other", json!({})).contains("MO5120"));
    assert!(eventually(DEADLINE, || is(&mut host, "normal")), "{}", level(&mut host));
    assert_eq!(host.value("extra__echo", json!({ "n": 1 })), json!({ "n": 1 }));
    assert!(eventually(DEADLINE, || told(&mut host).len() == 2), "{:?}", told(&mut host));
    let told = told(&mut host);
    assert!(told[0].starts_with("level reduced: ") && told[0].contains("servers kept: vital, base"), "{told:?}");
    assert_eq!(told[1], "level normal: everything goes on");
}

#[test]
fn a_level_can_be_set_by_hand_and_taken_back() {
    let mut host = start();
    let said = host.call("set_level", json!({ "level": "minimal" }));
    let text = "level minimal: it was set by hand; servers kept: base; workflows kept: none";
    assert_eq!(said["content"][0]["text"], text, "{said}");
    assert!(host.failure("vital__echo", json!({})).contains("it was set by hand"));
    assert_eq!(host.value("base__echo", json!({ "n": 1 })), json!({ "n": 1 }));
    let status = level(&mut host);
    assert_eq!((&status["by_hand"], &status["kept"]["servers"]), (&json!(true), &json!(["base"])));
    host.value("set_level", json!({ "level": "auto" }));
    assert_eq!(host.value("vital__echo", json!({ "n": 1 })), json!({ "n": 1 }));
    assert!(host.failure("set_level", json!({ "level": "low" })).contains("auto"));
}

#[test]
fn levels_come_and_go_with_what_the_files_say() {
    let vital = fixture(["healthy"]).with("required = true\ntimeout = \"150ms\"\nhealth = { probe = \"none\" }\nbreaker = { failures = 1, open_for = \"1h\" }\n");
    let mut host = Test::new().server("vital", vital).server("extra", fixture(["healthy"])).start();
    host.ready(&["vital", "extra"]);
    host.failure("vital__hang", json!({}));
    let registry = host.home().join("registry.toml");
    let without = std::fs::read_to_string(&registry).expect("the registry");
    let levels = "[levels]\nenter_after = \"100ms\"\nreduced = { servers = [\"vital\"] }\n";
    std::fs::write(&registry, format!("{without}\n{levels}")).expect("the registry");
    host.value("reload_config", json!({}));
    assert!(eventually(DEADLINE, || is(&mut host, "reduced")), "{}", level(&mut host));
    assert!(host.failure("extra__echo", json!({})).contains("MO5120"));
    std::fs::write(&registry, without).expect("the registry");
    host.value("reload_config", json!({}));
    assert_eq!(host.value("extra__echo", json!({ "n": 1 })), json!({ "n": 1 }));
    assert!(eventually(DEADLINE, || told(&mut host).last().is_some_and(|line| line.starts_with("level normal"))));
}

#[test]
fn there_is_no_such_tool_without_levels() {
    let mut host = Test::new().server("base", fixture(["healthy"])).start();
    host.ready(&["base"]);
    assert!(!host.tools().iter().any(|name| name == "set_level"));
}

#[test]
fn an_operator_sets_the_level_from_another_terminal() {
    let mut host = start();
    let done = host.beside(&["level", "minimal"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let status = level(&mut host);
    assert_eq!((&status["name"], &status["by_hand"]), (&json!("minimal"), &json!(true)));
    assert_eq!(host.beside(&["level", "auto"]).code, 0);
    assert!(is(&mut host, "normal"));
    let without = Test::new().server("base", fixture(["healthy"]));
    let done = without.run(&["level", "minimal"]);
    assert!(done.code != 0 && done.stderr.contains("no program that serves"), "{}", done.stderr);
    let mut without = without.start();
    without.ready(&["base"]);
    let done = without.beside(&["level", "minimal"]);
    assert!(done.code != 0 && done.stderr.contains("has no `[levels]`"), "{}", done.stderr);
}
