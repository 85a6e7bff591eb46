//! What the public servers have shown to be wrong, made small enough to need none of them.

use serde_json::json;

use crate::support::{Test, command, fixture};

#[test]
fn a_workflow_that_only_reads_says_so_in_the_first_list() {
    // The first list comes when the server has just been listed. Each session is another chance to be wrong.
    for session in 0..8 {
        let test = Test::new().server("north", fixture(["healthy"]).with("start = \"lazy\""));
        let steps = "steps:\n  - { id: one, tool: north.pid }\n";
        let mut host = test.workflow("look", steps).start();
        let answer = host.request("tools/list", json!({}));
        let tools = answer["result"]["tools"].as_array().expect("a list of tools");
        let look = tools.iter().find(|tool| tool["name"] == "look").expect("the workflow is a tool");
        assert_eq!(look["annotations"]["readOnlyHint"], true, "session {session}: {}", look["annotations"]);
    }
}

#[test]
fn a_call_to_a_server_that_never_came_up_was_not_sent() {
    let steps = "steps:\n  - { id: one, tool: broken.anything }\n";
    let test = Test::new().server("broken", command("sh", &["-c", "sleep 0.2; exit 2"])).workflow("lost", steps);
    let done = test.run(&["run", "lost"]);
    assert_eq!(done.code, 5, "{}", done.stderr);
    assert!(!done.stderr.contains("had been sent"), "{}", done.stderr);
}

#[test]
fn a_workflow_file_can_be_named_instead_of_a_workflow() {
    let test = Test::new().file("nothing.yaml", "name: nothing\nsteps:\n  - { id: one, set: 1 }\n");
    let test = test.server("unused", command("true", &[]).with("disabled = true"));
    for command in ["graph", "run"] {
        let done = test.run(&[command, "nothing.yaml"]);
        assert_eq!(done.code, 0, "{command}: {}", done.stderr);
    }
}

#[test]
fn a_workflow_file_of_the_registry_can_be_named_in_another_way() {
    let test = Test::new().registry("[orchestrator]\nworkflows = [\"flows/*.yaml\"]");
    std::fs::create_dir(test.home().join("flows")).expect("a folder of our own");
    let test = test.file("flows/nothing.yaml", "name: nothing\nsteps:\n  - { id: one, set: 1 }\n");
    for file in ["flows/nothing.yaml", "./flows/nothing.yaml"] {
        let done = test.run(&["graph", file]);
        assert_eq!(done.code, 0, "{file}: {}", done.stderr);
    }
}
