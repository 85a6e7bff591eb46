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

const KEY: &str = "sk-test-0123456789";

/// A host that offers sampling.
fn sampler(registry: &str, steps: &str) -> Host {
    let test = Test::new().registry(registry).workflow("w", &format!("steps:\n{steps}\n"));
    let mut host = test.serve();
    let params = json!({
        "protocolVersion": "2025-11-25", "capabilities": { "sampling": {} },
        "clientInfo": { "name": "test", "version": "1" },
    });
    host.request("initialize", params);
    host.notify("notifications/initialized", json!({}));
    host
}

#[test]
fn the_host_is_asked_last() {
    let brain = Brain::saying([Say::Status(500, "", "out of order")]);
    let entry = brain.entry("fast", "openai", "");
    let steps = "  - id: a\n    llm: Rate it.\n    system: Be strict.\n    providers: fast | sampling\n    expect: { score: number }";
    let mut host = sampler(&entry, steps);
    let id = host.send_call("w", json!({}));
    let question = host.wait_for("a question", |message| message["method"] == "sampling/createMessage");
    let system = question["params"]["systemPrompt"].as_str().unwrap_or_default().to_owned();
    assert!(system.starts_with("Be strict.") && system.contains("JSON Schema"), "{system}");
    assert_eq!(question["params"]["messages"][0]["content"]["text"], "Rate it.");
    let content = json!({ "type": "text", "text": "{\"score\": 3}" });
    host.respond(&question["id"], json!({ "role": "assistant", "content": content, "model": "m" }));
    assert_eq!(host.answer(id)["result"]["structuredContent"], json!({ "score": 3 }));
    assert_eq!(brain.heard().len(), 1);
}

#[test]
fn a_host_without_sampling_is_told_what_to_do() {
    let mut host = asking("[servers.none]\ncommand = \"none\"\ndisabled = true\n", "  - { id: a, llm: Hello }");
    let report = failed(&mut host);
    assert_eq!(report["error"]["code"], "MO5406", "{report}");
}

#[test]
fn the_key_is_sent_and_never_shown() {
    for (api, header) in
        [("openai", format!("authorization: Bearer {KEY}")), ("anthropic", format!("x-api-key: {KEY}"))]
    {
        let brain = Brain::saying([Say::Status(401, "", "Incorrect API key provided: sk-test-0123456789")]);
        let entry = brain.entry("fast", api, "key = \"${MODEL_KEY}\"");
        let test =
            Test::new().registry(&entry).env("MODEL_KEY", KEY).workflow("w", "steps:\n  - { id: a, llm: Hello }\n");
        let mut host = test.flag("-vv").start();
        let report = failed(&mut host);
        assert_eq!(
            (&report["error"]["kind"], &report["error"]["code"]),
            (&json!("denied"), &json!("MO5109")),
            "{report}"
        );
        assert!(brain.heard()[0].headers.contains(&header), "{}", brain.heard()[0].headers);
        let all = format!("{report}{}{}", host.stderr(), host.call("orchestrator_status", json!({})));
        assert!(!all.contains(KEY) && report.to_string().contains("****"), "{all}");
    }
}

#[test]
fn a_key_without_a_value_says_which() {
    let brain = Brain::saying([]);
    let mut host = asking(&brain.entry("fast", "openai", "key = \"${NO_SUCH_KEY}\""), "  - { id: a, llm: Hello }");
    let report = failed(&mut host);
    assert_eq!(report["error"]["code"], "MO5110");
    assert!(report.to_string().contains("NO_SUCH_KEY"), "{report}");
    assert_eq!(brain.heard().len(), 0);
}

#[test]
fn cancelling_ends_an_answer_in_the_middle() {
    for api in APIS {
        let brain = Brain::saying([Say::Stall]);
        let mut host = asking(&brain.entry("fast", api, ""), "  - { id: a, llm: Hello }");
        let id = host.send_call("w", json!({}));
        brain.await_heard(1);
        host.notify("notifications/cancelled", json!({ "requestId": id }));
        brain.await_left();
    }
}

#[test]
fn a_step_that_takes_too_long_ends_the_answer() {
    let brain = Brain::saying([Say::Stall]);
    let mut host = asking(&brain.entry("fast", "openai", ""), "  - { id: a, llm: Hello, timeout: 300ms }");
    assert_eq!(failed(&mut host)["error"]["kind"], "timeout");
    brain.await_left();
}

#[test]
fn a_budget_ends_a_run_before_it_asks_again() {
    let brain = Brain::saying([Say::Text("one"), Say::Text("two"), Say::Text("three")]);
    let steps = "budget: { tokens: 20 }\nsteps:\n  - { id: a, llm: One. }\n  - { id: b, llm: Two., after: [a] }\n  - { id: c, llm: Three., after: [b] }\n";
    let mut host = Test::new().registry(&brain.entry("fast", "openai", "")).workflow("w", steps).start();
    let report = failed(&mut host);
    assert_eq!((&report["error"]["kind"], &report["error"]["code"]), (&json!("budget"), &json!("MO4021")), "{report}");
    assert_eq!(report["error"]["data"]["used"]["tokens"], 30, "{report}");
    assert_eq!((&report["usage"]["tokens"], brain.heard().len()), (&json!(30), 2));
    assert_eq!(brain.heard()[1].body["max_tokens"], 4, "no more is asked for than is left after the question");
}

#[test]
fn a_spent_budget_can_be_caught() {
    let brain = Brain::saying([Say::Text("one")]);
    let steps = "budget: { cost: 0.000012 }\nsteps:\n  - { id: a, llm: One. }\n  - id: b\n    llm: Two.\n    after: [a]\n    \
                 catch: [{ on: budget, value: \"${error.data.used.tokens}\" }]\n";
    let entry = brain.entry("fast", "openai", "price = { input = 1.0, output = 1.0 }");
    let mut host = Test::new().registry(&entry).workflow("w", steps).start();
    assert_eq!(report(&mut host)["output"], 15);
}

#[test]
fn children_share_what_is_left_to_their_parent() {
    let brain = Brain::saying([Say::Text("one"), Say::Text("two"), Say::Text("three")]);
    let child = "steps:\n  - { id: a, llm: One. }\n  - { id: b, llm: Two., after: [a] }\n";
    let parent =
        "budget: { tokens: 40 }\nsteps:\n  - { id: x, workflow: child }\n  - { id: y, workflow: child, after: [x] }\n";
    let test = Test::new().registry(&brain.entry("fast", "openai", ""));
    let mut host = test.workflow("child", child).workflow("w", parent).start();
    let report = failed(&mut host);
    assert_eq!((&report["error"]["kind"], &report["error"]["step"]), (&json!("budget"), &json!("y")), "{report}");
    assert_eq!((&report["usage"]["tokens"], &report["usage"]["calls"]), (&json!(45), &json!(3)), "{report}");
}

#[test]
fn a_thrifty_run_skips_what_is_optional_and_asks_the_cheapest() {
    let (dear, cheap) = (Brain::saying([Say::Text("dear")]), Brain::saying([Say::Text("cheap")]));
    let registry = format!(
        "{}{}",
        dear.entry("dear", "openai", "price = { input = 9.0, output = 9.0 }"),
        cheap.entry("cheap", "openai", "price = { input = 1.0, output = 1.0 }")
    );
    let steps = "budget: { tokens: 18, on_exceed: degrade }\nsteps:\n  - { id: a, llm: One., providers: [dear, cheap] }\n  \
                 - { id: b, llm: Two., providers: [dear, cheap], after: [a], optional: true, default: none }\n  \
                 - { id: c, llm: Three., providers: [dear, cheap], after: [b] }\n\
                 output: ['$steps.a.output', '$steps.b.output', '$steps.c.output']\n";
    let mut host = Test::new().registry(&registry).workflow("w", steps).start();
    assert_eq!(report(&mut host)["output"], json!(["dear", "none", "cheap"]));
}

#[test]
fn a_step_has_limits_of_its_own() {
    let again = || Say::Call("shop__echo", json!({}));
    for (limits, code, requests) in
        [("{ turns: 2 }", "MO5405", 2), ("{ tokens: 60 }", "MO5405", 4), ("{ calls: 3 }", "MO5405", 2)]
    {
        let brain = Brain::saying([again(), again(), again(), again()]);
        let steps = format!("steps:\n  - {{ id: a, llm: Go on., tools: [shop.echo], limits: {limits} }}\n");
        let test = Test::new().registry(&brain.entry("fast", "anthropic", "")).server("shop", fixture(["healthy"]));
        let mut host = test.workflow("w", &steps).start();
        host.ready(&["shop"]);
        let report = failed(&mut host);
        assert_eq!(
            (&report["error"]["kind"], &report["error"]["code"]),
            (&json!("budget"), &json!(code)),
            "{limits}: {report}"
        );
        assert!(brain.heard().len() <= requests, "{limits}");
    }
}

#[test]
fn an_answer_that_a_limit_cuts_off_has_spent_it() {
    for api in APIS {
        for stream in [true, false] {
            let brain = Brain::saying([Say::Cut("Once upon a")]);
            let entry = brain.entry("fast", api, &format!("stream = {stream}"));
            let mut host = asking(&entry, "  - { id: a, llm: Tell me., limits: { tokens: 15 } }");
            let report = failed(&mut host);
            assert_eq!(
                (&report["error"]["kind"], &report["error"]["code"]),
                (&json!("budget"), &json!("MO5405")),
                "{report}"
            );
            assert_eq!(report["usage"]["tokens"], 15);
        }
    }
}

#[test]
fn a_question_that_is_too_dear_is_not_asked() {
    let (dear, cheap) = (Brain::saying([]), Brain::saying([Say::Text("cheap")]));
    let registry = format!(
        "{}{}",
        dear.entry("dear", "openai", "price = { input = 1000000.0, output = 1.0 }"),
        cheap.entry("cheap", "openai", "price = { input = 1.0, output = 1.0 }")
    );
    let steps = "budget: { cost: 1.00 }\nsteps:\n  - { id: a, llm: Tell me a story., providers: [dear, cheap] }\n";
    let mut host = Test::new().registry(&registry).workflow("w", steps).start();
    assert_eq!(report(&mut host)["output"], "cheap");
    assert_eq!(dear.heard().len(), 0);
}

#[test]
fn a_model_that_keeps_failing_is_left_alone() {
    let (broken, sound) = (Brain::saying([]), Brain::saying(vec![Say::Text("ok"); 8]));
    let registry = format!("{}{}", broken.entry("broken", "openai", ""), sound.entry("sound", "anthropic", ""));
    let steps =
        "  - { id: a, for_each: [1, 2, 3, 4, 5, 6, 7, 8], concurrency: 1, llm: Hello, providers: [broken, sound] }";
    let mut host = asking(&registry, steps);
    assert_eq!(report(&mut host)["output"], json!(vec!["ok"; 8]));
    assert_eq!((broken.heard().len(), sound.heard().len()), (5, 8));
}

#[test]
fn a_model_is_not_left_alone_because_others_have_all_its_places() {
    let script = std::iter::repeat_n(("A riddle", Say::Stall), 7).chain([("Hello", Say::Text("ok"))]);
    let brain = Brain::asked(script);
    let steps = "  - { id: a, for_each: [1, 2, 3, 4, 5, 6, 7], on_error: skip, llm: A riddle }\n  \
                 - { id: b, after: [a], llm: Hello }";
    let mut host = asking(&brain.entry("fast", "openai", "concurrency = 1\ntimeout = \"1s\""), steps);
    assert_eq!(report(&mut host)["output"], "ok");
}

#[test]
fn a_budget_holds_beyond_this_orchestrator() {
    let brain = Brain::saying(vec![Say::Text("yes"); 4]);
    let inner = Test::new()
        .registry(&brain.entry("fast", "openai", ""))
        .workflow("ask", "steps:\n  - { id: a, for_each: [1, 2, 3, 4], concurrency: 1, llm: Hello }\n");
    let home = inner.home().to_path_buf();
    // Writes the files.
    assert_eq!(inner.run(&["check"]).code, 0);
    let path = |name: &str| home.join(name).to_string_lossy().into_owned();
    let (registry, workflows) = (path("registry.toml"), path("workflows"));
    let args = ["serve", "--registry", &registry, "--workflows", &workflows];
    let server = crate::support::command(env!("CARGO_BIN_EXE_mcp-orchestrator"), &args);
    let steps = "budget: { tokens: 20 }\nsteps:\n  - { id: a, tool: inner.ask }\n";
    let mut host = Test::new().server("inner", server).workflow("w", steps).start();
    host.ready(&["inner"]);
    let report = failed(&mut host);
    assert!(report["error"]["message"].as_str().is_some_and(|why| why.contains("MO4021")), "{report}");
    assert_eq!(brain.heard().len(), 2, "what is left is known there, too");
}

#[test]
fn a_stream_that_stays_open_does_not_keep_its_answer() {
    let brain = Brain::saying([Say::Linger("All said.")]);
    let mut host = asking(&brain.entry("fast", "openai", ""), "  - { id: a, llm: Hello, timeout: 15s }");
    let report = report(&mut host);
    assert_eq!(report["output"], "All said.");
    assert!(report["usage"]["tokens"].as_u64() > Some(0), "it is estimated: {report}");
}

#[test]
fn no_more_is_asked_at_once_than_may_be() {
    let agents = "[agents.critic]\ninstructions = \"You judge.\"\nmax_concurrency = 1\n";
    for (of_model, agents, verb) in [("concurrency = 1", "", "llm: Hello"), ("", agents, "agent: critic, task: x")] {
        let brain = Brain::saying([Say::Stall, Say::Text("second")]);
        let registry = format!("{}{agents}", brain.entry("fast", "openai", of_model));
        // The second comes and gives up while the first has the only place.
        let steps = format!(
            "order: data\nsteps:\n  - {{ id: a, {verb}, timeout: 2s, optional: true, default: first }}\n  \
             - {{ id: w, wait: 500ms }}\n  \
             - {{ id: b, {verb}, after: [w], timeout: 300ms, optional: true, default: never }}\n\
             output: ['$steps.a.output', '$steps.b.output']\n"
        );
        let mut host = Test::new().registry(&registry).workflow("w", &steps).start();
        let outputs = report(&mut host)["output"].clone();
        assert_eq!((outputs, brain.heard().len()), (json!(["first", "never"]), 1), "{verb}");
    }
}

#[test]
fn a_repair_of_an_empty_answer_is_understood() {
    for api in APIS {
        let brain = Brain::saying([Say::Text(""), Say::Text("{\"a\": 1}")]);
        let entry = brain.entry("fast", api, "");
        let step = "  - { id: a, llm: Hello, expect: { type: array, items: {} }, catch: [{ value: caught }] }";
        let mut host = asking(&entry, step);
        assert_eq!(report(&mut host)["output"], "caught", "{api}: it is no list");
        let said = brain.heard()[1].body["messages"].clone();
        let empty = said.as_array().into_iter().flatten().any(|message| message["content"] == json!([]));
        assert!(!empty, "{api}: {said}");
    }
}
