//! Servers over HTTP+SSE and behind Unix sockets are like any other; and what goes wrong on these ways.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::stream::{EventServer, Manner};
use crate::support::web::{self, Web};
use crate::support::{DEADLINE, Host, Test, eventually, fixture, sockets};

/// The server `old` over HTTP+SSE, and a good one beside it.
fn beside_a_good_one(manner: Manner) -> (EventServer, Host) {
    let test = Test::new();
    let server = EventServer::start(manner, test.home(), "old");
    let mut host = test.registry(&server.entry("old")).server("good", fixture(["healthy"])).start();
    host.ready(&["good"]);
    (server, host)
}

/// Introduces a host that can be asked.
fn introduce(host: &mut Host) {
    let params = json!({
        "protocolVersion": "2025-11-25", "capabilities": { "elicitation": { "form": {} } },
        "clientInfo": { "name": "test", "version": "1" },
    });
    host.request("initialize", params);
    host.notify("notifications/initialized", json!({}));
}

fn is_asked_and_told(host: &mut Host, server: &str) {
    let id = host.send_call(&format!("{server}__ask"), json!({ "message": "Your name?" }));
    let question = host.wait_for("a question", |message| message["method"] == "elicitation/create");
    let answer = json!({ "action": "accept", "content": { "name": "Ada" } });
    host.respond(&question["id"], answer.clone());
    assert_eq!(host.answer(id)["result"]["structuredContent"], json!({ "answer": answer }));
}

fn reports_progress(host: &mut Host, server: &str) {
    let arguments = json!({ "n": 3 });
    let params =
        json!({ "name": format!("{server}__progress"), "arguments": arguments, "_meta": { "progressToken": "mine" } });
    let id = host.send("tools/call", params);
    assert_eq!(host.answer(id)["result"]["structuredContent"], json!({ "done": 3 }));
    let steps: Vec<_> = host.notifications("notifications/progress");
    let messages: Vec<_> = steps.iter().map(|step| step["message"].clone()).collect();
    assert_eq!(messages, ["step 1", "step 2", "step 3"]);
}

fn forwards_cancellation(host: &mut Host, server: &str) {
    let id = host.send_call(&format!("{server}__hang"), json!({}));
    assert!(eventually(DEADLINE, || host.record(server, "calls").iter().any(|call| call == "hang")));
    host.notify("notifications/cancelled", json!({ "requestId": id }));
    assert!(eventually(DEADLINE, || host.record(server, "cancelled").len() == 1), "the server was not told");
}

fn comes_back_after_a_crash(host: &mut Host, server: &str, reason: &str) {
    let failure = host.failure(&format!("{server}__crash"), json!({}));
    assert!(failure.contains(server) && failure.contains(reason), "{failure}");
    assert_eq!(host.value(&format!("{server}__echo"), json!({ "n": 2 })), json!({ "n": 2 }));
    assert_eq!(host.record(server, "starts").len(), 2);
}

#[test]
fn an_event_stream_carries_calls_progress_questions_and_cancellation() {
    for manner in [Manner::Good, Manner::Absolute, Manner::Holds] {
        let test = Test::new();
        let server = EventServer::start(manner, test.home(), "old");
        let mut host = test.registry(&server.entry("old")).serve();
        introduce(&mut host);
        host.ready(&["old"]);
        assert_eq!(host.value("old__echo", json!({ "text": "hello" })), json!({ "text": "hello" }), "{manner:?}");
        reports_progress(&mut host, "old");
        is_asked_and_told(&mut host, "old");
        forwards_cancellation(&mut host, "old");
        assert_eq!(host.record("old", "starts").len(), 1, "{manner:?}: it was one session\n{}", host.stderr());
    }
}

#[test]
fn a_server_is_connected_to_again_when_its_event_stream_ends() {
    let (_server, mut host) = beside_a_good_one(Manner::Good);
    host.ready(&["old"]);
    comes_back_after_a_crash(&mut host, "old", "ended its event stream");
}

#[test]
fn headers_go_with_the_event_stream_and_with_every_message() {
    let test = Test::new();
    let server = EventServer::start(Manner::Good, test.home(), "old");
    let entry = format!("{}headers = {{ Authorization = \"Bearer ${{TOKEN}}\" }}\n", server.entry("old"));
    let mut host = test.env("TOKEN", "sesame").registry(&entry).start();
    host.ready(&["old"]);
    host.value("old__echo", json!({}));
    let all = [server.headers("GET"), server.headers("POST")].concat();
    assert!(all.len() > 4 && all.iter().all(|headers| headers.contains("authorization: Bearer sesame")), "{all:?}");
}

#[test]
fn messages_are_not_posted_to_another_origin() {
    let elsewhere = Web::start(web::Manner::Legacy);
    let (_server, mut host) = beside_a_good_one(Manner::Foreign(elsewhere.port));
    let failure = host.failure("old__echo", json!({}));
    assert!(failure.contains("another origin") && failure.contains(&elsewhere.port.to_string()), "{failure}");
    assert!(elsewhere.arrived().is_empty(), "{:?}", elsewhere.arrived());
    assert_eq!(host.value("good__echo", json!({ "n": 1 })), json!({ "n": 1 }));
}

#[test]
fn an_event_stream_that_cannot_be_opened_says_why() {
    for (manner, code, reason) in [
        (Manner::Status(401), "MO5109", "401"),
        (Manner::Status(403), "MO5109", "403"),
        (Manner::Status(307), "MO5101", "307"),
        (Manner::Status(405), "MO5101", "Streamable HTTP"),
        (Manner::Status(503), "MO5101", "503"),
        (Manner::Page, "MO5101", "text/html"),
        (Manner::Ends, "MO5107", "ended before"),
        (Manner::Hasty, "MO5107", "does not begin"),
    ] {
        let (_server, mut host) = beside_a_good_one(manner);
        let failure = host.failure("old__echo", json!({}));
        assert!(failure.contains("old") && failure.contains(code) && failure.contains(reason), "{manner:?}: {failure}");
        let status = host.call("orchestrator_status", json!({})).to_string();
        assert!(!failure.contains("hunter2") && !status.contains("hunter2"), "{status}");
        assert_eq!(host.value("good__echo", json!({ "n": 1 })), json!({ "n": 1 }));
    }
}

#[test]
fn a_refused_connection_is_named_and_the_fallback_answers() {
    let entry = "[servers.old]\ntype = \"sse\"\nurl = \"http://127.0.0.1:1/sse?key=hunter2\"\n";
    let mut host = Test::new().registry(entry).start();
    let failure = host.failure("old__echo", json!({}));
    assert!(failure.contains("refused") && !failure.contains("hunter2"), "{failure}");

    let (_server, mut host) = {
        let test = Test::new();
        let server = EventServer::start(Manner::Rejects(503), test.home(), "old");
        let entry = format!("{}fallback = [\"good\"]\n", server.entry("old"));
        let mut host = test.registry(&entry).server("good", fixture(["healthy"])).start();
        host.ready(&["old", "good"]);
        (server, host)
    };
    assert_eq!(host.value("old__echo", json!({ "n": 1 })), json!({ "n": 1 }));
    assert_eq!(host.record("good", "calls"), ["echo"]);
}

#[test]
fn a_call_that_cannot_be_posted_fails_at_once_and_is_not_repeated() {
    for (manner, code, reason) in [
        (Manner::Rejects(500), "MO5101", "out of paper"),
        (Manner::Rejects(401), "MO5109", "401"),
        (Manner::Rejects(400), "MO5107", "400"),
        (Manner::HangsUp, "MO5101", "connection"),
    ] {
        let (server, mut host) = beside_a_good_one(manner);
        host.ready(&["old"]);
        let began = Instant::now();
        let failure = host.failure("old__write", json!({}));
        assert!(failure.contains(code) && failure.contains(reason), "{manner:?}: {failure}");
        assert!(began.elapsed() < Duration::from_secs(10), "{manner:?}: it waited for {:?}", began.elapsed());
        assert_eq!(server.calls(), 1, "{manner:?}");
        assert!(host.tools().iter().any(|tool| tool == "old__echo"), "{manner:?}: the session goes on");
    }
}

#[test]
fn a_forgotten_session_is_opened_anew() {
    let (_server, mut host) = beside_a_good_one(Manner::Rejects(404));
    host.ready(&["old"]);
    let failure = host.failure("old__write", json!({}));
    assert!(failure.contains("404"), "{failure}");
    assert!(eventually(DEADLINE, || host.record("old", "starts").len() > 1), "{}", host.stderr());
}

#[test]
fn a_socket_carries_calls_progress_questions_and_cancellation() {
    for era in ["legacy", "modern"] {
        let test = Test::new();
        let (path, record) = (test.home().join("x.sock"), test.home().join("bare"));
        sockets::lines(&path, &["healthy", "--era", era, "--record", &record.to_string_lossy()]);
        let mut host = test.registry(&format!("[servers.bare]\nurl = \"unix://{}\"\n", path.display())).serve();
        introduce(&mut host);
        host.ready(&["bare"]);
        assert_eq!(host.value("bare__echo", json!({ "text": "hello" })), json!({ "text": "hello" }), "{era}");
        reports_progress(&mut host, "bare");
        is_asked_and_told(&mut host, "bare");
        forwards_cancellation(&mut host, "bare");
        comes_back_after_a_crash(&mut host, "bare", "closed the connection");
    }
}

#[test]
fn http_is_spoken_over_a_socket() {
    let web = Web::start(web::Manner::Streaming);
    let test = Test::new();
    let path = test.home().join("x.sock");
    sockets::relay(&path, web.port);
    let old = EventServer::start(Manner::Good, test.home(), "old");
    let old_path = test.home().join("old.sock");
    sockets::relay(&old_path, old.port);
    let encoded = path.to_string_lossy().replace('/', "%2F");
    let registry = format!(
        "[servers.web]\nurl = \"http+unix://{encoded}/mcp\"\nheaders = {{ X-Key = \"1\" }}\n\
         [servers.code]\ntype = \"http\"\nurl = \"unix://{}#/mcp\"\n\
         [servers.old]\ntype = \"sse\"\nurl = \"unix://{}#/sse\"\n",
        path.display(),
        old_path.display()
    );
    let mut host = test.registry(&registry).start();
    host.ready(&["web", "code", "old"]);
    for server in ["web", "code"] {
        let given = host.value(&format!("{server}__echo"), json!({ "n": 1 }));
        assert_eq!(given, json!({ "given": { "n": 1 } }), "{server}");
    }
    assert_eq!(host.value("old__echo", json!({ "n": 1 })), json!({ "n": 1 }));
    let arrived = web.arrived();
    assert!(arrived.iter().all(|request| request.headers.contains("host: localhost") && request.path == "/mcp"));
    assert!(arrived.iter().any(|request| request.headers.contains("x-key: 1")), "{arrived:?}");
}

#[test]
fn a_missing_socket_is_named_and_tried_again() {
    let web = Web::start(web::Manner::Legacy);
    let test = Test::new();
    let (bare, http) = (test.home().join("bare.sock"), test.home().join("http.sock"));
    let encoded = http.to_string_lossy().replace('/', "%2F");
    let registry = format!(
        "[servers.bare]\nurl = \"unix://{}\"\n[servers.http]\nurl = \"http+unix://{encoded}/mcp\"\n",
        bare.display()
    );
    let mut host = test.registry(&registry).start();
    for (server, path) in [("bare", &bare), ("http", &http)] {
        let failure = host.failure(&format!("{server}__echo"), json!({}));
        assert!(
            failure.contains("MO5101")
                && failure.contains(&*path.to_string_lossy())
                && failure.contains("No such file"),
            "{failure}"
        );
    }
    sockets::lines(&bare, &["healthy"]);
    sockets::relay(&http, web.port);
    host.ready(&["bare", "http"]);
    assert_eq!(host.value("bare__echo", json!({ "n": 1 })), json!({ "n": 1 }));
}

#[test]
fn a_socket_that_nobody_listens_at_is_named() {
    let test = Test::new();
    let path = test.home().join("left.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a free path"));
    let mut host = test.registry(&format!("[servers.bare]\nurl = \"unix://{}\"\n", path.display())).start();
    let failure = host.failure("bare__echo", json!({}));
    assert!(failure.contains("nobody listens") && failure.contains("left.sock"), "{failure}");
}

#[test]
fn a_server_of_vs_code_is_reached_over_its_socket() {
    let web = Web::start(web::Manner::Legacy);
    let test = Test::new();
    let path = test.home().join("x.sock");
    sockets::relay(&path, web.port);
    let entry: Value = json!({ "type": "http", "url": format!("unix://{}#/mcp", path.display()) });
    let test = test.file("mcp.json", &json!({ "servers": { "web": entry } }).to_string());
    let done = test.run(&["--registry", "mcp.json", "tools", "-o", "json"]);
    assert!(done.code == 0 && done.stdout.contains("web__echo"), "{}{}", done.stdout, done.stderr);
}
