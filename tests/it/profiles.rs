//! Profiles: named views of what there is, each at an endpoint of its own.

use serde_json::{Value, json};

use crate::support::brain::{Brain, Say};
use crate::support::{Host, Test, fixture};

const PROFILES: &str = r#"
[profiles.reading]
servers = ["shop"]
workflows = ["peek"]
tools = { allow = ["shop__echo", "shop__env", "peek", "run_workflow", "list_workflows", "orchestrator_status"], deny = ["*__env"] }
"#;

/// Two servers, a workflow for each, and a profile that shows one of each.
fn test() -> Test {
    let call =
        |tool: &str| format!("steps:\n  - {{ id: it, tool: {tool}, args: {{ n: 1 }} }}\noutput: $steps.it.output\n");
    Test::new()
        .registry(PROFILES)
        .server("shop", fixture(["healthy"]))
        .server("bank", fixture(["healthy"]))
        .workflow("peek", &call("bank.echo"))
        .workflow("pay", &call("bank.write"))
}

fn reader() -> Host {
    let mut host = test().flag("--profile").flag("reading").start();
    host.ready(&["shop"]);
    host
}

#[test]
fn a_profile_shows_what_it_names() {
    let mut host = reader();
    assert_eq!(host.tools(), ["list_workflows", "orchestrator_status", "peek", "run_workflow", "shop__echo"]);
    assert_eq!(host.value("shop__echo", json!({ "n": 1 })), json!({ "n": 1 }));
    let workflows = host.value("list_workflows", json!({}));
    assert_eq!(workflows["workflows"].as_array().map(Vec::len), Some(1), "{workflows}");
    let status = host.value("orchestrator_status", json!({})).to_string();
    assert!(status.contains("shop") && !status.contains("bank"), "{status}");
}

#[test]
fn what_a_profile_does_not_show_cannot_be_used() {
    let mut host = reader();
    for hidden in ["bank__echo", "shop__env", "env", "pay"] {
        let answer = host.request("tools/call", json!({ "name": hidden, "arguments": {} }));
        assert_eq!(answer["error"]["code"], -32602, "{hidden}: {answer}");
    }
    for tool in ["bank.echo", "shop.env"] {
        let definition = json!({ "name": "x", "steps": [{ "id": "x", "tool": tool, "args": {} }] });
        let said = host.failure("run_workflow", json!({ "definition": definition }));
        assert!(said.contains("MO4011"), "{tool}: {said}");
    }
    let definition = json!({ "name": "x", "steps": [{ "id": "x", "workflow": "pay" }] });
    assert!(host.failure("run_workflow", json!({ "definition": definition })).contains("MO4011"));
    assert!(host.failure("run_workflow", json!({ "workflow": "pay" })).contains("MO5204"));
    assert!(host.record("bank", "written").is_empty() && host.record("bank", "calls").is_empty());
}

#[test]
fn a_workflow_of_a_profile_may_use_more_than_the_profile_shows() {
    let mut host = reader();
    assert_eq!(host.value("peek", json!({})), json!({ "n": 1 }));
    assert_eq!(host.value("run_workflow", json!({ "workflow": "peek" }))["output"], json!({ "n": 1 }));
    let definition = json!({ "name": "x", "steps": [{ "id": "x", "workflow": "peek" }], "output": "$steps.x.output" });
    assert_eq!(host.value("run_workflow", json!({ "definition": definition }))["output"], json!({ "n": 1 }));
}

#[test]
fn operators_see_through_a_profile_too() {
    let test = test();
    let listed = test.run(&["tools", "--profile", "reading", "-o", "json"]).json();
    let names: Vec<_> = listed["tools"].as_array().into_iter().flatten().map(|tool| &tool["name"]).collect();
    assert!(names.contains(&&json!("shop__echo")) && !names.contains(&&json!("bank__echo")), "{names:?}");
    assert_eq!(test.run(&["call", "bank.echo", "--profile", "reading"]).code, 2);
    let done = test.run(&["tools", "--profile", "redaing"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("there is no profile `redaing`; did you mean `reading`?"), "{}", done.stderr);
}

#[test]
fn a_profile_that_is_wrong_is_a_problem_of_the_file() {
    let wrong = "[profiles.\"a b\"]\n[profiles.c]\nserver = [\"shop\"]\n[profiles.d]\ntools = { deny = [\"[\"] }\n";
    let done = Test::new().registry(wrong).server("shop", fixture(["healthy"])).run(&["check", "-o", "json"]);
    let found = done.json();
    let codes: Vec<&Value> =
        found["problems"].as_array().into_iter().flatten().map(|problem| &problem["code"]).collect();
    assert_eq!(codes, ["MO1004", "MO1003", "MO1004"], "{found}");
}

/// A profile that hides the server `bank`, and what reaches it all the same: a job, an agent that is a tool of it, and a model.
fn round_about(brain: &Brain) -> Test {
    let rest = r#"
[profiles.shop]
servers = ["shop"]
tools = { deny = ["shop__echo"] }

[capabilities."text.say"]
members = ["bank.echo", "shop.echo"]

[capabilities."money.move"]
members = ["bank.write"]

[agents.teller]
tool = "bank.echo"

[agents.mover]
tool = "money.move"

[agents.clerk]
instructions = "You help."
tools = ["*.echo", "money.*", "workflow.pay"]
"#;
    let pay = "steps:\n  - { id: it, tool: bank.echo, args: { n: 1 } }\noutput: $steps.it.output\n";
    Test::new()
        .registry(&format!("{}{rest}", brain.entry("fast", "anthropic", "")))
        .server("shop", fixture(["healthy"]).with("fallback = [\"bank\"]"))
        .server("bank", fixture(["healthy"]))
        .workflow("pay", pay)
}

#[test]
fn what_a_profile_hides_is_not_reached_by_capabilities_and_agents() {
    let brain = Brain::saying([]);
    let mut host = round_about(&brain).flag("--profile").flag("shop").start();
    host.ready(&["shop"]);
    let tools = host.tools();
    for hidden in ["money__move", "agent__teller", "agent__mover"] {
        assert!(!tools.contains(&hidden.to_owned()), "{hidden} is listed");
        let answer = host.request("tools/call", json!({ "name": hidden, "arguments": { "task": "x" } }));
        assert_eq!(answer["error"]["code"], -32602, "{hidden}: {answer}");
    }
    let result = host.call("text__say", json!({ "n": 1 }));
    let served_by = &result["_meta"]["io.mcp-orchestrator/served-by"];
    assert_eq!((&result["structuredContent"], served_by), (&json!({ "n": 1 }), &json!("shop.echo")), "{result}");
    let listed = host.request("tools/list", json!({}));
    assert!(!listed.to_string().contains("bank.echo"), "the members that are hidden are not named: {listed}");
    let definition =
        json!({ "name": "x", "steps": [{ "id": "x", "tool": "text.say", "providers": ["bank"], "args": {} }] });
    let said = host.failure("run_workflow", json!({ "definition": definition }));
    assert!(said.contains("bank"), "{said}");
    assert!(host.record("bank", "written").is_empty() && host.record("bank", "calls").is_empty());
}

#[test]
fn an_agent_has_the_tools_of_the_servers_that_its_callers_profile_shows() {
    let brain =
        Brain::saying([Say::Call("shop__echo", json!({ "n": 1 })), Say::Call("pay", json!({})), Say::Text("done")]);
    let mut host = round_about(&brain).flag("--profile").flag("shop").start();
    host.ready(&["shop"]);
    assert_eq!(host.call("agent__clerk", json!({ "task": "x" }))["content"][0]["text"], "done");
    let heard = brain.heard();
    let tools: Vec<_> = heard[0].body["tools"].as_array().into_iter().flatten().map(|tool| &tool["name"]).collect();
    assert_eq!(tools, ["pay", "shop__echo"], "{}", heard[0].body);
    // What a registered workflow does is its own matter.
    assert_eq!(host.record("bank", "calls"), ["echo"]);
    assert_eq!(host.record("shop", "calls"), ["echo"]);
}

#[test]
fn what_a_profile_names_is_there() {
    let profile = "[profiles.a]\nservers = [\"shp\", \"sh*\", \"none-*\"]\nworkflows = [\"pek\", \"p*\", \"peek\"]\n";
    let test = |more: &str| {
        let test = Test::new().registry(&format!("{profile}{more}")).server("shop", fixture(["healthy"]));
        test.workflow("peek", "steps:\n  - { id: it, tool: shop.echo, args: { n: 1 } }\n")
    };
    let done = test("").run(&["check"]);
    assert_eq!(done.code, 2, "{}", done.stderr);
    for said in
        ["there is no server `shp`", "did you mean `shop`?", "there is no workflow `pek`", "did you mean `peek`?"]
    {
        assert_eq!(done.stderr.matches(said).count(), 1, "{said}: {}", done.stderr);
    }
    let source = "[discovery.sources.elsewhere]\ncommand = \"true\"\n";
    let done = test(source).run(&["check"]);
    assert!(!done.stderr.contains("no server `shp`"), "a source may bring it: {}", done.stderr);
}
