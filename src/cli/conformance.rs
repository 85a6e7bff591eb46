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
use crate::cli::visitor::Visitor;
use crate::downstream::listing::Listing;
use crate::downstream::oauth::account::Account;
use crate::model::ask::Ask;
use crate::model::call::{Call, Target};
use crate::model::entry::{Entry, Kind};
use crate::model::fault::Fault;
use crate::model::name::ToolRef;
use crate::model::port::Invoke as _;
use crate::model::principal::Principal;
use crate::model::problem::Source;
use crate::registry::load::load;
use crate::registry::server::Server;

/// The suite's own wishes, as JSON.
const CONTEXT: &str = "MCP_CONFORMANCE_CONTEXT";

/// The address of the document that describes the suite's client. The suite's own authorization servers take it on trust.
const DESCRIPTION: &str = "https://conformance-test.local/client-metadata.json";

/// The name of the server under test.
const SERVER: &str = "suite";

/// How long the server may take to be listed, with whatever it does to us before.
const LISTED: Duration = Duration::from_secs(15);

const AGAIN: Duration = Duration::from_millis(50);

/// The part of the suite's wishes that is understood.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Wishes {
    /// The scenario.
    name: String,
    tool_calls: Vec<Wish>,
    #[serde(rename = "client_id")]
    client_id: Option<String>,
    #[serde(rename = "client_secret")]
    client_secret: Option<String>,
    #[serde(rename = "private_key_pem")]
    private_key: Option<String>,
    #[serde(rename = "signing_algorithm")]
    algorithm: Option<String>,
}

impl Wishes {
    fn read() -> Self {
        std::env::var(CONTEXT).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    /// How the program is to show who it is.
    fn oauth(&self) -> Value {
        match (&self.client_id, &self.client_secret, &self.private_key) {
            (Some(id), _, Some(key)) => json!({
                "grant": "client_credentials", "client_id": id, "private_key": key,
                "algorithm": self.algorithm.as_deref().unwrap_or("ES256"),
            }),
            (Some(id), Some(secret), _) if self.name.contains("client-credentials") => {
                json!({ "grant": "client_credentials", "client_id": id, "client_secret": secret })
            }
            (Some(id), Some(secret), _) => json!({ "client_id": id, "client_secret": secret }),
            _ => json!({ "client_metadata_url": DESCRIPTION }),
        }
    }
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
    let wishes = Wishes::read();
    let server = json!({ "url": url, "auth": { "oauth": wishes.oauth() } });
    let registry = json!({ "orchestrator": { "prefix": false }, "servers": { SERVER: server } }).to_string();
    let (registry, problems) = load(&[Source::new("conformance.json", registry)]);
    if let Some(problem) = problems.first() {
        terminal.error(&problem.to_string());
        return Exit::Usage;
    }
    if let Some(Ok(account)) = registry.servers.get(SERVER).and_then(|server| Account::at(server)) {
        // What was left by another server at the same port.
        let _ = account.forget().await;
    }
    let app = App::start(Loaded { registry, ..Loaded::default() }, None, None);
    let host = StandIn::new();
    app.gateway().pool().introduce(host.capabilities());
    let mut visitor = Visitor::default();
    let exit = match listed(&app, &mut visitor).await {
        Ok(listing) => call_all(&app, &listing, &wishes, host, &mut visitor, terminal).await,
        Err(fault) => {
            terminal.error(&fault.to_string());
            Exit::of(&fault)
        }
    };
    app.close().await;
    exit
}

/// What the server offers, once it is connected; its last fault if it never is.
async fn listed(app: &App, visitor: &mut Visitor) -> Result<Arc<Listing>, Fault> {
    let server = server_of(app);
    let endpoint = app.gateway().pool().get(SERVER).expect("it is in the registry");
    let deadline = Instant::now() + LISTED;
    endpoint.want();
    loop {
        if let Some(listing) = endpoint.listing() {
            app.gateway().refresh();
            return Ok(listing);
        }
        match endpoint.state().fault {
            Some(fault) if visitor.is_asked_for(&server, &fault) => visitor.log_in(&server, fault).await?,
            Some(fault) if Instant::now() > deadline => return Err(fault),
            _ => {}
        }
        sleep(AGAIN).await;
    }
}

/// The entry of the server under test.
fn server_of(app: &App) -> Arc<Server> {
    Arc::clone(app.gateway().registry().servers.get(SERVER).expect("it is in the registry"))
}

async fn call_all(
    app: &App,
    listing: &Listing,
    wishes: &Wishes,
    host: Arc<StandIn>,
    visitor: &mut Visitor,
    terminal: Terminal,
) -> Exit {
    let server = server_of(app);
    let mut exit = Exit::Ok;
    for (target, arguments) in calls(listing, wishes) {
        let arguments = to_raw_value(&arguments).ok();
        let call = Call {
            ask: Some(Arc::clone(&host) as Arc<dyn Ask>),
            ..Call::new(target.clone(), arguments, Principal::new("conformance"))
        };
        let mut result = app.gateway().clone().invoke(call.clone()).await;
        while let Err(fault) = &result
            && visitor.is_asked_for(&server, fault)
        {
            result = match visitor.log_in(&server, fault.clone()).await {
                Ok(()) => app.gateway().clone().invoke(call.clone()).await,
                Err(fault) => Err(fault),
            };
        }
        match result {
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
