//! Hosts over HTTP: both eras at one endpoint, and who is kept out.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{DEADLINE, Test, fixture};

/// The program, serving HTTP.
pub(crate) struct Face {
    process: Child,
    pub(crate) address: String,
    path: &'static str,
    token: Option<String>,
    pub(crate) test: Test,
}

/// An HTTP response.
struct Response {
    status: u16,
    head: String,
    body: String,
}

impl Face {
    fn start(flags: &[&str]) -> Self {
        Self::of(Test::new().server("shop", fixture(["healthy"])), flags)
    }

    pub(crate) fn of(test: Test, flags: &[&str]) -> Self {
        let mut process: Command = test.command(&[&["serve", "--http", "127.0.0.1:0"], flags].concat());
        let mut process = process
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary can be started");
        let mut errors = BufReader::new(process.stderr.take().expect("it is a pipe"));
        let (mut address, mut token) = (String::new(), None);
        while address.is_empty() {
            let mut line = String::new();
            assert!(errors.read_line(&mut line).expect("text") > 0, "it ended before it served");
            if let Some(given) = line.trim().strip_prefix("Authorization: Bearer ") {
                token = Some(given.to_owned());
            }
            if let Some(at) = line.trim().strip_prefix("serving http://") {
                at.strip_suffix("/mcp").expect("the endpoint").clone_into(&mut address);
            }
        }
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
        Self { process, address, path: "/mcp", token, test }
    }

    fn send(&self, verb: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
        let host = if headers.iter().any(|(name, _)| *name == "Host") {
            String::new()
        } else {
            format!("Host: {}\r\n", self.address)
        };
        let extra = headers.iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect::<String>();
        let head = format!(
            "{verb} {} HTTP/1.1\r\n{host}Connection: close\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n{extra}\r\n",
            self.path,
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("it reads");
        stream
    }

    fn ask(&self, verb: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let mut text = String::new();
        self.send(verb, headers, body).read_to_string(&mut text).expect("an answer");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Response { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    fn post(&self, headers: &[(&str, &str)], message: &Value) -> Response {
        self.ask("POST", headers, &message.to_string())
    }

    /// Opens a session; gives back its id.
    fn initialize(&self) -> String {
        let response = self.post(&[], &initialize());
        assert_eq!(response.status, 200, "{}", response.body);
        response.header("mcp-session-id").expect("a session").to_owned()
    }
}

impl Drop for Face {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.process.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let began = Instant::now();
        while self.process.try_wait().ok().flatten().is_none() {
            assert!(began.elapsed() < Duration::from_secs(10), "it does not end");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The JSON of the body, or of the last event of a stream.
    fn json(&self) -> Value {
        let text = match self.body.rfind("data: {") {
            Some(at) => self.body[at + 6..].lines().next().expect("an event"),
            None => &self.body,
        };
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }
}

fn initialize() -> Value {
    request(
        "initialize",
        json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" },
        }),
    )
}

fn request(method: &str, params: impl Into<Value>) -> Value {
    let params = params.into();
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

fn modern(method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    request(method, params)
}

const MODERN: (&str, &str) = ("MCP-Protocol-Version", "2026-07-28");

#[test]
fn an_old_host_has_a_session_from_beginning_to_end() {
    let face = Face::start(&["--no-auth"]);
    let session = face.initialize();
    assert!(session.len() >= 32);
    let headers = [("Mcp-Session-Id", session.as_str()), ("MCP-Protocol-Version", "2025-11-25")];
    assert_eq!(face.post(&headers, &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).status, 202);
    let call = request("tools/call", json!({ "name": "shop__echo", "arguments": { "n": 1 } }));
    assert_eq!(face.post(&headers, &call).json()["result"]["structuredContent"], json!({ "n": 1 }));
    assert_eq!(face.ask("DELETE", &headers, "").status, 200);
    assert_eq!(face.post(&headers, &call).status, 404, "the session is over");
    assert_eq!(face.post(&[], &call).status, 400, "there is none");
    assert_eq!(face.post(&[("Mcp-Session-Id", "00000000-0000-4000-8000-000000000000")], &call).status, 404);
}

#[test]
fn progress_turns_the_answer_into_a_stream_that_ends_with_the_answer() {
    let face = Face::start(&["--no-auth"]);
    let session = face.initialize();
    let call = request(
        "tools/call",
        json!({
            "name": "shop__progress", "arguments": { "n": 3 }, "_meta": { "progressToken": "mine" },
        }),
    );
    let response = face.post(&[("Mcp-Session-Id", &session)], &call);
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    assert_eq!(response.body.matches("notifications/progress").count(), 3, "{}", response.body);
    assert_eq!(response.json()["result"]["structuredContent"], json!({ "done": 3 }));
}

#[test]
fn a_modern_host_needs_no_session_but_the_right_headers() {
    let face = Face::start(&["--no-auth"]);
    let call = modern("tools/call", json!({ "name": "shop__echo", "arguments": { "n": 1 } }));
    let headers = [MODERN, ("Mcp-Method", "tools/call"), ("Mcp-Name", "shop__echo")];
    let answer = face.post(&headers, &call).json();
    assert_eq!(answer["result"]["structuredContent"], json!({ "n": 1 }));
    assert_eq!(answer["result"]["resultType"], "complete");
    for wrong in
        [vec![MODERN, headers[1]], vec![MODERN, ("Mcp-Method", "tools/list"), headers[2]], vec![headers[1], headers[2]]]
    {
        let refused = face.post(&wrong, &call);
        assert_eq!((refused.status, refused.json()["error"]["code"].clone()), (400, json!(-32020)), "{wrong:?}");
    }
    let unknown = face.post(&[MODERN, ("Mcp-Method", "no/such")], &modern("no/such", json!({})));
    assert_eq!((unknown.status, unknown.json()["error"]["code"].clone()), (404, json!(-32601)));
    assert_eq!(face.ask("GET", &[MODERN], "").status, 405);
}

#[test]
fn who_hangs_up_on_a_modern_call_has_cancelled_it() {
    let face = Face::start(&["--no-auth"]);
    let call = modern("tools/call", json!({ "name": "shop__hang", "arguments": {} }));
    let stream =
        face.send("POST", &[MODERN, ("Mcp-Method", "tools/call"), ("Mcp-Name", "shop__hang")], &call.to_string());
    let asked = |tool: &str| {
        let call = modern("tools/call", json!({ "name": format!("shop__{tool}"), "arguments": {} }));
        let name = format!("shop__{tool}");
        face.post(&[MODERN, ("Mcp-Method", "tools/call"), ("Mcp-Name", &name)], &call).json()["result"]["structuredContent"].clone()
    };
    asked("echo");
    drop(stream);
    let is_cancelled = || asked("cancelled")["ids"].as_array().is_some_and(|ids| !ids.is_empty());
    assert!(crate::support::eventually(DEADLINE, is_cancelled), "the server was not told");
}

#[test]
fn foreign_pages_and_rebound_names_are_kept_out() {
    let face = Face::start(&["--no-auth"]);
    for (name, value) in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://127.0.0.1.evil.example"),
        ("Host", "evil.example"),
        ("Host", "127.0.0.1.evil.example"),
    ] {
        assert_eq!(face.post(&[(name, value)], &initialize()).status, 403, "{name}: {value}");
    }
    assert_eq!(face.post(&[("Origin", "http://localhost:3000")], &initialize()).status, 200);
}

#[test]
fn a_token_is_made_once_and_demanded() {
    let face = Face::start(&[]);
    let token = face.token.clone().expect("it is shown when it is made");
    assert!(token.len() >= 32);
    let response = face.post(&[], &initialize());
    assert_eq!((response.status, response.header("www-authenticate")), (401, Some("bearer")));
    assert_eq!(face.post(&[("Authorization", "Bearer wrong")], &initialize()).status, 401);
    assert_eq!(face.post(&[("Authorization", &format!("Bearer {token}"))], &initialize()).status, 200);
}

#[test]
fn a_body_that_is_too_large_or_no_json_is_refused() {
    let face = Face::start(&["--no-auth"]);
    assert_eq!(face.ask("POST", &[], "hello").status, 400);
    assert_eq!(face.ask("POST", &[], "[]").status, 400);
    assert_eq!(face.post(&[], &initialize()).status, 200, "and it goes on");
}

#[test]
fn an_open_address_without_a_token_is_refused() {
    let done = Test::new().server("shop", fixture(["healthy"])).run(&["serve", "--http", "0.0.0.0:0", "--no-auth"]);
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("refusing to serve 0.0.0.0:0 without a token"), "{}", done.stderr);
}

#[test]
fn each_profile_has_an_endpoint_of_its_own() {
    let profile = "[profiles.small]\ntools = { allow = [\"shop__echo\"] }\n";
    let test = Test::new().registry(profile).server("shop", fixture(["healthy"]));
    let mut face = Face::of(test, &["--no-auth"]);
    let session = face.initialize();
    face.path = "/mcp/p/small";
    let small = face.initialize();
    let list = request("tools/list", json!({}));
    let tools = face.post(&[("Mcp-Session-Id", &small)], &list).json()["result"]["tools"].clone();
    assert_eq!(tools.as_array().map(Vec::len), Some(1), "{tools}");
    let call = modern("tools/call", json!({ "name": "shop__env", "arguments": {} }));
    let headers = [MODERN, ("Mcp-Method", "tools/call"), ("Mcp-Name", "shop__env")];
    assert_eq!(face.post(&headers, &call).json()["error"]["code"], -32602);
    assert_eq!(face.post(&[("Mcp-Session-Id", &session)], &list).status, 404, "that session sees more");
    face.path = "/mcp/p/other";
    assert_eq!(face.post(&[], &initialize()).status, 404);
}

#[test]
fn who_serves_one_profile_serves_no_other() {
    let profiles = "[profiles.small]\ntools = { allow = [\"shop__echo\"] }\n[profiles.all]\n";
    let test = Test::new().registry(profiles).server("shop", fixture(["healthy"]));
    let mut face = Face::of(test, &["--no-auth", "--profile", "small"]);
    let session = face.initialize();
    let tools = face.post(&[("Mcp-Session-Id", &session)], &request("tools/list", json!({})));
    assert_eq!(tools.json()["result"]["tools"].as_array().map(Vec::len), Some(1));
    face.path = "/mcp/p/all";
    assert_eq!(face.post(&[], &initialize()).status, 404);
}
