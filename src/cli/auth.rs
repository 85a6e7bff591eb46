//! `auth`: logs in at servers, says where the program is logged in, and logs out.

use std::sync::Arc;

use serde_json::json;

use crate::app::load::Loaded;
use crate::cli::args::Auth;
use crate::cli::exit::Exit;
use crate::cli::redirect::Landing;
use crate::cli::terminal::Terminal;
use crate::downstream::oauth::account::Account;
use crate::downstream::oauth::login::Standing;
use crate::model::fault::Fault;
use crate::model::suggest::did_you_mean;
use crate::registry::server::Registry;

/// Does what the command line says.
pub async fn auth(loaded: &Loaded, what: Auth, terminal: Terminal) -> Exit {
    let registry = &loaded.registry;
    match what {
        Auth::Login { server, no_browser } => match account(registry, &server, terminal) {
            Ok(account) => login(&server, &account, no_browser, terminal).await,
            Err(exit) => exit,
        },
        Auth::Logout { server } => match account(registry, &server, terminal) {
            Ok(account) => logout(&server, &account, terminal).await,
            Err(exit) => exit,
        },
        Auth::Status => status(registry, terminal),
    }
}

/// The program's account at `server`.
fn account(registry: &Registry, server: &str, terminal: Terminal) -> Result<Arc<Account>, Exit> {
    let Some(entry) = registry.servers.get(server) else {
        let near = did_you_mean(server, registry.servers.keys().map(AsRef::as_ref));
        let near = near.map_or_else(String::new, |near| format!("; {near}"));
        terminal.error(&format!("there is no server `{server}`{near}"));
        return Err(Exit::Usage);
    };
    match Account::at(entry) {
        Some(Ok(account)) => Ok(account),
        Some(Err(fault)) => Err(failed(server, fault, terminal)),
        None => {
            terminal.error(&format!(
                "nobody logs in at the server `{server}`\nhint: if it wants that, add `auth = \"oauth\"` to it in the registry"
            ));
            Err(Exit::Usage)
        }
    }
}

fn failed(server: &str, fault: Fault, terminal: Terminal) -> Exit {
    let exit = Exit::of(&fault);
    terminal.error(&fault.server(server).to_string());
    exit
}

async fn login(server: &str, account: &Arc<Account>, no_browser: bool, terminal: Terminal) -> Exit {
    let landing = match Landing::open(&account.redirect_ports()).await {
        Ok(landing) => landing,
        Err(error) => {
            terminal.error(&format!("cannot listen for the browser to come back: {error}"));
            return Exit::Unexpected;
        }
    };
    let browse = async |page: String| {
        terminal.note(&format!("log in at `{server}` with your browser:\n{page}"));
        if !no_browser && !landing.show(&page) {
            terminal.note("no browser could be started: open the address yourself");
        }
        landing.wait(&page).await
    };
    match account.login(&landing.address(), browse).await {
        Ok(()) => {
            terminal.note(&format!("logged in at `{server}`"));
            Exit::Ok
        }
        Err(fault) => failed(server, fault, terminal),
    }
}

async fn logout(server: &str, account: &Account, terminal: Terminal) -> Exit {
    match account.forget().await {
        Ok(true) => terminal.note(&format!("logged out of `{server}`: its tokens are deleted here")),
        Ok(false) => terminal.note(&format!("nobody was logged in at `{server}`")),
        Err(fault) => return failed(server, fault, terminal),
    }
    Exit::Ok
}

fn status(registry: &Registry, terminal: Terminal) -> Exit {
    let mut lines = Vec::new();
    for (name, server) in &registry.servers {
        let Some(account) = Account::at(server) else { continue };
        let standing = account.and_then(|account| account.standing());
        lines.push(match (standing, terminal.is_json) {
            (Ok(standing), true) => as_json(name, &standing),
            (Ok(standing), false) => json!(format!("{name}  {}", as_text(name, &standing))),
            (Err(fault), true) => json!({ "server": name, "error": fault.to_string() }),
            (Err(fault), false) => json!(format!("{name}  {fault}")),
        });
    }
    if terminal.is_json {
        terminal.data(&json!(lines).to_string());
    } else if lines.is_empty() {
        terminal.note("no server of the registry has `auth`");
    } else {
        lines.iter().filter_map(|line| line.as_str()).for_each(|line| terminal.data(line));
    }
    Exit::Ok
}

fn as_json(name: &str, standing: &Standing) -> serde_json::Value {
    json!({
        "server": name,
        "authorized": standing.is_authorized,
        "login": standing.needs_person,
        "issuer": standing.issuer,
        "scopes": standing.scopes,
        "expires_in": standing.ends_in,
        "renewed": standing.is_renewed,
        "demanded": standing.demanded.as_deref().unwrap_or_default(),
    })
}

fn as_text(name: &str, standing: &Standing) -> String {
    if !standing.is_authorized {
        let next = format!("not logged in; run `mcp-orchestrator auth login {name}`");
        return if standing.needs_person { next } else { "gets a token when it is needed".to_owned() };
    }
    let issuer = standing.issuer.as_deref().map_or_else(String::new, |issuer| format!(" by {issuer}"));
    let scopes = match standing.scopes.join(" ") {
        none if none.is_empty() => String::new(),
        scopes => format!(", for {scopes}"),
    };
    let end = match standing.ends_in {
        _ if standing.is_renewed => ", renewed by itself".to_owned(),
        Some(seconds) if seconds > 0 => format!(", for another {} min", seconds / 60),
        Some(_) => ", ended".to_owned(),
        None => String::new(),
    };
    let missing = standing.demanded.iter().flatten().filter(|scope| !standing.scopes.contains(scope)).cloned();
    let missing = match missing.collect::<Vec<_>>().join(" ") {
        none if none.is_empty() => String::new(),
        missing => format!("; it demands {missing}, too: run `mcp-orchestrator auth login {name}`"),
    };
    format!("authorized{issuer}{scopes}{end}{missing}")
}
