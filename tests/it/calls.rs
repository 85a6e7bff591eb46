//! Calls pass unchanged in both directions, side by side, and whatever a host does, it is answered.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{DEADLINE, Host, Test, eventually, fixture};

fn north() -> Host {
    let mut host = Test::new().server("north", fixture(["healthy"])).server("south", fixture(["healthy"])).start();
    host.ready(&["north", "south"]);
    host
}

/// The server's result as the host gets it, byte for byte.
fn passed(host: &mut Host, result: &str) -> String {
    let id = host.send_call("north__verbatim", json!({ "result": result }));
    let raw = host.raw_answer(id);
    let at = raw.find(r#""result":"#).unwrap_or_else(|| panic!("no result in {raw}")) + r#""result":"#.len();
    raw[at..raw.len() - 1].to_owned()
}

#[test]
fn a_result_passes_byte_for_byte() {
    let mut host = north();
    for result in [
        r#"{"content":[],"structuredContent":{"z":1,"a":1.0,"m":1e2,"big":12345678901234567890123,"text":"\u00e9\/"}}"#,
        r#"{"content":[{"type":"hologram","depth":3.0,"data":{"b":1,"a":2}}],"vendor":{"kept":true}}"#,
        r#"{"content":[{"type":"text","text":"no"}],"isError":true,"_meta":{"example.com/x":[1,2.50]}}"#,
    ] {
        assert_eq!(passed(&mut host, result), result);
    }
}

#[test]
fn arguments_pass_unchanged() {
    let mut host = north();
    let arguments = r#"{"z":1,"a":1.0,"nested":{"y":[null,true,"é"],"b":-0.5}}"#;
    let line = format!(
        r#"{{"jsonrpc":"2.0","id":"text id","method":"tools/call","params":{{"name":"north__echo","arguments":{arguments}}}}}"#
    );
    host.write(format!("{line}\n").as_bytes());
    let answer = host.wait_for("the answer to a text id", |message| message["id"] == "text id");
    assert_eq!(answer["result"]["content"][0]["text"], arguments);
}

#[test]
fn an_error_of_the_tool_passes_as_a_result() {
    let result = north().call("north__fail", json!({ "message": "the shelf is empty" }));
    assert_eq!(result, json!({ "content": [{ "type": "text", "text": "the shelf is empty" }], "isError": true }));
}

#[test]
fn a_json_rpc_error_passes_with_code_message_and_data() {
    let answer = north().request("tools/call", json!({ "name": "north__rpc_error", "arguments": {} }));
    assert_eq!(answer["error"], json!({ "code": -32050, "message": "the quota is used up", "data": { "left": 0 } }));
}

#[test]
fn progress_comes_in_order_before_the_answer_under_the_hosts_own_token() {
    let mut host = north();
    for token in [json!("mine"), json!(7)] {
        let params =
            json!({ "name": "north__progress", "arguments": { "n": 20 }, "_meta": { "progressToken": token } });
        let id = host.send("tools/call", params);
        host.answer(id);
        let is_of_token = |message: &Value| message["params"]["progressToken"] == token;
        let of_call: Vec<_> =
            host.heard().iter().filter(|heard| is_of_token(&heard.message) || heard.message["id"] == id).collect();
        let last = of_call.last().expect("the answer, at least");
        assert_eq!(last.message["id"], id, "nothing comes after the answer");
        let steps: Vec<_> = of_call.iter().filter_map(|heard| heard.message["params"]["progress"].as_f64()).collect();
        assert_eq!(steps, (1..=20).map(f64::from).collect::<Vec<_>>());
        assert_eq!(of_call[0].message["params"]["total"], 20.0);
        assert_eq!(of_call[0].message["params"]["message"], "step 1");
    }
    host.value("north__progress", json!({ "n": 3 }));
    assert_eq!(host.notifications("notifications/progress").len(), 40, "nobody asked for more");
}

#[test]
fn a_cancelled_call_is_cancelled_at_its_server_and_never_answered() {
    let mut host = north();
    let id = host.send_call("north__sleep", json!({ "ms": 800, "tag": "doomed" }));
    assert!(eventually(DEADLINE, || !host.record("north", "calls").is_empty()));
    host.notify("notifications/cancelled", json!({ "requestId": id, "reason": "enough" }));
    assert!(eventually(Duration::from_secs(4), || host.record("north", "cancelled").len() == 1));
    let told = host.value("north__cancelled", json!({}));
    assert_eq!(told["ids"].as_array().map(Vec::len), Some(1));
    // The server answers all the same, before this call is over.
    host.value("north__sleep", json!({ "ms": 900 }));
    assert!(!host.heard().iter().any(|heard| heard.message["id"] == id), "the cancelled call was answered");
}

#[test]
fn log_messages_say_which_server_they_are_of_and_how_grave_they_are() {
    let mut host = north();
    assert_eq!(host.request("logging/setLevel", json!({ "level": "warning" }))["result"], json!({}));
    host.value("north__log", json!({ "level": "info", "data": "nothing much" }));
    host.value("south__log", json!({ "level": "error", "data": { "why": "smoke" } }));
    let told = host.wait_for("the log message", |message| message["method"] == "notifications/message");
    assert_eq!(told["params"], json!({ "level": "error", "logger": "south/gears", "data": { "why": "smoke" } }));
    assert_eq!(host.notifications("notifications/message").len(), 1);
    assert!(host.request("logging/setLevel", json!({ "level": "loud" }))["error"]["code"].is_i64());
}

#[test]
fn eight_megabytes_of_arguments_and_ten_of_result_arrive_whole() {
    let mut host = north();
    let text = "0123456789abcdef".repeat(512 * 1024);
    let echoed = host.value("north__echo", json!({ "text": text }));
    assert!(echoed["text"] == *text, "the argument has changed");
    let result = host.call("north__big", json!({ "bytes": 10_000_000 }));
    let text = result["content"][0]["text"].as_str().expect("text");
    assert!(text.len() == 10_000_000 && text.bytes().all(|byte| byte == b'x'), "{} bytes", text.len());
}

#[test]
fn a_request_that_is_too_long_is_refused_and_not_dropped_in_silence() {
    let mut host = north();
    let id = host.send_call("north__echo", json!({ "text": "x".repeat(70 << 20) }));
    let answer = host.answer(id);
    assert!(answer["error"]["message"].as_str().is_some_and(|text| text.contains("longer")), "{answer}");
    assert_eq!(host.value("north__echo", json!({ "a": 1 })), json!({ "a": 1 }));
}

#[test]
fn an_unknown_tool_is_refused_with_the_nearest_name() {
    let mut host = north();
    for (wrong, right) in [("north__ecko", "north__echo"), ("run_workflw", "run_workflow")] {
        let answer = host.request("tools/call", json!({ "name": wrong, "arguments": {} }));
        assert_eq!(answer["error"]["code"], -32602);
        let told = answer["error"]["message"].as_str().expect("text");
        assert!(told.contains(&format!("did you mean `{right}`?")), "{told}");
    }
}

#[test]
fn an_unknown_method_and_wrong_parameters_are_refused() {
    let mut host = north();
    assert_eq!(host.request("tools/juggle", json!({}))["error"]["code"], -32601);
    for params in [json!({}), json!({ "name": 5 }), json!({ "name": null, "arguments": [] }), json!([1])] {
        let answer = host.request("tools/call", params.clone());
        assert_eq!(answer["error"]["code"], -32602, "{params}: {answer}");
    }
    let answer = host.request("tools/call", json!({ "name": "north__echo", "arguments": "text" }));
    assert!(answer["error"].is_object() || answer["result"].is_object(), "{answer}");
    assert_eq!(host.value("north__echo", json!({ "a": 1 })), json!({ "a": 1 }));
}

#[test]
fn whatever_a_host_writes_the_next_request_is_answered() {
    let mut host = north();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let lines: [&[u8]; 17] = [
        b"this is not JSON",
        b"\xff\xfe\x80",
        b"",
        b"[]",
        b"[{\"jsonrpc\":\"2.0\",\"id\":900,\"method\":\"ping\"}]",
        b"[[{\"jsonrpc\":\"2.0\",\"id\":905,\"method\":\"ping\"}]]",
        b"42",
        b"null",
        b"{}",
        b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/nobody/knows\",\"params\":[]}",
        b"{\"jsonrpc\":\"2.0\",\"id\":901,\"result\":{}}",
        b"{\"jsonrpc\":\"2.0\",\"id\":902,\"error\":7}",
        b"{\"jsonrpc\":\"1.0\",\"id\":903,\"method\":\"ping\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"ping\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":1.5,\"method\":\"ping\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":{\"a\":1},\"method\":\"tools/list\"}",
        b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":\"nobody\"}}",
    ];
    for line in lines {
        host.write(&[line, b"\n"].concat());
        let text = String::from_utf8_lossy(line).into_owned();
        assert_eq!(host.value("north__echo", json!({ "after": text })), json!({ "after": text }));
    }
    host.write(format!(r#"{{"jsonrpc":"2.0","id":904,"method":"tools/call","params":{deep}}}"#).as_bytes());
    host.write(b"\n");
    host.write(&vec![b'x'; 16 << 20]);
    host.write(b"\n");
    assert_eq!(host.value("north__echo", json!({ "a": 1 })), json!({ "a": 1 }));
}

#[test]
fn a_notification_or_a_request_before_initialize_does_no_harm() {
    let mut host = Test::new().server("north", fixture(["healthy"])).serve();
    host.notify("notifications/initialized", json!({}));
    let early = host.request("tools/list", json!({}));
    assert!(early["error"]["code"].is_i64(), "{early}");
    host.initialize();
    host.ready(&["north"]);
    let again = host.request(
        "initialize",
        json!({
            "protocolVersion": "2099-01-01", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" },
        }),
    );
    assert!(again["result"]["protocolVersion"] != "2099-01-01", "{again}");
    assert_eq!(host.value("north__echo", json!({ "a": 1 })), json!({ "a": 1 }));
}

#[test]
fn a_revision_of_the_future_is_answered_with_one_that_we_speak() {
    let mut host = Test::new().server("north", fixture(["healthy"])).serve();
    let answer = host.request(
        "initialize",
        json!({
            "protocolVersion": "2099-01-01", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" },
        }),
    );
    let version = answer["result"]["protocolVersion"].as_str().expect("a revision");
    assert!(version.starts_with("202") && version != "2099-01-01", "{answer}");
}

#[test]
fn two_requests_with_one_id_are_both_answered() {
    let mut host = north();
    for place in 0..2 {
        let params = json!({ "name": "north__sleep", "arguments": { "ms": 200, "tag": place } });
        let request = json!({ "jsonrpc": "2.0", "id": "same", "method": "tools/call", "params": params });
        host.write(format!("{request}\n").as_bytes());
    }
    let count = |host: &mut Host| host.heard().iter().filter(|heard| heard.message["id"] == "same").count();
    assert!(eventually(DEADLINE, || count(&mut host) == 2));
}

#[test]
fn calls_run_side_by_side() {
    let mut host = north();
    let began = Instant::now();
    let ids: Vec<_> = (0..100).map(|tag| host.send_call("north__sleep", json!({ "ms": 300, "tag": tag }))).collect();
    for (tag, id) in ids.into_iter().enumerate() {
        assert_eq!(host.answer(id)["result"]["structuredContent"]["tag"], tag, "no answer is mixed up");
    }
    assert!(began.elapsed() < Duration::from_secs(4), "100 calls of 0.3 s took {:?}", began.elapsed());
}

#[test]
fn calls_that_hang_hold_up_no_other_server() {
    let settings = "timeout = \"2s\"\nretry = 1\nconcurrency = 8";
    let test = Test::new().server("north", fixture(["healthy"]).with(settings));
    let mut host = test.server("south", fixture(["healthy"])).start();
    host.ready(&["north", "south"]);
    let began = Instant::now();
    let hung: Vec<_> = (0..20).map(|_| host.send_call("north__hang", json!({}))).collect();
    let quick: Vec<_> = (0..100).map(|tag| host.send_call("south__echo", json!({ "tag": tag }))).collect();
    for id in quick {
        assert!(host.answer(id)["result"]["structuredContent"]["tag"].is_u64());
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    for id in hung {
        let answer = host.answer(id);
        assert!(answer["result"]["isError"] == true, "{answer}");
    }
}

#[test]
fn a_second_initialize_is_answered() {
    let mut host = north();
    let again = host.initialize();
    assert!(again["protocolVersion"].is_string(), "{again}");
    assert_eq!(host.value("north__echo", json!({ "a": 1 })), json!({ "a": 1 }));
}
