//! What placeholders of the registry stand for is told to nobody.

use serde_json::json;

use super::support::web::{Manner, Web};
use super::support::{DEADLINE, Test, eventually};

/// With what would have to be written otherwise in a URL.
const SECRET: &str = "hunter2 hunter3";

/// Every way in which a server can fail with its secret in hand.
fn registry(web: &Web) -> String {
    let entry = |name: &str, rest: &str| format!("[servers.{name}]\nconnect_timeout = \"3s\"\nretry = 1\n{rest}\n");
    let headers = "headers = { Authorization = \"Bearer ${TOKEN}\" }";
    [
        entry("path", "url = \"http://127.0.0.1:1/${TOKEN}/mcp\""),
        entry("whole", "url = \"${ADDRESS}\""),
        entry("socket", "url = \"unix:///nowhere/${TOKEN}/x.sock\""),
        entry("refusing", &format!("url = \"http://127.0.0.1:{}/mcp\"\n{headers}", web.port)),
        entry("program", "command = \"/nowhere/${TOKEN}/server\""),
        entry("folder", "command = \"sh\"\ncwd = \"/nowhere/${TOKEN}\""),
        entry(
            "loud",
            "command = \"sh\"\nargs = [\"-c\", \"echo error: key $KEY >&2; exit 3\"]\nenv = { KEY = \"${TOKEN}\" }",
        ),
    ]
    .concat()
}

const SERVERS: [&str; 7] = ["path", "whole", "socket", "refusing", "program", "folder", "loud"];

#[test]
fn a_value_of_a_placeholder_is_in_no_error_no_status_and_no_log() {
    let web = Web::start(Manner::Refuses(403, "no such key: hunter2 hunter3"));
    let test = Test::new().env("TOKEN", SECRET).env("ADDRESS", "http://Localhost:1/hunter2");
    let mut host =
        test.env("MCP_ORCHESTRATOR_LOG", "debug,rmcp=off,hyper=warn,reqwest=warn").registry(&registry(&web)).start();
    let mut told: Vec<String> =
        SERVERS.iter().map(|server| host.failure(&format!("{server}__echo"), json!({}))).collect();
    told.push(host.call("orchestrator_status", json!({})).to_string());
    assert!(eventually(DEADLINE, || host.says("error: key")), "{}", host.stderr());
    for server in SERVERS {
        let done = host.beside(&["call", &format!("{server}.echo")]);
        told.extend([done.stdout, done.stderr]);
    }
    let done = host.beside(&["status"]);
    told.extend([done.stdout, done.stderr, host.stderr()]);
    for text in &told {
        assert!(!text.contains("hunter"), "{text}");
    }
    let shown = told.iter().filter(|text| text.contains("${TOKEN}")).count();
    assert!(shown >= 6, "what stands in the file is shown instead: {told:#?}");
}
