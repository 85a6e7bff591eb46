//! Agents: tools for hosts, steps of workflows, models with tools, and tools that stand in for them.

use serde_json::{Value, json};

use crate::support::brain::{Brain, Say};
use crate::support::{DEADLINE, Test, eventually, fixture};

/// A critic over `brain` with these further lines.
fn critic(brain: &Brain, lines: &str) -> String {
    let model = brain.entry("fast", "anthropic", "");
    format!("{model}[agents.critic]\ninstructions = \"You judge.\"\ncapabilities = [\"review\"]\n{lines}\n")
}

fn listed(host: &mut crate::support::Host, name: &str) -> Value {
    let answer = host.request("tools/list", json!({}));
    let tools = answer["result"]["tools"].as_array().expect("a list").clone();
    tools.into_iter().find(|tool| tool["name"] == name).unwrap_or_else(|| panic!("{name} is not listed"))
}

#[test]
fn an_agent_is_a_tool() {
    let brain = Brain::saying([Say::Text("Too long.")]);
    let mut host = Test::new().registry(&critic(&brain, "description = \"Judges texts.\"")).start();
    let tool = listed(&mut host, "agent__critic");
    assert_eq!(tool["description"], "Judges texts. Good at: review.");
    assert_eq!(
        (&tool["inputSchema"]["required"], &tool["annotations"]["readOnlyHint"]),
        (&json!(["task"]), &json!(true))
    );
    let arguments = json!({ "task": { "type": "review", "text": "…" }, "context": { "for": "children" } });
    let result = host.call("agent__critic", arguments);
    assert_eq!(result["content"][0]["text"], "Too long.", "{result}");
    assert!(result.get("structuredContent").is_none(), "a host takes nothing but objects: {result}");
    assert_eq!(result["_meta"]["io.mcp-orchestrator/usage"]["tokens"], 15);
    let heard = &brain.heard()[0].body;
    assert_eq!(heard["system"], "You judge.");
    let prompt = heard["messages"][0]["content"].as_str().unwrap_or_default();
    assert!(prompt.contains("\"type\": \"review\"") && prompt.contains("\"for\": \"children\""), "{prompt}");
}

#[test]
fn a_step_gives_a_task_to_an_agent_or_to_whoever_is_good_at_it() {
    for name in ["critic", "review"] {
        let brain = Brain::saying([Say::Text(r#"{"best":{"score":0.4}}"#), Say::Text("0.4 it is")]);
        let steps = format!(
            "steps:\n  - {{ id: a, agent: {name}, task: {{ type: rate }} }}\n  \
             - {{ id: b, agent: {name}, task: \"${{steps.a.output.best.score}}\" }}\n"
        );
        let mut host = Test::new().registry(&critic(&brain, "")).workflow("w", &steps).start();
        let report = host.value("run_workflow", json!({ "workflow": "w" }));
        assert_eq!((&report["output"], &report["usage"]["tokens"]), (&json!("0.4 it is"), &json!(30)), "{report}");
        assert_eq!(brain.heard()[1].body["messages"][0]["content"], "0.4");
    }
}

#[test]
fn what_an_agent_answers_is_what_its_step_expects() {
    let brain = Brain::saying([Say::Text(r#"{"options":[]}"#), Say::Text(r#"{"options":["a","b"]}"#)]);
    let steps = "steps:\n  - id: a\n    agent: critic\n    task: think\n    expect: { options: { type: array, minItems: 2 } }\n";
    let mut host = Test::new().registry(&critic(&brain, "")).workflow("w", steps).start();
    assert_eq!(host.value("w", json!({})), json!({ "options": ["a", "b"] }));
}

#[test]
fn a_tool_can_stand_in_for_an_agent() {
    let registry = "[agents.critic]\ntool = \"shop.echo\"\n\
                    [agents.scorer]\ntool = \"shop.echo\"\nargs = { question = \"${ args.task.about }\" }\noutput = \"${ result.question }\"\n";
    let steps = "steps:\n  - { id: a, agent: critic, task: { n: 1 }, context: { m: 2 } }\n  \
                 - { id: b, agent: scorer, task: { about: sugar } }\noutput: { a: $steps.a.output, b: $steps.b.output }\n";
    let test = Test::new().registry(registry).server("shop", fixture(["healthy"])).workflow("w", steps);
    let mut host = test.start();
    host.ready(&["shop"]);
    let output = host.value("w", json!({}));
    assert_eq!(output, json!({ "a": { "task": { "n": 1 }, "context": { "m": 2 } }, "b": "sugar" }));
    assert_eq!(host.value("agent__critic", json!({ "task": "x" })), json!({ "task": "x" }));
}

#[test]
fn an_agent_uses_its_tools_and_other_agents_but_never_itself() {
    let brain = Brain::saying([
        Say::Call("agent__helper", json!({ "task": "look it up" })),
        Say::Call("shop__echo", json!({ "found": 7 })),
        Say::Call("agent__critic", json!({ "task": "and again" })),
        Say::Text("7, I hear."),
        Say::Text("It is 7."),
    ]);
    let helper =
        "tools = [\"agent.*\"]\n[agents.helper]\ninstructions = \"You help.\"\ntools = [\"shop.echo\", \"agent.*\"]\n";
    let test = Test::new().registry(&critic(&brain, helper)).server("shop", fixture(["healthy"]));
    let mut host = test.start();
    host.ready(&["shop"]);
    let result = host.call("agent__critic", json!({ "task": "What is it?" }));
    assert_eq!(result["content"][0]["text"], "It is 7.", "{result}");
    let usage = &result["_meta"]["io.mcp-orchestrator/usage"];
    assert_eq!((&usage["tokens"], &usage["calls"]), (&json!(75), &json!(6)), "five of the model, one of the tool");
    let heard = brain.heard();
    let names = |place: usize| {
        let tools = heard[place].body["tools"].as_array().cloned().unwrap_or_default();
        tools.iter().map(|tool| tool["name"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((names(0), names(1)), (vec!["agent__helper".to_owned()], vec!["shop__echo".to_owned()]));
    assert!(heard[3].body["messages"].to_string().contains("there is no tool `agent__critic`"), "{}", heard[3].body);
}

#[test]
fn a_workflow_that_an_agent_runs_asks_whoever_wanted_the_outer_one() {
    let brain = Brain::saying([Say::Call("inner", json!({})), Say::Text("It may.")]);
    let test = Test::new().registry(&critic(&brain, "tools = [\"workflow.inner\"]"));
    let test = test.workflow("inner", "steps:\n  - { id: may, ask: Go on? }\n");
    let mut host = test.workflow("outer", "steps:\n  - { id: a, agent: critic, task: ask }\n").start();
    let waiting = host.value("run_workflow", json!({ "workflow": "outer" }));
    assert_eq!((&waiting["status"], &waiting["questions"][0]["step"]), (&json!("waiting"), &json!("may")), "{waiting}");
    let answer = json!({ "run_id": waiting["questions"][0]["run_id"], "step": "may", "answer": true });
    host.call("answer_run", answer);
    let run = json!({ "run_id": waiting["run_id"] });
    let mut seen = Value::Null;
    let is_done = eventually(DEADLINE, || {
        seen = host.value("get_run", run.clone());
        seen["status"] == "completed"
    });
    assert!(is_done && seen["output"] == "It may.", "{seen}");
}

#[test]
fn a_step_whose_agent_has_written_something_is_not_tried_again() {
    let brain =
        Brain::saying([Say::Call("shop__write", json!({})), Say::Status(429, "", "slow down"), Say::Text("Done.")]);
    let test = Test::new().registry(&critic(&brain, "tools = [\"shop.write\"]")).server("shop", fixture(["healthy"]));
    let mut host = test.workflow("w", "steps:\n  - { id: a, agent: critic, task: pay, retry: 3 }\n").start();
    host.ready(&["shop"]);
    let failed = host.failed("run_workflow", json!({ "workflow": "w" }));
    assert_eq!(failed["error"]["kind"], "in_doubt", "{failed}");
    assert_eq!(host.record("shop", "calls"), ["write"]);
}

#[test]
fn agents_do_not_call_each_other_in_a_circle() {
    let brain = Brain::saying([Say::Call("round", json!({})), Say::Text("I see.")]);
    let steps = "steps:\n  - { id: a, agent: critic, task: again }\n";
    let registry = critic(&brain, "tools = [\"workflow.round\"]");
    let mut host = Test::new().registry(&registry).workflow("round", steps).start();
    let result = host.call("agent__critic", json!({ "task": "go" }));
    assert_eq!(result["content"][0]["text"], "I see.", "{result}");
    let told = brain.heard()[1].body["messages"].to_string();
    assert!(told.contains("agents call each other: critic -> critic"), "{told}");
}

#[test]
fn an_agent_is_bounded_in_turns_tokens_and_time() {
    let again = || Say::Call("shop__echo", json!({}));
    for (lines, kind) in
        [("max_turns = 2", "budget"), ("limits = { calls = 3 }", "budget"), ("timeout = \"400ms\"", "timeout")]
    {
        let script = if kind == "timeout" { vec![again(), Say::Stall] } else { vec![again(), again(), again()] };
        let brain = Brain::saying(script);
        let registry = critic(&brain, &format!("tools = [\"shop.*\"]\n{lines}"));
        let mut host = Test::new().registry(&registry).server("shop", fixture(["healthy"])).start();
        host.ready(&["shop"]);
        let result = host.call("agent__critic", json!({ "task": "go" }));
        assert_eq!(result["structuredContent"]["error"]["kind"], kind, "{lines}: {result}");
        assert_eq!(brain.heard().len(), 2, "{lines}");
    }
}

#[test]
fn an_unknown_agent_or_model_is_a_problem_with_a_place() {
    let brain = Brain::saying([]);
    let registry = critic(&brain, "models = [\"fats\"]\ncolour = 1");
    let steps = "steps:\n  - { id: a, agent: critick, task: x }\n  - { id: b, llm: Hello, model: fats }\n";
    let done = Test::new().registry(&registry).workflow("w", steps).run(&["check"]);
    assert_eq!(done.code, 2);
    let all = format!("{}{}", done.stdout, done.stderr);
    for wanted in [
        "there is no model `fats`",
        "unknown key `colour`",
        "did you mean `fast`?",
        "no agent `critick`",
        "no model `fats`",
    ] {
        assert!(all.contains(wanted), "{wanted}: {all}");
    }
}

#[test]
fn a_broken_model_keeps_nobody_from_asking_the_next() {
    let brain = Brain::saying([Say::Text("Here.")]);
    let registry = format!(
        "[models.broken]\napi = \"opena\"\nmodel = \"x\"\n{}",
        critic(&brain, "models = [\"broken\", \"fast\"]")
    );
    let mut host = Test::new().registry(&registry).start();
    assert_eq!(host.call("agent__critic", json!({ "task": "x" }))["content"][0]["text"], "Here.");
}

#[test]
fn a_profile_that_does_not_show_an_agent_does_not_let_it_be_called() {
    let brain = Brain::saying([]);
    let profile = "[profiles.narrow]\ntools = { deny = [\"agent__*\"] }\n";
    let registry = format!("{}{profile}", critic(&brain, ""));
    let mut host = Test::new().registry(&registry).flag("--profile").flag("narrow").start();
    assert!(!host.tools().contains(&"agent__critic".to_owned()));
    let definition = "name: x\nsteps:\n  - { id: a, agent: critic, task: x }\n";
    let why = host.failure("run_workflow", json!({ "definition": definition }));
    assert!(why.contains("no agent `critic`"), "{why}");
    assert_eq!(brain.heard().len(), 0);
}

#[test]
fn agents_share_what_they_let_each_other_know() {
    let brain = Brain::saying([
        Say::Call("set_context", json!({ "key": "findings", "value": ["sweet"] })),
        Say::Text("noted"),
        Say::Text("I know."),
    ]);
    let steps = "steps:\n  - { id: a, agent: critic, task: look, context: [findings] }\n  \
                 - { id: b, agent: critic, task: judge, context: [findings] }\noutput: { all: $context.findings }\n";
    let mut host = Test::new().registry(&critic(&brain, "")).workflow("w", steps).start();
    assert_eq!(host.value("w", json!({})), json!({ "all": ["sweet"] }));
    let prompt = brain.heard()[2].body["messages"][0]["content"].to_string();
    assert!(prompt.contains("findings") && prompt.contains("sweet"), "{prompt}");
}

#[test]
fn a_modern_host_lends_its_model_to_an_agent() {
    let registry = "[agents.critic]\ninstructions = \"You judge.\"\nmodels = [\"sampling\"]\n";
    let mut host = Test::new().registry(registry).start_modern();
    host.capabilities = json!({ "sampling": {} });
    let first = host.call("agent__critic", json!({ "task": "Judge me." }));
    assert_eq!(first["resultType"], "input_required", "{first}");
    let (key, question) = first["inputRequests"].as_object().and_then(|all| all.iter().next()).expect("a question");
    assert_eq!(question["method"], "sampling/createMessage");
    assert_eq!(question["params"]["systemPrompt"], "You judge.");
    let answer = json!({ "role": "assistant", "content": { "type": "text", "text": "Fine." }, "model": "m" });
    let params = json!({ "name": "agent__critic", "arguments": { "task": "Judge me." }, "requestState": first["requestState"],
                         "inputResponses": { key: answer } });
    let answer = host.request("tools/call", params);
    assert_eq!(answer["result"]["content"][0]["text"], "Fine.", "{answer}");
}
