//! Servers that come and go by themselves, as sources name them.

use std::fs;

use serde_json::{Value, json};

use crate::support::launch::fixture_path;
use crate::support::page::Page;
use crate::support::web::{Manner, Web};
use crate::support::{DEADLINE, Host, Test, eventually, fixture};

/// Asked often, and what is gone is gone soon.
const OFTEN: &str = "refresh = \"200ms\"\ngrace = \"300ms\"\n";

/// A source that prints the file `servers.json` of the test.
fn printing(test: Test, servers: &Value, settings: &str) -> Test {
    let file = test.home().join("servers.json").display().to_string();
    test.registry(&format!("[discovery.sources.inventory]\ncommand = \"cat\"\nargs = [{file:?}]\n{OFTEN}{settings}"))
        .file("servers.json", &servers.to_string())
}

/// A source that is asked over HTTP.
fn paged(test: Test, page: &Page, settings: &str) -> Test {
    let url = format!("http://127.0.0.1:{}/servers.json", page.port);
    test.registry(&format!("[discovery.sources.team]\nurl = {url:?}\n{OFTEN}{settings}"))
}

fn program() -> Value {
    json!({ "command": fixture_path(), "args": ["healthy"] })
}

fn at(web: &Web) -> Value {
    json!({ "url": format!("http://127.0.0.1:{}/mcp", web.port), "type": "http" })
}

fn named(servers: &[(&str, Value)]) -> Value {
    let servers: serde_json::Map<_, _> =
        servers.iter().map(|(name, server)| ((*name).to_owned(), server.clone())).collect();
    json!({ "mcpServers": servers })
}

fn status(host: &mut Host) -> Value {
    host.value("orchestrator_status", json!({}))
}

fn has(host: &mut Host, server: &str) -> bool {
    host.tools().iter().any(|tool| tool.starts_with(&format!("{server}__")))
}

fn source(host: &mut Host, name: &str) -> Value {
    let status = status(host);
    let mut all = status["sources"].as_array().expect("sources").iter();
    all.find(|source| source["name"] == name).cloned().unwrap_or_default()
}

#[test]
fn servers_that_a_program_prints_come_and_go_and_the_others_do_not_notice() {
    let test = printing(Test::new(), &named(&[("east", program())]), "allow_commands = true\n");
    let mut host = test.server("north", fixture(["healthy"])).start();
    host.ready(&["north", "east"]);
    let pid = |host: &mut Host, server: &str| host.value(&format!("{server}__pid"), json!({}))["pid"].clone();
    let (north, east) = (pid(&mut host, "north"), pid(&mut host, "east"));
    let file = host.home().join("servers.json");
    fs::write(&file, named(&[("east", program()), ("west", program())]).to_string()).expect("the file");
    host.ready(&["west"]);
    assert_eq!((pid(&mut host, "north"), pid(&mut host, "east")), (north.clone(), east));
    fs::write(&file, named(&[("west", program())]).to_string()).expect("the file");
    assert!(eventually(DEADLINE, || !has(&mut host, "east")), "{}", host.stderr());
    assert!(has(&mut host, "west"));
    assert_eq!(pid(&mut host, "north"), north);
    let servers = status(&mut host)["servers"].clone();
    let from = |name: &str| {
        let mut all = servers.as_array().expect("servers").iter();
        all.find(|server| server["name"] == name).expect("the server")["from"].clone()
    };
    assert_eq!((from("west"), from("north")), (json!("discovery.sources.inventory"), Value::Null));
}

#[test]
fn the_first_list_waits_for_the_first_answers() {
    let test = printing(Test::new(), &named(&[("east", program())]), "allow_commands = true\n");
    let mut host = test.start();
    assert!(has(&mut host, "east"), "{}", host.stderr());
}

#[test]
fn a_source_that_fails_is_told_of_once_and_its_last_answer_is_used() {
    let web = Web::start(Manner::Legacy);
    let page = Page::saying(&named(&[("docs", at(&web))]));
    let mut host = paged(Test::new(), &page, "").start();
    host.ready(&["docs"]);
    page.fail(503);
    let is_told =
        eventually(DEADLINE, || source(&mut host, "team")["trouble"].as_str().is_some_and(|why| why.contains("503")));
    assert!(is_told, "{}", status(&mut host));
    let told = source(&mut host, "team")["trouble"].to_string();
    assert!(told.contains("[MO5501]") && told.contains("the server that it named last is used"), "{told}");
    assert!(has(&mut host, "docs"));
    page.say(&json!("nothing that makes sense"));
    let is_told = eventually(DEADLINE, || {
        source(&mut host, "team")["trouble"].as_str().is_some_and(|why| why.contains("neither a list"))
    });
    assert!(is_told, "{}", status(&mut host));
    assert!(has(&mut host, "docs"));
    page.say(&named(&[]));
    assert!(eventually(DEADLINE, || !has(&mut host, "docs")), "{}", host.stderr());
    assert_eq!(source(&mut host, "team")["trouble"], Value::Null);
    assert_eq!(host.stderr().matches("HTTP 503").count(), 1, "{}", host.stderr());
}

#[test]
fn what_the_network_may_not_bring_is_refused_with_a_code_and_leaves_the_rest() {
    let web = Web::start(Manner::Legacy);
    let evil = json!({ "url": "https://127.0.0.1:1/${HOME}" });
    let page = Page::saying(&named(&[("docs", at(&web)), ("north", at(&web)), ("run", program()), ("spy", evil)]));
    let mut host = paged(Test::new(), &page, "").server("north", fixture(["healthy"])).start();
    host.ready(&["docs", "north"]);
    assert!(host.tools().contains(&"north__pid".to_owned()), "the registry's own server counts");
    let problems = status(&mut host)["problems"].to_string();
    for part in
        ["[MO1012]: the server `run` is not used: it is a program", "it wants `HOME`", "[MO1013]: the server `north`"]
    {
        assert!(problems.contains(part), "{part}: {problems}");
    }
    assert!(!has(&mut host, "run") && !has(&mut host, "spy"));
}

#[test]
fn a_prefix_keeps_names_apart_and_a_bound_keeps_the_number_small() {
    let web = Web::start(Manner::Legacy);
    let page = Page::saying(&named(&[("a", at(&web)), ("north", at(&web)), ("z", at(&web))]));
    let mut host = paged(Test::new(), &page, "prefix = \"team-\"\nmax_servers = 2\n")
        .server("north", fixture(["healthy"]))
        .start();
    host.ready(&["north", "team-a", "team-north"]);
    assert!(!has(&mut host, "team-z"));
    let told = source(&mut host, "team")["trouble"].to_string();
    assert!(told.contains("names 3 servers, of which the first 2 are used"), "{told}");
}

#[test]
fn a_server_that_does_not_answer_is_in_no_list() {
    let (web, dead) = (Web::start(Manner::Legacy), Web::start(Manner::MuteAtFirst));
    let page = Page::saying(&named(&[("docs", at(&web)), ("mute", at(&dead))]));
    let mut host = paged(Test::new().registry("[orchestrator]\nsettle = \"500ms\"\n"), &page, "").start();
    host.ready(&["docs"]);
    assert!(!has(&mut host, "mute"));
    assert!(status(&mut host).to_string().contains("mute"), "the status knows of it");
}

#[test]
fn what_was_found_is_there_at_the_next_start_although_its_source_is_not() {
    let web = Web::start(Manner::Legacy);
    let page = Page::saying(&named(&[("docs", at(&web))]));
    let mut host = paged(Test::new(), &page, "").start();
    host.ready(&["docs"]);
    page.fail(500);
    let is_told = eventually(DEADLINE, || source(&mut host, "team")["trouble"].is_string());
    assert!(is_told, "{}", status(&mut host));
    host.die_and_return();
    host.initialize();
    host.ready(&["docs"]);
    assert!(eventually(DEADLINE, || source(&mut host, "team")["trouble"].is_string()), "{}", status(&mut host));
}

#[test]
fn a_program_that_hangs_is_ended_with_everything_that_it_has_started() {
    let test = Test::new().registry(
        "[discovery.sources.slow]\ncommand = \"sh\"\nargs = [\"-c\", \"sleep 1000 & sleep 1000\"]\ntimeout = \"300ms\"\nrefresh = \"1h\"\n",
    );
    let mut host = test.server("north", fixture(["healthy"])).start();
    host.ready(&["north"]);
    let is_told =
        eventually(DEADLINE, || source(&mut host, "slow")["trouble"].to_string().contains("no answer within 300ms"));
    assert!(is_told, "{}", status(&mut host));
    let is_over = || !host.processes_left().iter().any(|process| process.command.contains("sleep"));
    assert!(eventually(DEADLINE, is_over), "{:?}", host.processes_left());
}

#[test]
fn what_sources_have_found_since_a_revision_is_shown() {
    let web = Web::start(Manner::Legacy);
    let page = Page::saying(&named(&[]));
    let mut host = paged(Test::new().registry("[orchestrator]\n"), &page, "").start();
    host.tools();
    page.say(&named(&[("docs", at(&web))]));
    host.ready(&["docs"]);
    let mut diff = host.again(&["config", "diff", "1"]);
    let shown = String::from_utf8(diff.output().expect("the binary can be started").stdout).expect("UTF-8");
    assert!(shown.contains("+++ discovery.sources.team/docs") && shown.contains("+    \"docs\": {"), "{shown}");
}

#[test]
fn a_reload_asks_the_sources_at_once() {
    let web = Web::start(Manner::Legacy);
    let page = Page::saying(&named(&[]));
    let url = format!("http://127.0.0.1:{}/servers.json", page.port);
    let mut host =
        Test::new().registry(&format!("[discovery.sources.team]\nurl = {url:?}\nrefresh = \"1h\"\n")).start();
    host.tools();
    page.say(&named(&[("docs", at(&web))]));
    let told = host.value("reload_config", json!({}));
    assert_eq!(told["servers"]["added"], json!(["docs"]), "{told}");
    assert!(has(&mut host, "docs"));
}

#[test]
fn a_reload_asks_anew_what_was_being_asked_before_it() {
    let web = Web::start(Manner::Legacy);
    let page = Page::saying(&named(&[]));
    let mut host = paged(Test::new(), &page, "").start();
    host.tools();
    let is_being_asked = page.ignore_next();
    assert!(eventually(DEADLINE, is_being_asked), "{}", host.stderr());
    page.say(&named(&[("docs", at(&web))]));
    let told = host.value("reload_config", json!({}));
    assert_eq!(told["servers"]["added"], json!(["docs"]), "{told}");
}

#[test]
fn commands_that_serve_nobody_ask_the_sources_once() {
    let test = printing(Test::new(), &named(&[("east", program())]), "allow_commands = true\n");
    let test = test.workflow("flow", "steps:\n  - { id: a, tool: east.echo, args: { x: 1 } }\noutput: $a.result\n");
    let done = test.run(&["check"]);
    assert!(
        done.code == 0 && done.stderr.contains("no source of `[discovery.sources]` has named it"),
        "{}",
        done.stderr
    );
    let done = test.run(&["check", "--online"]);
    assert!(done.code == 0 && !done.stderr.contains("has named it"), "{} {}", done.stdout, done.stderr);
    let done = test.run(&["-o", "json", "call", "east.echo", "x=1"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let done = test.run(&["status"]);
    assert!(done.code == 0 && done.stdout.contains("from discovery.sources.inventory"), "{}", done.stdout);
    let done = test.run(&["run", "flow"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
}

#[test]
fn a_command_tells_each_problem_once_and_each_at_its_own_server() {
    let web = Web::start(Manner::Legacy);
    let bad = json!({ "url": at(&web), "headers": 3 });
    let tok = json!({ "url": "https://127.0.0.1:1/${HOME}" });
    let page = Page::saying(&named(&[("bad", bad), ("docs", at(&web)), ("tok", tok)]));
    let test = paged(Test::new(), &page, "").workflow("broken", "steps:\n  - { id: a, tol: docs.echo }\n");
    // What was found is kept, so that the second of them knows it from the start.
    for args in [["status"], ["tools"], ["status"]] {
        let done = test.run(&args);
        let all = format!("{}{}", done.stdout, done.stderr);
        for once in ["the server `tok` is not used: it wants `HOME`", "MO1003"] {
            assert_eq!(all.matches(once).count(), 1, "{args:?} {once}: {}\n---\n{}", done.stdout, done.stderr);
        }
        assert!(!all.contains("as it was before"), "{args:?}: {all}");
    }
    let done = test.run(&["check"]);
    let shown = done.stderr.split("the server `tok` is not used").nth(1).unwrap_or_default();
    let shown = shown.split("\n\n").next().unwrap_or_default();
    assert!(shown.contains("\"tok\"") && !shown.contains("\"bad\""), "{}", done.stderr);
}
