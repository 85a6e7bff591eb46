//! Servers that misbehave in the middle of a call: the call ends in time, clearly, and the next one works.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{DEADLINE, Host, Test, eventually, fixture, processes};

/// Time limits that a test can wait for.
const QUICK: &str = "timeout = \"1500ms\"\nretry = 1\nbreaker = { failures = 1000 }\nhealth = { every = \"1s\", timeout = \"500ms\" }\n";

/// A server that can do everything wrong, and a healthy one.
pub(crate) fn odd() -> Host {
    let test = Test::new().server("odd", fixture(["odd"]).with(QUICK)).server("good", fixture(["healthy"]));
    let mut host = test.start();
    host.ready(&["odd", "good"]);
    host
}

/// Calls until it works again.
pub(crate) fn heals(host: &mut Host) {
    let began = Instant::now();
    let mut last = Value::Null;
    while began.elapsed() < DEADLINE {
        last = host.call("odd__echo", json!({ "again": true }));
        if last["structuredContent"] == json!({ "again": true }) {
            return;
        }
    }
    panic!("it does not work again: {last}\n{}", host.stderr());
}

/// The call fails within `limit` with the server's name and `reason`; then everything works.
fn fails(tool: &str, reason: &str, limit: Duration) -> Host {
    let mut host = odd();
    let began = Instant::now();
    let told = host.failure(&format!("odd__{tool}"), json!({}));
    assert!(began.elapsed() < limit, "{tool} took {:?}: {told}", began.elapsed());
    assert!(told.starts_with("[MO5") && told.contains("odd") && told.contains(reason), "{told}");
    assert_eq!(host.value("good__echo", json!({ "a": 1 })), json!({ "a": 1 }));
    heals(&mut host);
    assert_eq!(host.record("odd", "calls").iter().filter(|call| *call == tool).count(), 1, "{tool} was repeated");
    host
}

/// The call is answered rightly; so is the next one.
fn works(tool: &str, arguments: Value) -> Host {
    let mut host = odd();
    assert_eq!(host.value(&format!("odd__{tool}"), arguments), json!({ "right": true }));
    assert_eq!(host.value("odd__echo", json!({ "next": 1 })), json!({ "next": 1 }));
    host
}

/// The call is answered somehow; the next one rightly.
fn is_survived(tool: &str) {
    let mut host = odd();
    let answer = host.request("tools/call", json!({ "name": format!("odd__{tool}"), "arguments": {} }));
    assert!(answer.get("result").is_some() || answer["error"]["message"].is_string(), "{answer}");
    assert_eq!(host.value("odd__echo", json!({ "next": 1 })), json!({ "next": 1 }));
}

const SOON: Duration = Duration::from_secs(2);
const AFTER_THE_LIMIT: Duration = Duration::from_secs(4);

#[test]
fn an_exit_in_a_call_is_told_at_once_with_the_code() {
    fails("exit", "exited with code 9", SOON);
}

#[test]
fn a_crash_is_told_with_the_last_words_of_the_process() {
    fails("crash", "panicked at the disco", SOON);
}

#[test]
fn a_segmentation_fault_in_a_call_is_told_at_once() {
    fails("segfault", "signal 11", SOON);
}

#[test]
fn half_a_line_and_an_exit_are_told_at_once() {
    fails("half_line_exit", "exited with code 9", SOON);
}

#[test]
fn a_grandchild_that_holds_the_pipes_does_not_hide_the_death_of_its_parent() {
    fails("grandchild_holds_pipes", "exited with code 9", SOON);
}

#[test]
fn nor_does_one_in_a_session_of_its_own() {
    fails("own_session_holds_pipes", "exited with code 9", SOON);
}

#[test]
fn silence_ends_at_the_time_limit_and_the_server_is_told() {
    let host = fails("hang", "did not answer within 1.5 s", AFTER_THE_LIMIT);
    assert!(eventually(DEADLINE, || host.record("odd", "cancelled").len() == 1));
}

#[test]
fn half_a_line_and_silence_end_at_the_time_limit() {
    fails("half_line", "", AFTER_THE_LIMIT);
}

#[test]
fn a_wrong_id_ends_at_the_time_limit() {
    fails("wrong_id", "did not answer", AFTER_THE_LIMIT);
}

#[test]
fn a_line_without_an_end_is_bounded() {
    fails("endless_line", "", AFTER_THE_LIMIT);
}

#[test]
fn a_frozen_server_is_replaced() {
    let mut host = odd();
    let frozen = host.pid("odd");
    let told = host.failure("odd__freeze", json!({}));
    assert!(told.contains("odd") && told.contains("did not answer"), "{told}");
    heals(&mut host);
    assert_ne!(host.pid("odd"), frozen);
    assert!(eventually(DEADLINE, || !processes::lives(frozen)), "the frozen process is still there");
}

#[test]
fn ten_crashes_in_a_row_are_ten_errors_and_no_false_success() {
    let launch = fixture(["odd"]).with("timeout = \"1500ms\"\n");
    let mut host = Test::new().server("odd", launch).server("good", fixture(["healthy"])).start();
    host.ready(&["odd"]);
    for turn in 0..10 {
        let began = Instant::now();
        let told = host.failure("odd__crash", json!({ "code": turn + 1 }));
        assert!(told.contains("odd"), "{told}");
        assert!(began.elapsed() < Duration::from_secs(6), "crash {turn} was told after {:?}", began.elapsed());
    }
    assert_eq!(host.value("good__echo", json!({ "a": 1 })), json!({ "a": 1 }));
    let calls = host.record("odd", "calls").len();
    assert!(calls <= 10, "10 calls have become {calls}");
}

#[test]
fn junk_before_the_answer_does_not_matter() {
    works("junk", json!({}));
}

#[test]
fn a_line_that_is_not_text_does_not_matter() {
    works("bad_utf8", json!({}));
}

#[test]
fn answers_with_wrong_ids_do_not_matter() {
    works("wrong_ids", json!({}));
}

#[test]
fn an_id_that_comes_back_as_text_does_not_matter() {
    works("id_as_text", json!({}));
}

#[test]
fn an_error_that_belongs_to_nobody_does_not_matter() {
    works("error_without_id", json!({}));
}

#[test]
fn a_flood_of_log_messages_before_the_answer_does_not_matter() {
    works("log_flood", json!({ "amount": 20 }));
}

#[test]
fn megabytes_on_standard_error_before_the_answer_do_not_matter() {
    works("stderr_flood", json!({ "amount": 4 << 20 }));
    works("stderr_line", json!({ "amount": 16 << 20 }));
}

#[test]
fn of_three_answers_one_goes_up_and_nothing_is_shifted() {
    let mut host = odd();
    assert_eq!(host.value("odd__three_answers", json!({})), json!({ "turn": 1 }));
    for turn in 0..3 {
        assert_eq!(host.value("odd__echo", json!({ "next": turn })), json!({ "next": turn }));
    }
    let answers = host.heard().iter().filter(|heard| heard.raw.contains(r#"{"turn":"#)).count();
    assert_eq!(answers, 1);
}

#[test]
fn a_late_answer_is_dropped_and_nothing_is_shifted() {
    let mut host = odd();
    let told = host.failure("odd__late", json!({ "ms": 2_000 }));
    assert!(told.contains("did not answer"), "{told}");
    let began = Instant::now();
    let mut turn = 0;
    // The late answer comes while these calls are made.
    while began.elapsed() < Duration::from_millis(1_200) {
        turn += 1;
        assert_eq!(host.value("odd__echo", json!({ "next": turn })), json!({ "next": turn }));
    }
    assert_eq!(host.heard().iter().filter(|heard| heard.raw.contains(r#"{"late":true}"#)).count(), 0);
}

#[test]
fn a_junk_line_of_a_hundred_megabytes_is_bounded() {
    let mut host = odd();
    let answer = host.request("tools/call", json!({ "name": "odd__junk_line", "arguments": {} }));
    assert!(answer["result"]["content"].is_array(), "{answer}");
    heals(&mut host);
}

#[test]
fn results_of_the_wrong_shape_are_survived() {
    for tool in ["null_result", "number_result", "no_content", "odd_content", "both", "neither"] {
        is_survived(tool);
    }
}

#[test]
fn two_hundred_calls_to_a_server_that_does_not_read_are_all_answered() {
    // The server reads nothing from the moment it is listed, so the pipe fills up.
    let launch = fixture(["odd"]).with("timeout = \"1500ms\"\nretry = 1\n");
    let mut host = Test::new().server("odd", launch).server("good", fixture(["healthy"])).start();
    host.ready(&["odd", "good"]);
    let frozen = host.send_call("odd__freeze", json!({}));
    assert!(eventually(DEADLINE, || host.record("odd", "calls").len() == 1));
    let text = "x".repeat(64 * 1024);
    let ids: Vec<_> = (0..200).map(|_| host.send_call("odd__write", json!({ "text": text }))).collect();
    assert_eq!(host.value("good__echo", json!({ "a": 1 })), json!({ "a": 1 }));
    for id in ids.into_iter().chain([frozen]) {
        assert!(host.answer(id)["result"]["content"].is_array());
    }
}
