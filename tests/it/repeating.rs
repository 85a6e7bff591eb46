//! What is repeated when answers are lost or late, and what never is.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::ledger::Ledger;
use crate::support::{Host, Test, fixture};

/// So many calls of each kind.
const CALLS: u64 = 1_000;

/// A server whose tool `look` only reads, and answers one play after the other.
fn library(settings: &str, plays: &Value) -> Host {
    let test = Test::new().file("plays.json", &json!({ "look": plays }).to_string());
    let script = test.home().join("plays.json").to_string_lossy().into_owned();
    let settings = format!("health = {{ probe = \"none\" }}\n{settings}\n");
    let mut host = test.server("library", fixture(["script", "--script", &script]).with(&settings)).start();
    host.ready(&["library"]);
    host
}

/// Calls `tool` with each number, `times` each, all at once; gives back how many succeeded.
fn all_at_once(host: &mut Host, tool: &str, times: u64) -> usize {
    let ids: Vec<_> = (0..CALLS)
        .flat_map(|n| vec![n; usize::try_from(times).unwrap_or(1)])
        .map(|n| host.send_call(tool, json!({ "n": n })))
        .collect();
    ids.into_iter().map(|id| host.answer(id)).filter(|answer| answer["result"]["isError"] != true).count()
}

/// A ledger that loses one answer of ten after it has done what it was told.
fn lossy() -> (Ledger, Host) {
    let ledger = Ledger::losing_one_of(10);
    let retry =
        "retry = { attempts = 5, delay = \"1ms\" }\nbreaker = { failures = 1000 }\nhealth = { probe = \"none\" }";
    let mut host = Test::new().registry(&ledger.entry("ledger", retry)).start();
    host.ready(&["ledger"]);
    (ledger, host)
}

#[test]
fn reads_succeed_although_answers_are_lost() {
    let (ledger, mut host) = lossy();
    for tool in ["read", "idempotent"] {
        assert!(all_at_once(&mut host, &format!("ledger__{tool}"), 1) >= 999, "{tool}");
        assert!(ledger.done(tool).iter().sum::<usize>() > 1_050, "{tool}: answers were lost");
    }
}

#[test]
fn nothing_that_writes_is_done_twice_although_answers_are_lost() {
    let (ledger, mut host) = lossy();
    for tool in ["write", "destructive"] {
        let succeeded = all_at_once(&mut host, &format!("ledger__{tool}"), 1);
        let done = ledger.done(tool);
        assert_eq!(done.len(), 1_000, "{tool}: everything has arrived");
        assert!(done.iter().all(|count| *count == 1), "{tool}: done twice");
        assert!((800..1_000).contains(&succeeded), "{tool}: answers were lost, and that was told: {succeeded}");
    }
}

#[test]
fn two_equal_writes_that_are_both_meant_are_both_done() {
    let (ledger, mut host) = lossy();
    all_at_once(&mut host, "ledger__write", 2);
    let done = ledger.done("write");
    assert!(done.len() == 1_000 && done.iter().all(|count| *count == 2));
}

#[test]
fn repetitions_do_not_multiply_the_load_on_a_server_that_fails() {
    let settings = "timeout = \"30ms\"\nretry = { attempts = 5, delay = \"1ms\" }\nbreaker = { failures = 1000 }\n\
                    [servers.library.tools.look]\neffect = \"read\"";
    let mut host = library(settings, &json!("hangs"));
    let began = Instant::now();
    let ids: Vec<_> = (0..100).map(|n| host.send_call("library__look", json!({ "n": n }))).collect();
    let told: Vec<_> = ids.into_iter().map(|id| host.answer(id).to_string()).collect();
    assert!(told.iter().all(|answer| answer.contains("MO5102")));
    let most = 100 + 10 + 100 / 5 + usize::try_from(began.elapsed().as_secs()).unwrap_or_default();
    let made = host.record("library", "calls").len();
    assert!(made <= most, "{made} requests for 100 calls");
    let status = host.call("orchestrator_status", json!({ "server": "library" }));
    let repeated = &status["structuredContent"]["servers"][0]["requests"]["repeated"];
    assert!(repeated.as_u64().is_some_and(|count| (10..=30).contains(&count)), "{status}");
}

#[test]
fn a_late_answer_is_asked_for_again_and_the_first_to_come_counts() {
    let settings = "[servers.library.tools.look]\neffect = \"read\"\nhedge = \"50ms\"";
    let mut host = library(settings, &json!(["hangs", { "says": { "n": 2 } }]));
    let began = Instant::now();
    assert_eq!(host.value("library__look", json!({}))["n"], 2);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    host.await_record("library", "cancelled", 1);
    assert_eq!(host.record("library", "calls").len(), 2);
    assert_eq!(host.value("library__look", json!({}))["n"], 2);
}

#[test]
fn what_may_write_is_never_asked_for_twice() {
    let settings = "timeout = \"400ms\"\n[servers.library.tools.look]\nhedge = \"20ms\"";
    let mut host = library(settings, &json!(["hangs", { "says": { "n": 2 } }]));
    assert!(host.failure("library__look", json!({})).contains("MO5102"));
    assert_eq!(host.record("library", "calls").len(), 1);
}
