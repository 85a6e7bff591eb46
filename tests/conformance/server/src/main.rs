//! The MCP server that the official conformance suite expects, over stdio or Streamable HTTP, of one protocol era or of both.
//!
//! Names, texts and schemas are those that the suite's scenarios look for; see `../run`.

#![expect(deprecated, reason = "logging, sampling and roots are deprecated, and tested")]

mod ask;
mod changes;
mod content;
mod era;
mod http;
mod listed;
mod logging;
mod prompts;
mod resources;
mod server;
mod stdio;
mod tasks;
mod tools;

use clap::Parser;

use crate::era::Era;

/// Whatever ends the program: it is read by who runs the suite, nothing else.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(version, about)]
enum Command {
    /// Serve on standard input and output
    Stdio {
        /// The protocol era that is served
        #[arg(long, value_enum, default_value_t = Era::Both)]
        era: Era,
    },
    /// Serve Streamable HTTP on 127.0.0.1, and print the URL
    Http {
        /// 0 is any free port
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// The protocol era that is served
        #[arg(long, value_enum, default_value_t = Era::Both)]
        era: Era,
    },
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    match Command::parse() {
        Command::Stdio { era } => stdio::serve(era).await,
        Command::Http { port, era } => http::serve(era, port).await,
    }
}
