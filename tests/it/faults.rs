//! Servers that misbehave at the start, while they are connected, and in their lists: they harm nobody else, and their
//! calls fail with the server's name and the reason.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Host, Test, command, eventually, fixture};

/// Time limits that a test can wait for.
const QUICK: &str = "connect_timeout = \"3s\"\ntimeout = \"2s\"\n";

/// Every server that can never be used: its name, how it is started, and a word of the reason that a caller must be told.
const USELESS: [(&str, &[&str], &str); 12] = [
    ("mute", &["never-answers"], "did not answer"),
    ("uninitialized", &["no-initialize"], "did not answer"),
    ("quitter", &["exits-at-start", "--code", "3", "--stderr", "Missing API key"], "Missing API key"),
    ("shortlived", &["dies-after-initialize"], ""),
    ("garbled", &["garbage-initialize"], "unusable"),
    ("ancient", &["old-protocol"], "1999-01-01"),
    ("misshapen", &["wrong-initialize"], "initialize"),
    ("listless", &["never-lists"], "list"),
    ("voiceless", &["closes-stdout"], ""),
    ("hoarse", &["closes-stdout-later"], ""),
    ("deaf", &["closes-stdin-later"], ""),
    ("paralysed", &["stops-reading"], ""),
];

fn with_every_fault() -> Test {
    let mut test = Test::new();
    for (name, args, _) in USELESS {
        let launch = args.iter().fold(fixture([]), |launch, arg| launch.arg(arg));
        test = test.server(name, launch.with(QUICK));
    }
    let file = test.home().join("README");
    test = test
        .file("README", "This file is not a program.")
        .server("missing", command("/nonexistent/server", &[]).with(QUICK))
        .server("unexecutable", command(&file.to_string_lossy(), &[]).with(QUICK));
    for name in ["north", "south", "west"] {
        test = test.server(name, fixture(["healthy"]).with(QUICK));
    }
    test
}

#[test]
fn fourteen_broken_servers_hide_none_of_three_healthy_ones() {
    let began = Instant::now();
    let mut host = with_every_fault().start();
    assert!(began.elapsed() < Duration::from_secs(3), "initialize took {:?}", began.elapsed());
    host.ready(&["north", "south", "west"]);
    for server in ["north", "south", "west"] {
        let echoed = host.value(&format!("{server}__echo"), json!({ "from": server }));
        assert_eq!(echoed, json!({ "from": server }));
    }
    assert!(began.elapsed() < Duration::from_secs(6), "the healthy ones took {:?}", began.elapsed());
}

#[test]
fn a_call_to_each_broken_server_says_which_and_why() {
    let mut host = with_every_fault().start();
    let mut reasons: Vec<_> = USELESS.iter().map(|(name, _, reason)| (*name, *reason)).collect();
    reasons.extend([("missing", "no such program"), ("unexecutable", "may not be executed")]);
    let ids: Vec<_> = reasons.iter().map(|(name, _)| host.send_call(&format!("{name}__echo"), json!({}))).collect();
    let mut wrong = Vec::new();
    for ((name, reason), id) in reasons.into_iter().zip(ids) {
        let answer = host.answer(id);
        let told = answer["result"]["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        let is_error = answer["result"]["isError"] == true && told.starts_with("[MO5");
        if !is_error || !told.contains(name) || !told.contains(reason) {
            wrong.push(format!("{name}: {answer}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_refusal_to_be_connected_is_told_with_the_name_of_the_server() {
    let mut host = Test::new().server("refusing", fixture(["refuses-initialize"]).with(QUICK)).start();
    let told = host.failure("refusing__echo", json!({}));
    assert!(told.contains("refusing") && told.contains("the licence has expired"), "{told}");
}

#[test]
fn the_last_words_of_a_process_are_never_missed() {
    let names: Vec<_> = (0..9).map(|place| format!("quitter{place}")).collect();
    let launch = || fixture(["exits-at-start", "--stderr", "Missing API key"]).with("retry = 1");
    let test = names.iter().fold(Test::new(), |test, name| test.server(name, launch()));
    let mut host = test.start();
    let ids: Vec<_> = names.iter().map(|name| host.send_call(&format!("{name}__echo"), json!({}))).collect();
    let silent: Vec<_> = ids.into_iter().map(|id| host.answer(id).to_string()).collect();
    let silent: Vec<_> = silent.into_iter().filter(|answer| !answer.contains("Missing API key")).collect();
    assert!(silent.is_empty(), "{} of 9: {silent:#?}", silent.len());
}

#[test]
fn the_status_says_of_every_broken_server_why_it_is_not_there() {
    let mut host = with_every_fault().start();
    host.ready(&["north"]);
    let of = |host: &mut Host| host.value("orchestrator_status", json!({}))["servers"].as_array().cloned();
    let mut silent = Vec::new();
    let is_told = eventually(Duration::from_secs(10), || {
        silent = of(&mut host).expect("a list of servers");
        silent.retain(|server| !["north", "south", "west"].contains(&server["name"].as_str().unwrap_or_default()));
        silent.retain(|server| server["last_error"].is_null());
        silent.is_empty()
    });
    assert!(is_told, "no reason is given for {silent:?}");
}

/// Beside a server of this mode a good one works.
fn is_usable_beside(launch_args: &[&str]) -> Host {
    let launch = launch_args.iter().fold(fixture([]), |launch, arg| launch.arg(arg));
    let mut host = Test::new().server("odd", launch).server("good", fixture(["healthy"])).start();
    host.ready(&["good"]);
    assert_eq!(host.value("good__echo", json!({ "a": 1 })), json!({ "a": 1 }));
    host
}

/// A server of this mode can be used in spite of its oddity.
fn is_usable(launch_args: &[&str]) -> Host {
    let mut host = is_usable_beside(launch_args);
    host.ready(&["odd"]);
    assert_eq!(host.value("odd__echo", json!({ "a": 2 })), json!({ "a": 2 }));
    host
}

#[test]
fn a_banner_before_the_protocol_does_not_matter() {
    is_usable(&["banner"]);
}

#[test]
fn a_byte_order_mark_does_not_matter() {
    is_usable(&["byte-order-mark"]);
}

#[test]
fn carriage_returns_do_not_matter() {
    is_usable(&["crlf"]);
}

#[test]
fn a_silent_answer_to_discover_does_not_matter() {
    is_usable(&["silent-discover"]);
}

#[test]
fn megabytes_on_standard_error_before_the_start_are_drained() {
    is_usable(&["floods-stderr"]);
}

#[test]
fn a_server_that_starts_slowly_is_waited_for_and_delays_no_other() {
    let began = Instant::now();
    let mut host = Test::new()
        .server("slow", fixture(["slow-start", "--ms", "2500"]))
        .server("lister", fixture(["slow-list", "--ms", "2500"]))
        .server("good", fixture(["healthy"]))
        .start();
    assert_eq!(host.value("good__echo", json!({ "a": 1 })), json!({ "a": 1 }));
    assert!(began.elapsed() < Duration::from_secs(2), "the good one took {:?}", began.elapsed());
    assert_eq!(host.value("slow__echo", json!({ "a": 2 })), json!({ "a": 2 }));
    assert_eq!(host.value("lister__echo", json!({ "a": 3 })), json!({ "a": 3 }));
}

#[test]
fn a_server_that_fails_its_first_starts_heals_by_itself() {
    let mut host = Test::new().server("late", fixture(["fails-first"])).start();
    host.ready(&["late"]);
    assert_eq!(host.value("late__echo", json!({ "a": 1 })), json!({ "a": 1 }));
    assert!(host.record("late", "starts").len() >= 3);
}

#[test]
fn a_server_that_always_exits_is_not_started_in_a_storm() {
    let host = Test::new().server("quitter", fixture(["exits-at-start"])).start();
    let began = Instant::now();
    let is_storm = eventually(Duration::from_secs(5), || host.record("quitter", "starts").len() > 12);
    assert!(!is_storm, "12 starts within {:?}", began.elapsed());
    assert!(host.record("quitter", "starts").len() >= 2, "it is tried again");
}

#[test]
fn a_server_that_dies_after_each_list_is_not_started_in_a_storm() {
    let mut host = is_usable_beside(&["dies-after-list"]);
    let is_storm = eventually(Duration::from_secs(4), || host.record("odd", "starts").len() > 12);
    assert!(!is_storm, "{} starts", host.record("odd", "starts").len());
    assert_eq!(host.value("good__echo", json!({ "a": 3 })), json!({ "a": 3 }));
}

#[test]
fn a_list_of_ten_megabytes_is_bounded_and_hides_no_other() {
    let mut host = is_usable_beside(&["many-tools", "--tools", "60000"]);
    let before = host.peak_memory();
    let told = host.request("tools/call", json!({ "name": "odd__echo", "arguments": {} }));
    assert!(told.get("result").is_some() || told.get("error").is_some(), "{told}");
    let growth = host.peak_memory() - before;
    assert!(growth < 256 << 20, "it grew by {} MB", growth >> 20);
    assert_eq!(host.value("good__echo", json!({ "a": 3 })), json!({ "a": 3 }));
}

#[test]
fn a_flood_of_log_messages_is_survived() {
    is_usable(&["log-flood"]);
}

#[test]
fn requests_that_a_server_makes_of_us_are_answered_and_not_forwarded() {
    let mut host = is_usable(&["asks-back"]);
    assert!(eventually(Duration::from_secs(5), || host.record("odd", "replies").len() == 3));
    let requests = host.heard().iter().filter(|heard| heard.message.get("id").is_some());
    assert!(requests.filter(|heard| heard.message.get("method").is_some()).count() == 0);
}

#[test]
fn a_deep_schema_costs_only_its_own_tool() {
    is_usable(&["deep-schema"]);
}

#[test]
fn a_stubborn_server_is_usable() {
    is_usable(&["healthy", "--stubborn"]);
}

#[test]
fn a_placeholder_without_a_value_is_named() {
    let launch = fixture(["healthy"]).env("KEY", "${NOBODY_HAS_SET_THIS}");
    let mut host = Test::new().server("keyed", launch).start();
    let told = host.failure("keyed__echo", json!({}));
    assert!(told.contains("keyed") && told.contains("NOBODY_HAS_SET_THIS"), "{told}");
}
