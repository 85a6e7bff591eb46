//! Processes: what a server's death does, and that nothing outlives the program.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::{DEADLINE, Host, Test, eventually, fixture, processes};

const SERVERS: [&str; 3] = ["red", "green", "blue"];

fn three() -> Host {
    let test = SERVERS.iter().fold(Test::new(), |test, name| test.server(name, fixture(["healthy"])));
    let mut host = test.start();
    host.ready(&SERVERS);
    host
}

#[test]
fn each_server_may_be_killed_in_the_middle_of_calls_and_the_others_go_on() {
    let mut host = three();
    for victim in SERVERS {
        let others: Vec<_> = SERVERS.into_iter().filter(|name| *name != victim).collect();
        let before = host.record(victim, "calls").len();
        let doomed = host.send_call(&format!("{victim}__hang"), json!({}));
        let slow: Vec<_> =
            others.iter().map(|name| host.send_call(&format!("{name}__sleep"), json!({ "ms": 700 }))).collect();
        assert!(eventually(DEADLINE, || host.record(victim, "calls").len() == before + 1), "the call has arrived");
        let killed = Instant::now();
        processes::signal(host.pid(victim), Signal::KILL);
        let answer = host.answer(doomed);
        assert!(killed.elapsed() < Duration::from_secs(2), "{victim}'s death was told after {:?}", killed.elapsed());
        let told = answer["result"]["content"][0]["text"].as_str().unwrap_or_default();
        assert!(told.contains(victim) && told.contains("signal 9"), "{answer}");
        for id in slow {
            assert_eq!(host.answer(id)["result"]["structuredContent"]["slept"], 700);
        }
        for name in others {
            assert_eq!(host.value(&format!("{name}__echo"), json!({ "a": 1 })), json!({ "a": 1 }));
        }
        assert_eq!(host.value(&format!("{victim}__echo"), json!({ "back": 1 })), json!({ "back": 1 }));
        let hangs = host.record(victim, "calls").iter().filter(|call| *call == "hang").count();
        assert_eq!(hangs, 1, "a write was repeated");
        assert_eq!(host.record(victim, "starts").len(), 2);
    }
}

#[test]
fn the_death_of_one_of_twelve_servers_kills_no_other() {
    let names: Vec<_> = (0..12).map(|place| format!("server{place:02}")).collect();
    let mut host = names.iter().fold(Test::new(), |test, name| test.server(name, fixture(["healthy"]))).start();
    host.ready(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let before: Vec<_> = names.iter().map(|name| host.pid(name)).collect();
    for (victim, pid) in names.iter().zip(&before) {
        // Their order of starting is not known, so each has its turn.
        processes::signal(*pid, Signal::KILL);
        assert!(eventually(DEADLINE, || host.record(victim, "starts").len() >= 2));
        assert_eq!(host.value(&format!("{victim}__echo"), json!({ "a": 1 })), json!({ "a": 1 }));
    }
    let starts: Vec<_> = names.iter().map(|name| host.record(name, "starts").len()).collect();
    assert_eq!(starts, [2; 12], "each was killed once");
}

#[test]
fn a_read_that_was_lost_with_its_server_is_repeated() {
    let mut host = three();
    let id = host.send_call("red__sleep", json!({ "ms": 600 }));
    assert!(eventually(DEADLINE, || host.record("red", "calls").len() == 1));
    processes::signal(host.pid("red"), Signal::KILL);
    assert_eq!(host.answer(id)["result"]["structuredContent"]["slept"], 600);
    assert_eq!(host.record("red", "calls"), ["sleep", "sleep"]);
}

#[test]
fn a_server_that_does_not_connect_in_time_is_ended_before_it_is_started_again() {
    let mut host = Test::new()
        .server("mute", fixture(["never-answers"]).with("connect_timeout = \"300ms\""))
        .server("stubborn", fixture(["never-answers", "--stubborn"]).with("connect_timeout = \"300ms\""))
        .start();
    for server in ["mute", "stubborn"] {
        assert!(eventually(DEADLINE, || host.record(server, "starts").len() >= 3));
        let pids: Vec<i32> = host.record(server, "starts").iter().filter_map(|pid| pid.parse().ok()).collect();
        let are_gone = eventually(DEADLINE, || !pids[..2].iter().any(|pid| processes::lives(*pid)));
        assert!(are_gone, "{server}: {:#?}", host.processes_left());
    }
    host.leave();
    host.leaves_nothing(Duration::from_secs(10));
}

#[test]
fn an_idle_server_that_was_killed_works_again() {
    let mut host = three();
    processes::signal(host.pid("green"), Signal::KILL);
    assert!(eventually(DEADLINE, || host.record("green", "starts").len() == 2));
    assert_eq!(host.value("green__echo", json!({ "a": 1 })), json!({ "a": 1 }));
    assert!(host.tools().iter().any(|name| name == "green__echo"), "its tools stay listed");
}

#[test]
fn the_log_and_the_status_say_how_a_server_has_died() {
    let mut host = Test::new().server("red", fixture(["healthy"])).start();
    host.ready(&["red"]);
    processes::signal(host.pid("red"), Signal::KILL);
    assert!(host.says("lost server=red"));
    assert!(host.stderr().contains("signal 9"), "{}", host.stderr());
}

#[test]
fn a_killed_server_takes_its_grandchildren_along() {
    let mut host = three();
    let pid = |host: &mut Host, own_session: bool| {
        let told = host.value("blue__spawn_grandchild", json!({ "own_session": own_session }));
        i32::try_from(told["pid"].as_i64().expect("a pid")).expect("a pid")
    };
    let grandchildren = [pid(&mut host, false), pid(&mut host, true)];
    assert!(eventually(DEADLINE, || grandchildren.iter().all(|pid| processes::lives(*pid))));
    processes::signal(host.pid("blue"), Signal::KILL);
    let are_gone = eventually(Duration::from_secs(5), || !grandchildren.iter().any(|pid| processes::lives(*pid)));
    assert!(are_gone, "left behind: {:#?}", host.processes_left());
}

/// A healthy server, a stubborn one, and one with two grandchildren, all in the middle of a call.
fn in_the_middle_of_it() -> Host {
    let mut host = Test::new()
        .server("plain", fixture(["healthy"]))
        .server("stubborn", fixture(["healthy", "--stubborn"]))
        .server("parent", fixture(["healthy"]))
        .start();
    let servers = ["plain", "stubborn", "parent"];
    host.ready(&servers);
    for own_session in [false, true] {
        host.value("parent__spawn_grandchild", json!({ "own_session": own_session }));
    }
    for server in servers {
        host.send_call(&format!("{server}__hang"), json!({}));
    }
    let has_hung = |server: &&str| host.record(server, "calls").iter().any(|call| call == "hang");
    assert!(eventually(DEADLINE, || servers.iter().all(has_hung)));
    // Ourselves, three servers, two grandchildren, the watchdog.
    assert!(host.processes_left().len() >= 6, "{:#?}", host.processes_left());
    host
}

#[test]
fn the_end_of_input_ends_everything() {
    let mut host = in_the_middle_of_it();
    let began = Instant::now();
    host.leave();
    let status = host.ended(Duration::from_secs(10)).expect("it ends within ten seconds");
    assert!(status.success(), "{status} after {:?}", began.elapsed());
    host.leaves_nothing(Duration::from_secs(5));
}

#[test]
fn our_own_sudden_death_leaves_nothing_behind() {
    let mut host = in_the_middle_of_it();
    host.signal(Signal::KILL);
    assert!(host.ended(Duration::from_secs(2)).is_some());
    host.leaves_nothing(Duration::from_secs(5));
}

#[test]
fn a_termination_ends_everything() {
    let mut host = in_the_middle_of_it();
    host.signal(Signal::TERM);
    let status = host.ended(Duration::from_secs(10)).expect("it ends within ten seconds");
    assert!(status.success() || status.code() == Some(143), "{status}");
    host.leaves_nothing(Duration::from_secs(5));
}

#[test]
fn an_interrupt_ends_everything_and_a_hang_up_nothing() {
    let mut host = in_the_middle_of_it();
    host.signal(Signal::HUP);
    assert!(host.says("read anew"));
    assert_eq!(host.value("plain__echo", json!({ "a": 1 })), json!({ "a": 1 }));
    host.signal(Signal::INT);
    let status = host.ended(Duration::from_secs(10)).expect("it ends within ten seconds");
    assert!(status.success() || status.code() == Some(130), "{status}");
    host.leaves_nothing(Duration::from_secs(5));
}

#[test]
fn the_end_of_input_ends_us_even_if_a_server_does_not_read() {
    let mut host = Test::new().server("odd", fixture(["odd"])).start();
    host.ready(&["odd"]);
    host.send_call("odd__freeze", json!({}));
    assert!(eventually(DEADLINE, || host.record("odd", "calls").len() == 1));
    for _ in 0..10 {
        host.send_call("odd__write", json!({ "text": "x".repeat(64 * 1024) }));
    }
    host.leave();
    assert!(host.ended(Duration::from_secs(10)).is_some(), "it ends although the pipe is full");
    host.leaves_nothing(Duration::from_secs(5));
}

#[test]
fn the_end_of_input_before_the_first_message_ends_everything() {
    let mut host = Test::new().server("plain", fixture(["healthy"])).serve();
    host.leave();
    assert!(host.ended(Duration::from_secs(10)).is_some());
    host.leaves_nothing(Duration::from_secs(5));
}

#[test]
fn a_server_gets_its_own_variables_and_none_of_ours() {
    let launch = fixture(["healthy"]).env("TOKEN", "${MY_TOKEN}").env("PLACE", "${NOWHERE:-here}");
    let mut host = Test::new()
        .env("MY_TOKEN", "for-the-server")
        .env("AWS_SECRET_ACCESS_KEY", "not-for-the-server")
        .server("plain", launch)
        .start();
    let env = host.value("plain__env", json!({}));
    assert_eq!(env["TOKEN"], "for-the-server");
    assert_eq!(env["PLACE"], "here");
    assert!(env.get("AWS_SECRET_ACCESS_KEY").is_none() && env.get("MY_TOKEN").is_none(), "{env}");
    assert!(env.get("PATH").is_some() && env.get("HOME").is_some());
}

#[test]
fn the_terminal_escapes_of_a_server_do_not_reach_our_log() {
    let launch = fixture(["healthy", "--stderr", "\u{1b}[31mred\u{1b}]0;title\u{7}"]);
    let host = Test::new().flag("-vv").server("noisy", launch).start();
    assert!(host.says("red"), "{}", host.stderr());
    let log = host.stderr();
    assert!(!log.contains('\u{1b}') && !log.contains('\u{7}'), "{log:?}");
    let line = log.lines().find(|line| line.contains("]0;title")).expect("the line is in the log");
    assert!(line.contains("noisy"), "the line names the server: {line}");
}

#[test]
fn secrets_of_a_server_that_dies_are_not_in_our_log() {
    let launch = fixture(["exits-at-start"]).env("API_KEY", "hunter2-hunter2").env("OTHER", "${MY_TOKEN}");
    let mut host = Test::new().flag("-vv").env("MY_TOKEN", "swordfish-77").server("quitter", launch).start();
    let told = host.failure("quitter__echo", json!({}));
    let all = format!("{told}{}", host.stderr());
    assert!(!all.contains("hunter2") && !all.contains("swordfish"), "{all}");
}

#[test]
fn a_required_server_that_cannot_be_started_ends_us() {
    let launch = fixture(["exits-at-start", "--stderr", "no licence"]).with("required = true");
    let mut host = Test::new().server("vital", launch).serve();
    let status = host.ended(DEADLINE).expect("it ends");
    assert_eq!(status.code(), Some(4));
    assert!(host.says("vital") && host.says("no licence"), "{}", host.stderr());
    host.leaves_nothing(Duration::from_secs(5));
}

#[test]
fn a_lazy_server_is_started_when_it_is_first_needed() {
    let mut host = Test::new().server("lazy", fixture(["healthy"]).with("start = \"lazy\"")).start();
    assert_eq!(host.record("lazy", "starts").len(), 0);
    assert_eq!(host.value("lazy__echo", json!({ "a": 1 })), json!({ "a": 1 }));
    assert_eq!(host.record("lazy", "starts").len(), 1);
}
