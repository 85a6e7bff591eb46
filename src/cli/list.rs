//! `tools` and `status`: what there is, and how it does.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::app::run::App;
use crate::catalog::naming::exposed;
use crate::catalog::snapshot::Offer;
use crate::cli::exit::Exit;
use crate::cli::terminal::{Paint, Terminal};
use crate::model::entry::Kind;
use crate::model::name::ToolRef;
use crate::model::suggest::did_you_mean;

/// The tools that hosts see, or only those of `server`, or only those that can do the job `capability`.
pub async fn tools(app: &App, server: Option<&str>, capability: Option<&str>, terminal: Terminal) -> Exit {
    if let Some(exit) = unknown(app, server, terminal) {
        return exit;
    }
    let job = match capability.map(|name| job(app, name)).transpose() {
        Ok(job) => job,
        Err(why) => {
            terminal.error(&why);
            return Exit::Usage;
        }
    };
    // Without prefixes, what a tool is called depends on what all others are called.
    let has_prefixes = app.gateway().registry().orchestrator.prefix;
    let is_member = |name: &str| match &job {
        Some((_, members)) => members.iter().any(|member| member.server == name),
        None => true,
    };
    let is_wanted = |name: &str| !has_prefixes || (server.is_none_or(|server| server == name) && is_member(name));
    settle(app, is_wanted).await;
    let catalog = app.gateway().seen(app.profile().map(AsRef::as_ref));
    let own = catalog.own(Kind::Tool).filter(|(name, _)| match &job {
        Some((shown, _)) => server.is_none() && *name == shown,
        None => server.is_none(),
    });
    let own = own.map(|(_, raw)| serde_json::from_str(raw.get()).unwrap_or_default());
    let place = |offer: &Offer| match &job {
        Some((_, members)) => members.iter().position(|member| {
            (member.server.as_str(), member.tool.as_str()) == (offer.entry.server.as_ref(), offer.entry.id.as_str())
        }),
        None => Some(0),
    };
    let mut theirs: Vec<_> = catalog
        .offers(Kind::Tool)
        .filter(|(_, offer)| server.is_none_or(|name| offer.entry.server.as_ref() == name))
        .filter_map(|(_, offer)| Some((place(offer)?, offer)))
        .collect();
    theirs.sort_by_key(|(place, _)| *place);
    let theirs =
        theirs.into_iter().map(|(_, offer)| serde_json::from_str(offer.definition().get()).unwrap_or_default());
    let all: Vec<Value> = own.chain(theirs).collect();
    show(&all, terminal);
    report_down(app, is_wanted, terminal);
    Exit::Ok
}

/// What hosts see a job as, and the tools that can do it, in their order.
fn job(app: &App, name: &str) -> Result<(String, Vec<ToolRef>), String> {
    let registry = app.gateway().registry();
    let named = ToolRef::parse(name).and_then(|name| Some((registry.capabilities.get(&name)?, name)));
    let (capability, name) = named.ok_or_else(|| {
        let known: Vec<_> = registry.capabilities.keys().map(ToString::to_string).collect();
        let near = did_you_mean(name, known.iter().map(String::as_str));
        format!("there is no capability `{name}`{}", near.map_or_else(String::new, |near| format!("; {near}")))
    })?;
    let members = capability.members.iter().map(|member| member.tool.clone()).collect();
    Ok((exposed(&name.server, &name.tool), members))
}

fn show(all: &[Value], terminal: Terminal) {
    if terminal.is_json {
        terminal.data(&format!("{:#}", json!({ "tools": all })));
    } else {
        let width = all.iter().filter_map(|tool| tool["name"].as_str().map(str::len)).max().unwrap_or_default();
        let mut text = String::new();
        for tool in all {
            let description = tool["description"].as_str().unwrap_or_default().lines().next().unwrap_or_default();
            let short: String = description.chars().take(100).collect();
            let _ = writeln!(text, "{:width$}  {short}", tool["name"].as_str().unwrap_or_default());
        }
        terminal.data(&text);
    }
}

/// How every server does, or only `server`.
pub async fn status(app: &App, server: Option<&str>, terminal: Terminal) -> Exit {
    if let Some(exit) = unknown(app, server, terminal) {
        return exit;
    }
    let profile = app.profile().map(AsRef::as_ref);
    let is_wanted =
        |name: &str| app.gateway().shows_server(profile, name) && server.is_none_or(|server| server == name);
    settle(app, is_wanted).await;
    let status = app.gateway().status(is_wanted);
    terminal.data(&if terminal.is_json { format!("{:#}", status.to_json()) } else { status.to_text() });
    if status.servers().iter().all(|server| server.error.is_none()) { Exit::Ok } else { Exit::Unreachable }
}

/// Waits for every server that `is_wanted`, however long it may take: an operator asked for a whole answer. Others are not started for it.
pub(super) async fn settle(app: &App, is_wanted: impl Fn(&str) -> bool) {
    let gateway = app.gateway();
    let all = gateway.pool().iter().filter(|endpoint| is_wanted(&endpoint.server.name)).map(|endpoint| async move {
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

fn report_down(app: &App, is_wanted: impl Fn(&str) -> bool, terminal: Terminal) {
    let profile = app.profile().map(AsRef::as_ref);
    let is_shown = |server: &str| is_wanted(server) && app.gateway().shows_server(profile, server);
    for endpoint in app.gateway().pool().iter().filter(|endpoint| is_shown(&endpoint.server.name)) {
        if let Some(fault) = endpoint.state().fault {
            let line = fault.server(endpoint.server.name.as_ref()).to_string();
            terminal.note(&format!("{} {line}", terminal.paint("missing:", Paint::Yellow)));
        }
    }
}
