//! `deployment` and what it falls back to.

use serde_json::{Value, json};

use crate::support::Example;

fn safla(status: &str) -> Value {
    json!({
        "deploy_safla_instance": { "says": { "id": "instance-1" } },
        "monitor_system_health": { "says": { "status": status } },
        "remove_safla_instance": { "says": {} },
    })
}

fn example() -> Example {
    Example::of("deployment").server("safla-backup", json!({ "basic_monitoring": { "says": { "status": "watched" } } }))
}

fn basic() -> Value {
    json!({ "status": "watched", "deployed": false })
}

#[test]
fn a_healthy_instance_is_deployed() {
    let mut host = example().server("safla", safla("healthy")).start();
    let output = host.value("deployment", json!({ "name": "blue" }));
    assert_eq!(output, json!({ "status": "healthy", "deployed": true, "instance": "instance-1" }));
    assert_eq!(host.record("safla-backup", "calls"), Vec::<String>::new());
}

#[test]
fn where_the_server_is_down_the_basic_deployment_serves() {
    let mut host = example().start();
    assert_eq!(host.value("deployment", json!({ "name": "blue" })), basic());
}

#[test]
fn an_instance_that_is_not_healthy_is_removed_before_the_basic_deployment() {
    let mut host = example().server("safla", safla("on fire")).start();
    assert_eq!(host.value("deployment", json!({ "name": "blue" })), basic());
    let heard = host.record("safla", "heard");
    assert_eq!(heard.last().map(String::as_str), Some(r#"remove_safla_instance {"instance":"instance-1"}"#));
}

#[test]
fn what_may_have_been_deployed_is_not_deployed_twice() {
    let mut safla = safla("healthy");
    safla["deploy_safla_instance"] = json!("dies");
    let mut host = example().server("safla", safla).start();
    let report = host.failed("deployment", json!({ "name": "blue" }));
    assert_eq!((&report["error"]["kind"], &report["error"]["target"]), (&json!("in_doubt"), &json!("full_deployment")));
    assert_eq!(host.record("safla", "calls"), ["deploy_safla_instance"]);
    assert_eq!(host.record("safla-backup", "calls"), Vec::<String>::new(), "{report}");
}

#[test]
fn where_the_backup_is_down_too_the_run_fails_and_says_of_whom() {
    let mut host = Example::of("deployment").start();
    let report = host.failed("deployment", json!({ "name": "blue" }));
    assert_eq!((&report["status"], &report["error"]["step"]), (&json!("failed"), &json!("deployed")), "{report}");
    let whose = "at step `watched`: safla-backup.basic_monitoring: process exited";
    let why = report["error"]["message"].as_str().unwrap_or_default();
    assert!(why.contains(whose), "{why}");
    let done = Example::of("deployment").run(&["run", "basic_deployment", "name=blue"]);
    assert!(done.code == 5 && done.stderr.contains("safla-backup.basic_monitoring: process exited"), "{}", done.stderr);
}
