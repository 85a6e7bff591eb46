//! Surroundings that are not as they should be: the program serves, or says at once why it does not.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{DEADLINE, Host, Test, eventually, fixture};

/// Serves a healthy server after these commands of a shell, and is as it should be.
fn serves_after(commands: &str) -> Host {
    let test = Test::new().server("north", fixture(["healthy"]));
    let mut host = test.serve_after(commands);
    host.initialize();
    host.ready(&["north"]);
    assert_eq!(host.value("north__echo", json!({ "a": 1 })), json!({ "a": 1 }));
    host
}

fn leaves(mut host: Host) {
    host.leave();
    assert!(host.ended(Duration::from_secs(10)).is_some(), "it does not end");
    host.leaves_nothing(Duration::from_secs(5));
}

#[test]
fn without_a_home_or_a_language_it_serves() {
    leaves(serves_after("unset HOME LANG TMPDIR"));
}

#[test]
fn without_standard_error_it_serves() {
    leaves(serves_after("exec 2>&-"));
}

#[test]
fn where_its_folder_is_gone_and_nothing_temporary_can_be_written_it_serves() {
    leaves(serves_after("mkdir gone; cd gone; rmdir ../gone; export TMPDIR=/nonexistent"));
}

#[test]
fn a_log_that_nobody_reads_stops_nothing() {
    // The pipe takes 64 KB; a reader that never reads stands at its other end.
    let launch = fixture(["floods-stderr", "--bytes", "8000000"]);
    let test = Test::new().flag("-vv").server("north", launch);
    let mut host = test.serve_after("mkfifo log; sleep 300 <log & exec 2>log");
    host.initialize();
    host.ready(&["north"]);
    for n in 0..200 {
        assert_eq!(host.value("north__echo", json!({ "n": n })), json!({ "n": n }));
    }
}

#[test]
fn with_few_file_descriptors_some_servers_work_and_the_others_are_told() {
    let names: Vec<_> = (0..40).map(|place| format!("server{place}")).collect();
    let test = names.iter().fold(Test::new(), |test, name| test.server(name, fixture(["healthy"])));
    let mut host = test.serve_after("ulimit -n 64");
    host.initialize();
    let ids: Vec<_> = names.iter().map(|name| host.send_call(&format!("{name}__echo"), json!({ "a": 1 }))).collect();
    let answers: Vec<_> = ids.into_iter().map(|id| host.answer(id)["result"].clone()).collect();
    let (wrong, right): (Vec<_>, Vec<_>) = answers.iter().partition(|result| result["isError"] == true);
    assert!(!right.is_empty(), "none of them works: {}", host.stderr());
    let is_told = wrong.iter().all(|result| result.to_string().contains("MO5"));
    assert!(is_told, "{wrong:?}");
}

#[test]
fn two_hundred_rewrites_of_the_registry_touch_no_server_that_stays_as_it_is() {
    let mut host = Test::new().server("north", fixture(["healthy"])).start();
    host.ready(&["north"]);
    let path = host.home().join("registry.toml");
    let text = fs::read_to_string(&path).expect("the registry");
    let south = text.replace("north", "south");
    let began = Instant::now();
    for turn in 0..200 {
        let more = if turn % 2 == 0 { south.as_str() } else { "" };
        fs::write(&path, format!("{text}\n# {turn}\n{more}")).expect("the registry");
        std::thread::park_timeout(Duration::from_millis(10));
    }
    assert_eq!(host.value("north__echo", json!({ "a": 1 })), json!({ "a": 1 }), "after {:?}", began.elapsed());
    fs::write(&path, format!("{text}\n{south}")).expect("the registry");
    host.ready(&["north", "south"]);
    assert_eq!(host.record("north", "starts").len(), 1);
    assert!(host.record("south", "starts").len() < 60, "every rewrite has started a server");
}

#[test]
fn whatever_becomes_of_the_registry_what_was_good_stays() {
    let mut host = Test::new().server("north", fixture(["healthy"])).start();
    host.ready(&["north"]);
    let path = host.home().join("registry.toml");
    let good = fs::read_to_string(&path).expect("the registry");
    let half = good[..good.len() / 2].to_owned();
    for broken in [Some(half), Some("\u{0}\u{1}garbage\u{2}".to_owned()), None] {
        match &broken {
            Some(text) => fs::write(&path, text).expect("the registry"),
            None => fs::remove_file(&path).expect("the registry"),
        }
        let is_told = eventually(DEADLINE, || {
            host.value("orchestrator_status", json!({})).to_string().contains("used as it was before")
        });
        assert!(is_told, "{broken:?}: {}", host.stderr());
        assert_eq!(host.value("north__echo", json!({ "a": 1 })), json!({ "a": 1 }));
        fs::write(&path, &good).expect("the registry");
        let is_mended = eventually(DEADLINE, || {
            !host.value("orchestrator_status", json!({})).to_string().contains("used as it was before")
        });
        assert!(is_mended, "{broken:?}: {}", host.stderr());
    }
    assert_eq!(host.record("north", "starts").len(), 1);
}
