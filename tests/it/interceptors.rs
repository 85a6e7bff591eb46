//! Interceptors: calls are refused, changed, and decided about by others on their way.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::web::{Manner, Web, read, respond};
use crate::support::{Host, Test, fixture};

fn start(interceptors: &str) -> Host {
    let test = Test::new().registry(interceptors).server("north", fixture(["healthy"]));
    let mut host = test.start();
    host.ready(&["north"]);
    host
}

/// The result of `north.echo`.
fn echo(host: &mut Host, arguments: Value) -> Value {
    host.call("north__echo", arguments)["structuredContent"].clone()
}

#[test]
fn a_call_is_refused_for_the_reason_that_the_registry_gives() {
    let mut host = start(
        "[[interceptors]]\nname = \"polite\"\ntools = [\"north.wr*\"]\nwhen = \"call.arguments.word == 'no'\"\ndeny = \"`${call.arguments.word}` is not said\"\n",
    );
    let said = host.failure("north__write", json!({ "word": "no" }));
    assert!(said.contains("MO5210") && said.contains("`polite` refuses the call: `no` is not said"), "{said}");
    assert!(host.record("north", "written").is_empty());
    host.call("north__write", json!({ "word": "yes" }));
    assert_eq!(host.record("north", "written").len(), 1);
    // Whatever the way: a workflow's step is refused as well.
    let steps = json!([{ "id": "w", "tool": "north.write", "args": { "word": "no" } }]);
    let said = host.failure("run_workflow", json!({ "definition": { "name": "x", "steps": steps } }));
    assert!(said.contains("MO5210"), "{said}");
}

#[test]
fn one_with_a_mistake_lets_nothing_through() {
    let rule = |tools: &str, deny: &str| {
        format!("[[interceptors]]\nname = \"guard\"\ntools = [\"{tools}\"]\ndeny = \"{deny}\"\n")
    };
    let mut host = start(&rule("north.echo", "no: ${call.argumnts.word}"));
    let said = host.failure("north__echo", json!({ "word": "a" }));
    assert!(said.contains("MO5210") && said.contains("`guard` refuses the call: it has a mistake"), "{said}");
    host.call("north__write", json!({ "word": "what it does not concern" }));
}

#[test]
fn arguments_are_set_and_left_out_and_results_replaced_in_order() {
    let mut host = start(
        r#"
[[interceptors]]
name = "small"
set = { limit = "${ [call.arguments.limit, 10] | min }", secret = "${ none }", tool = "$call.name" }
[[interceptors]]
name = "bigger"
when = "call.arguments.limit == 10"
set = { limit = "${ call.arguments.limit + 1 }" }
[[interceptors]]
name = "wrapped"
tools = ["*.echo"]
output = { was = "$call.result", by = "$call.tool" }
"#,
    );
    let seen = echo(&mut host, json!({ "limit": 50, "secret": "x" }));
    assert_eq!(seen, json!({ "was": { "limit": 11, "tool": "north.echo" }, "by": "echo" }));
    assert_eq!(echo(&mut host, json!({ "limit": 3 }))["was"]["limit"], 3);
}

#[test]
fn a_program_decides() {
    // It says no to one word, doubles another, and falls over a third.
    let hook = r#"
[[interceptors]]
name = "judge"
tools = ["north.echo"]
command = "sh"
args = ["-c", 'q=$(cat); case "$q" in *bad*) echo "{\"deny\": \"it is bad\"}";; *twice*) echo "{\"arguments\": {\"word\": \"twicetwice\"}}";; *fall*) echo "oh: error: dear" >&2; exit 3;; esac']
"#;
    let mut host = start(hook);
    assert_eq!(echo(&mut host, json!({ "word": "good" })), json!({ "word": "good" }));
    assert_eq!(echo(&mut host, json!({ "word": "twice" })), json!({ "word": "twicetwice" }));
    let said = host.failure("north__echo", json!({ "word": "bad" }));
    assert!(said.contains("MO5210") && said.contains("it is bad"), "{said}");
    let said = host.failure("north__echo", json!({ "word": "fall" }));
    assert!(said.contains("MO5211") && said.contains("code 3") && said.contains("dear"), "{said}");
}

#[test]
fn without_a_decision_in_time_a_call_is_refused_unless_told_otherwise() {
    let hook = |more: &str| {
        format!(
            "[[interceptors]]\nname = \"slow\"\ntools = [\"north.echo\"]\ncommand = \"sleep\"\nargs = [\"60\"]\ntimeout = \"200ms\"\n{more}\n"
        )
    };
    let said = start(&hook("")).failure("north__echo", json!({}));
    assert!(said.contains("MO5211") && said.contains("no answer within 200ms"), "{said}");
    assert_eq!(echo(&mut start(&hook("on_error = \"allow\"")), json!({ "a": 1 })), json!({ "a": 1 }));
}

#[test]
fn an_address_decides_what_becomes_of_a_result() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let heard = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let (_, path, headers, body) = read(&stream).expect("a request");
        let question: Value = serde_json::from_slice(&body).expect("JSON");
        let answer = json!({ "output": { "words": question["call"]["result"]["word"] } }).to_string();
        respond(&stream, 200, "", "application/json", &answer).expect("the answer arrives");
        (path, headers, question)
    });
    let mut host = start(&format!(
        "[[interceptors]]\nname = \"judge\"\nat = \"after\"\ntools = [\"north.echo\"]\nurl = \"http://127.0.0.1:{port}/judge\"\nheaders = {{ X-Key = \"k\" }}\n"
    ));
    assert_eq!(echo(&mut host, json!({ "word": "hello" })), json!({ "words": "hello" }));
    let (path, headers, question) = heard.join().expect("the hook was asked");
    assert!(path == "/judge" && headers.contains("x-key: k\n"), "{path} {headers}");
    assert_eq!((&question["at"], &question["call"]["effect"]), (&json!("after"), &json!("read")), "{question}");
}

#[test]
fn headers_are_set_for_the_server_that_they_are_meant_for() {
    let (web, other) = (Web::start(Manner::Modern), Web::start(Manner::Modern));
    let mut host = Test::new()
        .registry(
            r#"
[[interceptors]]
name = "tenant"
tools = ["web.*"]
set_headers = { X-Tenant = "$call.caller", X-Size = "${ call.arguments.n + 1 }", X-None = "${ none }" }
[[interceptors]]
name = "bad"
tools = ["web.*"]
when = "call.arguments.n == 9"
set_headers = { X-Tenant = "a\nb" }
"#,
        )
        .registry(&format!("{}headers = {{ x-tenant = \"all\" }}\n{}", web.entry("web"), other.entry("other")))
        .start();
    host.ready(&["web", "other"]);
    host.value("web__echo", json!({ "n": 1 }));
    host.value("other__echo", json!({ "n": 1 }));
    let headers = |web: &Web| {
        let call = web.arrived().into_iter().rfind(|request| request.body["method"] == "tools/call");
        call.expect("a call").headers
    };
    let told = headers(&web);
    assert!(told.contains("x-tenant: test\n") && told.contains("x-size: 2\n") && !told.contains("x-none"), "{told}");
    assert!(!told.contains("x-tenant: all\n"), "one takes the place of what every request has: {told}");
    assert!(!headers(&other).contains("x-tenant"));
    let said = host.failure("web__echo", json!({ "n": 9 }));
    assert!(said.contains("MO5211") && said.contains("X-Tenant"), "{said}");
}

#[test]
fn what_a_task_puts_out_is_seen_by_those_after_it() {
    for (host_era, server_era) in
        [("legacy", "legacy"), ("legacy", "modern"), ("modern", "legacy"), ("modern", "modern")]
    {
        let rule = "[[interceptors]]\nname = \"seen\"\nat = \"after\"\noutput = { was = \"$call.result\" }\n";
        let test = Test::new().registry(rule).server("shop", fixture(["healthy", "--era", server_era]));
        let mut host = if host_era == "legacy" { test.start() } else { test.start_modern() };
        host.capabilities = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
        host.ready(&["shop"]);
        let result = host.call("shop__job", json!({ "n": 7 }));
        assert_eq!(result["structuredContent"]["was"]["done"], 7, "{host_era} {server_era}: {result}");
    }
}
