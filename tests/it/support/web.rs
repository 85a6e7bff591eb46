//! An MCP server over HTTP on loopback, which can misbehave.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::web_faults::{Wrong, misbehave};

/// How the server behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// `initialize` with a session; answers with JSON.
    Legacy,
    /// The same, but answers calls with an event stream, whose data has several lines.
    Streaming,
    /// 2026-07-28 only, strict about its headers.
    Modern,
    /// The same; a tool of it wants an argument in a header, which only its second list says.
    Annotated,
    /// Ends the event stream of a call at once, and gives the answer to who comes back for the rest.
    Resumed,
    /// The same, but never has more.
    Unresumed,
    /// This status to everything.
    Status(u16),
    /// This status to everything, with these words.
    Refuses(u16, &'static str),
    /// 503 to the first two requests.
    FailsTwice,
    /// 429 to the first call, which may come again after this many seconds.
    Busy(u32),
    /// 500 to calls.
    FailsCalls,
    /// Answers what it does not know with an empty result.
    Vague,
    /// Asks, on the stream of no request, while a call waits.
    Asks,
    /// Forgets its session once, after the first call.
    Forgetful,
    /// Never answers anything.
    Silent,
    /// An HTML page with status 200.
    Page,
    /// Never answers `initialize`.
    MuteAtFirst,
    /// Sends everything to this port.
    Redirects(u16),
    /// Sends everything to itself.
    RedirectsToItself,
    /// 401 to everything; who may be asked for credentials is told at this port.
    Challenges(u16),
    /// Works, but answers calls in this way.
    Calls(Wrong),
}

/// One request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    pub(crate) path: String,
    pub(crate) headers: String,
    pub(crate) body: Value,
}

/// A running server; its thread ends with the test process.
pub(crate) struct Web {
    pub(crate) port: u16,
    host: String,
    shared: Arc<Shared>,
}

struct Shared {
    manner: Manner,
    arrived: Mutex<Vec<Arrived>>,
    requests: AtomicUsize,
    calls: AtomicUsize,
    sessions: AtomicUsize,
    is_over: AtomicBool,
    /// Its connections; guarded for one look.
    open: Mutex<Vec<TcpStream>>,
}

impl Web {
    pub(crate) fn start(manner: Manner) -> Self {
        Self::start_at("127.0.0.1:0", manner)
    }

    /// A server at a certain address.
    pub(crate) fn start_at(address: &str, manner: Manner) -> Self {
        let listener = TcpListener::bind(address).expect("a free port on loopback");
        let bound = listener.local_addr().expect("it is bound");
        let (host, port) = (bound.ip().to_string(), bound.port());
        let shared = Arc::new(Shared {
            manner,
            arrived: Mutex::default(),
            requests: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            sessions: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.is_over.load(Ordering::SeqCst) {
                    return;
                }
                serving.open.lock().unwrap_or_else(PoisonError::into_inner).extend(stream.try_clone());
                let shared = Arc::clone(&serving);
                std::thread::spawn(move || {
                    while shared.serve(&stream, port).is_some() {}
                    // The other handle on it must not keep it open.
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Self { port, host, shared }
    }

    /// Ends it: its port is free again, and its connections are closed.
    pub(crate) fn stop(self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        let address = format!("{}:{}", self.host, self.port);
        let is_gone = super::eventually(super::DEADLINE, || TcpStream::connect(&address).is_err());
        assert!(is_gone, "it still listens");
        for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Its registry entry.
    pub(crate) fn entry(&self, name: &str) -> String {
        format!(
            "[servers.{name}]\nurl = \"http://{}:{}/mcp\"\nconnect_timeout = \"3s\"\ntimeout = \"2s\"\nretry = 1\n",
            self.host, self.port
        )
    }

    /// How many calls have arrived so far.
    pub(crate) fn calls(&self) -> usize {
        self.arrived().iter().filter(|request| request.body["method"] == "tools/call").count()
    }

    /// Everything that has arrived so far.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.shared.arrived.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    /// Answers one request; `None` when the connection is to be closed.
    fn serve(&self, stream: &TcpStream, port: u16) -> Option<()> {
        // A connection that is dropped while something is unread is reset, and not closed in order.
        let resets = matches!(self.manner, Manner::Calls(wrong) if wrong.resets());
        let (verb, path, headers, body) = if resets { receive(stream, 1)? } else { read(stream)? };
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner).push(Arrived {
            path,
            headers: headers.clone(),
            body: body.clone(),
        });
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        let method = body["method"].as_str().unwrap_or_default().to_owned();
        let is_call = method == "tools/call";
        if resets && !is_call && verb == "POST" {
            let mut stream = stream;
            stream.read_exact(&mut [0]).ok()?;
        }
        let redirect = |port: u16| {
            let place = format!("Location: http://127.0.0.1:{port}/mcp\r\n");
            respond(stream, 307, &place, "text/plain", "")
        };
        match self.manner {
            Manner::Silent => return silence(),
            Manner::MuteAtFirst if method == "initialize" => return silence(),
            Manner::Challenges(port) => {
                let place = format!("http://127.0.0.1:{port}/.well-known/oauth-protected-resource");
                let challenge = format!("WWW-Authenticate: Bearer resource_metadata=\"{place}\"\r\n");
                return respond(stream, 401, &challenge, "text/plain", "who are you?");
            }
            Manner::Status(status) => return respond(stream, status, "", "application/json", "{}"),
            Manner::Refuses(status, words) => return respond(stream, status, "", "text/plain", words),
            Manner::FailsTwice if number < 2 => return respond(stream, 503, "", "text/plain", "not yet"),
            Manner::FailsCalls if is_call => return respond(stream, 500, "", "text/plain", "out of paper"),
            Manner::Busy(seconds) if is_call && self.calls.fetch_add(1, Ordering::SeqCst) == 0 => {
                let again = format!("Retry-After: {seconds}\r\n");
                return respond(stream, 429, &again, "text/plain", "not so fast");
            }
            Manner::Page => return respond(stream, 200, "", "text/html", "<html>Welcome</html>"),
            Manner::Redirects(port) => return redirect(port),
            Manner::RedirectsToItself => return redirect(port),
            _ => {}
        }
        if verb == "GET" && headers.contains("last-event-id: here") {
            return self.rest(stream);
        }
        if verb == "GET" && self.manner == Manner::Asks {
            return self.ask(stream);
        }
        if verb != "POST" {
            return respond(stream, 405, "", "text/plain", "");
        }
        if body.get("method").is_none() || body.get("id").is_none() {
            return respond(stream, 202, "", "text/plain", "");
        }
        match self.manner {
            Manner::Modern => modern(stream, &headers, &method, &body, &list(&method)),
            Manner::Annotated => self.annotated(stream, &headers, &method, &body),
            _ => self.legacy(stream, &headers, &method, &body),
        }
    }

    /// A modern server whose tools want headers.
    fn annotated(&self, stream: &TcpStream, headers: &str, method: &str, body: &Value) -> Option<()> {
        let number = if method == "tools/list" {
            self.calls.fetch_add(1, Ordering::SeqCst)
        } else {
            self.calls.load(Ordering::SeqCst)
        };
        let argument = |annotation: Value| {
            let mut schema = json!({ "type": "string" });
            if !annotation.is_null() {
                schema["x-mcp-header"] = annotation;
            }
            json!({ "type": "object", "properties": { "region": schema } })
        };
        let region = if number == 0 { Value::Null } else { json!("Region") };
        let tools = json!({ "tools": [
            { "name": "echo", "inputSchema": argument(region) },
            { "name": "broken", "inputSchema": argument(json!("not a name")) },
        ] });
        if method == "tools/call" && !headers.contains("mcp-param-region: =?base64?Z3LDtsOfZQ==?=") {
            let error = json!({ "code": -32020, "message": "Header mismatch: Mcp-Param-Region is missing" });
            let error = json!({ "jsonrpc": "2.0", "id": body["id"], "error": error });
            return respond(stream, 400, "", "application/json", &error.to_string());
        }
        modern(stream, headers, method, body, &tools)
    }

    /// A stream that belongs to no request: asks once, when a call has come.
    fn ask(&self, mut stream: &TcpStream) -> Option<()> {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
        stream.write_all(head.as_bytes()).ok()?;
        self.until(|web| (web.calls.load(Ordering::SeqCst) > 0).then_some(()))?;
        let params =
            json!({ "message": "Your name?", "requestedSchema": { "type": "object", "properties": {} }, "odd": 1.0 });
        let question = json!({ "jsonrpc": "2.0", "id": "ask", "method": "elicitation/create", "params": params });
        stream.write_all(format!("data: {question}\n\n").as_bytes()).ok()?;
        std::thread::park_timeout(Duration::from_mins(1));
        None
    }

    /// Waits for something, but not for ever.
    fn until<T>(&self, mut look: impl FnMut(&Self) -> Option<T>) -> Option<T> {
        (0..200).find_map(|_| {
            let found = look(self);
            if found.is_none() {
                std::thread::park_timeout(Duration::from_millis(10));
            }
            found
        })
    }

    /// The rest of an event stream that was ended.
    fn rest(&self, stream: &TcpStream) -> Option<()> {
        if self.manner == Manner::Unresumed {
            return respond(stream, 200, "", "text/event-stream", "");
        }
        let id = self
            .arrived
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .rev()
            .find_map(|request| (request.body["method"] == "tools/call").then(|| request.body["id"].clone()));
        let result = json!({ "content": [], "structuredContent": { "given": "the rest" } });
        let event = format!("id: later\ndata: {}\n\n", answer(&id?, &result));
        respond(stream, 200, "", "text/event-stream", &event)
    }

    fn legacy(&self, stream: &TcpStream, headers: &str, method: &str, body: &Value) -> Option<()> {
        let id = &body["id"];
        if method == "server/discover" && self.manner == Manner::Vague {
            return respond(stream, 200, "", "application/json", &answer(id, &json!({})));
        }
        if method == "server/discover" {
            let error = json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": "unknown" } });
            return respond(stream, 400, "", "application/json", &error.to_string());
        }
        if method == "initialize" {
            let session = self.sessions.fetch_add(1, Ordering::SeqCst) + 1;
            let result = json!({
                "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
                "serverInfo": { "name": "web", "version": "1.0.0" },
            });
            let extra = format!("Mcp-Session-Id: session-{session}\r\n");
            return respond(stream, 200, &extra, "application/json", &answer(id, &result));
        }
        let current = format!("session-{}", self.sessions.load(Ordering::SeqCst));
        if !headers.contains(&format!("mcp-session-id: {current}")) {
            return respond(stream, 404, "", "text/plain", "no such session");
        }
        if method != "tools/call" {
            return respond(stream, 200, "", "application/json", &answer(id, &list(method)));
        }
        if self.manner == Manner::Forgetful && self.calls.fetch_add(1, Ordering::SeqCst) == 0 {
            self.sessions.fetch_add(1, Ordering::SeqCst);
        }
        let result =
            json!({ "content": [], "structuredContent": { "given": body["params"]["arguments"] }, "odd": [1.0] });
        match self.manner {
            Manner::Calls(wrong) => misbehave(wrong, stream, body, &answer(id, &result)),
            Manner::Asks => {
                self.calls.fetch_add(1, Ordering::SeqCst);
                let told = self.until(|web| {
                    let arrived = web.arrived.lock().unwrap_or_else(PoisonError::into_inner);
                    arrived
                        .iter()
                        .find_map(|request| (request.body["id"] == "ask").then(|| request.body["result"].clone()))
                });
                let result = json!({ "content": [], "structuredContent": { "told": told } });
                respond(stream, 200, "", "application/json", &answer(id, &result))
            }
            Manner::Resumed | Manner::Unresumed => {
                respond(stream, 200, "", "text/event-stream", "id: here\nretry: 300\ndata: \n\n")
            }
            Manner::Streaming => {
                let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": {
                    "progressToken": body["params"]["_meta"]["progressToken"], "progress": 1, "total": 2 } });
                let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
                let lines = format!("{answer:#}").replace('\n', "\ndata: ");
                let events = format!(": hello\n\ndata: {progress}\n\ndata: {lines}\n\n");
                respond(stream, 200, "", "text/event-stream", &events)
            }
            _ => respond(stream, 200, "", "application/json", &answer(id, &result)),
        }
    }
}

/// A modern server; `otherwise` is its answer to what has none of its own.
fn modern(stream: &TcpStream, headers: &str, method: &str, body: &Value, otherwise: &Value) -> Option<()> {
    let id = &body["id"];
    let refuse = |message: &str| {
        let error = json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32020, "message": message } });
        respond(stream, 400, "", "application/json", &error.to_string())
    };
    if body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] != "2026-07-28" {
        return refuse("no protocol version");
    }
    if !headers.contains(&format!("mcp-method: {method}")) || !headers.contains("mcp-protocol-version: 2026-07-28") {
        return refuse("headers do not match");
    }
    let result = match method {
        "server/discover" => json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": { "tools": {} }, "ttlMs": 0, "cacheScope": "private",
            "_meta": { "io.modelcontextprotocol/serverInfo": { "name": "web", "version": "2.0.0" } },
        }),
        "tools/call" if !headers.contains("mcp-name: echo") => return refuse("no name"),
        "tools/call" => {
            json!({ "content": [], "structuredContent": { "given": body["params"]["arguments"] }, "resultType": "complete" })
        }
        "subscriptions/listen" => return refuse("no subscriptions"),
        _ => otherwise.clone(),
    };
    respond(stream, 200, "", "application/json", &answer(id, &result))
}

fn list(method: &str) -> Value {
    match method {
        "tools/list" => {
            json!({ "tools": [{ "name": "echo", "inputSchema": { "type": "object" } }], "ttlMs": 0, "cacheScope": "private" })
        }
        _ => json!({}),
    }
}

fn answer(id: &Value, result: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string()
}

/// The verb, the path, the headers in lower case, and the body of one request.
pub(crate) fn read(stream: &TcpStream) -> Option<(String, String, String, Vec<u8>)> {
    receive(stream, 0)
}

/// The same, but the last bytes of the body, which are braces, are left in the socket.
fn receive(stream: &TcpStream, left: usize) -> Option<(String, String, String, Vec<u8>)> {
    // Nothing is read ahead.
    let mut reader = BufReader::with_capacity(1, stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|count| *count > 0)?;
    let mut headers = String::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        if line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.extend([&name.to_lowercase(), ": ", value.trim(), "\n"]);
    }
    let length = headers.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![b'}'; length];
    reader.read_exact(&mut body[..length.saturating_sub(left)]).ok()?;
    let mut words = first.split(' ').map(ToOwned::to_owned);
    Some((words.next()?, words.next()?, headers, body))
}

/// Says nothing for longer than anybody waits.
pub(super) fn silence() -> Option<()> {
    std::thread::park_timeout(Duration::from_mins(1));
    None
}

/// Answers with a whole body.
pub(crate) fn respond(mut stream: &TcpStream, status: u16, extra: &str, kind: &str, body: &str) -> Option<()> {
    let head = format!("HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{extra}\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).ok()
}
