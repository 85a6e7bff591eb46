//! The command line: what is printed where, and the exit codes.

use std::time::Duration;

use serde_json::json;

use crate::support::scene::Done;
use crate::support::web::{Manner, Web};
use crate::support::{Test, fixture};

const GREET: &str = r"
description: Greets somebody.
input: { who: string, times: { type: integer, default: 1 } }
steps:
  - { id: said, tool: north.echo, args: { text: 'Hello ${input.who}', times: $input.times } }
output: $steps.said.output
";

const SECRET: &str = "hunter2-hunter2";

fn shop() -> Test {
    Test::new().server("north", fixture(["healthy"]).env("KEY", SECRET)).workflow("greet", GREET)
}

/// Neither standard output nor standard error has the secret.
fn discreet(done: Done) -> Done {
    assert!(!done.stdout.contains("hunter2") && !done.stderr.contains("hunter2"), "{}{}", done.stdout, done.stderr);
    done
}

#[test]
fn check_is_content_with_good_files() {
    let done = discreet(shop().run(&["check"]));
    assert_eq!((done.code, done.stdout.trim()), (0, "ok: 1 servers, 1 workflows"), "{}", done.stderr);
    let done = discreet(shop().run(&["check", "--online", "-o", "json"]));
    assert_eq!((done.code, &done.json()["ok"]), (0, &json!(true)), "{}", done.stderr);
}

/// Files with a mistake each in the registry and in two workflows.
fn broken() -> Test {
    Test::new()
        .registry("[defaults]\ntimeot = \"3s\"\n")
        .server("north", fixture(["healthy"]).env("KEY", SECRET).with("comand = \"x\""))
        .workflow("one", "steps:\n  - { id: a, tol: north.echo }\n")
        .workflow("two", "steps:\n  - { id: a, tool: nroth.echo }\n")
}

#[test]
fn check_tells_every_problem_at_once_with_its_place() {
    let done = discreet(broken().run(&["check"]));
    assert_eq!(done.code, 2);
    for part in ["registry.toml:2:1", "timeot", "did you mean", "comand", "one.yaml:3:", "two.yaml:3:", "nroth"] {
        assert!(done.stderr.contains(part), "{part} is missing in {}", done.stderr);
    }
    assert!(done.stdout.starts_with("not ok"), "{}", done.stdout);
}

#[test]
fn check_tells_programs_the_same() {
    let done = discreet(broken().run(&["check", "-o", "json"]));
    assert_eq!(done.code, 2);
    let told = done.json();
    let problems = told["problems"].as_array().expect("a list");
    assert!(told["ok"] == false && problems.len() >= 4, "{told}");
    for problem in problems {
        assert!(problem["line"].is_u64() && problem["column"].is_u64() && problem["file"].is_string(), "{problem}");
        assert!(problem["code"].as_str().is_some_and(|code| code.starts_with("MO")), "{problem}");
    }
}

#[test]
fn check_online_finds_what_only_the_servers_know() {
    let test = Test::new()
        .server("north", fixture(["healthy"]))
        .server("gone", fixture(["exits-at-start", "--stderr", "no licence"]))
        .workflow("one", "steps:\n  - { id: a, tool: north.ecko }\n");
    assert_eq!(test.run(&["check"]).code, 0, "the files alone cannot tell");
    let done = test.run(&["check", "--online"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("ecko") && done.stderr.contains("echo"), "{}", done.stderr);
    assert!(done.stderr.contains("gone") && done.stderr.contains("no licence"), "{}", done.stderr);
}

#[test]
fn run_prints_the_output_and_nothing_else() {
    let done = discreet(shop().run(&["run", "greet", "who=Ada", "times=3"]));
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(done.json(), json!({ "text": "Hello Ada", "times": 3 }));
    assert!(done.stderr.contains("said"), "progress goes to standard error: {}", done.stderr);
    let done = shop().run(&["-o", "json", "run", "greet", "who=Ada"]);
    assert_eq!(done.json()["status"], "completed");
}

#[test]
fn run_takes_its_input_from_a_file() {
    let test = shop().file("input.json", r#"{ "who": "Bob", "times": 2 }"#);
    let path = test.home().join("input.json").to_string_lossy().into_owned();
    let done = test.run(&["run", "greet", "--input", &path, "times=5"]);
    assert_eq!(done.json(), json!({ "text": "Hello Bob", "times": 5 }));
}

#[test]
fn run_says_by_its_exit_code_what_went_wrong() {
    let test = shop()
        .workflow("fails", "steps:\n  - { id: broken, tool: north.fail, args: { message: no paper } }\n")
        .workflow("stops", "steps:\n  - { id: stop, fail: on purpose }\n");
    let done = test.run(&["run", "fails"]);
    assert_eq!(done.code, 5, "{}", done.stderr);
    assert!(done.stderr.contains("`broken`") && done.stderr.contains("no paper") && done.stdout.is_empty());
    assert_eq!(test.run(&["run", "stops"]).code, 5);
    let done = test.run(&["run", "greet"]);
    assert_eq!(done.code, 2, "{}", done.stderr);
    assert!(done.stderr.contains("who"), "{}", done.stderr);
    let done = test.run(&["run", "gret"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("greet"), "{}", done.stderr);
}

#[test]
fn run_can_show_what_it_would_do() {
    let done = shop().run(&["run", "greet", "who=Ada", "--dry-run"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.contains("said") && done.stderr.contains("nothing was run"), "{}{}", done.stdout, done.stderr);
    assert_eq!(shop().run(&["run", "greet", "--dry-run"]).code, 2);
}

#[test]
fn call_prints_the_result() {
    for tool in ["north.echo", "north__echo", "echo"] {
        let done = discreet(shop().run(&["call", tool, "a=1", "b=text"]));
        assert_eq!(done.code, 0, "{}", done.stderr);
        assert!(done.json()["b"] == "text", "{}", done.stdout);
    }
    let done = shop().run(&["call", "north.echo", "--json", r#"{"a":{"b":[1,2.0]}}"#]);
    assert_eq!(done.json(), json!({ "a": { "b": [1, 2.0] } }));
}

#[test]
fn call_says_by_its_exit_code_what_went_wrong() {
    let test = Test::new()
        .server("north", fixture(["healthy"]))
        .server("gone", fixture(["exits-at-start", "--stderr", "no licence"]).with("retry = 1"));
    let cases = [("north.fail", 5, "has failed"), ("north.rpc_error", 5, "quota"), ("north.ecko", 2, "echo")];
    for (tool, code, reason) in cases.into_iter().chain([("nroth.echo", 2, "north"), ("gone.echo", 4, "no licence")]) {
        let done = test.run(&["call", tool]);
        assert_eq!(done.code, code, "{tool}: {}", done.stderr);
        assert!(format!("{}{}", done.stdout, done.stderr).contains(reason), "{tool}: {}{}", done.stdout, done.stderr);
    }
}

#[test]
fn tools_and_status_tell_people_and_programs() {
    let test = shop().server("gone", fixture(["exits-at-start", "--stderr", "no licence"]).env("KEY", SECRET));
    let done = discreet(test.run(&["tools"]));
    assert_eq!(done.code, 0);
    assert!(done.stdout.contains("north__echo") && done.stdout.contains("greet"), "{}", done.stdout);
    assert!(done.stderr.contains("gone"), "what is missing is told: {}", done.stderr);
    let done = discreet(test.run(&["tools", "north", "-o", "json"]));
    assert_eq!(done.json()["tools"].as_array().map(Vec::len), Some(crate::support::TOOLS));
    let done = discreet(test.run(&["status"]));
    assert_eq!(done.code, 4);
    assert!(done.stdout.contains("1 of 2 servers ready") && done.stdout.contains("no licence"), "{}", done.stdout);
    let done = discreet(test.run(&["status", "north", "-o", "json"]));
    assert_eq!((done.code, &done.json()["servers"][0]["state"]), (0, &json!("ready")));
    let done = test.run(&["status", "noth"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("north"), "{}", done.stderr);
}

#[test]
fn graph_draws_text_and_mermaid() {
    let done = shop().run(&["graph", "greet"]);
    assert!(done.code == 0 && done.stdout.contains("said"), "{}{}", done.stdout, done.stderr);
    let done = shop().run(&["graph", "greet", "--format", "mermaid"]);
    assert!(done.code == 0 && done.stdout.contains("flowchart"), "{}{}", done.stdout, done.stderr);
    assert_eq!(shop().run(&["graph", "nobody"]).code, 2);
}

#[test]
fn the_demonstration_works_out_of_the_box_and_leaves_nothing_behind() {
    let done = Test::new().run(&["demo"]);
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    assert!(done.took < Duration::from_secs(5), "{:?}", done.took);
    assert!(done.stdout.contains("kill -9") && done.stdout.contains("was started again"), "{}", done.stdout);
}

#[test]
fn completions_the_version_and_the_help_need_no_registry() {
    let test = Test::new();
    for shell in ["bash", "zsh", "fish"] {
        let done = test.run(&["completions", shell]);
        assert!(done.code == 0 && done.stdout.contains("mcp-orchestrator"), "{shell}: {}", done.stderr);
    }
    let done = test.run(&["--version"]);
    assert_eq!((done.code, done.stdout.trim()), (0, concat!("mcp-orchestrator ", env!("CARGO_PKG_VERSION"))));
    assert_eq!(test.run(&["--help"]).code, 0);
    assert_eq!(test.run(&["dance"]).code, 2);
}

#[test]
fn a_registry_that_is_not_there_is_named() {
    for command in ["serve", "check", "tools"] {
        let done = Test::new().run(&[command, "--registry", "nowhere.toml"]);
        assert_eq!(done.code, 2, "{command}: {}", done.stderr);
        assert!(done.stderr.contains("nowhere.toml"), "{command}: {}", done.stderr);
    }
}

#[test]
fn a_registry_that_cannot_be_parsed_is_named_with_the_line() {
    for (name, text) in [("bad.toml", "[servers.a\nKEY = \"hunter2\"\n"), ("bad.json", "{\n  \"mcpServers\": {,}\n}\n")]
    {
        let test = Test::new().file(name, text);
        for command in ["serve", "check"] {
            let done = discreet(test.run(&[command, "--registry", name]));
            assert_eq!(done.code, 2, "{command}: {}", done.stderr);
            let line = if name == "bad.toml" { 1 } else { 2 };
            assert!(done.stderr.contains(&format!("{name}:{line}")), "{command}: {}", done.stderr);
        }
    }
}

#[test]
fn a_bad_entry_is_named_and_the_good_one_is_served() {
    let test = Test::new().registry("[servers.empty]\npriority = 3\n").server("north", fixture(["healthy"]));
    let mut host = test.start();
    host.ready(&["north"]);
    assert_eq!(host.value("north__echo", json!({ "a": 1 })), json!({ "a": 1 }));
    assert!(host.says("servers.empty") && host.says("needs `command` or `url`"), "{}", host.stderr());
}

#[test]
fn an_empty_registry_serves_nothing_and_says_so() {
    let mut host = Test::new().registry("# nothing yet").start();
    let own = [
        "answer_run",
        "control_run",
        "get_run",
        "list_workflows",
        "orchestrator_status",
        "reload_config",
        "run_workflow",
    ];
    assert_eq!(host.tools(), [own.as_slice(), &["validate_workflow"]].concat());
    assert!(host.says("the registry is empty"), "{}", host.stderr());
}

#[test]
fn the_client_of_the_conformance_suite_uses_what_a_server_offers() {
    let web = Web::start(Manner::Annotated);
    let url = format!("http://127.0.0.1:{}/mcp", web.port);
    let context = json!({ "toolCalls": [{ "name": "echo", "arguments": { "region": "größe" } }] });
    let done = Test::new().env("MCP_CONFORMANCE_CONTEXT", &context.to_string()).run(&["conformance-client", &url]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.contains("suite.echo: {") && done.stdout.contains("größe"), "{}", done.stdout);
    assert!(!Test::new().run(&["--help"]).stdout.contains("conformance"), "operators need not know");
}

#[test]
#[cfg(target_os = "linux")]
fn what_cannot_be_written_is_told_and_is_no_success() {
    let test = shop();
    for args in [&["explain"][..], &["run", "greet", "who=you"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a device that is full");
        let done = test.command(args).stdout(full).output().expect("the program");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{args:?}: {said}");
        assert_eq!(said.matches("cannot be written to standard output").count(), 1, "{args:?}: {said}");
    }
}

#[test]
fn a_workflow_that_cannot_be_run_for_its_mistakes_is_not_said_to_be_unknown_to_a_tool() {
    let test = shop().workflow("broken", "steps:\n  - { id: a, tol: north.echo }\n");
    let done = test.run(&["run", "broken"]);
    assert_eq!(done.code, 2, "{}", done.stderr);
    let hint = "a file that may hold it has mistakes, told above; `mcp-orchestrator check` shows all of them";
    assert!(done.stderr.contains(hint) && !done.stderr.contains("list_workflows"), "{}", done.stderr);
    let done = shop().run(&["run", "nobody"]);
    assert!(done.stderr.contains("`mcp-orchestrator tools` shows which there are"), "{}", done.stderr);
}

/// A server that answers, and one that never does and would be waited for longer than any test goes on.
fn beside_a_silent_one() -> Test {
    let silent = fixture(["never-answers"]).with("start = \"lazy\"\nconnect_timeout = \"10m\"");
    shop().server("silent", silent).registry("[capabilities.\"words.say\"]\nmembers = [\"north.echo\"]\n").workflow(
        "twice",
        "
input: { who: string }
steps:
  - { id: first, workflow: greet, args: { who: $input.who } }
  - { id: second, tool: words.say, args: { text: again } }
",
    )
}

#[test]
fn a_server_that_hangs_holds_up_no_command_that_is_about_others() {
    for (args, part) in [
        (&["run", "greet", "who=Ada"][..], "Hello Ada"),
        (&["run", "twice", "who=Ada"], "again"),
        (&["run", "--dry-run", "greet", "who=Ada"], "said  read"),
        (&["status", "north"], "north"),
        (&["tools", "north"], "north__echo"),
        (&["tools", "--capability", "words.say"], "north__echo"),
    ] {
        let test = beside_a_silent_one();
        let starts = test.home().join("silent.starts");
        let done = test.run(args);
        assert_eq!(done.code, 0, "{args:?}: {}", done.stderr);
        assert!(done.stdout.contains(part), "{args:?}: {}", done.stdout);
        assert!(!starts.exists(), "{args:?} has started a server that it does not need");
    }
}
