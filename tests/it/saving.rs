//! Hosts save workflows, if they may.

use std::fs;

use serde_json::json;

use crate::support::{Test, fixture};

const GREET: &str = "name: greet\ninput: { who: string }\nsteps:\n  # Says it.\n  - { id: a, tool: north.echo, args: { text: $input.who } }\n";

fn test() -> Test {
    let settings = "[orchestrator]\nworkflows = [\"workflows/*.yaml\"]\n";
    Test::new().registry(settings).server("north", fixture(["healthy"])).workflow("first", "steps: [{ id: a, set: 1 }]")
}

#[test]
fn a_saved_workflow_is_a_tool_at_once_and_after_a_restart() {
    let mut host = test().serve_with(&["--allow-authoring"]);
    host.initialize();
    host.ready(&["north"]);
    let saved = host.value("save_workflow", json!({ "definition": GREET }));
    host.wait_for("a change of the list", |message| message["method"] == "notifications/tools/list_changed");
    assert!(host.tools().contains(&"greet".to_owned()));
    assert_eq!(host.value("greet", json!({ "who": "Ada" })), json!({ "text": "Ada" }));
    let file = saved["file"].as_str().expect("a path").to_owned();
    assert_eq!(fs::read_to_string(&file).expect("the file"), GREET, "as it was written, comments included");
    let taken = host.failure("save_workflow", json!({ "definition": GREET }));
    assert!(taken.contains("replace: true"), "{taken}");
    let other = json!({ "name": "greet", "steps": [{ "id": "a", "set": "hello" }] });
    host.value("save_workflow", json!({ "definition": other, "replace": true }));
    assert_eq!(host.value("greet", json!({})), json!({ "result": "hello" }));
    assert!(fs::read_to_string(&file).expect("the file").contains("set: hello"), "an object becomes YAML");
    let foreign = host.failure("save_workflow", json!({ "definition": "name: first\nsteps: [{ id: a, set: 2 }]\n" }));
    assert!(foreign.contains("already"), "{foreign}");
}

#[test]
fn it_is_saved_where_the_files_say_now_that_it_is_found() {
    let mut host = test().serve_with(&["--allow-authoring"]);
    host.initialize();
    host.ready(&["north"]);
    let registry = host.home().join("registry.toml");
    let text = fs::read_to_string(&registry).expect("the registry");
    fs::write(&registry, text.replace("workflows/*.yaml", "flows/g*.json")).expect("the registry");
    host.value("reload_config", json!({}));
    let saved = host.value("save_workflow", json!({ "definition": GREET }));
    assert!(saved["file"].as_str().is_some_and(|file| file.ends_with("flows/greet.json")), "{saved}");
    // What that pattern does not find, the next one does.
    let other = json!({ "name": "other", "steps": [{ "id": "a", "set": 1 }] });
    let saved = host.value("save_workflow", json!({ "definition": other }));
    assert!(saved["file"].as_str().is_some_and(|file| file.ends_with("workflows/other.yaml")), "{saved}");
    assert_eq!(host.value("reload_config", json!({}))["ok"], true);
    assert_eq!(host.value("greet", json!({ "who": "Ada" })), json!({ "text": "Ada" }));
    assert_eq!(host.value("other", json!({})), json!({ "result": 1 }));
}

#[test]
fn what_is_wrong_is_not_saved() {
    let mut host = test().serve_with(&["--allow-authoring"]);
    host.initialize();
    host.ready(&["north"]);
    let wrong = host.failure("save_workflow", json!({ "definition": GREET.replace("north.echo", "north.ecko") }));
    assert!(wrong.contains("did you mean `north.echo`?"), "{wrong}");
    assert!(!host.tools().contains(&"greet".to_owned()));
}

#[test]
fn nobody_saves_anything_unless_it_is_allowed() {
    let mut host = test().start();
    host.ready(&["north"]);
    assert!(!host.tools().contains(&"save_workflow".to_owned()));
    let answer = host.request("tools/call", json!({ "name": "save_workflow", "arguments": { "definition": GREET } }));
    assert!(answer.to_string().contains("MO52"), "{answer}");
}
