//! A server asks in the middle of a call: the host that made the call answers, whatever the eras of the two.

use serde_json::{Value, json};

use crate::support::{Host, Test, fixture};

const CAN_ANSWER: &str = r#"{"elicitation":{"form":{}},"sampling":{},"roots":{}}"#;

fn capabilities() -> Value {
    serde_json::from_str(CAN_ANSWER).expect("JSON")
}

/// A host of the initialize era that can be asked.
fn old_host(era: &str) -> Host {
    let mut host = Test::new().server("shop", fixture(["healthy", "--era", era])).serve();
    let params = json!({
        "protocolVersion": "2025-11-25", "capabilities": capabilities(), "clientInfo": { "name": "test", "version": "1" },
    });
    host.request("initialize", params);
    host.notify("notifications/initialized", json!({}));
    host.ready(&["shop"]);
    host
}

/// A modern host that can be asked.
fn modern_host(era: &str) -> Host {
    let mut host = Test::new().server("shop", fixture(["healthy", "--era", era])).serve();
    host.is_modern = true;
    host.capabilities = capabilities();
    host.ready(&["shop"]);
    host
}

fn accept(name: &str) -> Value {
    json!({ "action": "accept", "content": { "name": name } })
}

#[test]
fn an_old_host_answers_a_server_of_either_era() {
    for era in ["legacy", "modern"] {
        let mut host = old_host(era);
        let id = host.send_call("shop__ask", json!({ "message": "Your name?" }));
        let question = host.wait_for("a question", |message| message["method"] == "elicitation/create");
        assert_eq!(question["params"]["message"], "[shop] Your name?", "{era}: it says who asks");
        host.respond(&question["id"], accept("Ada"));
        assert_eq!(host.answer(id)["result"]["structuredContent"], json!({ "answer": accept("Ada") }), "{era}");
    }
}

#[test]
fn a_modern_host_answers_an_old_server_by_coming_back() {
    let mut host = modern_host("legacy");
    let first = host.call("shop__ask", json!({ "message": "Your name?" }));
    assert_eq!(first["resultType"], "input_required");
    let (key, question) = first["inputRequests"].as_object().and_then(|all| all.iter().next()).expect("a question");
    assert_eq!(
        (&question["method"], &question["params"]["message"]),
        (&json!("elicitation/create"), &json!("[shop] Your name?"))
    );
    let retry = |state: &Value| {
        json!({ "name": "shop__ask", "arguments": { "message": "Your name?" }, "requestState": state,
                "inputResponses": { key: accept("Ada") } })
    };
    let answer = host.request("tools/call", retry(&first["requestState"]));
    assert_eq!(answer["result"]["structuredContent"], json!({ "answer": accept("Ada") }), "{answer}");
    let again = host.request("tools/call", retry(&first["requestState"]));
    assert_eq!(again["error"]["code"], -32602, "a state is good for one use: {again}");
    assert_eq!(host.record("shop", "calls"), ["ask"], "it was one call");
}

#[test]
fn a_state_belongs_to_its_request() {
    let mut host = modern_host("legacy");
    let first = host.call("shop__ask", json!({ "message": "Your name?" }));
    let forged = format!("{}x", first["requestState"].as_str().expect("text"));
    for (arguments, state) in [
        (json!({ "message": "Another?" }), first["requestState"].clone()),
        (json!({ "message": "Your name?" }), json!(forged)),
    ] {
        let params =
            json!({ "name": "shop__ask", "arguments": arguments, "requestState": state, "inputResponses": {} });
        assert_eq!(host.request("tools/call", params)["error"]["code"], -32602);
    }
}

#[test]
fn a_missing_answer_is_asked_for_again() {
    let mut host = modern_host("legacy");
    let first = host.call("shop__ask", json!({ "message": "Your name?" }));
    let params = json!({ "name": "shop__ask", "arguments": { "message": "Your name?" },
        "requestState": first["requestState"], "inputResponses": { "something else": {} } });
    let second = host.request("tools/call", params)["result"].clone();
    assert_eq!(second["inputRequests"], first["inputRequests"]);
    assert_ne!(second["requestState"], first["requestState"]);
}

#[test]
fn a_modern_host_and_a_modern_server_settle_it_between_them() {
    let mut host = modern_host("modern");
    let first = host.call("shop__ask", json!({ "message": "Your name?" }));
    assert_eq!((&first["resultType"], &first["requestState"]), (&json!("input_required"), &json!("the server's own")));
    let key = first["inputRequests"].as_object().and_then(|all| all.keys().next()).expect("a question").clone();
    let params = json!({ "name": "shop__ask", "arguments": { "message": "Your name?" },
        "requestState": first["requestState"], "inputResponses": { key: accept("Ada") } });
    assert_eq!(host.request("tools/call", params)["result"]["structuredContent"], json!({ "answer": accept("Ada") }));
}

#[test]
fn a_host_that_cannot_be_asked_is_not_asked() {
    for era in ["legacy", "modern"] {
        let mut host = Test::new().server("shop", fixture(["healthy", "--era", era])).start();
        host.ready(&["shop"]);
        let result = host.call("shop__ask", json!({ "message": "Your name?" }));
        assert!(
            result.to_string().contains("cannot be asked") || result.to_string().contains("cancel"),
            "{era}: {result}"
        );
    }
}

#[test]
fn a_workflow_asks_the_host_that_runs_it() {
    let steps = "steps:\n  - { id: name, tool: shop.ask, args: { message: Who? } }\noutput: $steps.name.output.answer.content.name\n";
    let mut host = Test::new().server("shop", fixture(["healthy"])).workflow("greet", steps).serve();
    host.is_modern = true;
    host.capabilities = capabilities();
    host.ready(&["shop"]);
    let first = host.call("greet", json!({}));
    let key = first["inputRequests"].as_object().and_then(|all| all.keys().next()).expect("a question").clone();
    let params = json!({ "name": "greet", "arguments": {}, "requestState": first["requestState"],
        "inputResponses": { key: accept("Ada") } });
    assert_eq!(host.request("tools/call", params)["result"]["structuredContent"], json!({ "result": "Ada" }));
}

#[test]
fn the_time_limit_of_a_call_stands_still_while_somebody_thinks() {
    let mut host = Test::new().server("shop", fixture(["healthy"]).with("timeout = \"300ms\"\n")).serve();
    let params = json!({
        "protocolVersion": "2025-11-25", "capabilities": capabilities(), "clientInfo": { "name": "test", "version": "1" },
    });
    host.request("initialize", params);
    host.ready(&["shop"]);
    let id = host.send_call("shop__ask", json!({ "message": "Your name?" }));
    let question = host.wait_for("a question", |message| message["method"] == "elicitation/create");
    // Longer than the limit, by other calls that take their time.
    for _ in 0..4 {
        host.value("shop__sleep", json!({ "ms": 200 }));
    }
    host.respond(&question["id"], accept("Ada"));
    assert_eq!(host.answer(id)["result"]["structuredContent"], json!({ "answer": accept("Ada") }));
}

#[test]
fn an_updated_resource_is_told_to_those_who_subscribed() {
    for is_modern in [false, true] {
        let mut host = Test::new().server("shop", fixture(["healthy"])).serve();
        if is_modern {
            host.is_modern = true;
        } else {
            host.initialize();
        }
        host.ready(&["shop"]);
        let uri = host.request("resources/list", json!({}))["result"]["resources"][0]["uri"].clone();
        let filter = json!({ "notifications": { "resourceSubscriptions": [uri] } });
        if is_modern {
            host.send("subscriptions/listen", filter);
            host.wait_for("an acknowledgement", |message| {
                message["method"] == "notifications/subscriptions/acknowledged"
            });
        } else {
            assert_eq!(host.request("resources/subscribe", json!({ "uri": uri }))["result"], json!({}));
        }
        assert!(crate::support::eventually(crate::support::DEADLINE, || host.record("shop", "subscribed")
            == [uri.as_str().unwrap()]));
        host.value("shop__touch", json!({ "uri": uri }));
        let told = host.wait_for("an update", |message| message["method"] == "notifications/resources/updated");
        assert_eq!(told["params"]["uri"], uri);
    }
}
