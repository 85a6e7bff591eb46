//! Capabilities: a job that several tools can do, as one tool.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Host, Test, fixture};

/// Two servers whose `fail` and `hang` only read, and a capability with these members.
fn test(settings: &str) -> Test {
    let reads = "timeout = \"300ms\"\ntools = { fail = { effect = \"read\" }, hang = { effect = \"read\" } }";
    Test::new()
        .registry(&format!("[capabilities.\"text.say\"]\n{settings}\n"))
        .server("north", fixture(["healthy"]).with(reads))
        .server("south", fixture(["healthy"]).with(reads))
}

fn start(settings: &str) -> Host {
    let mut host = test(settings).start();
    host.ready(&["north", "south"]);
    host
}

const ADAPTED: &str = r#"members = [
  "north.fail",
  { tool = "south.echo", args = { said = "${ args.message }!" }, output = "${ result.said }" },
]"#;

fn served_by(result: &Value) -> &Value {
    &result["_meta"]["io.mcp-orchestrator/served-by"]
}

#[test]
fn tools_are_found_by_what_they_can_do() {
    let test = test("members = [\"south.echo\", \"north.fail\"]");
    let done = test.run(&["tools", "--capability", "text.say"]);
    let names: Vec<_> = done.stdout.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!((done.code, names), (0, vec!["text__say", "south__echo", "north__fail"]), "{}", done.stderr);
    let done = test.run(&["-o", "json", "tools", "north", "--capability", "text.say"]);
    assert_eq!(
        done.json()["tools"].as_array().map(|all| all.iter().map(|tool| &tool["name"]).collect()),
        Some(vec![&json!("north__fail")])
    );
    let done = test.run(&["tools", "--capability", "text.sy"]);
    assert!(
        done.code == 2 && done.stderr.contains("there is no capability `text.sy`; did you mean `text.say`?"),
        "{}",
        done.stderr
    );
}

#[test]
fn the_next_member_does_the_job_in_its_own_words() {
    let mut host = start(ADAPTED);
    let result = host.call("text__say", json!({ "message": "hello" }));
    assert_eq!(result["structuredContent"], json!({ "result": "hello!" }), "{result}");
    assert_eq!(served_by(&result), "south.echo");
    assert_eq!(host.record("north", "calls"), ["fail"]);
}

#[test]
fn a_workflow_uses_a_capability_like_any_tool() {
    let steps = "input: { message: string }\nsteps:\n  - { id: said, tool: text.say, args: { message: $input.message } }\noutput: $steps.said.output.result\n";
    let mut host = test(ADAPTED).workflow("greet", steps).start();
    host.ready(&["north", "south"]);
    assert_eq!(host.value("greet", json!({ "message": "hello" })), json!({ "result": "hello!" }));
    let steps = json!([{ "id": "said", "tool": "text.sya", "args": {} }]);
    let said = host.failure("run_workflow", json!({ "definition": { "name": "x", "steps": steps } }));
    assert!(said.contains("did you mean `text.say`?"), "{said}");
}

#[test]
fn what_may_have_changed_something_is_not_done_again_elsewhere() {
    let mut host = start("members = [\"north.rpc_error\", \"south.write\"]");
    let answer = host.request("tools/call", json!({ "name": "text__say", "arguments": {} }));
    assert!(answer.to_string().contains("the quota is used up"), "{answer}");
    assert!(host.record("south", "written").is_empty());
}

#[test]
fn a_value_is_the_last_resort() {
    let mut host = start("members = [\"north.fail\", \"south.fail\"]\nfallback = { value = { said = \"nothing\" } }");
    let result = host.call("text__say", json!({}));
    assert_eq!((&result["structuredContent"], served_by(&result)), (&json!({ "said": "nothing" }), &json!("fallback")));
}

#[test]
fn the_better_member_is_asked_first_if_the_score_decides() {
    let mut host = start("route = \"score\"\nmembers = [\"north.fail\", \"south.echo\"]");
    for n in 0..3 {
        assert_eq!(host.value("text__say", json!({ "n": n })), json!({ "n": n }));
    }
    assert_eq!(host.record("north", "calls"), ["fail"], "it failed once and is not asked first again");
}

#[test]
fn a_sticky_host_keeps_its_member() {
    let mut host = start("route = \"sticky\"\nmembers = [\"north.echo\", \"south.echo\"]");
    for _ in 0..4 {
        host.value("text__say", json!({}));
    }
    let mut calls = [host.record("north", "calls").len(), host.record("south", "calls").len()];
    calls.sort_unstable();
    assert_eq!(calls, [0, 4]);
}

#[test]
fn mistakes_in_a_capability_are_found() {
    let wrong = r#"
[capabilities."a.one"]
members = ["nroth.echo", "a.one", { tool = "north.echo", args = { x = "${ args. }" } }]
[capabilities.single]
members = ["north.echo"]
[capabilities."b.two"]
members = []
"#;
    let done = Test::new().registry(wrong).server("north", fixture(["healthy"])).run(&["check", "-o", "json"]);
    let found = done.json();
    let mut codes: Vec<_> =
        found["problems"].as_array().into_iter().flatten().filter_map(|problem| problem["code"].as_str()).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["MO1004", "MO1005", "MO1008", "MO1008", "MO2006"], "{found}");
    assert!(done.stdout.contains("did you mean `north`?"), "{found}");
}

#[test]
fn an_earlier_answer_stands_in_for_as_long_as_it_is_fresh_enough() {
    // Each job is done by `north.echo` for as long as that works.
    let settings = |fallback: &str| format!("members = [\"north.echo\"]\nfallback = {{ {fallback} }}");
    for (fallback, expected) in [
        ("cached = \"1h\", value = { n = 0 }", json!({ "n": 1 })),
        ("cached = \"1ms\", value = { n = 0 }", json!({ "n": 0 })),
    ] {
        let mut host = Test::new()
            .registry(&format!("[capabilities.\"text.say\"]\n{}\n", settings(fallback)))
            .server(
                "north",
                fixture(["healthy"])
                    .with("retry = 1\nbreaker = { failures = 1, open_for = \"1h\" }\ntimeout = \"300ms\""),
            )
            .start();
        host.ready(&["north"]);
        assert_eq!(host.value("text__say", json!({ "n": 1 })), json!({ "n": 1 }));
        host.failure("north__hang", json!({}));
        let result = host.call("text__say", json!({ "n": 1 }));
        assert_eq!(result["structuredContent"], expected, "{result}");
        let is_stale = result["_meta"]["io.mcp-orchestrator/stale"]["age_ms"].is_u64();
        assert_eq!((is_stale, served_by(&result) == "cache"), (expected["n"] == 1, expected["n"] == 1), "{result}");
        // Another question has no earlier answer.
        assert_eq!(host.value("text__say", json!({ "n": 2 })), json!({ "n": 0 }));
    }
}

#[test]
fn an_earlier_answer_stands_in_only_for_those_who_would_be_asked_and_for_what_is_asked_of_them() {
    let job = |more: &str| {
        format!(
            "[capabilities.\"text.say\"]\nmembers = [{more}]\nfallback = {{ cached = \"1h\", value = {{ n = 0 }} }}\n"
        )
    };
    let server =
        || fixture(["healthy"]).with("retry = 1\nbreaker = { failures = 1, open_for = \"1h\" }\ntimeout = \"300ms\"");
    let members = r#""north.echo", "south.echo""#;
    let mut host = Test::new().registry(&job(members)).server("north", server()).server("south", server()).start();
    host.ready(&["north", "south"]);
    let ask = |host: &mut Host, providers: &str| {
        let step = json!({ "id": "a", "tool": "text.say", "providers": providers, "args": { "n": 1 } });
        let definition = json!({ "name": "x", "steps": [step], "output": "$steps.a.output" });
        host.value("run_workflow", json!({ "definition": definition }))["output"]["n"].clone()
    };
    assert_eq!(ask(&mut host, "north"), 1);
    for name in ["north__hang", "south__hang"] {
        host.failure(name, json!({}));
    }
    assert_eq!(ask(&mut host, "north"), 1, "its own answer of before");
    assert_eq!(ask(&mut host, "south"), 0, "not the other's answer");
    let registry = host.home().join("registry.toml");
    let text = fs::read_to_string(&registry).expect("the registry");
    let adapted = r#"{ tool = "north.echo", output = "${ { 'n': result.n + 1 } }" }, "south.echo""#;
    fs::write(&registry, text.replace(&job(members), &job(adapted))).expect("the registry");
    host.value("reload_config", json!({}));
    assert_eq!(ask(&mut host, "north"), 0, "the job is another one now");
}
