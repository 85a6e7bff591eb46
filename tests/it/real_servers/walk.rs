//! The official clients see the same of a server whether they are connected to it or to us: all but who it is.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::install::{installed, sources};
use crate::support::face::Face;
use crate::support::launch::fixture_path;
use crate::support::{Test, eventually, fixture, processes};

/// The tools of our own.
const OWN: [&str; 8] = [
    "answer_run",
    "control_run",
    "get_run",
    "list_workflows",
    "orchestrator_status",
    "run_workflow",
    "reload_config",
    "validate_workflow",
];

/// Where it is said who a server is.
const IDENTITY: [&str; 2] = ["io.modelcontextprotocol/serverInfo", "io.mcp-orchestrator/origin"];

/// A client, and the era that it speaks.
struct Client {
    command: Vec<OsString>,
    era: &'static str,
}

#[test]
fn the_python_client_sees_no_difference_in_the_initialize_era() {
    sees_no_difference(|| python("legacy"));
}

#[test]
fn the_python_client_sees_no_difference_in_the_modern_era() {
    sees_no_difference(|| python("2026-07-28"));
}

#[test]
fn the_first_typescript_client_sees_no_difference() {
    sees_no_difference(|| typescript("v1", "legacy"));
}

#[test]
fn the_second_typescript_client_sees_no_difference_in_the_initialize_era() {
    sees_no_difference(|| typescript("v2", "legacy"));
}

#[test]
fn the_second_typescript_client_sees_no_difference_in_the_modern_era() {
    sees_no_difference(|| typescript("v2", "2026-07-28"));
}

fn python(mode: &str) -> Option<Client> {
    let python = installed()?.python().join("python");
    Some(Client::new(vec![python.into(), sources().join("walk.py").into(), mode.into()], mode))
}

fn typescript(sdk: &str, mode: &str) -> Option<Client> {
    let packages = installed()?.packages();
    let script = sources().join("walk.mjs");
    Some(Client::new(vec!["node".into(), script.into(), packages.into(), sdk.into(), mode.into()], mode))
}

/// Walks through the fixture server, then through us with that server in either era behind us, over stdio and HTTP.
fn sees_no_difference(client: impl Fn() -> Option<Client>) {
    let Some(client) = client() else { return };
    let home = Test::new();
    let fixture_server = fixture_path().into_os_string();
    let direct = ["stdio".into(), fixture_server, "healthy".into(), "--era".into(), client.era.into()];
    let expected = client.walk(&home, &direct);
    sees_what_there_is(&expected);
    for era in ["legacy", "modern"] {
        let behind = || {
            Test::new().registry("[orchestrator]\nprefix = false\n").server("shop", fixture(["healthy", "--era", era]))
        };
        let test = behind();
        let serve = test.command(&["serve"]);
        let launch = [serve.get_program()].into_iter().chain(serve.get_args()).map(ToOwned::to_owned);
        let place: Vec<_> = [OsString::from("stdio")].into_iter().chain(launch).collect();
        same(&expected, &client.walk(&test, &place), &format!("over stdio, {era} server"));
        let face = Face::of(behind(), &["--no-auth"]);
        let url = format!("http://{}/mcp", face.address);
        same(&expected, &client.walk(&home, &["http".into(), url.into()]), &format!("over HTTP, {era} server"));
    }
}

/// That two equal failures do not count as a success.
fn sees_what_there_is(seen: &Value) {
    let at = |pointer: &str| seen.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(at("/structured/structuredContent/deep/text"), "é", "{seen}");
    assert_eq!((at("/failed/isError"), at("/refused/error/code")), (json!(true), json!(-32050)), "{seen}");
    assert_eq!((at("/steps/0/2"), at("/steps/2/2")), (json!("step 1"), json!("step 3")), "{seen}");
    assert_eq!(at("/prompt/messages/0/content/text"), "Hello Ada!", "{seen}");
    assert_eq!(at("/item/contents/0/text"), "this is fixture://item/42", "{seen}");
    assert!(at("/missing/error/code").is_i64() && at("/unknown/error/code").is_i64(), "{seen}");
    assert_eq!(at("/completed/completion/values/0"), "A-greet", "{seen}");
    assert_eq!(at("/asked/structuredContent/answer/content/name"), "Ada", "{seen}");
    assert_eq!(at("/questions/0/message"), "Your name?", "{seen}");
    assert_eq!((at("/given_up"), at("/told")), (json!(true), json!(1)), "{seen}");
}

fn same(expected: &Value, seen: &Value, how: &str) {
    for (key, expected) in expected.as_object().expect("what was seen") {
        assert_eq!(&seen[key], expected, "{key}, {how}");
    }
}

impl Client {
    fn new(command: Vec<OsString>, mode: &str) -> Self {
        Self { command, era: if mode == "legacy" { "legacy" } else { "modern" } }
    }

    /// What it sees at `place`, without who is there.
    #[expect(clippy::disallowed_methods, reason = "a test's clients are its own, and waited for")]
    fn walk(&self, test: &Test, place: &[OsString]) -> Value {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).args(place).stdin(Stdio::null()).current_dir(test.home());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", test.home()).env("PYTHONDONTWRITEBYTECODE", "1");
        let done = command.output().expect("it is installed");
        let errors = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{command:?}: {errors}");
        let is_clean = eventually(Duration::from_secs(5), || processes::of(test.home()).is_empty());
        assert!(is_clean, "left behind by {command:?}: {:#?}", processes::of(test.home()));
        let mut seen = serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
        plain(&mut seen);
        seen
    }
}

/// Takes out what may differ: who the server is, the tools of our own, and what is said about a tool that nobody has.
fn plain(seen: &mut Value) {
    without_identity(seen);
    if let Some(tools) = seen["tools"]["tools"].as_array_mut() {
        tools.retain(|tool| !OWN.contains(&tool["name"].as_str().unwrap_or_default()));
        for tool in tools.iter_mut().filter_map(Value::as_object_mut) {
            // We wait for a task of a server on behalf of a host that cannot, so that none is required.
            tool.remove("execution");
        }
    }
    seen["unknown"] = json!({ "error": { "code": seen["unknown"]["error"]["code"] } });
}

fn without_identity(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(meta) = members.get_mut("_meta").and_then(Value::as_object_mut) {
                meta.retain(|key, _| !IDENTITY.contains(&key.as_str()));
                if meta.is_empty() {
                    members.remove("_meta");
                }
            }
            members.values_mut().for_each(without_identity);
        }
        Value::Array(items) => items.iter_mut().for_each(without_identity),
        _ => {}
    }
}
