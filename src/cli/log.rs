//! Where the log goes: standard error, and nowhere else.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::cli::args::Common;
use crate::cli::sink::{Rest, open};

/// Starts logging, which goes on until the end of what is given back. `MCP_ORCHESTRATOR_LOG` overrides the flags with a filter of `tracing`.
pub fn start(common: &Common, default: &str) -> Rest {
    let level = match (common.quiet, common.verbose) {
        (true, _) => "error",
        (false, 0) => default,
        (false, 1) => "info",
        (false, _) => "debug",
    };
    // rmcp logs whole messages and addresses, secrets included; what matters of them is in our own faults.
    let default = format!("{level},rmcp=off,hyper=warn,reqwest=warn");
    let filter = std::env::var("MCP_ORCHESTRATOR_LOG").unwrap_or(default);
    let (sink, rest) = open(std::io::stderr());
    let is_terminal = std::io::stderr().is_terminal();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("warn")))
        .with_writer(BoxMakeWriter::new(move || sink.clone()))
        .with_ansi(is_terminal && std::env::var_os("NO_COLOR").is_none())
        .with_target(false);
    // Fails only if logging has been started before.
    let _ = subscriber.try_init();
    rest
}
