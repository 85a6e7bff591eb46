//! A model's API on loopback that speaks both formats and says what it was told to say, in order.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::accept::accept;
use super::web::{read, respond};
use super::{DEADLINE, eventually};

/// What is said to one request.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    /// This text.
    Text(&'static str),
    /// This text, cut off because it is as long as it may be.
    Cut(&'static str),
    /// That this tool be called.
    Call(&'static str, Value),
    /// A refusal: the status, headers (each with its line end), and what the error says.
    Status(u16, &'static str, &'static str),
    /// The beginning of an answer, and then nothing until the other side leaves.
    Stall,
    /// Half of an answer.
    Half,
    /// A whole answer, but the stream stays open.
    Linger(&'static str),
}

/// One request that has arrived.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) path: String,
    pub(crate) headers: String,
    pub(crate) body: Value,
}

/// A running API; its threads end with the test process.
pub(crate) struct Brain {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    /// What is said, each with a text that the request must have.
    script: Mutex<Vec<(&'static str, VecDeque<Say>)>>,
    heard: Mutex<Vec<Heard>>,
    left: AtomicUsize,
}

impl Brain {
    /// An API that says this, one after the other; when it has said it all, it fails.
    pub(crate) fn saying(script: impl IntoIterator<Item = Say>) -> Self {
        Self::with(vec![("", script.into_iter().collect())])
    }

    /// An API that says these to requests in which a text is found, whatever order they come in: for one text one after
    /// the other, and nothing is said twice.
    pub(crate) fn asked(script: impl IntoIterator<Item = (&'static str, Say)>) -> Self {
        let mut all: Vec<(&'static str, VecDeque<Say>)> = Vec::new();
        for (text, say) in script {
            match all.iter_mut().find(|(known, _)| *known == text) {
                Some((_, says)) => says.push_back(say),
                None => all.push((text, VecDeque::from([say]))),
            }
        }
        Self::with(all)
    }

    fn with(script: Vec<(&'static str, VecDeque<Say>)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let port = listener.local_addr().expect("it is bound").port();
        let shared =
            Arc::new(Shared { script: Mutex::new(script), heard: Mutex::default(), left: AtomicUsize::new(0) });
        accept(listener, &shared, |shared, stream| shared.serve(stream));
        Self { port, shared }
    }

    /// Its address, for what speaks `api`.
    pub(crate) fn url(&self, api: &str) -> String {
        format!("http://127.0.0.1:{}{}", self.port, if api == "openai" { "/v1" } else { "" })
    }

    /// A registry entry of it; `lines` stand beside the usual.
    pub(crate) fn entry(&self, name: &str, api: &str, lines: &str) -> String {
        let url = self.url(api);
        format!("[models.{name}]\napi = \"{api}\"\nurl = \"{url}\"\nmodel = \"{name}-1\"\nretry = 1\n{lines}\n")
    }

    /// Everything that has arrived so far.
    pub(crate) fn heard(&self) -> Vec<Heard> {
        self.shared.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `count` requests have arrived.
    pub(crate) fn await_heard(&self, count: usize) {
        assert!(eventually(DEADLINE, || self.heard().len() >= count), "only {} requests", self.heard().len());
    }

    /// Waits until the other side has left a stalled answer.
    pub(crate) fn await_left(&self) {
        assert!(eventually(DEADLINE, || self.shared.left.load(Ordering::SeqCst) > 0), "the answer is still awaited");
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let (_, path, headers, body) = read(stream)?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (is_openai, is_stream) = (path.ends_with("/chat/completions"), body["stream"] == true);
        let structured = body["tool_choice"]["name"].as_str().map(ToOwned::to_owned);
        let next = self.next(&body["messages"].to_string());
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(Heard { path, headers, body });
        let say = match next.unwrap_or(Say::Status(500, "", "nothing is left to say")) {
            Say::Status(status, headers, why) => {
                let error = json!({ "error": { "type": "error", "message": why } });
                return respond(stream, status, headers, "application/json", &error.to_string());
            }
            say => say,
        };
        if let Say::Linger(text) = say {
            let mut pieces = chunks(&Say::Text(text));
            // What it has cost comes too late.
            pieces.pop();
            send_all(stream, &pieces)?;
            let _ = std::io::Read::read(&mut &*stream, &mut [0]);
            return None;
        }
        if matches!(say, Say::Stall | Say::Half) {
            return self.break_off(stream, &say, is_openai);
        }
        // An API that is made to use its one tool puts its answer there.
        let say = match (say, structured) {
            (Say::Text(text), Some(tool)) if tool == "answer" => {
                Say::Call("answer", serde_json::from_str(text).unwrap_or_default())
            }
            (say, _) => say,
        };
        match (is_openai, is_stream) {
            (true, true) => stream_of(stream, &chunks(&say), true),
            (true, false) => respond(stream, 200, "", "application/json", &completion(&say).to_string()),
            (false, true) => stream_of(stream, &events(&say), false),
            (false, false) => respond(stream, 200, "", "application/json", &message(&say).to_string()),
        }
    }

    /// What is to be said to these messages.
    fn next(&self, messages: &str) -> Option<Say> {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        script.iter_mut().filter(|(text, _)| messages.contains(text)).find_map(|(_, says)| says.pop_front())
    }

    fn break_off(&self, mut stream: &TcpStream, say: &Say, is_openai: bool) -> Option<()> {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        let piece = if is_openai {
            json!({ "choices": [{ "index": 0, "delta": { "content": "Well, " } }] })
        } else {
            json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "Well, " } })
        };
        stream.write_all(format!("{head}data: {piece}\n\n").as_bytes()).ok()?;
        if matches!(say, Say::Stall) {
            stream.set_read_timeout(Some(Duration::from_mins(1))).ok()?;
            // Ends when the other side closes the connection.
            let _ = std::io::Read::read(&mut &*stream, &mut [0]);
            self.left.fetch_add(1, Ordering::SeqCst);
        }
        let _ = stream.shutdown(std::net::Shutdown::Both);
        None
    }
}

/// Ten tokens in and five out, whatever is said.
fn usage(names: [&str; 2]) -> Value {
    json!({ names[0]: 10, names[1]: 5 })
}

fn completion(say: &Say) -> Value {
    let (message, reason) = match say {
        Say::Call(name, arguments) => {
            let function = json!({ "name": name, "arguments": arguments.to_string() });
            let call = json!({ "id": "call_1", "type": "function", "function": function });
            (json!({ "role": "assistant", "content": null, "tool_calls": [call] }), "tool_calls")
        }
        say => (json!({ "role": "assistant", "content": text(say) }), if is_cut(say) { "length" } else { "stop" }),
    };
    let choice = json!({ "index": 0, "message": message, "finish_reason": reason });
    json!({ "id": "c", "choices": [choice], "usage": usage(["prompt_tokens", "completion_tokens"]) })
}

fn chunks(say: &Say) -> Vec<Value> {
    let chunk =
        |delta: Value, reason: Value| json!({ "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] });
    let mut chunks = vec![chunk(json!({ "role": "assistant", "content": "" }), Value::Null)];
    let reason = if let Say::Call(name, arguments) = say {
        let arguments = arguments.to_string();
        let (first, second) = arguments.split_at(arguments.len() / 2);
        let head =
            json!({ "index": 0, "id": "call_1", "type": "function", "function": { "name": name, "arguments": "" } });
        chunks.push(chunk(json!({ "tool_calls": [head] }), Value::Null));
        for part in [first, second] {
            let delta = json!({ "tool_calls": [{ "index": 0, "function": { "arguments": part } }] });
            chunks.push(chunk(delta, Value::Null));
        }
        "tool_calls"
    } else {
        for piece in pieces(text(say)) {
            chunks.push(chunk(json!({ "content": piece }), Value::Null));
        }
        if is_cut(say) { "length" } else { "stop" }
    };
    chunks.push(chunk(json!({}), json!(reason)));
    chunks.push(json!({ "choices": [], "usage": usage(["prompt_tokens", "completion_tokens"]) }));
    chunks
}

fn message(say: &Say) -> Value {
    let (block, reason) = match say {
        Say::Call(name, arguments) => {
            (json!({ "type": "tool_use", "id": "toolu_1", "name": name, "input": arguments }), "tool_use")
        }
        say => (json!({ "type": "text", "text": text(say) }), if is_cut(say) { "max_tokens" } else { "end_turn" }),
    };
    json!({ "type": "message", "role": "assistant", "content": [block], "stop_reason": reason,
            "usage": usage(["input_tokens", "output_tokens"]) })
}

fn events(say: &Say) -> Vec<Value> {
    let mut events = vec![
        json!({ "type": "message_start", "message": { "content": [], "usage": { "input_tokens": 10, "output_tokens": 1 } } }),
        json!({ "type": "ping" }),
    ];
    let reason = if let Say::Call(name, arguments) = say {
        let block = json!({ "type": "tool_use", "id": "toolu_1", "name": name, "input": {} });
        events.push(json!({ "type": "content_block_start", "index": 0, "content_block": block }));
        let arguments = arguments.to_string();
        let (first, second) = arguments.split_at(arguments.len() / 2);
        for part in ["", first, second] {
            let delta = json!({ "type": "input_json_delta", "partial_json": part });
            events.push(json!({ "type": "content_block_delta", "index": 0, "delta": delta }));
        }
        "tool_use"
    } else {
        events.push(
            json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        );
        for piece in pieces(text(say)) {
            let delta = json!({ "type": "text_delta", "text": piece });
            events.push(json!({ "type": "content_block_delta", "index": 0, "delta": delta }));
        }
        if is_cut(say) { "max_tokens" } else { "end_turn" }
    };
    events.push(json!({ "type": "content_block_stop", "index": 0 }));
    events
        .push(json!({ "type": "message_delta", "delta": { "stop_reason": reason }, "usage": { "output_tokens": 5 } }));
    events.push(json!({ "type": "message_stop" }));
    events
}

fn text(say: &Say) -> &'static str {
    match say {
        Say::Text(text) | Say::Cut(text) => text,
        other => panic!("{other:?} is no text"),
    }
}

fn is_cut(say: &Say) -> bool {
    matches!(say, Say::Cut(_))
}

fn pieces(text: &str) -> impl Iterator<Item = String> {
    text.split_inclusive(' ').map(ToOwned::to_owned)
}

fn stream_of(mut stream: &TcpStream, pieces: &[Value], is_openai: bool) -> Option<()> {
    send_all(stream, pieces)?;
    let mut send = |text: &str| stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).ok();
    if is_openai {
        send("data: [DONE]\n\n")?;
    }
    send("")
}

/// The beginning of a stream of these pieces.
fn send_all(mut stream: &TcpStream, pieces: &[Value]) -> Option<()> {
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).ok()?;
    let mut send = |text: String| stream.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).ok();
    for piece in pieces {
        let kind = piece["type"].as_str().map_or_else(String::new, |kind| format!("event: {kind}\n"));
        send(format!("{kind}data: {piece}\n\n"))?;
    }
    Some(())
}
