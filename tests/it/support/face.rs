//! The program with its HTTP face, and raw requests to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{DEADLINE, Test, fixture, processes};

/// The program, serving HTTP.
pub(crate) struct Face {
    process: Child,
    /// Where it listens, as `127.0.0.1:PORT`.
    pub(crate) address: String,
    /// The endpoint.
    pub(crate) path: &'static str,
    /// The token, if one was made.
    pub(crate) token: Option<String>,
    /// What it serves.
    pub(crate) test: Test,
}

/// An HTTP response.
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Face {
    /// A healthy server, `shop`, for everybody on this machine.
    pub(crate) fn open() -> Self {
        Self::start(&["--no-auth"])
    }

    /// The same with other flags.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::of(Test::new().server("shop", fixture(["healthy"])), flags)
    }

    /// Serves what `test` has set up.
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

    /// Sends a request whose answer is not waited for.
    pub(crate) fn send(&self, verb: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
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

    /// Sends a request; gives back the answer.
    pub(crate) fn ask(&self, verb: &str, headers: &[(&str, &str)], body: &str) -> Response {
        Response::of(self.send(verb, headers, body))
    }

    /// The lines of a record that the fixture server `server` keeps.
    pub(crate) fn record(&self, server: &str, kind: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.test.home().join(format!("{server}.{kind}"))).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Sends the program a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        processes::signal(i32::try_from(self.process.id()).expect("a pid"), signal);
    }

    /// Waits for its end; whether that was a good one.
    pub(crate) fn ends_well(&mut self) -> bool {
        let mut status = None;
        super::eventually(DEADLINE, || {
            status = self.process.try_wait().expect("it is a child of ours");
            status.is_some()
        });
        status.is_some_and(|status| status.success())
    }

    /// Posts a message; gives back the answer.
    pub(crate) fn post(&self, headers: &[(&str, &str)], message: &Value) -> Response {
        self.ask("POST", headers, &message.to_string())
    }

    /// Opens a session; gives back its id.
    pub(crate) fn initialize(&self) -> String {
        let response = self.post(&[], &initialize());
        assert_eq!(response.status, 200, "{}", response.body);
        response.header("mcp-session-id").expect("a session").to_owned()
    }
}

impl Face {
    /// How much memory the program has had at most, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        processes::peak_memory(self.process.id())
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
    /// What comes until the connection is closed.
    pub(crate) fn of(mut stream: TcpStream) -> Self {
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        Self { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    /// A header of it.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// The JSON of the body, or of the last event of a stream.
    pub(crate) fn json(&self) -> Value {
        let text = match self.body.rfind("data: {") {
            Some(at) => self.body[at + 6..].lines().next().expect("an event"),
            None => &self.body,
        };
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }
}

/// The request that opens a session.
pub(crate) fn initialize() -> Value {
    request(
        "initialize",
        json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" },
        }),
    )
}

/// A request of the initialize era.
pub(crate) fn request(method: &str, params: impl Into<Value>) -> Value {
    let params = params.into();
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

/// A request of the newer era.
pub(crate) fn modern(method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    request(method, params)
}

/// The header that every request of the newer era has.
pub(crate) const MODERN: (&str, &str) = ("MCP-Protocol-Version", "2026-07-28");
