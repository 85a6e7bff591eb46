//! `conformance-client`: uses everything that one HTTP server offers, as the official conformance suite asks of clients.
//!
//! All of it goes through the door and the connections that hosts are served by; only the host is a stand-in.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use crate::app::load::Loaded;
use crate::app::run::App;
use crate::cli::exit::Exit;
use crate::cli::stand_in::{StandIn, object};
use crate::cli::terminal::Terminal;
use crate::downstream::listing::Listing;
use crate::model::ask::Ask;
use crate::model::call::{Call, Target};
use crate::model::entry::{Entry, Kind};
use crate::model::fault::Fault;
use crate::model::name::ToolRef;
use crate::model::port::Invoke as _;
use crate::model::principal::Principal;
use crate::model::problem::Source;
use crate::registry::load::load;

/// The suite's own wishes, as JSON.
const CONTEXT: &str = "MCP_CONFORMANCE_CONTEXT";

/// The name of the server under test.
const SERVER: &str = "suite";

/// How long the server may take to be listed, with whatever it does to us before.
const LISTED: Duration = Duration::from_secs(15);

const AGAIN: Duration = Duration::from_millis(50);

/// The part of the suite's wishes that is understood.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wishes {
    tool_calls: Vec<Wish>,
}

/// A call with arguments that no schema can tell.
#[derive(Debug, Deserialize)]
struct Wish {
    name: String,
    #[serde(default)]
    arguments: Map<String, Value>,
}

/// Calls every tool, gets every prompt and reads every resource of the server at `url`.
pub async fn use_all(url: &str, terminal: Terminal) -> Exit {
    let registry = json!({ "orchestrator": { "prefix": false }, "servers": { SERVER: { "url": url } } }).to_string();
    let (registry, problems) = load(&[Source::new("conformance.json", registry)]);
    if let Some(problem) = problems.first() {
        terminal.error(&problem.to_string());
        return Exit::Usage;
    }
    let app = App::start(Loaded { registry, ..Loaded::default() }, None, None);
    let host = StandIn::new();
    app.gateway().pool().introduce(host.capabilities());
    let exit = match listed(&app).await {
        Ok(listing) => call_all(&app, &listing, host, terminal).await,
        Err(fault) => {
            terminal.error(&fault.to_string());
            Exit::of(&fault)
        }
    };
    app.close().await;
    exit
}

/// What the server offers, once it is connected; its last fault if it never is.
async fn listed(app: &App) -> Result<Arc<Listing>, Fault> {
    let endpoint = app.gateway().pool().get(SERVER).expect("it is in the registry");
    let deadline = Instant::now() + LISTED;
    endpoint.want();
    loop {
        if let Some(listing) = endpoint.listing() {
            app.gateway().refresh();
            return Ok(listing);
        }
        if let Some(fault) = endpoint.state().fault.filter(|_| Instant::now() > deadline) {
            return Err(fault);
        }
        sleep(AGAIN).await;
    }
}

async fn call_all(app: &App, listing: &Listing, host: Arc<StandIn>, terminal: Terminal) -> Exit {
    let wishes = std::env::var(CONTEXT).ok().and_then(|text| serde_json::from_str::<Wishes>(&text).ok());
    let mut exit = Exit::Ok;
    for (target, arguments) in calls(listing, &wishes.unwrap_or_default()) {
        let arguments = to_raw_value(&arguments).ok();
        let call = Call {
            ask: Some(Arc::clone(&host) as Arc<dyn Ask>),
            ..Call::new(target.clone(), arguments, Principal::new("conformance"))
        };
        match app.gateway().clone().invoke(call).await {
            Ok(reply) => terminal.data(&format!("{target}: {}", reply.body)),
            Err(fault) => {
                terminal.error(&fault.to_string());
                exit = Exit::of(&fault);
            }
        }
    }
    exit
}

/// Everything that is to be asked of the server, with the arguments.
fn calls(listing: &Listing, wishes: &Wishes) -> Vec<(Target, Map<String, Value>)> {
    let tool = |name: &str| Target::Tool(ToolRef { server: SERVER.to_owned(), tool: name.to_owned() });
    let mut calls = Vec::new();
    for entry in &listing.entries {
        match entry.kind {
            Kind::Tool => {
                let mut given = wishes.tool_calls.iter().filter(|wish| wish.name == entry.id).peekable();
                if given.peek().is_none() {
                    calls.push((tool(&entry.id), arguments(entry, listing)));
                }
                calls.extend(given.map(|wish| (tool(&entry.id), wish.arguments.clone())));
            }
            Kind::Prompt => {
                let names = entry.definition.get("arguments").and_then(Value::as_array).into_iter().flatten();
                let names = names.filter_map(|argument| argument.get("name")?.as_str());
                let arguments = names.map(|name| (name.to_owned(), json!("text"))).collect();
                calls.push((Target::Prompt(entry.id.clone()), arguments));
            }
            Kind::Resource => calls.push((Target::Resource(entry.id.clone()), Map::new())),
            Kind::Template => {}
        }
    }
    calls
}

/// Arguments that fit a tool's schema. One that is to be the schema of another tool, by its description, is just that.
fn arguments(entry: &Entry, listing: &Listing) -> Map<String, Value> {
    let schema = entry.definition.get("inputSchema").unwrap_or_default();
    let mut arguments = object(schema);
    for (name, value) in &mut arguments {
        let about = schema["properties"][name]["description"].as_str().unwrap_or_default();
        let is_meant =
            |other: &&Entry| other.kind == Kind::Tool && about.contains("inputSchema") && about.contains(&other.id);
        if let Some(other) = listing.entries.iter().find(is_meant) {
            *value = other.definition.get("inputSchema").cloned().unwrap_or_default();
        }
    }
    arguments
}
