//! A server dies, or hangs, under load: what its callers notice.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{DEADLINE, Host, Test, eventually, fixture, processes};

/// The pause between two calls: 200 a second.
const PACE: Duration = Duration::from_millis(5);

/// A call that was made under load.
struct Made {
    took: Duration,
    result: Value,
}

impl Made {
    fn is_degraded(&self) -> bool {
        self.result["_meta"]["io.mcp-orchestrator/degraded"].is_array()
    }
}

/// Makes `count` calls that read, at an even pace; `at` is told the number of each before it is made.
fn load(host: &mut Host, count: u32, arguments: &Value, mut at: impl FnMut(u32)) -> Vec<Made> {
    let began = Instant::now();
    let mut sent = Vec::new();
    for number in 0..count {
        let due = began + PACE * number;
        while Instant::now() < due {
            std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
        }
        at(number);
        sent.push((Instant::now(), host.send_call("shop__sleep", arguments.clone())));
    }
    let mut made = |(sent, id): (Instant, u64)| {
        let (message, at) = host.timed_answer(id);
        Made { took: at.saturating_duration_since(sent), result: message["result"].clone() }
    };
    sent.into_iter().map(&mut made).collect()
}

fn p99(calls: &[Made]) -> Duration {
    let mut took: Vec<_> = calls.iter().map(|call| call.took).collect();
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

fn all_read(calls: &[Made], ms: u32) {
    let failed: Vec<_> =
        calls.iter().filter(|call| call.result["structuredContent"]["slept"] != ms).map(|call| &call.result).collect();
    assert!(failed.is_empty(), "{} reads failed: {:?}", failed.len(), failed[0]);
}

fn traffic_returns(host: &mut Host) {
    let is_back = |host: &mut Host| {
        let result = host.call("shop__sleep", json!({ "ms": 1 }));
        Made { took: Duration::ZERO, result }.is_degraded()
    };
    assert!(eventually(DEADLINE, || !is_back(host)), "everything still goes elsewhere");
}

/// Kills the process of `shop` in the middle of the load.
fn survives_a_death(host: &mut Host, victim: i32) {
    const ATTEMPT_MS: u32 = 100;
    let calls = load(host, 600, &json!({ "ms": ATTEMPT_MS }), |number| {
        if number == 200 {
            processes::signal(victim, Signal::KILL);
        }
    });
    all_read(&calls, ATTEMPT_MS);
    // Those that were in flight when it died belong to what comes after.
    let (before, after) = (p99(&calls[..150]), p99(&calls[150..]));
    // One more attempt, each as slow as the machine is now; to wait for the next start takes several times as long.
    let most = before * 2 + Duration::from_millis(u64::from(ATTEMPT_MS));
    assert!(after < most, "p99 was {before:?} before it died and {after:?} after that");
    assert!(calls.iter().any(Made::is_degraded), "nobody has noticed that it died");
    traffic_returns(host);
}

#[test]
fn no_read_fails_when_a_server_with_a_fallback_dies_under_load() {
    let shop = fixture(["healthy"]).with("fallback = [\"spare\"]");
    let mut host = Test::new().server("shop", shop).server("spare", fixture(["healthy"])).start();
    host.ready(&["shop", "spare"]);
    let victim = host.pid("shop");
    survives_a_death(&mut host, victim);
}

#[test]
fn no_read_fails_when_one_of_two_instances_dies_under_load() {
    let mut host = Test::new().server("shop", fixture(["healthy"]).with("replicas = 2")).start();
    host.ready(&["shop"]);
    let shop = |host: &mut Host| {
        host.call("orchestrator_status", json!({ "server": "shop" }))["structuredContent"]["servers"][0].clone()
    };
    let pids = |host: &mut Host| {
        let shop = shop(host);
        shop["instances"].as_array().into_iter().flatten().filter_map(|one| one["pid"].as_i64()).collect::<Vec<_>>()
    };
    assert!(eventually(DEADLINE, || pids(&mut host).len() == 2));
    let victim = i32::try_from(pids(&mut host)[0]).expect("a process");
    survives_a_death(&mut host, victim);
    assert!(eventually(DEADLINE, || pids(&mut host).len() == 2), "{}", shop(&mut host));
}

#[test]
fn a_server_that_hangs_costs_few_callers_and_has_its_calls_back_once_it_answers_again() {
    let settings = "timeout = \"150ms\"\nhealth = { probe = \"none\" }\nfallback = [\"spare\"]\n\
                    breaker = { failures = 3, open_for = \"400ms\", half_open_probes = 2 }\n";
    let mut host =
        Test::new().server("shop", fixture(["healthy"]).with(settings)).server("spare", fixture(["healthy"])).start();
    host.ready(&["shop", "spare"]);
    let victim = host.pid("shop");
    let calls = load(&mut host, 500, &json!({ "ms": 1 }), |number| match number {
        100 => processes::signal(victim, Signal::STOP),
        400 => processes::signal(victim, Signal::CONT),
        _ => {}
    });
    all_read(&calls, 1);
    // Until the first has waited in vain others begin to; after that only those that try whether it is back.
    let slow = calls.iter().filter(|call| call.took >= Duration::from_millis(150)).count();
    assert!((3..100).contains(&slow), "{slow} of 500 callers had to wait");
    let probes = calls[200..400].iter().filter(|call| call.took >= Duration::from_millis(150)).count();
    assert!(probes <= 8, "{probes} callers at once have tried whether it is back");
    assert_eq!(host.record("shop", "starts").len(), 1, "it was not started anew");
    traffic_returns(&mut host);
}
