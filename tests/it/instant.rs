//! A start that waits for nobody: what servers were last heard to offer is listed before any of them runs.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{DEADLINE, Host, Test, eventually, fixture};

/// Ends the program as a host does that leaves, and starts it again.
fn again(host: &mut Host) {
    host.leave();
    host.return_with(&[]);
}

/// The file that keeps what `server` offers.
fn kept(host: &Host, server: &str) -> PathBuf {
    let mut folders = vec![host.home().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if entry.path().ends_with(format!("catalogue/{server}.json")) {
                return entry.path();
            }
        }
    }
    panic!("nothing is kept of {server}\n{}", host.stderr());
}

#[test]
fn thirty_slow_servers_are_listed_at_once_and_the_first_call_starts_exactly_one() {
    const SERVERS: usize = 30;
    let launch = || fixture(["slow-start"]).arg("--ms").arg("5000").with(r#"start = "lazy""#);
    let test = (0..SERVERS).fold(Test::new(), |test, n| test.server(&format!("s{n}"), launch()));
    let test = test.registry("[orchestrator]\nsettle = \"60s\"");
    let mut host = test.start();
    let tools = host.tools();
    assert!(tools.len() > SERVERS * 20, "{} tools\n{}", tools.len(), host.stderr());
    host.leave();
    assert!(host.ended(DEADLINE).is_some());
    let starts = host.record("s7", "starts").len();
    host.return_with(&[]);
    let began = Instant::now();
    host.initialize();
    assert_eq!(host.tools(), tools);
    let first = began.elapsed();
    assert!(first < Duration::from_secs(4), "no server can have been waited for: {first:?}");
    let mut times: Vec<_> = (0..50)
        .map(|_| {
            let began = Instant::now();
            host.request("tools/list", json!({}));
            began.elapsed()
        })
        .collect();
    times.sort();
    // Other tests take their share of the machine, so that only the best time is ours.
    assert!(times[0] < Duration::from_millis(50), "first {first:?}, then {times:?}");
    let started = |host: &Host| (0..SERVERS).map(|n| host.record(&format!("s{n}"), "starts").len()).sum::<usize>();
    assert_eq!(started(&host), starts * SERVERS, "no child has been started");
    let calls: Vec<_> = (0..4).map(|n| host.send_call("s7__echo", json!({ "n": n }))).collect();
    for id in calls {
        assert_eq!(host.answer(id)["result"]["isError"], json!(null), "{}", host.stderr());
    }
    assert_eq!(started(&host), starts * SERVERS + 1, "the first call has started one, and once");
}

#[test]
fn a_server_that_offers_something_else_now_is_told_as_a_change_of_the_list() {
    let mut host = Test::new().server("gears", fixture(["healthy"]).with(r#"start = "lazy""#)).start();
    host.ready(&["gears"]);
    host.value("gears__add_tool", json!({}));
    let is_kept =
        eventually(DEADLINE, || fs::read_to_string(kept(&host, "gears")).is_ok_and(|text| text.contains("extra")));
    assert!(is_kept, "{}", host.stderr());
    again(&mut host);
    host.initialize();
    assert!(host.tools().contains(&"gears__extra".to_owned()));
    let status = host.value("orchestrator_status", json!({}));
    assert!(status["servers"][0]["as_of"].is_string(), "{status}");
    host.value("gears__echo", json!({}));
    host.wait_for("a change", |message| message["method"] == "notifications/tools/list_changed");
    assert!(!host.tools().contains(&"gears__extra".to_owned()), "a new life of the server has no such tool");
    assert_eq!(host.notifications("notifications/tools/list_changed").len(), 1);
    assert!(host.value("orchestrator_status", json!({}))["servers"][0].get("as_of").is_none());
}

#[test]
fn a_command_does_not_take_the_place_of_what_was_heard_for_a_host() {
    let mut host = Test::new().server("gears", fixture(["healthy"]).with(r#"start = "lazy""#)).start();
    host.ready(&["gears"]);
    host.value("gears__add_tool", json!({}));
    let has_more = |host: &Host| fs::read_to_string(kept(host, "gears")).is_ok_and(|text| text.contains("extra"));
    assert!(eventually(DEADLINE, || has_more(&host)), "{}", host.stderr());
    // The server that a command starts has no such tool, as one that finds nobody to answer its questions has fewer.
    for command in [&["status"][..], &["tools"], &["call", "gears.echo"]] {
        host.beside(command);
        assert!(has_more(&host), "{command:?}");
    }
    again(&mut host);
    host.initialize();
    assert!(host.tools().contains(&"gears__extra".to_owned()), "{}", host.stderr());
}

#[test]
fn a_server_that_is_gone_keeps_its_tools_and_a_call_says_why_it_fails() {
    let test = Test::new().server("gears", fixture(["healthy"]).with("retry = 1"));
    let registry = test.home().join("registry.toml");
    let mut host = test.start();
    host.ready(&["gears"]);
    host.leave();
    assert!(host.ended(DEADLINE).is_some());
    // The entry is the same one, but what it needs is not there any more.
    let written = fs::read_to_string(&registry).expect("the registry");
    fs::write(&registry, written.replace("FIXTURE_HOME = \"", "FIXTURE_HOME = \"${NOT_THERE}")).expect("the registry");
    host.return_with(&[]);
    host.initialize();
    assert!(host.tools().contains(&"gears__echo".to_owned()), "{}", host.stderr());
    let why = host.failure("gears__echo", json!({}));
    assert!(why.contains("NOT_THERE"), "{why}");
}

#[test]
fn a_server_that_was_used_a_moment_ago_keeps_its_tools_though_it_cannot_be_started_again() {
    let gears = fixture(["healthy"]).with("idle_ttl = \"200ms\"\nretry = 1");
    let test = Test::new().registry("[orchestrator]\nremember = \"4s\"").file("key", "a key");
    let key = test.home().join("key");
    let mut host = test.server("gears", gears.env("KEY", &format!("${{file:{}}}", key.display()))).start();
    host.ready(&["gears"]);
    // It is used for longer than it would be remembered.
    for _ in 0..10 {
        host.value("gears__sleep", json!({ "ms": 450 }));
    }
    let is_idle = |host: &mut Host| host.value("orchestrator_status", json!({}))["servers"][0]["state"] == "idle";
    assert!(eventually(DEADLINE, || is_idle(&mut host)), "{}", host.stderr());
    fs::remove_file(&key).expect("the key");
    host.failure("gears__echo", json!({}));
    assert!(host.tools().contains(&"gears__echo".to_owned()), "{}", host.stderr());
}

#[test]
fn what_is_remembered_for_no_time_is_not_listed() {
    let gears = fixture(["healthy"]).with(r#"start = "lazy""#);
    let mut host = Test::new().registry("[orchestrator]\nremember = \"0s\"").server("gears", gears).start();
    host.ready(&["gears"]);
    again(&mut host);
    host.initialize();
    host.ready(&["gears"]);
    assert_eq!(host.record("gears", "starts").len(), 2, "it had to be asked");
}

#[test]
fn a_broken_file_is_ignored_and_written_anew() {
    let gears = fixture(["healthy"]).with(r#"start = "lazy""#);
    let mut host = Test::new().server("gears", gears).start();
    host.ready(&["gears"]);
    let file = kept(&host, "gears");
    let whole = fs::read_to_string(&file).expect("what is kept");
    for broken in [whole[..whole.len() / 2].to_owned(), whole.replace("The fixture's echo.", "Something else.")] {
        host.leave();
        assert!(host.ended(DEADLINE).is_some());
        fs::write(&file, broken).expect("the file");
        let starts = host.record("gears", "starts").len();
        host.return_with(&[]);
        host.initialize();
        host.ready(&["gears"]);
        assert_eq!(host.record("gears", "starts").len(), starts + 1, "it had to be asked");
        assert!(host.says("cannot be read"), "{}", host.stderr());
        assert!(
            eventually(DEADLINE, || fs::read_to_string(&file).is_ok_and(|text| text.contains("The fixture's echo.")))
        );
    }
}

#[test]
fn nothing_that_a_server_is_given_is_kept() {
    let gears = fixture(["healthy"]).env("TOKEN", "hunter2-in-the-environment").arg("--key").arg("hunter2-as-argument");
    let mut host = Test::new().server("gears", gears).start();
    host.ready(&["gears"]);
    let text = fs::read_to_string(kept(&host, "gears")).expect("what is kept");
    assert!(!text.contains("hunter2"), "{text}");
}
