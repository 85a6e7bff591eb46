//! An MCP server over HTTP that does what it is told, writes it down, and then loses the answer of every so many.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::web::{read, respond};

/// What was done, and how often.
type Entries = HashMap<(String, String), usize>;

/// A running server; its threads end with the test process.
pub(crate) struct Ledger {
    port: u16,
    entries: Arc<Mutex<Entries>>,
}

impl Ledger {
    /// A server that loses one answer of `every`, as if by chance.
    pub(crate) fn losing_one_of(every: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let port = listener.local_addr().expect("it is bound").port();
        let entries = Arc::new(Mutex::new(Entries::new()));
        let shared = Arc::clone(&entries);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let entries = Arc::clone(&shared);
                std::thread::spawn(move || {
                    while serve(&stream, &entries, every).is_some() {}
                    let _ = stream.shutdown(Shutdown::Both);
                });
            }
        });
        Self { port, entries }
    }

    /// Its registry entry; `lines` stand beside the usual.
    pub(crate) fn entry(&self, name: &str, lines: &str) -> String {
        format!("[servers.{name}]\nurl = \"http://127.0.0.1:{}/mcp\"\n{lines}\n", self.port)
    }

    /// How often each different thing was done by `tool`.
    pub(crate) fn done(&self, tool: &str) -> Vec<usize> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().filter(|((by, _), _)| by == tool).map(|(_, count)| *count).collect()
    }
}

/// Answers one request; `None` when the connection is to be closed.
fn serve(stream: &TcpStream, entries: &Mutex<Entries>, every: u64) -> Option<()> {
    let (verb, _, _, body) = read(stream)?;
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    if verb != "POST" {
        return respond(stream, 405, "", "text/plain", "");
    }
    let Some(id) = body.get("id") else { return respond(stream, 202, "", "text/plain", "") };
    let result = match body["method"].as_str().unwrap_or_default() {
        "server/discover" => {
            let error = json!({ "jsonrpc": "2.0", "id": id, "error": { "code": -32601, "message": "unknown" } });
            return respond(stream, 400, "", "application/json", &error.to_string());
        }
        "initialize" => json!({
            "protocolVersion": "2025-11-25", "capabilities": { "tools": {} },
            "serverInfo": { "name": "ledger", "version": "1.0.0" },
        }),
        "tools/list" => json!({ "tools": [
            tool("read", json!({ "readOnlyHint": true })),
            tool("idempotent", json!({ "idempotentHint": true })),
            tool("write", json!({ "destructiveHint": false })),
            tool("destructive", json!({})),
        ] }),
        "tools/call" => {
            let (name, what) = (body["params"]["name"].as_str()?.to_owned(), body["params"]["arguments"].to_string());
            let mut hasher = DefaultHasher::new();
            {
                let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
                let count = entries.entry((name.clone(), what.clone())).or_default();
                *count += 1;
                (name, what, *count).hash(&mut hasher);
            }
            if hasher.finish().is_multiple_of(every) {
                return None;
            }
            json!({ "content": [], "structuredContent": body["params"]["arguments"] })
        }
        _ => json!({}),
    };
    let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
    respond(stream, 200, "", "application/json", &answer.to_string())
}

fn tool(name: &str, annotations: Value) -> Value {
    json!({ "name": name, "inputSchema": { "type": "object" }, "annotations": annotations })
}
