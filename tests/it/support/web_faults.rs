//! The ways in which an HTTP server answers a call wrongly.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::web::{respond, silence};

/// What happens instead of an answer, or before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// The connection is reset.
    Resets,
    /// The connection is reset in the middle of an event stream.
    ResetsStream,
    /// Nothing.
    Silence,
    /// The headers, then nothing.
    HeadersOnly,
    /// One byte at a time, and never the last one.
    Drips,
    /// The body ends before its length is reached.
    ShortBody,
    /// The body is the beginning of a JSON text.
    CutJson,
    /// A body of a hundred megabytes.
    Huge,
    /// An event of a hundred megabytes.
    HugeEvent,
    /// An event stream that says nothing but that it lives.
    OnlyKeepsAlive,
    /// Events that mean nothing, then the answer.
    GarbageFirst,
    /// The answer over many lines of one event.
    ManyLines,
}

impl Wrong {
    /// Whether the connection is reset, and not closed in order.
    pub(super) fn resets(self) -> bool {
        matches!(self, Self::Resets | Self::ResetsStream)
    }
}

/// Answers the call `body`, whose answer would be `right`; `None` when the connection is to be closed.
pub(super) fn misbehave(wrong: Wrong, stream: &TcpStream, body: &Value, right: &str) -> Option<()> {
    match wrong {
        Wrong::Resets => None,
        Wrong::Silence => silence(),
        Wrong::ResetsStream => {
            let token = &body["params"]["_meta"]["progressToken"];
            let params = json!({ "progressToken": token, "progress": 1 });
            let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params });
            write(stream, &begin("text/event-stream", None))?;
            write(stream, &format!("data: {progress}\n\ndata: {{\"jsonrpc\""))?;
            None
        }
        Wrong::HeadersOnly => {
            write(stream, &begin("application/json", Some(500)))?;
            silence()
        }
        Wrong::Drips => {
            write(stream, &begin("application/json", Some(500)))?;
            slowly(stream, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{", " ", 200)
        }
        Wrong::ShortBody => {
            write(stream, &begin("application/json", Some(500)))?;
            write(stream, "{\"jsonrpc\"")?;
            None
        }
        Wrong::CutJson => respond(stream, 200, "", "application/json", &right[..right.len() / 2]),
        Wrong::Huge => {
            write(stream, &begin("application/json", Some(100 << 20)))?;
            let block = "x".repeat(1 << 20);
            (0..100).try_for_each(|_| write(stream, &block))
        }
        Wrong::HugeEvent => {
            write(stream, &begin("text/event-stream", None))?;
            write(stream, "data: ")?;
            let block = "x".repeat(1 << 20);
            (0..100).try_for_each(|_| write(stream, &block))
        }
        Wrong::ManyLines => {
            let value: Value = serde_json::from_str(right).expect("the answer is JSON");
            let lines = serde_json::to_string_pretty(&value).expect("JSON");
            let event: String = lines.lines().flat_map(|line| ["data: ", line, "\n"]).collect();
            respond(stream, 200, "", "text/event-stream", &format!("{event}\n"))
        }
        Wrong::OnlyKeepsAlive => {
            write(stream, &begin("text/event-stream", None))?;
            slowly(stream, "", ": alive\n\n", 50)
        }
        Wrong::GarbageFirst => {
            let events = [
                "data: %%% not JSON %%%\n\n",
                "event: surprise\ndata: [1,2\n\n",
                "data:\n\n",
                "nonsense\n\n",
                "id: 7\nretry: soon\n\n",
                "data: {\"jsonrpc\":\"2.0\",\"id\":4000000000,\"result\":{}}\n\n",
                "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/nobody/knows\"}\n\n",
            ];
            let all = format!("{}data: {right}\n\n", events.concat());
            respond(stream, 200, "", "text/event-stream", &all)
        }
    }
}

fn begin(kind: &str, length: Option<usize>) -> String {
    let length = length.map(|length| format!("Content-Length: {length}\r\n")).unwrap_or_default();
    format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n{length}\r\n")
}

fn write(mut stream: &TcpStream, text: &str) -> Option<()> {
    stream.write_all(text.as_bytes()).ok()
}

/// Writes the bytes of `first`, then `then` again and again until nobody is there, each after a while.
fn slowly(stream: &TcpStream, first: &str, then: &str, ms: u64) -> Option<()> {
    for part in first.chars().map(String::from).chain(std::iter::repeat_n(then.to_owned(), 300)) {
        write(stream, &part)?;
        std::thread::park_timeout(Duration::from_millis(ms));
    }
    None
}
