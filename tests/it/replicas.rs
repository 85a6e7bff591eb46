//! Several instances of one server: one name for the host, and none of it is noticed when one of them dies.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{DEADLINE, Host, Test, command, eventually, fixture, fixture_path, processes};

const DEGRADED: &str = "io.mcp-orchestrator/degraded";

/// A host whose server `shop` has these settings.
fn start(settings: &str) -> Host {
    let mut host = Test::new().server("shop", fixture(["healthy"]).with(settings)).start();
    host.ready(&["shop"]);
    host
}

/// What is said of the server `shop`.
fn shop(host: &mut Host) -> Value {
    host.call("orchestrator_status", json!({ "server": "shop" }))["structuredContent"]["servers"][0].clone()
}

/// How many instances are in this state.
fn count(host: &mut Host, state: &str) -> usize {
    let shop = shop(host);
    let instances = shop["instances"].as_array().cloned().unwrap_or_default();
    instances.iter().filter(|one| one["state"] == state).count()
}

fn all_ready(host: &mut Host, number: usize) {
    assert!(eventually(DEADLINE, || count(host, "ready") == number), "{}", shop(host));
}

/// The process that answers one call.
fn pid(host: &mut Host) -> u64 {
    host.value("shop__pid", json!({}))["pid"].as_u64().expect("a process")
}

/// The processes that answer so many calls at once.
fn pids(host: &mut Host, calls: usize) -> BTreeSet<u64> {
    let ids: Vec<_> = (0..calls).map(|_| host.send_call("shop__pid", json!({}))).collect();
    let answers: Vec<_> = ids.into_iter().map(|id| host.answer(id)).collect();
    answers.iter().filter_map(|answer| answer["result"]["structuredContent"]["pid"].as_u64()).collect()
}

fn kill(pid: u64) {
    processes::signal(pid.try_into().expect("a process"), Signal::KILL);
}

#[test]
fn three_instances_are_one_server_and_share_its_calls() {
    let mut host = start("replicas = 3");
    all_ready(&mut host, 3);
    let names = host.tools();
    assert_eq!(names.iter().filter(|name| name.ends_with("__echo")).count(), 1, "{names:?}");
    assert!(eventually(DEADLINE, || pids(&mut host, 30).len() == 3), "not all of them are called");
    let said = host.call("orchestrator_status", json!({ "server": "shop" }));
    assert!(said["content"][0]["text"].as_str().is_some_and(|text| text.contains("3 of 3 instances ready")), "{said}");
}

#[test]
fn a_read_goes_on_at_another_instance_when_its_own_dies_and_the_result_says_so() {
    let mut host = start("replicas = 2");
    all_ready(&mut host, 2);
    let ids: Vec<_> = (0..8).map(|_| host.send_call("shop__sleep", json!({ "ms": 700 }))).collect();
    assert!(eventually(DEADLINE, || host.record("shop", "calls").iter().filter(|call| *call == "sleep").count() == 8));
    let before = shop(&mut host);
    kill(before["instances"][0]["pid"].as_u64().expect("a process"));
    let answers: Vec<_> = ids.into_iter().map(|id| host.answer(id)["result"].clone()).collect();
    assert!(answers.iter().all(|answer| answer["structuredContent"]["slept"] == 700), "{answers:?}");
    let told: Vec<_> = answers.iter().filter(|answer| answer["_meta"][DEGRADED].is_array()).collect();
    assert!(!told.is_empty() && told.len() < 8, "{answers:?}");
    let hop = &told[0]["_meta"][DEGRADED][0];
    assert_eq!((&hop["from"], &hop["to"]), (&json!("shop#1"), &json!("shop#2")), "{hop}");
    assert!(hop["why"].as_str().is_some_and(|why| why.contains("MO5")), "{hop}");
}

#[test]
fn a_write_whose_instance_dies_is_not_made_again() {
    let mut host = start("replicas = 2");
    all_ready(&mut host, 2);
    let told = host.failure("shop__crash", json!({}));
    assert!(told.contains("shop"), "{told}");
    assert_eq!(host.record("shop", "calls").iter().filter(|call| *call == "crash").count(), 1);
    assert_eq!(host.value("shop__echo", json!({ "n": 1 })), json!({ "n": 1 }), "the other one is there");
}

#[test]
fn a_host_keeps_its_instance_if_the_server_is_sticky_until_that_one_dies() {
    let mut host = start("replicas = 3\nsticky = true");
    all_ready(&mut host, 3);
    let home = pids(&mut host, 40);
    assert_eq!(home.len(), 1, "{home:?}");
    let home = *home.first().expect("one");
    kill(home);
    assert!(eventually(DEADLINE, || count(&mut host, "ready") >= 2));
    let next = pid(&mut host);
    assert_ne!(next, home);
    all_ready(&mut host, 3);
    assert_eq!(pids(&mut host, 40), BTreeSet::from([next]), "it stays where it is now");
}

#[test]
fn a_farther_instance_is_used_only_while_the_nearer_one_is_away() {
    let path = crate::support::fixture_path();
    let test = Test::new();
    let near = test.home().join("near");
    std::os::unix::fs::symlink(&path, &near).expect("a link");
    let mut host = test
        .registry(&format!(
            "[servers.shop]\ncommand = {near:?}\nargs = [\"healthy\"]\n\
             replicas = [{{ command = {path:?}, args = [\"healthy\"], priority = 1 }}]\n"
        ))
        .start();
    all_ready(&mut host, 2);
    let link = near;
    let near = pids(&mut host, 40);
    assert_eq!(near.len(), 1, "only the nearer one is called");
    let near = *near.first().expect("one");
    assert_eq!(shop(&mut host)["instances"][0]["pid"], near);
    let far = shop(&mut host)["instances"][1]["pid"].as_u64().expect("a process");
    // It cannot come back at once.
    std::fs::remove_file(&link).expect("a link");
    kill(near);
    assert!(eventually(DEADLINE, || pid(&mut host) == far), "{}", shop(&mut host));
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    all_ready(&mut host, 2);
    let now = shop(&mut host)["instances"][0]["pid"].as_u64().expect("a process");
    assert_eq!(pids(&mut host, 20), BTreeSet::from([now]), "the nearer one has its calls back");
}

#[test]
fn a_server_that_nobody_uses_is_stopped_and_started_again_when_somebody_does() {
    let mut host = start("idle_ttl = \"300ms\"");
    let first = pid(&mut host);
    let is_idle = |host: &mut Host| shop(host)["state"] == "idle";
    assert!(eventually(DEADLINE, || is_idle(&mut host)), "{}", shop(&mut host));
    assert!(host.tools().iter().any(|name| name == "shop__echo"), "its tools stay");
    let began = Instant::now();
    let second = pid(&mut host);
    assert!(second != first && began.elapsed() < Duration::from_secs(5), "{first} {second}");
}

#[test]
fn a_server_that_takes_longer_to_start_than_it_may_be_idle_can_be_used() {
    let slow = fixture(["slow-start"]).arg("--ms").arg("600");
    let mut host = Test::new().server("shop", slow.with("start = \"lazy\"\nidle_ttl = \"200ms\"")).start();
    host.ready(&["shop"]);
    assert_eq!(host.value("shop__echo", json!({ "x": 1 }))["x"], 1);
}

#[test]
fn a_server_that_works_is_not_stopped_however_long_it_takes() {
    let mut host = start("idle_ttl = \"200ms\"");
    let call = host.send_call("shop__sleep", json!({ "ms": 900 }));
    host.await_record("shop", "calls", 1);
    let starts = host.record("shop", "starts").len();
    assert_eq!(host.answer(call)["result"]["structuredContent"]["slept"], 900);
    assert_eq!(host.record("shop", "starts").len(), starts);
}

#[test]
fn instances_are_started_when_calls_wait_and_stopped_when_they_are_idle() {
    let mut host = start("concurrency = 1\nreplicas = { min = 1, max = 3, down_after = \"300ms\" }");
    all_ready(&mut host, 1);
    let ids: Vec<_> = (0..3).map(|_| host.send_call("shop__sleep", json!({ "ms": 2_500 }))).collect();
    all_ready(&mut host, 3);
    assert!(pids(&mut host, 2).len() == 2, "those that have come meanwhile take calls");
    for id in ids {
        assert_eq!(host.answer(id)["result"]["structuredContent"]["slept"], 2_500);
    }
    all_ready(&mut host, 1);
    assert_eq!(count(&mut host, "idle"), 2, "{}", shop(&mut host));
    pid(&mut host);
}

#[test]
fn an_instance_that_cannot_be_started_is_left_alone_once_it_is_not_needed() {
    let path = fixture_path();
    let only_once = format!("mkdir \"$FIXTURE_HOME/only\" && exec {} healthy", path.display());
    let settings = "concurrency = 1\nreplicas = { min = 1, max = 2, down_after = \"300ms\" }";
    let mut host = Test::new().server("shop", command("bash", &["-c", &only_once]).with(settings)).start();
    host.ready(&["shop"]);
    let ids: Vec<_> = (0..2).map(|_| host.send_call("shop__sleep", json!({ "ms": 800 }))).collect();
    let has_failed = |host: &mut Host| count(host, "ready") == 1 && count(host, "idle") == 0;
    assert!(eventually(DEADLINE, || has_failed(&mut host)), "{}", shop(&mut host));
    for id in ids {
        assert_eq!(host.answer(id)["result"]["structuredContent"]["slept"], 800);
    }
    assert!(eventually(DEADLINE, || count(&mut host, "idle") == 1), "{}", shop(&mut host));
    assert_eq!(count(&mut host, "ready"), 1);
}

#[test]
fn a_warm_instance_waits_for_the_call_that_the_first_one_has_no_place_for() {
    let mut host = start("concurrency = 1\nreplicas = { min = 1, max = 3, warm = 2 }");
    all_ready(&mut host, 2);
    assert_eq!(host.record("shop", "starts").len(), 2);
}
