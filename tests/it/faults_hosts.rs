//! Hosts that misbehave, or ask for much at once: the program lives on, in bounds, and every request is answered.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{DEADLINE, Host, Test, eventually, fixture};

/// How much the program may grow, in bytes, while a host does not read.
const GROWTH: u64 = 256 << 20;

/// Waits until the program has stopped growing.
fn settle(host: &Host) {
    let (mut peak, mut still) = (0, 0);
    let is_settled = eventually(DEADLINE, || {
        let now = host.peak_memory();
        still = if now == peak { still + 1 } else { 0 };
        peak = now;
        still == 25
    });
    assert!(is_settled, "it grows and grows");
}

/// D23.
#[test]
fn three_hundred_megabytes_of_results_for_a_host_that_does_not_read_are_bounded_and_come_later() {
    let mut host = Test::new().server("north", fixture(["healthy"])).start();
    host.ready(&["north"]);
    let before = host.peak_memory();
    host.stop_reading();
    let ids: Vec<_> = (0..300).map(|_| host.send_call("north__big", json!({ "bytes": 1 << 20 }))).collect();
    settle(&host);
    assert!(host.record("north", "calls").len() > 100, "the flood has begun");
    host.read_again();
    host.hear_answers(ids);
    let growth = host.peak_memory() - before;
    assert!(growth <= GROWTH, "it grew by {} MB", growth >> 20);
    assert_eq!(host.value("north__echo", json!({ "a": 1 })), json!({ "a": 1 }));
}

/// D13: they are all in flight, since nothing is read before the last one has been sent.
#[test]
fn ten_thousand_requests_in_flight_are_all_answered() {
    let mut host = Test::new().server("north", fixture(["healthy"])).start();
    host.ready(&["north"]);
    let before = host.peak_memory();
    host.stop_reading();
    let calls: Vec<_> = (0..8_000).map(|n| host.send_call("north__echo", json!({ "n": n }))).collect();
    let pings: Vec<_> = (0..2_000).map(|_| host.send("ping", json!({}))).collect();
    host.read_again();
    host.hear_answers(calls.into_iter().chain(pings));
    let growth = host.peak_memory() - before;
    assert!(growth <= 128 << 20, "it grew by {} MB", growth >> 20);
    assert_eq!(host.value("north__echo", json!({ "a": 1 })), json!({ "a": 1 }));
}

/// A kin of D23: lists are large, and a host can ask for many.
#[test]
fn hundreds_of_large_lists_for_a_host_that_does_not_read_are_bounded_and_come_later() {
    let mut host = Test::new().server("many", fixture(["many-tools", "--tools", "2500"])).start();
    host.ready(&["many"]);
    let before = host.peak_memory();
    host.stop_reading();
    let ids: Vec<_> = (0..300).map(|_| host.send("tools/list", json!({}))).collect();
    settle(&host);
    host.read_again();
    host.hear_answers(ids);
    let growth = host.peak_memory() - before;
    assert!(growth <= 64 << 20, "it grew by {} MB", growth >> 20);
}

/// D14, with a third of its time.
#[test]
fn five_hundred_calls_at_once_do_not_wait_for_each_other() {
    let mut host = Test::new().server("north", fixture(["healthy"])).start();
    host.ready(&["north"]);
    let began = Instant::now();
    let ids: Vec<_> = (0..500).map(|_| host.send_call("north__sleep", json!({ "ms": 300 }))).collect();
    host.hear_answers(ids);
    assert!(began.elapsed() < Duration::from_secs(6), "500 calls of 0.3 s took {:?}", began.elapsed());
}

/// D03, D26.
#[test]
fn a_junk_line_of_64_megabytes_is_skipped_and_an_argument_of_24_arrives_whole() {
    let mut host = Test::new().server("north", fixture(["healthy"])).start();
    host.ready(&["north"]);
    host.write(&vec![b'x'; 64 << 20]);
    host.write(b"x\n");
    assert_eq!(host.value("north__echo", json!({ "a": 1 })), json!({ "a": 1 }));
    let text = "0123456789abcdef".repeat((24 << 20) / 16);
    let id = host.send_call("north__measure", json!({ "text": text }));
    assert_eq!(host.answer(id)["result"]["structuredContent"], json!({ "bytes": 24 << 20, "begins": &text[..32] }));
}

/// D10.
#[test]
fn an_id_of_a_megabyte_comes_back() {
    let mut host = Test::new().server("north", fixture(["healthy"])).start();
    host.ready(&["north"]);
    let id = "i".repeat(1 << 20);
    let call = json!({ "name": "north__echo", "arguments": { "n": 1 } });
    let line = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": call });
    host.write(format!("{line}\n").as_bytes());
    let answer = host.wait_for("the answer", |message| message["id"] == *id);
    assert_eq!(answer["result"]["structuredContent"], json!({ "n": 1 }));
}

/// D00.
#[test]
fn a_host_that_leaves_in_peace_ends_us_at_once_and_with_success() {
    let mut host = Test::new().server("north", fixture(["healthy"])).start();
    host.ready(&["north"]);
    host.value("north__echo", json!({ "a": 1 }));
    host.leave();
    let status = host.ended(Duration::from_secs(10)).expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", host.stderr());
    host.leaves_nothing(Duration::from_secs(5));
}

/// D22.
#[test]
fn a_host_that_no_longer_listens_ends_us() {
    let mut host = Test::new().server("north", fixture(["healthy"])).start();
    host.ready(&["north"]);
    host.stop_listening();
    // What is written to nobody shows that nobody listens; its input stays open.
    let is_over = eventually(Duration::from_secs(10), || {
        host.write_if_read(b"{\"jsonrpc\":\"2.0\",\"id\":\"last\",\"method\":\"ping\"}\n");
        host.ended(Duration::ZERO).is_some()
    });
    assert!(is_over, "it goes on for nobody");
    host.leaves_nothing(Duration::from_secs(5));
}
