//! The shape of the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::cli::args::runs::Runs;
use crate::cli::complete;

pub mod runs;

/// One MCP server in front of many, with workflows as tools.
#[derive(Debug, Parser)]
#[command(name = "mcp-orchestrator", version, max_term_width = 100)]
pub struct Cli {
    /// What is common to every command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What is common to every command.
#[derive(Debug, Args)]
pub struct Common {
    /// A registry file, or a JSON file of another client (`mcpServers`, `servers`); may be repeated. Default:
    /// ./registry.toml, then the one in the user's configuration directory.
    #[arg(long, global = true, value_name = "FILE", env = "MCP_ORCHESTRATOR_REGISTRY", value_delimiter = ',')]
    pub registry: Vec<PathBuf>,
    /// A workflow file, a directory of them, or a glob; may be repeated. Added to those that the registry names.
    #[arg(long, global = true, value_name = "DIR|GLOB")]
    pub workflows: Vec<String>,
    /// See only what this profile of the registry shows.
    #[arg(long, global = true, value_name = "NAME")]
    pub profile: Option<String>,
    /// Where runs are stored. Default: a folder for each registry in the user's state directory.
    #[arg(long, global = true, value_name = "DIR", env = "MCP_ORCHESTRATOR_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// The form of what is written to standard output.
    #[arg(short, long, global = true, value_name = "FORM", default_value = "text")]
    pub output: Output,
    /// Logs more; twice logs everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Logs errors only.
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// The form of what is written to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// SARIF 2.1.0, for editors and code review; only of `check`.
    Sarif,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a host over standard input and output: what MCP clients start. With --http, serve hosts over HTTP instead.
    Serve(Serve),
    /// Check the registry and the workflows, without starting a server unless asked to.
    Check {
        /// Write the problems as JSON; the same as `-o json`.
        #[arg(long)]
        json: bool,
        /// Also start the servers, and check every step against the tools that they really have.
        #[arg(long)]
        online: bool,
        /// Mend what can be mended without thinking, in the files themselves.
        #[arg(long)]
        fix: bool,
        /// With --fix, write nothing and show what would change; else show what each workflow would do.
        #[arg(long)]
        dry_run: bool,
    },
    /// Run a workflow and print its output.
    Run {
        /// The workflow's name, or a workflow file.
        #[arg(add = complete::workflows())]
        workflow: String,
        /// Its input, as `name=value`.
        #[arg(value_name = "NAME=VALUE")]
        input: Vec<String>,
        /// A JSON file with the input; `-` is standard input.
        #[arg(long = "input", value_name = "FILE")]
        file: Option<PathBuf>,
        /// The answer to what a step asks, as `step=yes`, `step=no` or `step={"field": "value"}`; may be repeated. In a
        /// terminal you are asked.
        #[arg(long, value_name = "STEP=ANSWER")]
        answer: Vec<String>,
        /// Show what would be done and call nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Look at runs that are stored, and at those that go on in another process; say what is to become of them.
    Runs {
        /// What to do.
        #[command(subcommand)]
        what: Runs,
    },
    /// Say which level holds in the program that serves with these files.
    Level {
        /// `normal`, `reduced`, `minimal`, or `auto` to leave it to the servers.
        #[arg(value_parser = ["normal", "reduced", "minimal", "auto"])]
        level: String,
    },
    /// Call one tool and print its result.
    Call {
        /// The tool, as `server.tool` or by the name that hosts see.
        #[arg(add = complete::tools())]
        tool: String,
        /// Its arguments, as `name=value`.
        #[arg(value_name = "NAME=VALUE")]
        arguments: Vec<String>,
        /// The arguments as a JSON object instead.
        #[arg(long, value_name = "OBJECT", conflicts_with = "arguments")]
        json: Option<String>,
    },
    /// List the tools that hosts see.
    Tools {
        /// Only those of this server.
        #[arg(add = complete::servers())]
        server: Option<String>,
        /// Only those that can do this job of the registry's `[capabilities]`, in the order in which they stand there.
        #[arg(long, value_name = "NAME", add = complete::capabilities())]
        capability: Option<String>,
    },
    /// Start the servers and say how each does.
    Status {
        /// Only this server.
        #[arg(add = complete::servers())]
        server: Option<String>,
    },
    /// Log in at servers that want it, by OAuth.
    Auth {
        /// What to do.
        #[command(subcommand)]
        what: Auth,
    },
    /// Look at what the files were when they were taken over by `serve`, and go back to it.
    Config {
        /// What to do.
        #[command(subcommand)]
        what: Config,
    },
    /// Show the order in which a workflow's steps run.
    Graph {
        /// The workflow's name, or a workflow file.
        #[arg(add = complete::workflows())]
        workflow: String,
        /// What to draw.
        #[arg(long, default_value = "text")]
        format: GraphFormat,
    },
    /// Put workflow files into their canonical form: the order of keys, the way durations are written. Comments stay.
    Fmt {
        /// Files, folders or globs; all workflow files of the registry if none is given.
        #[arg(value_name = "FILE|DIR")]
        files: Vec<String>,
        /// Write nothing; show what would change, and fail if something would.
        #[arg(long)]
        check: bool,
    },
    /// Print a workflow file in another language, with the same meaning.
    Convert {
        /// The file.
        file: PathBuf,
        /// The language.
        #[arg(long)]
        to: Language,
    },
    /// Write the first draft of a workflow, which passes the check as it stands.
    New {
        /// The workflow's name; the file is called so, where the registry finds workflow files.
        name: String,
        /// Call these tools, with arguments as their schemas want them.
        #[arg(long, value_name = "SERVER.TOOL", value_delimiter = ',', add = complete::tools())]
        from_tools: Vec<String>,
        /// Where to write it instead.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print the JSON Schema of a kind of file, for editors.
    Schema {
        /// Of which.
        of: SchemaOf,
    },
    /// Say what a code means and what to do about it; without a code, list them.
    Explain {
        /// The code, for instance MO2004.
        code: Option<String>,
    },
    /// Watch it work: four servers, one workflow, and a server that dies in the middle. Needs nothing.
    Demo,
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// A server of the demonstration.
    #[command(hide = true)]
    DemoServer {
        /// Which.
        name: String,
    },
    /// Uses everything that a server offers, for the official conformance suite.
    #[command(hide = true)]
    ConformanceClient {
        /// The server's endpoint.
        url: String,
    },
    /// Ends our servers if we are killed.
    #[command(hide = true, name = "__watchdog")]
    Watchdog {
        /// What the marker of our servers starts with.
        instance: String,
    },
}

/// What to do about the files.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Config {
    /// List the revisions that are kept, the newest first, each with the files that it changed.
    History,
    /// Show what has changed since a revision, or between two.
    Diff {
        /// The older revision.
        from: u64,
        /// The newer one; without it, the files as they are.
        to: Option<u64>,
    },
    /// Put the files back as they were in a revision, if they are right today.
    Rollback {
        /// The revision.
        revision: u64,
    },
}

/// What to do about logins.
#[derive(Debug, Subcommand)]
pub enum Auth {
    /// Log in at a server with a browser. A program that serves meanwhile takes notice.
    Login {
        /// The server's name in the registry.
        #[arg(add = complete::servers())]
        server: String,
        /// Only print the address to open.
        #[arg(long)]
        no_browser: bool,
    },
    /// Say where the program is logged in, without asking the servers.
    Status,
    /// Delete the tokens of a server.
    Logout {
        /// The server's name in the registry.
        #[arg(add = complete::servers())]
        server: String,
    },
}

/// How hosts are served.
#[derive(Debug, Args)]
pub struct Serve {
    /// Serve Streamable HTTP at this address, for instance 127.0.0.1:8080; the endpoint is /mcp.
    #[arg(long, value_name = "ADDR")]
    pub http: Option<SocketAddr>,
    /// Serve standard input and output as well.
    #[arg(long, requires = "http")]
    pub stdio: bool,
    /// Let hosts save workflows, by the tool `save_workflow`: in the first folder of workflows that the registry or the command
    /// line names.
    #[arg(long)]
    pub allow_authoring: bool,
    /// Demand no token. Only on a loopback address.
    #[arg(long, requires = "http")]
    pub no_auth: bool,
    /// Another name by which hosts reach this server; may be repeated.
    #[arg(long, value_name = "NAME", requires = "http")]
    pub allow_host: Vec<String>,
    /// The origin of a web page that may use this server, with its scheme; may be repeated.
    #[arg(long, value_name = "ORIGIN", requires = "http")]
    pub allow_origin: Vec<String>,
}

/// How a graph is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// For the terminal.
    Text,
    /// For Markdown files.
    Mermaid,
    /// For Graphviz.
    Dot,
    /// For browsers and documents; needs no other program.
    Svg,
}

/// A language that workflow files are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// YAML 1.2.
    Yaml,
    /// JSON.
    Json,
    /// TOML 1.
    Toml,
}

/// A kind of file that has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// Workflow files.
    Workflow,
    /// `registry.toml`.
    Registry,
}
