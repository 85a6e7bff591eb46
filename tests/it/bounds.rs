//! What the processes of a server may use of the machine.

use std::time::Duration;

use serde_json::json;

use crate::support::{Host, Test, eventually, fixture};

/// A server that may use no more than `limits`.
fn bounded(limits: &str) -> Host {
    let launch = fixture(["greedy"]).with(&format!("limits = {{ {limits} }}"));
    let mut host = Test::new().server("greedy", launch).server("other", fixture(["healthy"])).start();
    host.ready(&["greedy", "other"]);
    host
}

/// Asks for too much: the server is ended, with `reason`, and is back for the next call. Nobody else notices.
fn is_ended(host: &mut Host, tool: &str, amount: u64, reason: &str) {
    let told = host.failure(&format!("greedy__{tool}"), json!({ "amount": amount }));
    assert!(told.contains("greedy") && told.contains(reason), "{told}");
    assert_eq!(host.value("greedy__echo", json!({ "a": 1 })), json!({ "a": 1 }));
    assert_eq!(host.record("greedy", "starts").len(), 2);
    assert_eq!(host.record("other", "starts").len(), 1);
}

#[test]
fn a_server_that_takes_more_memory_than_it_may_is_ended() {
    let mut host = bounded("memory = \"64MB\"");
    is_ended(&mut host, "hoard", 90_000_000, "of memory, and `limits.memory` is 64 MB");
}

#[test]
fn memory_that_is_taken_at_one_stroke_is_not_given() {
    let mut host = bounded("memory = \"64MB\"");
    is_ended(&mut host, "hoard", 3_000_000_000, "perhaps for want of memory: its `limits.memory` is 64 MB");
}

#[test]
fn a_server_that_uses_up_its_processor_time_is_ended() {
    let mut host = bounded("cpu_time = \"1s\"");
    is_ended(&mut host, "spin", 0, "as it used up its `limits.cpu_time` of 1s");
}

#[test]
fn a_server_with_too_many_processes_is_ended_with_all_of_them() {
    let mut host = bounded("processes = 3");
    is_ended(&mut host, "multiply", 6, "processes, and `limits.processes` is 3");
    // Ourselves, the watchdog, and two servers without descendants.
    let is_clean = eventually(Duration::from_secs(5), || host.processes_left().len() <= 4);
    assert!(is_clean, "{:#?}", host.processes_left());
}

#[test]
fn a_server_opens_no_more_files_than_it_may() {
    let mut host = bounded("files = 32");
    let open = host.value("greedy__open", json!({ "amount": 100 }))["open"].as_u64();
    assert!(open.is_some_and(|open| (1..32).contains(&open)), "{open:?}");
}
