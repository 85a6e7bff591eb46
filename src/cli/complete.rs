//! Completion scripts.

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crate::cli::args::Cli;

/// The script for `shell`.
pub fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), env!("CARGO_PKG_NAME"), &mut script);
    String::from_utf8(script).unwrap_or_default()
}
