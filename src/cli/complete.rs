//! Completion in the shell: commands and flags, and the names of workflows, servers and tools.

use std::ffi::OsStr;

use clap::CommandFactory as _;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, Shell};

use crate::app::load::{Files, Loaded, load};
use crate::cli::args::Cli;

/// Answers a shell that asks for completions, and ends the program then. Does nothing otherwise.
pub fn answer() {
    CompleteEnv::with_factory(Cli::command).complete();
}

/// The script that makes `shell` ask.
pub fn script(shell: Shell) -> String {
    let name = env!("CARGO_PKG_NAME");
    let mut script = Vec::new();
    if let Some(completer) = Shells::builtins().completer(&shell.to_string()) {
        // Writing to memory does not fail.
        let _ = completer.write_registration("COMPLETE", name, name, name, &mut script);
    }
    String::from_utf8(script).unwrap_or_default()
}

/// Completes the names of workflows.
pub fn workflows() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        among(current, |loaded| loaded.workflows.names().map(ToOwned::to_owned).collect())
    })
}

/// Completes the names of servers.
pub fn servers() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| among(current, server_names))
}

/// Completes the names of capabilities.
pub fn capabilities() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        among(current, |loaded| loaded.registry.capabilities.keys().map(ToString::to_string).collect())
    })
}

/// Completes `server.tool` as far as the files alone know tools: those that the registry or a workflow names.
pub fn tools() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        among(current, |loaded| {
            let ruled = loaded.registry.servers.values().flat_map(|server| {
                server.tools.overrides().map(|(tool, _)| format!("{}.{tool}", server.name)).collect::<Vec<_>>()
            });
            let servers = server_names(loaded).into_iter().map(|server| format!("{server}."));
            let mut all: Vec<_> = ruled.chain(servers).collect();
            all.sort();
            all
        })
    })
}

fn server_names(loaded: &Loaded) -> Vec<String> {
    loaded.registry.servers.keys().map(ToString::to_string).collect()
}

/// The names in the default files that begin like `current`.
fn among(current: &OsStr, names: impl Fn(&Loaded) -> Vec<String>) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let Ok(loaded) = load(&Files::default()) else { return Vec::new() };
    names(&loaded).into_iter().filter(|name| name.starts_with(current.as_ref())).map(CompletionCandidate::new).collect()
}
