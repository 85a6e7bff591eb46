//! `tools` and `status`: what there is, and how it does.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::app::run::App;
use crate::cli::exit::Exit;
use crate::cli::terminal::{Paint, Terminal};
use crate::model::entry::Kind;
use crate::model::suggest::did_you_mean;

/// The tools that hosts see, or only those of `server`.
pub async fn tools(app: &App, server: Option<&str>, terminal: Terminal) -> Exit {
    if let Some(exit) = unknown(app, server, terminal) {
        return exit;
    }
    settle(app).await;
    let catalog = app.gateway().seen(app.profile().map(AsRef::as_ref));
    let own = catalog.own(Kind::Tool).filter(|_| server.is_none());
    let own = own.map(|(_, raw)| serde_json::from_str(raw.get()).unwrap_or_default());
    let theirs =
        catalog.offers(Kind::Tool).filter(|(_, offer)| server.is_none_or(|name| offer.entry.server.as_ref() == name));
    let theirs = theirs.map(|(_, offer)| serde_json::from_str(offer.definition().get()).unwrap_or_default());
    let all: Vec<Value> = own.chain(theirs).collect();
    if terminal.is_json {
        terminal.data(&format!("{:#}", json!({ "tools": all })));
    } else {
        let width = all.iter().filter_map(|tool| tool["name"].as_str().map(str::len)).max().unwrap_or_default();
        let mut text = String::new();
        for tool in &all {
            let description = tool["description"].as_str().unwrap_or_default().lines().next().unwrap_or_default();
            let short: String = description.chars().take(100).collect();
            let _ = writeln!(text, "{:width$}  {short}", tool["name"].as_str().unwrap_or_default());
        }
        terminal.data(&text);
    }
    report_down(app, terminal);
    Exit::Ok
}

/// How every server does, or only `server`.
pub async fn status(app: &App, server: Option<&str>, terminal: Terminal) -> Exit {
    if let Some(exit) = unknown(app, server, terminal) {
        return exit;
    }
    settle(app).await;
    let profile = app.profile().map(AsRef::as_ref);
    let is_wanted =
        |name: &str| app.gateway().shows_server(profile, name) && server.is_none_or(|server| server == name);
    let status = app.gateway().status(is_wanted);
    terminal.data(&if terminal.is_json { format!("{:#}", status.to_json()) } else { status.to_text() });
    if status.servers().iter().all(|server| server.error.is_none()) { Exit::Ok } else { Exit::Unreachable }
}

/// Waits for every server, however long it may take: an operator asked for a whole answer.
pub(super) async fn settle(app: &App) {
    let gateway = app.gateway();
    let all = gateway.pool().iter().map(|endpoint| async move {
        endpoint.want();
        endpoint.settled().await;
    });
    futures::future::join_all(all).await;
    gateway.refresh();
}

fn unknown(app: &App, server: Option<&str>, terminal: Terminal) -> Option<Exit> {
    let servers = &app.gateway().registry().servers;
    let name = server.filter(|name| !servers.contains_key(*name))?;
    let near =
        did_you_mean(name, servers.keys().map(AsRef::as_ref)).map_or_else(String::new, |near| format!("; {near}"));
    terminal.error(&format!("there is no server `{name}`{near}"));
    Some(Exit::Usage)
}

fn report_down(app: &App, terminal: Terminal) {
    let profile = app.profile().map(AsRef::as_ref);
    let is_shown = |server: &str| app.gateway().shows_server(profile, server);
    for endpoint in app.gateway().pool().iter().filter(|endpoint| is_shown(&endpoint.server.name)) {
        if let Some(fault) = endpoint.state().fault {
            let line = fault.server(endpoint.server.name.as_ref()).to_string();
            terminal.note(&format!("{} {line}", terminal.paint("missing:", Paint::Yellow)));
        }
    }
}
