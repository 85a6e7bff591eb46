//! One answer for several calls: kept from earlier ones, or shared by those that are made at once.
#![expect(clippy::needless_pass_by_value, reason = "values that are written out in place read better in a test")]

use serde_json::{Value, json};

use crate::support::{DEADLINE, Host, Test, eventually, fixture};

const CACHED: &str = "io.mcp-orchestrator/cached";
const STALE: &str = "io.mcp-orchestrator/stale";

/// A server whose tool `look` only reads, with these settings, and answers one play after the other.
fn library(settings: &str, plays: Value) -> Test {
    let test = Test::new().file("plays.json", &json!({ "look": plays, "file": { "says": {} } }).to_string());
    let tools = format!("retry = 1\n[servers.library.tools.look]\neffect = \"read\"\n{settings}\n");
    let script = test.home().join("plays.json").to_string_lossy().into_owned();
    test.server("library", fixture(["script", "--script", &script]).with(&tools))
}

fn open(test: Test) -> Host {
    let mut host = test.start();
    host.ready(&["library"]);
    host
}

/// How often the server was called.
fn calls(host: &Host, server: &str) -> usize {
    host.record(server, "calls").len()
}

/// A call of another host, in the modern way.
fn call_as(host: &mut Host, id: u64, caller: &str, tool: &str) -> Value {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": caller, "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({ "name": tool, "arguments": {}, "_meta": meta });
    let request = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
    host.write(format!("{request}\n").as_bytes());
    host.answer(id)["result"].clone()
}

#[test]
fn an_answer_is_kept_for_equal_calls_and_says_so() {
    let plays = json!([{ "says": { "found": "one", "for": "$for" } }, { "says": { "found": "two", "for": "$for" } }]);
    let mut host = open(library("cache = \"1h\"", plays));
    let first = host.call("library__look", json!({ "for": "x", "in": [1, { "b": 2, "a": 1 }] }));
    assert_eq!((&first["structuredContent"]["found"], &first["_meta"][CACHED]), (&json!("one"), &Value::Null));
    let again = host.call("library__look", json!({ "in": [1, { "a": 1, "b": 2 }], "for": "x" }));
    assert_eq!(again["structuredContent"], first["structuredContent"]);
    assert!(again["_meta"][CACHED]["age_ms"].is_u64() && again["_meta"][STALE].is_null(), "{again}");
    assert_eq!(host.value("library__look", json!({ "for": "y" }))["found"], "two", "another question");
    assert_eq!(calls(&host, "library"), 2);
    let status = host.call("orchestrator_status", json!({ "server": "library" }));
    let cache = &status["structuredContent"]["servers"][0]["cache"];
    assert_eq!(
        (&cache["hits"], &cache["misses"], &cache["hit_percent"]),
        (&json!(1), &json!(2), &json!(33)),
        "{cache}"
    );
}

#[test]
fn what_a_server_has_answered_is_not_given_for_another_one_of_its_name() {
    let mut host = open(library("cache = \"1h\"", json!([{ "says": { "n": 1 } }])));
    host.value("library__look", json!({}));
    assert!(host.call("library__look", json!({}))["_meta"][CACHED]["age_ms"].is_u64());
    let registry = host.home().join("registry.toml");
    let text = std::fs::read_to_string(&registry).expect("the registry");
    std::fs::write(&registry, text.replace("env = { ", r#"env = { COLOUR = "blue", "#)).expect("the registry");
    host.value("reload_config", json!({}));
    let answer = host.call("library__look", json!({}));
    assert_eq!((&answer["_meta"][CACHED], calls(&host, "library")), (&Value::Null, 2), "{answer}");
}

#[test]
fn what_failed_is_not_kept() {
    let mut host = open(library("cache = \"1h\"", json!([{ "fails": "closed" }, { "says": { "n": 1 } }])));
    assert!(host.failure("library__look", json!({})).contains("closed"));
    assert_eq!(host.value("library__look", json!({}))["n"], 1);
}

#[test]
fn each_caller_has_its_own_answers_unless_they_are_shared() {
    let plays = json!([{ "says": { "n": 1 } }, { "says": { "n": 2 } }, { "says": { "n": 3 } }]);
    for (settings, expected) in [("cache = \"1h\"", [1, 2]), ("cache = { ttl = \"1h\", scope = \"shared\" }", [1, 1])] {
        let mut host = library(settings, plays.clone()).start_modern();
        host.ready(&["library"]);
        let found = [(901, "ada"), (902, "bob")].map(|(id, who)| call_as(&mut host, id, who, "library__look"));
        assert_eq!(found.map(|result| result["structuredContent"]["n"].clone()), expected, "{settings}");
    }
}

#[test]
fn a_stale_answer_stands_in_for_a_server_that_fails() {
    let cache = "cache = { ttl = \"1ms\", stale_if_error = \"1h\" }";
    let mut host = open(library(cache, json!([{ "says": { "n": 1 } }, "dies"])));
    host.value("library__look", json!({}));
    let mut last = Value::Null;
    let is_stale = eventually(DEADLINE, || {
        last = host.call("library__look", json!({}));
        !last["_meta"][STALE].is_null()
    });
    assert!(is_stale && last["structuredContent"]["n"] == 1, "{last}");
    assert!(last["_meta"][STALE]["reason"].as_str().is_some_and(|why| why.contains("MO5")), "{last}");
}

#[test]
fn a_stale_answer_is_given_while_a_new_one_is_fetched() {
    let cache = "cache = { ttl = \"1ms\", stale_while_revalidate = \"1h\" }";
    let mut host = open(library(cache, json!([{ "says": { "n": 1 } }, { "says": { "n": 2 } }])));
    assert_eq!(host.value("library__look", json!({}))["n"], 1);
    let mut seen = Vec::new();
    let is_renewed = eventually(DEADLINE, || {
        let result = host.call("library__look", json!({}));
        seen.push((result["structuredContent"]["n"].clone(), result["_meta"].get(CACHED).is_some()));
        result["structuredContent"]["n"] == 2
    });
    assert!(is_renewed, "{seen:?}");
    assert!(seen.iter().all(|(_, is_kept)| *is_kept), "nobody waited for the server: {seen:?}");
}

#[test]
fn a_write_that_is_said_to_and_a_changed_list_make_kept_answers_worthless() {
    let tools = "[servers.shop.tools]\necho = { cache = \"1h\" }\nwrite = { invalidates = [\"ec*\"] }\n";
    let mut host = Test::new().server("shop", fixture(["healthy"]).with(tools)).start();
    host.ready(&["shop"]);
    let asked = |host: &mut Host| host.call("shop__echo", json!({ "n": 1 }))["_meta"].get(CACHED).is_none();
    assert!(asked(&mut host) && !asked(&mut host));
    host.call("shop__fail", json!({}));
    assert!(!asked(&mut host), "this tool invalidates nothing");
    host.call("shop__write", json!({ "n": 1 }));
    assert!(asked(&mut host) && !asked(&mut host));
    host.call("shop__add_tool", json!({}));
    assert!(eventually(DEADLINE, || asked(&mut host)), "its list has changed");
}

#[test]
fn equal_calls_at_once_are_one_request_and_one_that_leaves_does_not_end_it() {
    let tools = "[servers.shop.tools.sleep]\ncoalesce = true\n";
    let mut host = Test::new().server("shop", fixture(["healthy"]).with(tools)).start();
    host.ready(&["shop"]);
    let ids: Vec<_> = (0..5).map(|_| host.send_call("shop__sleep", json!({ "ms": 1_500 }))).collect();
    host.await_record("shop", "calls", 1);
    host.notify("notifications/cancelled", json!({ "requestId": ids[0] }));
    for id in &ids[1..] {
        assert_eq!(host.answer(*id)["result"]["structuredContent"]["slept"], 1_500);
    }
    assert_eq!((host.record("shop", "calls").len(), host.record("shop", "cancelled").len()), (1, 0));
    let other = host.send_call("shop__sleep", json!({ "ms": 0 }));
    host.answer(other);
    assert_eq!(calls(&host, "shop"), 2, "what is over is not joined");
}

#[test]
fn a_request_that_everybody_has_left_is_cancelled() {
    let tools = "[servers.shop.tools.sleep]\ncoalesce = true\n";
    let mut host = Test::new().server("shop", fixture(["healthy"]).with(tools)).start();
    host.ready(&["shop"]);
    let ids: Vec<_> = (0..3).map(|_| host.send_call("shop__sleep", json!({ "ms": 20_000 }))).collect();
    host.await_record("shop", "calls", 1);
    for id in ids {
        host.notify("notifications/cancelled", json!({ "requestId": id }));
    }
    host.await_record("shop", "cancelled", 1);
}

#[test]
fn no_call_joins_a_read_that_is_older_than_a_write() {
    let tools = "[servers.shop.tools.sleep]\ncoalesce = true\n";
    let mut host = Test::new().server("shop", fixture(["healthy"]).with(tools)).start();
    host.ready(&["shop"]);
    let early = host.send_call("shop__sleep", json!({ "ms": 1_000 }));
    host.await_record("shop", "calls", 1);
    host.call("shop__write", json!({ "n": 1 }));
    let late = host.send_call("shop__sleep", json!({ "ms": 1_000 }));
    host.answer(early);
    host.answer(late);
    assert_eq!(calls(&host, "shop"), 3);
}

#[test]
fn a_tool_that_may_write_is_never_kept() {
    let test = library("cache = \"1h\"\n[servers.library.tools.file]\neffect = \"write\"\ncache = \"1h\"", json!([]));
    let done = test.run(&["check"]);
    assert!(done.code == 2 && (done.stdout + &done.stderr).contains("is for tools that only read"), "{}", done.code);
    let unsaid = library("[servers.library.tools.file]\ncache = \"1h\"", json!({ "says": {} }));
    let mut host = open(unsaid);
    host.call("library__file", json!({}));
    host.call("library__file", json!({}));
    assert_eq!(calls(&host, "library"), 2, "a tool that says nothing may do anything");
    let status = host.call("orchestrator_status", json!({ "server": "library" }));
    let hint = &status["structuredContent"]["servers"][0]["what_to_do"];
    assert!(hint.as_str().is_some_and(|hint| hint.contains("answers of `file` are not shared")), "{hint}");
}

/// A shop that is asked for single items, and can be asked for many.
fn shop(batch: &str, many: Value) -> Host {
    shop_with(batch, many, "")
}

fn shop_with(batch: &str, many: Value, registry: &str) -> Host {
    let plays = json!({ "item": { "says": { "one": "$id" } }, "items": many });
    let test = Test::new().file("plays.json", &plays.to_string());
    let script = test.home().join("plays.json").to_string_lossy().into_owned();
    let tools = format!(
        "[servers.shop.tools]\nitems = {{ effect = \"read\" }}\nitem = {{ effect = \"read\", batch = {{ tool = \"items\", \
         argument = \"id\", into = \"ids\", {batch} }} }}\n"
    );
    let test = test.registry(registry).server("shop", fixture(["script", "--script", &script]).with(&tools));
    let mut host = test.start();
    host.ready(&["shop"]);
    host
}

/// What is said to calls for these items that are made at once.
fn items(host: &mut Host, ids: &[&str]) -> Vec<Value> {
    let sent: Vec<_> = ids.iter().map(|id| host.send_call("shop__item", json!({ "id": id, "lang": "en" }))).collect();
    sent.into_iter().map(|id| host.answer(id)["result"].clone()).collect()
}

#[test]
fn small_calls_at_once_become_a_large_one_whose_results_are_told_apart() {
    let many = json!({ "says": { "found": [{ "id": "b", "n": 2 }, { "id": "a", "n": 1 }] } });
    let mut host = shop("results = \"found\", key = \"id\", window = \"1s\", max = 3", many);
    let results = items(&mut host, &["a", "a", "b", "c"]);
    let told: Vec<_> = results.iter().map(|result| &result["structuredContent"]).collect();
    let (a, b) = (json!({ "id": "a", "n": 1 }), json!({ "id": "b", "n": 2 }));
    assert_eq!(told, [&a, &a, &b, &json!({ "one": "c" })], "what the large one did not answer is asked for by itself");
    assert_eq!(results[0]["_meta"]["io.mcp-orchestrator/batched"], json!({ "tool": "items", "calls": 3 }));
    let heard = host.record("shop", "heard");
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert_eq!(heard[0], r#"items {"lang":"en","ids":["a","b","c"]}"#);
}

#[test]
fn results_in_order_need_no_key_and_a_call_alone_stays_small() {
    let mut host = shop("window = \"200ms\"", json!({ "says": { "result": "$ids" } }));
    let told: Vec<_> = items(&mut host, &["a", "b"]).iter().map(|result| result["structuredContent"].clone()).collect();
    assert_eq!(told, [json!({ "result": "a" }), json!({ "result": "b" })]);
    assert_eq!(items(&mut host, &["c"])[0]["structuredContent"], json!({ "one": "c" }));
    assert_eq!(host.record("shop", "calls"), ["items", "item"]);
}

#[test]
fn a_large_call_that_fails_is_made_one_by_one() {
    for large in [json!({ "fails": "one of them is wrong" }), json!("a play that is an error of the protocol")] {
        let mut host = shop("window = \"200ms\"", large);
        let answers = items(&mut host, &["a", "b"]);
        let told: Vec<_> = answers.iter().map(|result| result["structuredContent"].clone()).collect();
        assert_eq!(told, [json!({ "one": "a" }), json!({ "one": "b" })]);
        assert_eq!(host.record("shop", "calls").len(), 3);
    }
}

#[test]
fn what_watches_over_the_large_tool_is_not_evaded_by_small_calls() {
    let guard = "\n[[interceptors]]\nname = \"guard\"\ntools = [\"shop.items\"]\ndeny = \"no\"\n";
    let mut host = shop_with("window = \"200ms\"", json!({ "says": { "result": "$ids" } }), guard);
    let told: Vec<_> = items(&mut host, &["a", "b"]).iter().map(|result| result["structuredContent"].clone()).collect();
    assert_eq!(told, [json!({ "one": "a" }), json!({ "one": "b" })]);
    assert_eq!(host.record("shop", "calls"), ["item", "item"]);
}
