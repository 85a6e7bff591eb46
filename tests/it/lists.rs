//! What hosts see of several servers: complete, in order, under names of their own, and up to date.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{DEADLINE, Host, TOOLS, Test, eventually, fixture};

fn two() -> Host {
    let mut host = Test::new().server("north", fixture(["healthy"])).server("south", fixture(["healthy"])).start();
    host.ready(&["north", "south"]);
    host
}

/// The names in `all` that begin with `server__`, without it.
fn of<'a>(all: &'a [String], server: &str) -> Vec<&'a str> {
    all.iter().filter_map(|name| name.strip_prefix(server)?.strip_prefix("__")).collect()
}

#[test]
fn initialize_is_answered_at_once_whatever_the_servers_need() {
    let mut host = Test::new()
        .server("slow", fixture(["slow-start", "--ms", "5000"]))
        .server("mute", fixture(["never-answers"]))
        .serve();
    let began = Instant::now();
    let result = host.initialize();
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    assert_eq!(result["serverInfo"]["name"], "mcp-orchestrator");
    assert_eq!(result["protocolVersion"], "2025-11-25");
}

#[test]
fn the_tools_of_all_servers_are_listed_under_their_servers_names_in_order() {
    let mut host = two();
    let tools = host.tools();
    assert_eq!(of(&tools, "north"), of(&tools, "south"));
    assert_eq!(of(&tools, "north").len(), TOOLS);
    let theirs: Vec<_> = tools.iter().filter(|name| name.contains("__")).cloned().collect();
    let mut sorted = theirs.clone();
    sorted.sort();
    assert_eq!(theirs, sorted);
    assert!(
        ["run_workflow", "list_workflows", "orchestrator_status"]
            .iter()
            .all(|own| tools.iter().any(|name| name == own))
    );
    assert_eq!(host.tools(), tools, "the order is always the same");
}

#[test]
fn a_definition_is_passed_on_with_everything_that_the_server_says() {
    let mut host = two();
    let answer = host.request("tools/list", json!({}));
    let tools = answer["result"]["tools"].as_array().expect("a list").clone();
    let sleep = tools.iter().find(|tool| tool["name"] == "north__sleep").expect("it is listed");
    assert_eq!(sleep["description"], "The fixture's sleep.");
    assert_eq!(sleep["inputSchema"]["required"], json!(["ms"]));
    assert_eq!(sleep["annotations"]["readOnlyHint"], true);
}

#[test]
fn prompts_are_listed_got_and_completed() {
    let mut host = two();
    assert_eq!(host.names("prompts/list", "prompts"), ["north__greet", "south__greet"]);
    let got = host.request("prompts/get", json!({ "name": "south__greet", "arguments": { "who": "Ada" } }));
    assert_eq!(got["result"]["messages"][0]["content"]["text"], "Hello Ada!");
    let reference = json!({ "type": "ref/prompt", "name": "north__greet" });
    let argument = json!({ "name": "who", "value": "A" });
    let completed = host.request("completion/complete", json!({ "ref": reference, "argument": argument }));
    assert_eq!(completed["result"]["completion"]["values"], json!(["A-greet"]));
    let unknown = host.request("prompts/get", json!({ "name": "north__greeet" }));
    assert_eq!(unknown["error"]["code"], -32602);
    assert!(unknown["error"]["message"].as_str().expect("text").contains("north__greet"), "{unknown}");
}

#[test]
fn resources_and_templates_are_listed_read_and_completed() {
    let mut host = Test::new().server("shop", fixture(["healthy"])).start();
    host.ready(&["shop"]);
    assert_eq!(host.names("resources/list", "resources"), ["fixture://readme"]);
    let templates = host.request("resources/templates/list", json!({}));
    assert_eq!(templates["result"]["resourceTemplates"][0]["uriTemplate"], "fixture://item/{id}");
    for uri in ["fixture://readme", "fixture://item/42"] {
        let read = host.request("resources/read", json!({ "uri": uri }));
        assert_eq!(read["result"]["contents"][0]["text"], format!("this is {uri}"), "{read}");
    }
    let reference = json!({ "type": "ref/resource", "uri": "fixture://item/{id}" });
    let argument = json!({ "name": "id", "value": "4" });
    let completed = host.request("completion/complete", json!({ "ref": reference, "argument": argument }));
    assert_eq!(completed["result"]["completion"]["values"], json!(["4-fixture://item/{id}"]));
    let unknown = host.request("resources/read", json!({ "uri": "nobody://has/this" }));
    assert_eq!(unknown["error"]["code"], -32002);
}

#[test]
fn a_resource_that_nobody_lists_is_read_where_only_one_server_can_have_it() {
    let link = "fixture://linked/by/a/tool";
    let mut host = Test::new().server("shop", fixture(["healthy"])).start();
    host.ready(&["shop"]);
    let read = host.request("resources/read", json!({ "uri": link }));
    assert_eq!(read["result"]["contents"][0]["text"], format!("this is {link}"), "{read}");
    let missing = host.request("resources/read", json!({ "uri": "fixture://missing" }));
    assert_eq!(missing["error"]["message"], "Resource not found", "the server's own words: {missing}");
}

#[test]
fn tools_are_allowed_denied_renamed_and_described_anew() {
    let settings = concat!(
        "tools = { allow = [\"e*\", \"sleep\", \"fail\"], deny = [\"env\"], ",
        "echo = { rename = \"repeat\", title = \"Repeat\", description = \"Says it again.\" } }"
    );
    let mut host = Test::new().server("north", fixture(["healthy"]).with(settings)).start();
    host.ready(&["north"]);
    assert_eq!(of(&host.tools(), "north"), ["fail", "repeat", "sleep"]);
    let answer = host.request("tools/list", json!({}));
    let tools = answer["result"]["tools"].as_array().expect("a list").clone();
    let repeat = tools.iter().find(|tool| tool["name"] == "north__repeat").expect("it is listed");
    assert_eq!((&repeat["title"], &repeat["description"]), (&json!("Repeat"), &json!("Says it again.")));
    assert_eq!(host.value("north__repeat", json!({ "a": 1 })), json!({ "a": 1 }));
    for hidden in ["north__env", "north__echo", "north__pid"] {
        let answer = host.request("tools/call", json!({ "name": hidden, "arguments": {} }));
        assert_eq!(answer["error"]["code"], -32602, "{hidden}: {answer}");
    }
    assert_eq!(host.record("north", "calls"), ["echo"]);
}

#[test]
fn a_bare_name_that_is_unique_is_enough() {
    let mut host = Test::new()
        .server("north", fixture(["healthy"]))
        .server("south", fixture(["healthy"]).with("tools = { allow = [\"pid\"] }"))
        .start();
    host.ready(&["north", "south"]);
    assert_eq!(host.value("echo", json!({ "a": 1 })), json!({ "a": 1 }));
    let ambiguous = host.request("tools/call", json!({ "name": "pid", "arguments": {} }));
    assert_eq!(ambiguous["error"]["code"], -32602, "{ambiguous}");
}

#[test]
fn invalid_definitions_drop_only_themselves() {
    let mut host = Test::new().server("odd", fixture(["invalid-tools"])).start();
    host.ready(&["odd"]);
    assert_eq!(of(&host.tools(), "odd").len(), TOOLS);
    assert!(host.says("no_schema"), "what was left out is in the log");
}

#[test]
fn of_two_tools_with_one_name_there_is_one() {
    let mut host = Test::new().server("odd", fixture(["duplicate-tools"])).start();
    host.ready(&["odd"]);
    let tools = host.tools();
    let names = of(&tools, "odd");
    assert_eq!(names.iter().filter(|name| **name == "twice").count(), 1);
    assert_eq!(names.len(), TOOLS + 1);
}

#[test]
fn five_thousand_tools_are_all_listed() {
    let mut host = Test::new().server("odd", fixture(["many-tools"])).start();
    host.ready(&["odd"]);
    assert_eq!(of(&host.tools(), "odd").len(), 5_000 + TOOLS);
    assert_eq!(host.value("odd__echo", json!({ "a": 1 })), json!({ "a": 1 }));
}

#[test]
fn every_page_is_read_and_no_cursor_is_followed_for_ever() {
    let mut host = Test::new()
        .server("paged", fixture(["paged"]))
        .server("endless", fixture(["endless-cursor"]))
        .server("circular", fixture(["circular-cursor"]))
        .start();
    host.ready(&["paged", "endless", "circular"]);
    let tools = host.tools();
    for server in ["paged", "endless", "circular"] {
        assert_eq!(of(&tools, server).len(), TOOLS, "{server}");
        assert_eq!(host.value(&format!("{server}__echo"), json!({ "a": 1 })), json!({ "a": 1 }));
    }
}

const CHANGED: &str = "notifications/tools/list_changed";

#[test]
fn a_new_tool_is_announced_and_can_be_called() {
    let mut host = two();
    let before = host.notifications(CHANGED).len();
    host.value("south__add_tool", json!({}));
    assert!(eventually(DEADLINE, || host.tools().contains(&"south__extra".to_owned())));
    assert!(eventually(DEADLINE, || host.notifications(CHANGED).len() > before));
    assert_eq!(host.value("south__extra", json!({ "a": 1 })), json!({ "a": 1 }));
}

#[test]
fn a_burst_of_changes_is_announced_once() {
    let mut host = Test::new().server("odd", fixture(["change-flood"])).server("good", fixture(["healthy"])).start();
    host.ready(&["odd", "good"]);
    assert!(eventually(DEADLINE, || host.tools().contains(&"odd__extra".to_owned())));
    for turn in 0..100 {
        assert_eq!(host.value("odd__echo", json!({ "a": turn })), json!({ "a": turn }));
    }
    let told = host.notifications(CHANGED).len();
    assert!(told <= 4, "50,000 changes were announced {told} times");
}

#[test]
fn servers_of_every_era_are_the_same_to_hosts_of_both() {
    let eras = ["legacy", "modern", "both"];
    let test = || eras.iter().fold(Test::new(), |test, era| test.server(era, fixture(["healthy", "--era", era])));
    for mut host in [test().start(), test().start_modern()] {
        host.ready(&eras);
        let tools = host.tools();
        for era in eras {
            assert_eq!(of(&tools, era).len(), TOOLS, "{era}");
            let result = host.call(&format!("{era}__echo"), json!({ "era": era }));
            assert_eq!(result["structuredContent"], json!({ "era": era }));
            let result_type = if host.is_modern { json!("complete") } else { Value::Null };
            assert_eq!(result["resultType"], result_type, "{era}: {result}");
            let prompt = format!("{era}__greet");
            let got = host.request("prompts/get", json!({ "name": prompt, "arguments": { "who": "Ada" } }));
            assert_eq!(got["result"]["messages"][0]["content"]["text"], "Hello Ada!", "{got}");
        }
        let read = host.request("resources/read", json!({ "uri": "fixture://readme" }));
        assert_eq!(read["result"]["contents"][0]["text"], "this is fixture://readme");
        let status = host.value("orchestrator_status", json!({}));
        let spoken: Vec<_> =
            status["servers"].as_array().expect("a list").iter().map(|server| &server["era"]).collect();
        assert_eq!(spoken, ["legacy", "legacy", "modern"], "in the order both, legacy, modern");
    }
}

#[test]
fn a_modern_host_is_served_without_initialize() {
    let mut host = Test::new().server("north", fixture(["healthy"])).start_modern();
    let discovered = host.request("server/discover", json!({}));
    let versions = discovered["result"]["supportedVersions"].as_array().expect("a list").clone();
    assert!(versions.contains(&json!("2026-07-28")), "{discovered}");
    assert!(discovered["result"]["capabilities"]["tools"].is_object(), "{discovered}");
    host.ready(&["north"]);
    let listed = host.request("tools/list", json!({}));
    assert_eq!(listed["result"]["resultType"], "complete");
    assert!(listed["result"]["ttlMs"].is_number() && listed["result"]["cacheScope"].is_string(), "{listed}");
}

#[test]
fn a_revision_that_nobody_speaks_is_refused_to_a_modern_host() {
    let mut host = Test::new().server("north", fixture(["healthy"])).serve();
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "1900-01-01",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let answer = host.request("tools/list", json!({ "_meta": meta }));
    assert!(answer["error"]["code"].is_i64(), "{answer}");
    let answer = host.request("tools/list", json!({}));
    assert!(answer["error"]["code"].is_i64(), "a request of nobody in particular: {answer}");
    host.is_modern = true;
    host.ready(&["north"]);
}

#[test]
fn a_long_list_comes_in_pages() {
    let mut host = Test::new().server("odd", fixture(["many-tools", "--tools", "2500"])).start();
    host.ready(&["odd"]);
    let first = host.request("tools/list", json!({}))["result"].clone();
    assert_eq!(first["tools"].as_array().map(Vec::len), Some(1_000));
    let second = host.request("tools/list", json!({ "cursor": first["nextCursor"] }))["result"].clone();
    assert_eq!(second["tools"].as_array().map(Vec::len), Some(1_000));
    let third = host.request("tools/list", json!({ "cursor": second["nextCursor"] }))["result"].clone();
    assert!(third.get("nextCursor").is_none(), "that was the last");
    assert_eq!(host.request("tools/list", json!({ "cursor": "another's" }))["error"]["code"], -32602);
}

#[test]
fn a_list_may_be_kept_as_long_as_every_server_says() {
    let fresh = || fixture(["healthy", "--era", "modern", "--ttl", "60000"]);
    let hint = |test: Test, servers: &[&str]| {
        let mut host = test.start_modern();
        host.ready(servers);
        let list = host.request("tools/list", json!({}))["result"].clone();
        (list["ttlMs"].as_u64().expect("a number"), list["cacheScope"].clone())
    };
    let (ttl, scope) = hint(Test::new().server("shop", fresh()), &["shop"]);
    assert!((1..=60_000).contains(&ttl) && scope == "public", "{ttl} {scope}");
    let mixed = Test::new().server("shop", fresh()).server("old", fixture(["healthy"]));
    assert_eq!(hint(mixed, &["shop", "old"]), (0, json!("private")));
}
