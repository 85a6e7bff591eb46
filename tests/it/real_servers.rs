//! Public servers behind the program, public clients in front of it: what works between all of them works for users.
//!
//! They are installed by the first test, into `target/test-servers`, at the versions that `tests/servers` pins. Where
//! Node.js or Python is missing, the tests say so and pass; with `CI=true` they fail.

mod calls;
mod context;
mod event_stream;
mod found;
mod ground;
mod install;
mod page;
mod walk;

use std::fs;
use std::path::Path;

use calls::{Call, digest, forwarded, inline, shipped};
use ground::{ATTEMPTS, Ground, SERVERS};
use serde_json::{Value, json};

use crate::support::Test;

#[test]
fn the_inspector_lists_the_tools_of_all_servers() {
    let Some(ground) = Ground::new() else { return };
    let mut tools = Vec::new();
    // A list never waits long for a slow server, and this client asks only once: on a busy machine it asks again.
    for era in ["legacy", "modern"].into_iter().cycle().take(ATTEMPTS) {
        let result = ground.inspect(era, &["--method", "tools/list"]);
        tools = result["tools"].as_array().expect("a list of tools").clone();
        assert!(tools.iter().all(|tool| tool["inputSchema"].is_object()), "a tool without a schema: {tools:?}");
        if missing(&names(&tools)).is_empty() {
            break;
        }
    }
    assert_eq!(missing(&names(&tools)), Vec::<String>::new(), "in {tools:?}");
}

#[test]
fn the_inspector_calls_everything() {
    inspect_calls_of("everything", "legacy");
}

#[test]
fn the_inspector_calls_filesystem() {
    inspect_calls_of("filesystem", "modern");
}

#[test]
fn the_inspector_calls_memory() {
    inspect_calls_of("memory", "legacy");
}

#[test]
fn the_inspector_calls_git() {
    inspect_calls_of("git", "legacy");
}

#[test]
fn the_inspector_calls_time() {
    inspect_calls_of("time", "modern");
}

#[test]
fn the_inspector_calls_sequential_thinking() {
    inspect_calls_of("sequential-thinking", "modern");
}

#[test]
fn the_inspector_calls_fetch() {
    inspect_calls_of("fetch", "modern");
}

#[test]
fn the_inspector_runs_a_workflow_over_four_servers() {
    let Some(ground) = Ground::new() else { return };
    let call = digest();
    call.expect(&inspect_call(&ground, "legacy", &call));
    the_digest_is_there(&ground);
}

#[test]
fn the_inspector_runs_a_workflow_of_its_own() {
    let Some(ground) = Ground::new() else { return };
    let call = inline();
    call.expect(&inspect_call(&ground, "modern", &call));
}

#[test]
fn the_python_client_does_it_all_in_the_initialize_era() {
    play_everything("legacy", "2025-11-25");
}

#[test]
fn the_python_client_does_it_all_in_the_modern_era() {
    play_everything("2026-07-28", "2026-07-28");
}

#[test]
fn the_python_client_finds_the_modern_era_by_itself() {
    let Some(ground) = Ground::new() else { return };
    let seen = ground.play("auto", &json!([{ "tool": "list_workflows", "arguments": {} }]));
    assert_eq!(seen["protocol_version"], "2026-07-28");
}

#[test]
fn the_shipped_workflows_fit_the_real_servers() {
    let Some(ground) = Ground::new() else { return };
    let done = ground.run(&["check", "--online"]);
    assert_eq!(done.stdout, "ok: 7 servers, 4 workflows\n", "{}", done.stderr);
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_shipped_workflow_runs_from_the_command_line() {
    let Some(ground) = Ground::new() else { return };
    let done = ground.run(&["run", "release_digest", "file=digest.md", "name=digest", "-o", "json"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let report = done.json();
    assert_eq!(report["status"], "completed", "{report}");
    assert_eq!(report["output"]["commits"], 3, "{report}");
    the_digest_is_there(&ground);
}

#[test]
fn a_real_server_is_called_over_http_sse() {
    let Some(server) = event_stream::EventStream::start() else { return };
    let entry = format!("[servers.old]\ntype = \"sse\"\nurl = \"http://127.0.0.1:{}/sse\"\n", server.port);
    let mut host = Test::new().registry(&entry).start();
    host.ready(&["old"]);
    let result = host.call("old__echo", json!({ "message": "hello" }));
    assert_eq!(result["content"][0]["text"], "Echo: hello", "{result}");
}

#[test]
fn the_shipped_registry_has_no_problem_and_names_the_tried_versions() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let registry = root.join("registry.toml");
    let done = Test::new().run(&["check", "--registry", &registry.to_string_lossy()]);
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (0, "ok: 7 servers, 4 workflows\n", ""));

    let text = fs::read_to_string(registry).expect("it is shipped");
    let package = fs::read_to_string(install::sources().join("package.json")).expect("it is pinned");
    let package: Value = serde_json::from_str(&package).expect("it is JSON");
    for server in ["everything", "filesystem", "memory", "sequential-thinking"] {
        let name = format!("@modelcontextprotocol/server-{server}");
        let version = package["dependencies"][&name].as_str().unwrap_or_else(|| panic!("{name} is not pinned"));
        assert!(text.contains(&format!("\"{name}@{version}\"")), "{name} is not at {version} in registry.toml");
    }
    let requirements = fs::read_to_string(install::sources().join("requirements.txt")).expect("it is pinned");
    for server in ["fetch", "git", "time"] {
        let name = format!("mcp-server-{server}==");
        let line = requirements.lines().find(|line| line.starts_with(&name)).unwrap_or_else(|| panic!("no {name}"));
        assert!(text.contains(&format!("\"{}\"", line.replace("==", "@"))), "{line} is not in registry.toml");
    }
}

#[test]
fn the_lock_file_names_no_registry() {
    let text = fs::read_to_string(install::sources().join("package-lock.json")).expect("it is there");
    let lock: Value = serde_json::from_str(&text).expect("it is JSON");
    let packages = lock["packages"].as_object().expect("a table of packages");
    for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
        assert!(package.get("resolved").is_none(), "{name} comes from a fixed host");
        assert!(package["integrity"].is_string(), "{name} has no hash");
    }
}

/// Makes the calls of one server through the inspector, each in a session of its own.
fn inspect_calls_of(server: &str, era: &str) {
    let Some(ground) = Ground::new() else { return };
    let calls: Vec<_> = forwarded(&ground).into_iter().filter(|call| call.server() == server).collect();
    assert!(!calls.is_empty(), "nothing of {server} is called");
    for call in calls {
        call.expect(&inspect_call(&ground, era, &call));
    }
}

fn inspect_call(ground: &Ground, era: &str, call: &Call) -> Value {
    let arguments = call.arguments.to_string();
    ground.inspect(era, &["--method", "tools/call", "--tool-name", call.tool, "--tool-args-json", &arguments])
}

/// Makes every call in one session of the official Python client.
fn play_everything(mode: &str, version: &str) {
    let Some(ground) = Ground::new() else { return };
    let mut calls = forwarded(&ground);
    calls.extend(shipped(&ground));
    calls.extend([digest(), inline()]);
    let seen = ground.play(mode, &calls.iter().map(Call::to_json).collect());
    assert_eq!(seen["protocol_version"], version);
    let tools = seen["tools"].as_array().expect("a list of names");
    let tools: Vec<_> = tools.iter().filter_map(Value::as_str).collect();
    assert_eq!(missing(&tools), Vec::<String>::new(), "in {tools:?}");
    let results = seen["results"].as_array().expect("a list of results");
    assert_eq!(results.len(), calls.len());
    for (call, result) in calls.iter().zip(results) {
        call.expect(result);
    }
    assert_eq!(ground.text_of("note.md"), "ahoy");
    let memory = ground.memory();
    for entity in ["Boat", "Harbour", "Tides", "digest"] {
        assert!(memory.contains(&format!("\"name\":\"{entity}\"")), "{entity} is not remembered: {memory}");
    }
    the_digest_is_there(&ground);
}

fn names(tools: &[Value]) -> Vec<&str> {
    tools.iter().filter_map(|tool| tool["name"].as_str()).collect()
}

/// What should be listed and is not: the servers without a tool, and tools of our own.
fn missing(tools: &[&str]) -> Vec<String> {
    let own = ["run_workflow", "project_overview", "read_page", "release_digest", "remember"];
    let servers = SERVERS.iter().map(|server| format!("{server}__"));
    let is_missing = |wanted: &String| !tools.iter().any(|tool| tool.starts_with(wanted));
    servers.chain(own.map(str::to_owned)).filter(is_missing).collect()
}

fn the_digest_is_there(ground: &Ground) {
    let digest = ground.text_of("digest.md");
    let commits = "- Add the third file\n- Add the second file\n- Add the first file\n";
    assert!(digest.starts_with("# Digest of 20") && digest.contains(commits), "{digest}");
    assert!(ground.memory().contains("3 commits, written to digest.md"), "{}", ground.memory());
}
