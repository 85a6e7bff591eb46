//! What becomes of the calls of hosts when the program is told to end.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::face::{Face, MODERN, Response, modern, request};
use crate::support::{DEADLINE, Host, Test, eventually, fixture};

fn with_grace(grace: &str) -> Test {
    Test::new()
        .registry(&format!("[orchestrator]\nshutdown_grace = \"{grace}\"\n"))
        .server("north", fixture(["healthy"]))
}

fn code(result: &Value) -> Value {
    result["structuredContent"]["error"]["code"].clone()
}

fn has_arrived(host: &Host, calls: usize) -> bool {
    eventually(DEADLINE, || host.record("north", "calls").len() == calls)
}

#[test]
fn a_call_that_ends_within_the_grace_is_answered_and_no_other_begins() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut host = with_grace("15s").start();
        host.ready(&["north"]);
        let asked = host.send_call("north__sleep", json!({ "ms": 1500 }));
        assert!(has_arrived(&host, 1));
        host.signal(signal);
        let mut refused = Value::Null;
        assert!(eventually(DEADLINE, || {
            refused = host.call("north__echo", json!({}));
            code(&refused) == "MO5301"
        }));
        assert_eq!(refused["structuredContent"]["error"]["retryable"], true, "{refused}");
        assert!(
            host.call("orchestrator_status", json!({}))["isError"].is_null(),
            "what goes on may still be looked at"
        );
        let answer = host.answer(asked);
        assert_eq!(answer["result"]["structuredContent"]["slept"], 1500, "{answer}");
        assert!(host.ended(DEADLINE).is_some_and(|status| status.success()), "{}", host.stderr());
        host.leaves_nothing(Duration::from_secs(5));
    }
}

#[test]
fn a_call_that_takes_longer_than_the_grace_is_told_so() {
    let mut host = with_grace("300ms").start();
    host.ready(&["north"]);
    let asked: Vec<_> = (0..3).map(|_| host.send_call("north__hang", json!({}))).collect();
    assert!(has_arrived(&host, 3));
    host.signal(Signal::TERM);
    for id in asked {
        let answer = host.answer(id);
        assert_eq!(code(&answer["result"]), "MO5301", "{answer}");
        let told = answer["result"]["content"][0]["text"].as_str().unwrap_or_default();
        assert!(told.contains("shutdown_grace") && told.contains("may have happened"), "{told}");
    }
    assert!(host.ended(DEADLINE).is_some_and(|status| status.success()), "{}", host.stderr());
}

/// A call of either era, by the tool's own name.
fn send(face: &Face, session: Option<&str>, tool: &str, arguments: &Value) -> std::net::TcpStream {
    let name = format!("north__{tool}");
    let params = json!({ "name": name, "arguments": arguments });
    if let Some(id) = session {
        return face.send("POST", &[("Mcp-Session-Id", id)], &request("tools/call", params).to_string());
    }
    let headers = [MODERN, ("Mcp-Method", "tools/call"), ("Mcp-Name", name.as_str())];
    face.send("POST", &headers, &modern("tools/call", params).to_string())
}

/// A program over HTTP that has heard of two calls, of an old host and a modern one, and is told to end then.
fn told_to_end(grace: &str, tool: &str, arguments: &Value) -> (Face, String, [std::net::TcpStream; 2]) {
    let face = Face::of(with_grace(grace), &["--no-auth"]);
    let session = face.initialize();
    let calls = [Some(session.as_str()), None].map(|session| send(&face, session, tool, arguments));
    assert!(eventually(DEADLINE, || face.record("north", "calls").len() == 2));
    face.signal(Signal::TERM);
    (face, session, calls)
}

#[test]
fn over_http_a_call_that_ends_within_the_grace_is_answered_and_no_other_begins() {
    let (mut face, session, calls) = told_to_end("15s", "sleep", &json!({ "ms": 1500 }));
    for session in [Some(session.as_str()), None] {
        let refused = || code(&Response::of(send(&face, session, "echo", &json!({}))).json()["result"]) == "MO5301";
        assert!(eventually(DEADLINE, refused));
    }
    for call in calls {
        assert_eq!(Response::of(call).json()["result"]["structuredContent"]["slept"], 1500);
    }
    assert!(face.ends_well());
}

#[test]
fn over_http_a_call_that_takes_longer_than_the_grace_is_told_so() {
    let (mut face, _, calls) = told_to_end("300ms", "hang", &json!({}));
    for call in calls {
        let answer = Response::of(call);
        assert_eq!((answer.status, code(&answer.json()["result"])), (200, json!("MO5301")), "{}", answer.body);
    }
    assert!(face.ends_well());
}
