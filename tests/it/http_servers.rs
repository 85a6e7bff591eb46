//! Servers over Streamable HTTP: both eras, and what goes wrong with them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::web::{Manner, Web};
use crate::support::web_faults::Wrong;
use crate::support::{Host, Test, fixture};

fn beside_a_good_one(web: &Web) -> Host {
    let mut host = Test::new().registry(&web.entry("web")).server("good", fixture(["healthy"])).start();
    host.ready(&["good"]);
    host
}

fn echo(host: &mut Host) -> Value {
    host.call("web__echo", json!({ "text": "hello" }))
}

#[test]
fn a_server_of_either_era_is_called_and_its_result_passes_unchanged() {
    for (manner, odd) in
        [(Manner::Legacy, json!([1.0])), (Manner::Streaming, json!([1.0])), (Manner::Modern, Value::Null)]
    {
        let web = Web::start(manner);
        let mut host = beside_a_good_one(&web);
        let result = echo(&mut host);
        assert_eq!(result["structuredContent"], json!({ "given": { "text": "hello" } }), "{manner:?}");
        assert_eq!(result["odd"], odd, "{manner:?}");
    }
}

#[test]
fn progress_on_an_event_stream_reaches_the_host() {
    let web = Web::start(Manner::Streaming);
    let mut host = beside_a_good_one(&web);
    let params = json!({ "name": "web__echo", "arguments": {}, "_meta": { "progressToken": "mine" } });
    let id = host.send("tools/call", params);
    let progress = host.wait_for("progress", |message| message["method"] == "notifications/progress");
    assert_eq!(progress["params"], json!({ "progressToken": "mine", "progress": 1.0, "total": 2.0 }));
    assert!(host.answer(id)["result"].is_object());
}

#[test]
fn an_argument_that_a_tool_wants_in_a_header_is_there_after_a_second_look_at_its_schema() {
    let web = Web::start(Manner::Annotated);
    let mut host = beside_a_good_one(&web);
    for _ in 0..2 {
        let result = host.call("web__echo", json!({ "region": "größe" }));
        assert_eq!(result["structuredContent"], json!({ "given": { "region": "größe" } }), "{result}");
    }
    let calls = web.arrived().iter().filter(|request| request.body["method"] == "tools/call").count();
    assert_eq!(calls, 3, "only the first is refused, and made again");
}

#[test]
fn a_tool_that_wants_impossible_headers_is_left_out_and_the_others_stay() {
    let web = Web::start(Manner::Annotated);
    let mut host = beside_a_good_one(&web);
    let tools = host.request("tools/list", json!({}))["result"]["tools"].to_string();
    assert!(tools.contains("web__echo") && !tools.contains("web__broken"), "{tools}");
    assert!(host.stderr().contains("left out: tool `broken`"), "{}", host.stderr());
}

#[test]
fn an_event_stream_that_ends_early_is_resumed_no_sooner_than_the_server_says() {
    let web = Web::start(Manner::Resumed);
    let mut host = beside_a_good_one(&web);
    let began = Instant::now();
    assert_eq!(echo(&mut host)["structuredContent"], json!({ "given": "the rest" }));
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    let arrived = web.arrived();
    let rest = arrived.iter().find(|request| request.headers.contains("last-event-id: here")).expect("it came back");
    assert!(rest.headers.contains("mcp-session-id: session-1"), "{}", rest.headers);
}

#[test]
fn a_stream_that_never_goes_on_is_an_error_and_the_call_is_not_repeated() {
    let web = Web::start(Manner::Unresumed);
    let failure = beside_a_good_one(&web).failure("web__echo", json!({}));
    assert!(failure.contains("broke off"), "{failure}");
    assert_eq!(web.arrived().iter().filter(|request| request.body["method"] == "tools/call").count(), 1);
}

#[test]
fn an_old_server_that_answers_anything_with_something_is_taken_for_an_old_one() {
    let web = Web::start(Manner::Vague);
    assert_eq!(echo(&mut beside_a_good_one(&web))["structuredContent"]["given"]["text"], "hello");
}

#[test]
fn a_question_on_the_stream_of_no_request_reaches_the_host_whose_call_waits() {
    let web = Web::start(Manner::Asks);
    let mut host = Test::new().registry(&web.entry("web")).serve();
    let params = json!({
        "protocolVersion": "2025-11-25", "capabilities": { "elicitation": {} }, "clientInfo": { "name": "test", "version": "1" },
    });
    host.request("initialize", params);
    host.notify("notifications/initialized", json!({}));
    host.ready(&["web"]);
    let call = host.send_call("web__echo", json!({}));
    let question = host.wait_for("a question", |message| message["method"] == "elicitation/create");
    assert_eq!((&question["params"]["message"], &question["params"]["odd"]), (&json!("[web] Your name?"), &json!(1.0)));
    host.respond(&question["id"], json!({ "action": "accept", "content": {} }));
    let told = json!({ "told": { "action": "accept", "content": {} } });
    assert_eq!(host.answer(call)["result"]["structuredContent"], told);
}

#[test]
fn configured_headers_arrive_and_the_session_is_kept() {
    let web = Web::start(Manner::Legacy);
    let entry = format!("{}headers = {{ Authorization = \"Bearer ${{TOKEN}}\" }}\n", web.entry("web"));
    let mut host = Test::new().env("TOKEN", "sesame").registry(&entry).start();
    host.ready(&["web"]);
    echo(&mut host);
    let arrived = web.arrived();
    let call = arrived.iter().find(|request| request.body["method"] == "tools/call").expect("the call arrived");
    assert!(
        call.headers.contains("authorization: Bearer sesame") && call.headers.contains("mcp-session-id: session-1")
    );
}

#[test]
fn a_refusing_server_is_named_with_its_status_and_the_others_work() {
    for (status, code) in [(401, "MO5109"), (403, "MO5109"), (404, "MO5"), (500, "MO5101"), (502, "MO5101")] {
        let web = Web::start(Manner::Status(status));
        let mut host = beside_a_good_one(&web);
        let failure = host.failure("web__echo", json!({}));
        assert!(
            failure.contains("web") && failure.contains(code) && failure.contains(&status.to_string()),
            "{failure}"
        );
        assert_eq!(host.value("good__echo", json!({ "n": 1 })), json!({ "n": 1 }));
    }
}

#[test]
fn a_call_that_fails_at_the_server_is_told_with_its_status() {
    let web = Web::start(Manner::FailsCalls);
    let failure = beside_a_good_one(&web).failure("web__echo", json!({}));
    assert!(failure.contains("500") && failure.contains("out of paper"), "{failure}");
}

#[test]
fn an_answer_that_breaks_off_is_an_error_and_the_call_is_not_repeated() {
    let web = Web::start(Manner::Calls(Wrong::ShortBody));
    let failure = beside_a_good_one(&web).failure("web__echo", json!({}));
    assert!(failure.contains("broke off"), "{failure}");
    assert_eq!(web.arrived().iter().filter(|request| request.body["method"] == "tools/call").count(), 1);
}

#[test]
fn a_server_that_comes_up_later_heals() {
    let web = Web::start(Manner::FailsTwice);
    let mut host = beside_a_good_one(&web);
    host.ready(&["good", "web"]);
    assert_eq!(echo(&mut host)["structuredContent"]["given"]["text"], "hello");
}

#[test]
fn a_forgotten_session_is_opened_anew() {
    let web = Web::start(Manner::Forgetful);
    let mut host = beside_a_good_one(&web);
    echo(&mut host);
    let lost = host.call("web__echo", json!({}));
    assert!(
        lost["isError"] != true || lost["content"][0]["text"].as_str().is_some_and(|text| text.contains("404")),
        "{lost}"
    );
    assert_eq!(echo(&mut host)["structuredContent"]["given"]["text"], "hello");
}

#[test]
fn a_redirect_takes_neither_the_call_nor_the_credentials_elsewhere() {
    let elsewhere = Web::start(Manner::Legacy);
    let web = Web::start(Manner::Redirects(elsewhere.port));
    let entry = format!("{}headers = {{ X-Api-Key = \"sesame\" }}\n", web.entry("web"));
    let mut host = Test::new().registry(&entry).start();
    host.failure("web__echo", json!({}));
    assert!(elsewhere.arrived().is_empty(), "{:?}", elsewhere.arrived());
}

#[test]
fn a_secret_in_a_url_is_in_no_error() {
    let entry = "[servers.web]\nurl = \"http://127.0.0.1:1/mcp?api_key=hunter2\"\n";
    let mut host = Test::new().registry(entry).start();
    let failure = host.failure("web__echo", json!({}));
    let status = host.call("orchestrator_status", json!({})).to_string();
    assert!(
        !failure.contains("hunter2") && !status.contains("hunter2") && !host.stderr().contains("hunter2"),
        "{failure}"
    );
}
