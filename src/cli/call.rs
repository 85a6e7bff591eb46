//! `call`: one tool, its result, nothing else.

use serde_json::Value;
use serde_json::value::to_raw_value;

use crate::app::run::App;
use crate::cli::exit::Exit;
use crate::cli::pairs::object;
use crate::cli::terminal::Terminal;
use crate::model::call::{Call, Reply, Target};
use crate::model::name::ToolRef;
use crate::model::port::Invoke as _;
use crate::model::principal::Principal;

/// Calls `tool` with arguments given as pairs or as a JSON object.
pub async fn call(app: &App, tool: &str, pairs: &[String], json: Option<&str>, terminal: Terminal) -> Exit {
    let gateway = app.gateway();
    let target = match ToolRef::parse(tool) {
        Some(tool) => Target::Tool(tool),
        None => Target::Exposed(tool.to_owned()),
    };
    let arguments = if let Some(text) = json {
        serde_json::from_str::<Value>(text).map_err(|error| format!("--json is not JSON: {error}"))
    } else {
        let schema = schema(app, &target).await;
        object(pairs, schema.as_ref()).map(Value::Object)
    };
    let arguments = match arguments {
        Ok(arguments) => to_raw_value(&arguments).ok(),
        Err(why) => {
            terminal.error(&why);
            return Exit::Usage;
        }
    };
    let call = Call { profile: app.profile().cloned(), ..Call::new(target, arguments, Principal::new("cli")) };
    match gateway.clone().invoke(call).await {
        Ok(reply) => show(&reply, terminal),
        Err(fault) => {
            terminal.error(&fault.to_string());
            Exit::of(&fault)
        }
    }
}

/// The input schema of the tool, once its server has been listed.
async fn schema(app: &App, target: &Target) -> Option<Value> {
    let gateway = app.gateway();
    if let Target::Tool(tool) = target {
        let endpoint = gateway.pool().get(&tool.server)?;
        endpoint.want();
        endpoint.settled().await;
        gateway.refresh();
    } else {
        gateway.settle().await;
    }
    let profile = app.profile().map(AsRef::as_ref);
    let catalog = gateway.seen(profile);
    let entry = match target {
        Target::Tool(tool) => catalog.origin(tool)?.clone(),
        Target::Exposed(name) => match catalog.tool(name) {
            Some(offer) => offer.entry.clone(),
            None => return gateway.workflow(name, profile).ok().map(|workflow| (*workflow.input_schema).clone()),
        },
        _ => return None,
    };
    entry.definition.get("inputSchema").cloned()
}

/// Prints a tool result: its structured content, else its text; the whole result as JSON if asked.
fn show(reply: &Reply, terminal: Terminal) -> Exit {
    let result: Value = serde_json::from_str(reply.body.get()).unwrap_or_default();
    let is_error = result["isError"] == Value::Bool(true);
    if terminal.is_json {
        terminal.data(&format!("{result:#}"));
    } else {
        let texts = result["content"].as_array().into_iter().flatten().map(|block| match block["text"].as_str() {
            Some(text) => text.to_owned(),
            None => format!("[{}]", block["type"].as_str().unwrap_or("content")),
        });
        let text = texts.collect::<Vec<_>>().join("\n");
        let structured = result.get("structuredContent").filter(|value| !value.is_null() && !is_error);
        terminal.data(&structured.map_or(text, |value| format!("{value:#}")));
    }
    if is_error { Exit::Failed } else { Exit::Ok }
}
