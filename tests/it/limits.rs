//! Rate limits: calls wait for their turn, or are told at once when to come again.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::host::text;
use crate::support::web::{Manner, Web};
use crate::support::{Test, fixture};

/// Calls the tool at once with the numbers up to `count`; gives back the numbers in the order of their answers.
fn order_of(host: &mut crate::support::Host, tool: &str, count: u64) -> Vec<u64> {
    let ids: Vec<_> = (0..count).map(|n| host.send_call(tool, json!({ "n": n }))).collect();
    for id in &ids {
        host.answer(*id);
    }
    let is_answer = |message: &Value| message["id"].as_u64().is_some_and(|id| ids.contains(&id));
    let answers = host.heard().iter().map(|heard| &heard.message).filter(|message| is_answer(message));
    answers.filter_map(|message| message["result"]["structuredContent"]["n"].as_u64()).collect()
}

#[test]
fn calls_beyond_the_rate_wait_in_order() {
    let mut host = Test::new().server("slow", fixture(["healthy"]).with("rate_limit = \"10/1s\"\n")).start();
    host.ready(&["slow"]);
    let began = Instant::now();
    assert_eq!(order_of(&mut host, "slow__echo", 6), [0, 1, 2, 3, 4, 5]);
    assert!(began.elapsed() >= Duration::from_millis(500), "five turns of 100 ms: {:?}", began.elapsed());
}

#[test]
fn a_burst_goes_at_once() {
    let limit = "rate_limit = { limit = \"1/1h\", burst = 4 }\n";
    let mut host = Test::new().server("slow", fixture(["healthy"]).with(limit)).start();
    host.ready(&["slow"]);
    assert_eq!(order_of(&mut host, "slow__echo", 5).len(), 5);
    let told = host.failure("slow__echo", json!({}));
    assert!(told.contains("MO5114"), "{told}");
}

#[test]
fn a_call_whose_turn_would_come_too_late_is_told_at_once_when_to_come_again() {
    let tools = "[servers.slow.tools.echo]\nrate_limit = \"1/1h\"\n";
    let mut host = Test::new().server("slow", fixture(["healthy"]).with(tools)).start();
    host.ready(&["slow"]);
    host.value("slow__echo", json!({ "n": 1 }));
    let began = Instant::now();
    let refused = host.call("slow__echo", json!({ "n": 2 }));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let error = &refused["structuredContent"]["error"];
    assert_eq!((&error["code"], &error["kind"]), (&json!("MO5114"), &json!("rate_limited")), "{}", text(&refused));
    assert!(error["retry_after_ms"].as_u64().is_some_and(|wait| (3_500_000..=3_600_000).contains(&wait)), "{error}");
    host.value("slow__pid", json!({}));
    assert_eq!(host.record("slow", "calls"), ["echo", "pid"], "another tool has no limit, and nothing else was sent");
}

#[test]
fn each_caller_has_a_limit_of_its_own_if_it_says_so() {
    let limit = "rate_limit = { limit = \"1/1h\", per = \"caller\" }\n";
    let mut host = Test::new().server("slow", fixture(["healthy"]).with(limit)).start_modern();
    host.ready(&["slow"]);
    host.value("slow__echo", json!({ "n": 1 }));
    assert!(host.failure("slow__echo", json!({ "n": 2 })).contains("MO5114"));
    // Of the modern era, each request says who asks.
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "another", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({ "name": "slow__echo", "arguments": { "n": 3 }, "_meta": meta });
    host.write(
        format!("{}\n", json!({ "jsonrpc": "2.0", "id": 900, "method": "tools/call", "params": params })).as_bytes(),
    );
    assert_eq!(host.answer(900)["result"]["structuredContent"]["n"], 3);
}

#[test]
fn a_server_that_says_when_to_come_again_is_called_by_nobody_before() {
    let web = Web::start(Manner::Busy(3_600));
    let mut host = Test::new().registry(&web.entry("web")).start();
    host.ready(&["web"]);
    let first = host.failure("web__echo", json!({}));
    assert!(first.contains("429"), "{first}");
    let second = host.failure("web__echo", json!({}));
    assert!(second.contains("MO5114") && second.contains("asked not to be called"), "{second}");
    assert_eq!(web.calls(), 1);
}

#[test]
fn a_rate_that_is_none_is_a_problem_of_the_file() {
    let test = Test::new().registry("[servers.one]\ncommand = \"x\"\nrate_limit = \"fast\"\n");
    let done = test.run(&["check"]);
    assert!(done.code == 2 && (done.stdout + &done.stderr).contains("is no rate"), "{}", done.code);
}

#[test]
fn calls_of_a_limited_tool_do_not_bunch_behind_the_limit_of_their_server() {
    let limits = "rate_limit = \"10/1s\"\n[servers.slow.tools.echo]\nrate_limit = \"2/1s\"\n";
    let mut host = Test::new().server("slow", fixture(["healthy"]).with(limits)).start();
    host.ready(&["slow"]);
    // More than a second's worth of the server's turns come first.
    for _ in 0..13 {
        host.send_call("slow__pid", json!({}));
    }
    let ids: Vec<_> = (0..3).map(|n| host.send_call("slow__echo", json!({ "n": n }))).collect();
    let times: Vec<_> = ids.into_iter().map(|id| host.timed_answer(id).1).collect();
    for pair in times.windows(2) {
        let apart = pair[1].duration_since(pair[0]);
        assert!(apart > Duration::from_millis(400), "{apart:?} between two calls of twice a second");
    }
}
