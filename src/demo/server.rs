//! The demonstration's servers: this binary in a hidden mode, speaking MCP over standard input and output.

use std::io::{self, BufRead as _, Write as _};
use std::time::Duration;

use serde_json::{Value, json};

/// How long a carrier needs for a quote, and for a label.
const QUOTE: Duration = Duration::from_millis(180);
const LABEL: Duration = Duration::from_millis(700);

/// Plays the server `name` until standard input ends; `None` if there is none of that name.
pub fn serve(name: &str) -> Option<()> {
    let tools = tools(name)?;
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let Ok(request) = serde_json::from_str::<Value>(&line) else { continue };
        let Some(id) = request.get("id").filter(|_| request.get("method").is_some()) else { continue };
        let outcome = answer(name, &tools, &request);
        let response = match outcome {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err((code, message)) => {
                json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
            }
        };
        let mut out = io::stdout().lock();
        if writeln!(out, "{response}").and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    Some(())
}

fn answer(name: &str, tools: &Value, request: &Value) -> Result<Value, (i64, String)> {
    match request["method"].as_str().unwrap_or_default() {
        "initialize" => Ok(json!({
            "protocolVersion": request["params"]["protocolVersion"],
            "capabilities": { "tools": {} },
            "serverInfo": { "name": name, "version": env!("CARGO_PKG_VERSION") },
        })),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({ "tools": tools })),
        "tools/call" => {
            let tool = request["params"]["name"].as_str().unwrap_or_default();
            let output = call(name, tool, &request["params"]["arguments"])
                .ok_or_else(|| (-32602, format!("there is no tool {tool:?}")))?;
            Ok(json!({ "content": [{ "type": "text", "text": output.to_string() }], "structuredContent": output }))
        }
        method => Err((-32601, format!("{method} is not supported"))),
    }
}

fn tools(name: &str) -> Option<Value> {
    let tool = |name: &str, description: &str, hints: Value, required: &[&str]| {
        let properties: serde_json::Map<_, _> = required.iter().map(|key| ((*key).to_owned(), json!({}))).collect();
        let schema = json!({ "type": "object", "properties": properties, "required": required });
        json!({ "name": name, "description": description, "inputSchema": schema, "annotations": hints })
    };
    let read = json!({ "readOnlyHint": true });
    let idempotent = json!({ "idempotentHint": true });
    let write = json!({ "destructiveHint": false });
    match name {
        "north" | "south" => Some(json!([
            tool("quote", "Says what shipping costs.", read, &["items"]),
            tool("label", "Prints the label of an order, always the same one.", idempotent, &["order_id"]),
        ])),
        "warehouse" => Some(json!([
            tool("reserve", "Reserves an article.", write.clone(), &["sku", "quantity"]),
            tool("wrap", "Wraps an order as a gift.", write, &["order_id"]),
        ])),
        "payments" => Some(json!([tool("charge", "Charges the customer.", write, &["order_id", "amount"])])),
        _ => None,
    }
}

fn call(server: &str, tool: &str, arguments: &Value) -> Option<Value> {
    let order = arguments["order_id"].as_str().unwrap_or_default();
    match (server, tool) {
        ("north" | "south", "quote") => {
            pause(QUOTE);
            Some(json!({ "carrier": server, "price": if server == "north" { 4.9 } else { 6.4 } }))
        }
        ("north" | "south", "label") => {
            pause(LABEL);
            Some(json!({ "carrier": server, "tracking": format!("{}-{order}", server.to_uppercase()) }))
        }
        ("warehouse", "reserve") => {
            let quantity = arguments["quantity"].as_f64().unwrap_or(1.0);
            Some(json!({ "sku": arguments["sku"], "price": quantity * 12.5 }))
        }
        ("warehouse", "wrap") => Some(json!({ "wrapped": true })),
        ("payments", "charge") => Some(json!({ "amount": arguments["amount"], "receipt": format!("R-{order}") })),
        _ => None,
    }
}

#[expect(clippy::disallowed_methods, reason = "this process has one thread and no runtime; the wait is its work")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
