//! Models and agents: what steps and hosts ask of them, through the real binary and over HTTP.

use serde_json::{Value, json};

use crate::support::brain::{Brain, Say};
use crate::support::{Host, Test, fixture};

const APIS: [&str; 2] = ["openai", "anthropic"];

/// A host of a workflow `w` with these steps, over these models.
fn asking(registry: &str, steps: &str) -> Host {
    Test::new()
        .registry(registry)
        .workflow("w", &format!("input: {{ name: {{ type: string, default: Ada }} }}\nsteps:\n{steps}\n"))
        .start()
}

/// Runs `w`, which must succeed; gives back the report.
fn report(host: &mut Host) -> Value {
    host.value("run_workflow", json!({ "workflow": "w" }))
}

/// Runs `w`, which must fail; gives back the report.
fn failed(host: &mut Host) -> Value {
    let result = host.call("run_workflow", json!({ "workflow": "w" }));
    assert!(result["isError"] == true, "it has not failed: {result}");
    result["structuredContent"].clone()
}

#[test]
fn a_step_asks_a_model_of_either_api_in_one_piece_or_in_many() {
    for api in APIS {
        for stream in [true, false] {
            let brain = Brain::saying([Say::Text("Hello, dear Ada.")]);
            let entry =
                brain.entry("fast", api, &format!("stream = {stream}\nprice = {{ input = 1.0, output = 2.0 }}"));
            let mut host =
                asking(&entry, "  - { id: a, llm: \"Greet ${input.name}.\", system: Be kind., model: fast }");
            let report = report(&mut host);
            assert_eq!(report["output"], "Hello, dear Ada.", "{api} {stream}");
            let usage = json!({ "tokens": 15, "input_tokens": 10, "output_tokens": 5, "cost": 0.00002, "calls": 1 });
            assert_eq!(report["usage"], usage, "{api} {stream}");
            let heard = &brain.heard()[0];
            let (system, user) = match api {
                "openai" => (&heard.body["messages"][0]["content"], &heard.body["messages"][1]["content"]),
                _ => (&heard.body["system"], &heard.body["messages"][0]["content"]),
            };
            assert_eq!(
                (system, user, &heard.body["model"]),
                (&json!("Be kind."), &json!("Greet Ada."), &json!("fast-1"))
            );
            assert_eq!(heard.path, if api == "openai" { "/v1/chat/completions" } else { "/v1/messages" });
        }
    }
}

#[test]
fn the_next_model_is_asked_when_the_first_is_down() {
    let dead = "[models.dead]\napi = \"openai\"\nurl = \"http://127.0.0.1:1/v1\"\nmodel = \"x\"\nretry = 1\n";
    let as_fallback = format!("{dead}fallback = [\"alive\"]\n");
    for (first, api, says) in [(dead, "openai", "providers: dead | alive"), (&*as_fallback, "anthropic", "model: dead")]
    {
        let brain = Brain::saying([Say::Text("Here I am.")]);
        let registry = format!("{first}{}", brain.entry("alive", api, ""));
        let mut host = asking(&registry, &format!("  - id: a\n    llm: Hello\n    {says}"));
        assert_eq!(report(&mut host)["output"], "Here I am.", "{says}");
    }
}

#[test]
fn a_model_that_is_busy_is_asked_again_when_it_says() {
    let brain = Brain::saying([Say::Status(429, "Retry-After: 1\r\n", "slow down"), Say::Text("Now.")]);
    let entry = brain.entry("fast", "openai", "").replace("retry = 1", "retry = { attempts = 2, delay = 0 }");
    let mut host = asking(&entry, "  - { id: a, llm: Hello? }");
    let report = report(&mut host);
    assert_eq!((&report["output"], brain.heard().len()), (&json!("Now."), 2));
    assert!(report["duration_ms"].as_u64() >= Some(1_000), "{report}");
}

#[test]
fn an_answer_that_breaks_off_is_no_answer() {
    for api in APIS {
        let brain = Brain::saying([Say::Half]);
        let mut host = asking(&brain.entry("fast", api, ""), "  - { id: a, llm: Hello? }");
        let report = failed(&mut host);
        assert_eq!(report["error"]["kind"], "unavailable", "{api}: {report}");
        assert!(report["error"]["message"].as_str().is_some_and(|why| why.contains("broke off")), "{report}");
    }
}

#[test]
fn an_answer_that_does_not_fit_is_repaired_once() {
    let step = "  - { id: a, llm: Rate it., expect: { score: number } }";
    for api in APIS {
        let brain = Brain::saying([Say::Text(r#"{"score":"high"}"#), Say::Text(r#"{"score":0.9}"#)]);
        let mut host = asking(&brain.entry("fast", api, ""), step);
        assert_eq!(report(&mut host)["output"], json!({ "score": 0.9 }), "{api}");
        let second = brain.heard()[1].body["messages"].to_string();
        assert!(second.contains("does not fit") && second.contains("`score`"), "{api}: {second}");
        let schema = |body: &Value| match api {
            "openai" => body["response_format"]["json_schema"]["schema"].clone(),
            _ => body["tools"][0]["input_schema"].clone(),
        };
        assert_eq!(schema(&brain.heard()[0].body)["required"], json!(["score"]));
    }
    let brain = Brain::saying([Say::Text("well"), Say::Text("really"), Say::Text("unheard")]);
    let mut host = asking(&brain.entry("fast", "openai", ""), step);
    let report = failed(&mut host);
    assert_eq!((&report["error"]["code"], &report["error"]["kind"]), (&json!("MO5402"), &json!("tool_error")));
    assert_eq!(report["usage"]["tokens"], 30, "what failed was paid for, too");
}

#[test]
fn an_api_that_knows_no_schemas_is_asked_in_words() {
    let brain = Brain::saying([
        Say::Status(400, "", "unknown field response_format"),
        Say::Text("Sure: ```json\n{\"score\": 1}\n```"),
    ]);
    let mut host =
        asking(&brain.entry("fast", "openai", ""), "  - { id: a, llm: Rate it., expect: { score: number } }");
    assert_eq!(report(&mut host)["output"], json!({ "score": 1 }));
    let second = &brain.heard()[1].body;
    assert!(
        second.get("response_format").is_none() && second["messages"][0].to_string().contains("JSON Schema"),
        "{second}"
    );
}

#[test]
fn a_model_uses_the_tools_that_it_may() {
    for api in APIS {
        let brain = Brain::saying([
            Say::Call("shop__echo", json!({ "sku": "a1" })),
            Say::Call("shop__write", json!({})),
            Say::Text("It is a1."),
        ]);
        let registry = brain.entry("fast", api, "");
        let steps = "steps:\n  - { id: a, llm: What is it?, tools: [shop.echo], limits: { turns: 5 } }\n";
        let mut host =
            Test::new().registry(&registry).server("shop", fixture(["healthy"])).workflow("w", steps).start();
        host.ready(&["shop"]);
        let report = report(&mut host);
        assert_eq!(report["output"], "It is a1.", "{api}");
        assert_eq!(report["usage"]["calls"], 4, "three of the model, one of the tool: {report}");
        assert_eq!(host.record("shop", "calls"), ["echo"], "{api}: nothing else may be called");
        let heard = brain.heard();
        let tools = heard[0].body["tools"].as_array().expect("tools").len();
        assert_eq!(tools, 1, "{}", heard[0].body["tools"]);
        assert!(heard[1].body["messages"].to_string().contains("a1"), "{}", heard[1].body);
        assert!(heard[2].body["messages"].to_string().contains("there is no tool `shop__write`"), "{}", heard[2].body);
    }
}
