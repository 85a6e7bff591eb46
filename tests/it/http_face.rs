//! Hosts over HTTP: both eras at one endpoint, and who is kept out.

use serde_json::json;

use crate::support::face::{Face, MODERN, initialize, modern, request};
use crate::support::{DEADLINE, Test, fixture};

#[test]
fn an_old_host_has_a_session_from_beginning_to_end() {
    let face = Face::open();
    let session = face.initialize();
    assert!(session.len() >= 32);
    let headers = [("Mcp-Session-Id", session.as_str()), ("MCP-Protocol-Version", "2025-11-25")];
    assert_eq!(face.post(&headers, &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).status, 202);
    let call = request("tools/call", json!({ "name": "shop__echo", "arguments": { "n": 1 } }));
    assert_eq!(face.post(&headers, &call).json()["result"]["structuredContent"], json!({ "n": 1 }));
    assert_eq!(face.ask("DELETE", &headers, "").status, 200);
    assert_eq!(face.post(&headers, &call).status, 404, "the session is over");
    assert_eq!(face.post(&[], &call).status, 400, "there is none");
    assert_eq!(face.post(&[("Mcp-Session-Id", "00000000-0000-4000-8000-000000000000")], &call).status, 404);
}

#[test]
fn progress_turns_the_answer_into_a_stream_that_ends_with_the_answer() {
    let face = Face::open();
    let session = face.initialize();
    let call = request(
        "tools/call",
        json!({
            "name": "shop__progress", "arguments": { "n": 3 }, "_meta": { "progressToken": "mine" },
        }),
    );
    let response = face.post(&[("Mcp-Session-Id", &session)], &call);
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    assert_eq!(response.body.matches("notifications/progress").count(), 3, "{}", response.body);
    assert_eq!(response.json()["result"]["structuredContent"], json!({ "done": 3 }));
}

#[test]
fn a_modern_host_needs_no_session_but_the_right_headers() {
    let face = Face::open();
    let call = modern("tools/call", json!({ "name": "shop__echo", "arguments": { "n": 1 } }));
    let headers = [MODERN, ("Mcp-Method", "tools/call"), ("Mcp-Name", "shop__echo")];
    let answer = face.post(&headers, &call).json();
    assert_eq!(answer["result"]["structuredContent"], json!({ "n": 1 }));
    assert_eq!(answer["result"]["resultType"], "complete");
    for wrong in
        [vec![MODERN, headers[1]], vec![MODERN, ("Mcp-Method", "tools/list"), headers[2]], vec![headers[1], headers[2]]]
    {
        let refused = face.post(&wrong, &call);
        assert_eq!((refused.status, refused.json()["error"]["code"].clone()), (400, json!(-32020)), "{wrong:?}");
    }
    let unknown = face.post(&[MODERN, ("Mcp-Method", "no/such")], &modern("no/such", json!({})));
    assert_eq!((unknown.status, unknown.json()["error"]["code"].clone()), (404, json!(-32601)));
    assert_eq!(face.ask("GET", &[MODERN], "").status, 405);
}

#[test]
fn who_hangs_up_on_a_modern_call_has_cancelled_it() {
    let face = Face::open();
    let call = modern("tools/call", json!({ "name": "shop__hang", "arguments": {} }));
    let stream =
        face.send("POST", &[MODERN, ("Mcp-Method", "tools/call"), ("Mcp-Name", "shop__hang")], &call.to_string());
    let asked = |tool: &str| {
        let call = modern("tools/call", json!({ "name": format!("shop__{tool}"), "arguments": {} }));
        let name = format!("shop__{tool}");
        face.post(&[MODERN, ("Mcp-Method", "tools/call"), ("Mcp-Name", &name)], &call).json()["result"]["structuredContent"].clone()
    };
    asked("echo");
    drop(stream);
    let is_cancelled = || asked("cancelled")["ids"].as_array().is_some_and(|ids| !ids.is_empty());
    assert!(crate::support::eventually(DEADLINE, is_cancelled), "the server was not told");
}

#[test]
fn foreign_pages_and_rebound_names_are_kept_out() {
    let face = Face::open();
    for (name, value) in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://127.0.0.1.evil.example"),
        ("Host", "evil.example"),
        ("Host", "127.0.0.1.evil.example"),
    ] {
        assert_eq!(face.post(&[(name, value)], &initialize()).status, 403, "{name}: {value}");
    }
    assert_eq!(face.post(&[("Origin", "http://localhost:3000")], &initialize()).status, 200);
}

#[test]
fn a_token_is_made_once_and_demanded() {
    let face = Face::start(&[]);
    let token = face.token.clone().expect("it is shown when it is made");
    assert!(token.len() >= 32);
    let response = face.post(&[], &initialize());
    assert_eq!((response.status, response.header("www-authenticate")), (401, Some("bearer")));
    assert_eq!(face.post(&[("Authorization", "Bearer wrong")], &initialize()).status, 401);
    assert_eq!(face.post(&[("Authorization", &format!("Bearer {token}"))], &initialize()).status, 200);
}

#[test]
fn a_body_that_is_too_large_or_no_json_is_refused() {
    let face = Face::open();
    assert_eq!(face.ask("POST", &[], "hello").status, 400);
    assert_eq!(face.ask("POST", &[], "[]").status, 400);
    assert_eq!(face.post(&[], &initialize()).status, 200, "and it goes on");
}

#[test]
fn an_open_address_without_a_token_is_refused() {
    let done = Test::new().server("shop", fixture(["healthy"])).run(&["serve", "--http", "0.0.0.0:0", "--no-auth"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("refusing to serve 0.0.0.0:0 without a token"), "{}", done.stderr);
}

#[test]
fn each_profile_has_an_endpoint_of_its_own() {
    let profile = "[profiles.small]\ntools = { allow = [\"shop__echo\"] }\n";
    let test = Test::new().registry(profile).server("shop", fixture(["healthy"]));
    let mut face = Face::of(test, &["--no-auth"]);
    let session = face.initialize();
    face.path = "/mcp/p/small";
    let small = face.initialize();
    let list = request("tools/list", json!({}));
    let tools = face.post(&[("Mcp-Session-Id", &small)], &list).json()["result"]["tools"].clone();
    assert_eq!(tools.as_array().map(Vec::len), Some(1), "{tools}");
    let call = modern("tools/call", json!({ "name": "shop__env", "arguments": {} }));
    let headers = [MODERN, ("Mcp-Method", "tools/call"), ("Mcp-Name", "shop__env")];
    assert_eq!(face.post(&headers, &call).json()["error"]["code"], -32602);
    assert_eq!(face.post(&[("Mcp-Session-Id", &session)], &list).status, 404, "that session sees more");
    face.path = "/mcp/p/other";
    assert_eq!(face.post(&[], &initialize()).status, 404);
}

#[test]
fn who_serves_one_profile_serves_no_other() {
    let profiles = "[profiles.small]\ntools = { allow = [\"shop__echo\"] }\n[profiles.all]\n";
    let test = Test::new().registry(profiles).server("shop", fixture(["healthy"]));
    let mut face = Face::of(test, &["--no-auth", "--profile", "small"]);
    let session = face.initialize();
    let tools = face.post(&[("Mcp-Session-Id", &session)], &request("tools/list", json!({})));
    assert_eq!(tools.json()["result"]["tools"].as_array().map(Vec::len), Some(1));
    face.path = "/mcp/p/all";
    assert_eq!(face.post(&[], &initialize()).status, 404);
}
