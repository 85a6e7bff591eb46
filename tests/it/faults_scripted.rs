//! Answers byte by byte as no server should write them: the call ends in time, and the next one is answered rightly.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::faults_in_calls::{heals, odd};
use crate::support::Host;

/// How much the program may grow, in bytes, whatever a server sends.
const GROWTH: u64 = 128 << 20;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    /// With the right answer.
    Rightly,
    /// With an error that names the server.
    Wrongly,
    /// In either way.
    Somehow,
}

/// What the server writes, how often what is marked in it, and what becomes of the call.
const SCRIPTS: [(&str, u64, Ends); 14] = [
    (r#"{"jsonrpc":"2.0","id":{id},"result":{"content":[{"type":"text","text":"{bad}{bad}"}]}}"#, 0, Ends::Somehow),
    (r#"{"jsonrpc":"2.0","id":{id},"result":{"content":[{"type":"text","text":"\ud800"}]}}"#, 0, Ends::Somehow),
    (r#"{"jsonrpc":"2.0","id":{id},"result":{"content":[{"type":"text","text":"{x}"}]}}"#, 100 << 20, Ends::Wrongly),
    (r#"{"jsonrpc":"2.0","id":{id},"error":{"code":-32000,"message":"{x}"}}"#, 8 << 20, Ends::Somehow),
    (r#"{"jsonrpc":"2.0","id":{id},"error":{"code":"many","message":7,"data":null}}"#, 0, Ends::Somehow),
    (r#"{"jsonrpc":"2.0","id":{id},"error":"it went wrong"}"#, 0, Ends::Somehow),
    (r#"[{"jsonrpc":"2.0","id":{id},"result":{"content":[]}}]"#, 0, Ends::Somehow),
    (r#"{"id":{id},"result":{"content":[]}}"#, 0, Ends::Somehow),
    (
        r#"{"jsonrpc":"2.0","id":{id},"result":{"content":[]}}{"jsonrpc":"2.0","id":{id},"result":{"content":[]}}"#,
        0,
        Ends::Somehow,
    ),
    (r#"{"jsonrpc":"2.0","id":{id},"result":{"content":[],"structuredContent":{[}{]}}}"#, 100_000, Ends::Somehow),
    (
        r#"{"jsonrpc":"2.0","id":{id},"result":{"content":[],"structuredContent":{"n":NaN,"m":1e999}}}"#,
        0,
        Ends::Somehow,
    ),
    (
        r#"{"jsonrpc":"2.0","id":{id},"result":{"content":[],"structuredContent":{"n":99999999999999999999999999999999}}}"#,
        0,
        Ends::Somehow,
    ),
    (
        concat!(r#"{"jsonrpc":"2.0","id":{id},"result":{"content":[],"structuredContent":{"right":true}}}"#, "\r\r"),
        0,
        Ends::Rightly,
    ),
    (
        concat!(
            r#"{"jsonrpc":"2.0","id":4000000001,"result":{}}"#,
            "\n",
            r#"{"jsonrpc":"2.0","id":{id},"result":{"content":[],"structuredContent":{"right":true}}}"#
        ),
        0,
        Ends::Rightly,
    ),
];

fn plays(script: &str, amount: u64, ends: Ends) {
    let mut host = odd();
    let before = host.peak_memory();
    let arguments = json!({ "text": script, "amount": amount });
    let began = Instant::now();
    let id = host.send_call("odd__raw", arguments);
    assert_eq!(host.value("good__echo", json!({ "a": 1 })), json!({ "a": 1 }));
    let answer = host.answer(id);
    let took = began.elapsed();
    assert!(took < Duration::from_secs(6), "{script} took {took:?}");
    let is_right = answer["result"]["structuredContent"] == json!({ "right": true });
    let is_told = answer["result"]["isError"] == true && answer.to_string().contains("odd");
    let is_as_wanted = match ends {
        Ends::Rightly => is_right,
        Ends::Wrongly => is_told,
        Ends::Somehow => answer.get("result").is_some() || answer["error"]["message"].is_string(),
    };
    assert!(is_as_wanted, "{script}: {}", answer.to_string().chars().take(500).collect::<String>());
    // An error's text is for somebody to read.
    assert!(is_right || answer.to_string().len() < 1 << 20, "{script}: an error of {} bytes", answer.to_string().len());
    heals(&mut host);
    let growth = host.peak_memory() - before;
    assert!(growth <= GROWTH, "{script}: it grew by {} MB", growth >> 20);
}

/// Every script has a server and a host of its own, two at a time.
fn play_each(scripts: &[(&'static str, u64, Ends)]) {
    let threads: Vec<_> = scripts
        .chunks(scripts.len().div_ceil(2))
        .map(|some| {
            let some = some.to_vec();
            std::thread::spawn(move || some.into_iter().for_each(|(script, amount, ends)| plays(script, amount, ends)))
        })
        .collect();
    for thread in threads {
        thread.join().expect("every script ends as it should");
    }
}

#[test]
fn a_call_whose_answer_is_written_in_an_odd_way_ends_and_the_next_is_right() {
    play_each(&SCRIPTS);
}

#[test]
fn a_thousand_answers_that_nobody_asked_for_do_not_matter() {
    let unasked = r#"{"jsonrpc":"2.0","id":4000000001,"result":{"content":[]}}"#;
    let right = r#"{"jsonrpc":"2.0","id":{id},"result":{"content":[],"structuredContent":{"right":true}}}"#;
    let script = format!("{}{right}", format!("{unasked}\n").repeat(1_000));
    plays(&script, 0, Ends::Rightly);
}

#[test]
fn an_integer_of_five_thousand_digits_is_survived() {
    let digits = "7".repeat(5_000);
    let script =
        format!(r#"{{"jsonrpc":"2.0","id":{{id}},"result":{{"content":[],"structuredContent":{{"n":{digits}}}}}}}"#);
    plays(&script, 0, Ends::Somehow);
}

#[test]
fn progress_that_nobody_asked_for_reaches_nobody() {
    let mut host = odd();
    assert_eq!(host.value("odd__progress_flood", json!({ "amount": 5 })), json!({ "right": true }));
    assert!(host.notifications("notifications/progress").is_empty());
    heals(&mut host);
}

#[test]
fn a_server_that_closes_a_stream_and_stays_is_replaced() {
    for (tool, is_answered) in [("closes_input", true), ("closes_output", false)] {
        let mut host = odd();
        let result = host.call(&format!("odd__{tool}"), json!({}));
        assert_eq!(result["isError"] != true, is_answered, "{tool}: {result}");
        heals(&mut host);
    }
}

#[test]
fn a_thousand_calls_one_after_the_other_leave_nothing_behind() {
    let mut host = odd();
    let call = |host: &mut Host, n: u64| assert_eq!(host.value("odd__echo", json!({ "n": n })), json!({ "n": n }));
    (0..100).for_each(|n| call(&mut host, n));
    let (before, processes) = (host.held(), host.processes_left().len());
    (0..1_000).for_each(|n| call(&mut host, n));
    let after = host.held();
    assert_eq!((after.descriptors, host.processes_left().len()), (before.descriptors, processes));
    assert!(after.threads <= before.threads && after.memory < before.memory * 11 / 10, "{before:?}, then {after:?}");
}

#[test]
fn a_server_changes_its_tools_while_its_calls_go_on() {
    let mut host = odd();
    let ids: Vec<_> = (0..10).map(|_| host.send_call("odd__sleep", json!({ "ms": 600 }))).collect();
    host.value("odd__add_tool", json!({}));
    host.wait_for("a change", |message| message["method"] == "notifications/tools/list_changed");
    host.ready(&["odd__extra"]);
    for id in ids {
        assert_eq!(host.answer(id)["result"]["structuredContent"]["slept"], 600);
    }
}
