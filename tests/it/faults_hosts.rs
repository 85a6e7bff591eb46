//! Hosts that misbehave, or ask for much at once: the program lives on, in bounds, and every request is answered.

use serde_json::json;

use crate::support::{DEADLINE, Test, eventually, fixture};

/// How much the program may grow, in bytes, while a host does not read.
const GROWTH: u64 = 256 << 20;

/// D23.
#[test]
fn three_hundred_megabytes_of_results_for_a_host_that_does_not_read_are_bounded_and_come_later() {
    let mut host = Test::new().server("north", fixture(["healthy"])).start();
    host.ready(&["north"]);
    let before = host.peak_memory();
    host.stop_reading();
    let ids: Vec<_> = (0..300).map(|_| host.send_call("north__big", json!({ "bytes": 1 << 20 }))).collect();
    // The flood is over once the program has stopped growing.
    let mut peak = before;
    let mut still = 0;
    let is_settled = eventually(DEADLINE, || {
        let now = host.peak_memory();
        still = if now == peak { still + 1 } else { 0 };
        peak = now;
        still == 25 && host.record("north", "calls").len() > 100
    });
    assert!(is_settled, "it grows and grows");
    host.read_again();
    host.hear_answers(ids);
    let growth = host.peak_memory() - before;
    assert!(growth <= GROWTH, "it grew by {} MB", growth >> 20);
    assert_eq!(host.value("north__echo", json!({ "a": 1 })), json!({ "a": 1 }));
}
