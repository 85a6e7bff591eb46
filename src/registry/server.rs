//! The snapshot: what the registry files say, checked and complete.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::model::durability::Durability;
use crate::model::suggest::did_you_mean;
use crate::policy::breaker;
use crate::policy::health;
use crate::policy::rate::Rate;
use crate::policy::retry::Retry;
use crate::registry::agent::Agents;
use crate::registry::bounds::Bounds;
use crate::registry::capability::Capabilities;
use crate::registry::discovery::Discovery;
use crate::registry::engine::Engine;
use crate::registry::flag::Flags;
use crate::registry::interceptor::Interceptor;
use crate::registry::level::Levels;
use crate::registry::model::Models;
use crate::registry::oauth::Oauth;
use crate::registry::profile::Profile;
use crate::registry::replicas::Replicas;
use crate::registry::text::Text;
use crate::registry::tools::ToolRules;

/// Everything that the registry files say. Never changed, only replaced as a whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Registry {
    /// Settings of the program itself.
    pub orchestrator: Orchestrator,
    /// The servers by name, disabled ones included.
    pub servers: BTreeMap<Arc<str>, Arc<Server>>,
    /// Where each of them is defined: a file, or a source.
    pub origins: BTreeMap<Arc<str>, Arc<str>>,
    /// The jobs that several tools can do.
    pub capabilities: Capabilities,
    /// The models by name.
    pub models: Models,
    /// The agents by name.
    pub agents: Agents,
    /// Values that workflows ask for, by name.
    pub flags: Flags,
    /// What goes on while required servers are missing; everything if `None`.
    pub levels: Option<Levels>,
    /// The named views by name.
    pub profiles: BTreeMap<Arc<str>, Arc<Profile>>,
    /// Where more servers come from.
    pub discovery: Discovery,
    /// What carries runs to their ends.
    pub engine: Engine,
    /// What happens to calls on their way, in order.
    pub interceptors: Vec<Arc<Interceptor>>,
}

impl Registry {
    /// The profile `name`; the error says which name is near.
    pub fn profile(&self, name: &str) -> Result<&Arc<Profile>, String> {
        self.profiles.get(name).ok_or_else(|| {
            let near = did_you_mean(name, self.profiles.keys().map(AsRef::as_ref));
            format!("there is no profile `{name}`{}", near.map_or_else(String::new, |near| format!("; {near}")))
        })
    }
}

/// Settings of the program itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orchestrator {
    /// Files and globs of workflows, as written: relative to the file that names them.
    pub workflows: Vec<String>,
    /// Workflow runs at once; more wait.
    pub max_concurrent_runs: usize,
    /// How many runs wait for their turn; more are refused.
    pub max_waiting_runs: usize,
    /// Steps at once, over all runs; more wait.
    pub max_concurrent_steps: usize,
    /// How long what goes on may still take when the program is told to end.
    pub shutdown_grace: Duration,
    /// How long the first list waits for servers that are still starting. Later arrivals are announced as list changes.
    pub settle: Duration,
    /// For how long what a server last offered is listed although the server does not run.
    pub remember: Duration,
    /// How sure it is that a run survives the program, unless its workflow says.
    pub durability: Durability,
    /// For how long runs that have ended are kept.
    pub keep_runs: Duration,
    /// How many of them are kept.
    pub keep_runs_count: u64,
    /// Whether tools and prompts carry the name of their server; without it, of two with one name the first counts.
    pub prefix: bool,
    /// What hosts are told about this program, beside the list of servers.
    pub instructions: Option<String>,
}

impl Default for Orchestrator {
    fn default() -> Self {
        Self {
            workflows: Vec::new(),
            max_concurrent_runs: 100,
            max_waiting_runs: 1_000,
            shutdown_grace: Duration::from_secs(2),
            max_concurrent_steps: 50,
            settle: Duration::from_secs(5),
            remember: Duration::from_hours(24 * 7),
            durability: Durability::Auto,
            keep_runs: Duration::from_hours(24 * 30),
            keep_runs_count: 10_000,
            prefix: true,
            instructions: None,
        }
    }
}

/// One server.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Its name: a legal server name.
    pub name: Arc<str>,
    /// How it is reached.
    pub launch: Launch,
    /// When it is connected to.
    pub start: Start,
    /// Whether the program refuses to start without it.
    pub required: bool,
    /// Among servers that can do the same, lower ones are asked first.
    pub priority: u32,
    /// Calls at once; more wait.
    pub concurrency: usize,
    /// How often it may be called; calls beyond that wait for their turn.
    pub rate_limit: Option<Rate>,
    /// From the start of the process, or of the connection, to the server's first answer.
    pub connect_timeout: Duration,
    /// How long a call may take.
    pub timeout: Duration,
    /// When a failed call is made again.
    pub retry: Retry,
    /// When the server is left alone for a while.
    pub breaker: breaker::Settings,
    /// How its health is watched.
    pub health: Health,
    /// What its processes may use of the machine.
    pub limits: Bounds,
    /// Which versions of the server are acceptable.
    pub version: Option<semver::VersionReq>,
    /// Which of its tools are offered, and how they are described.
    pub tools: ToolRules,
    /// How many instances of it there are, and where.
    pub replicas: Replicas,
    /// It is stopped when nobody has used it for so long, and started again when somebody does.
    pub idle_ttl: Option<Duration>,
    /// The servers that are asked when this one cannot answer, in order. Each is in the registry, and none leads back.
    pub fallback: Vec<Arc<str>>,
    /// Whether its own word on what its tools may do is believed.
    pub trusted: bool,
    /// Which era of the protocol it speaks; `None` finds out.
    pub era: Option<Era>,
    /// Known, but not used.
    pub disabled: bool,
}

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launch {
    /// A child process that speaks over its standard input and output.
    Command(Command),
    /// Something that runs already.
    Url(Address),
}

impl Launch {
    /// All that may hold placeholders.
    pub fn texts(&self) -> Vec<&Text> {
        match self {
            Self::Command(command) => command.texts(),
            Self::Url(address) => address.texts(),
        }
    }
}

/// A program to start.
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    /// The program, by name or path.
    pub command: Text,
    /// Its arguments.
    pub args: Vec<Text>,
    /// What it gets in its environment beyond the usual.
    pub env: BTreeMap<String, Text>,
    /// The directory that it is started in.
    pub cwd: Option<Text>,
}

impl Command {
    /// All that may hold placeholders.
    pub fn texts(&self) -> Vec<&Text> {
        let one = std::iter::once(&self.command);
        one.chain(&self.args).chain(self.env.values()).chain(&self.cwd).collect()
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Arguments and environment may hold secrets that are written out in the file.
        f.debug_struct("Command")
            .field("command", &self.command)
            .field("env", &self.env.keys())
            .field("cwd", &self.cwd)
            .finish_non_exhaustive()
    }
}

/// Where a server that runs already is, and how it is talked to.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// `http`, `https`, `unix` or `http+unix`, or a placeholder.
    pub url: Text,
    /// What is sent along with each request.
    pub headers: BTreeMap<String, Text>,
    /// What its `type` says; without one, Streamable HTTP, or bare lines over a `unix` socket.
    pub transport: Option<Transport>,
    /// How the program is authorized there, if it is.
    pub oauth: Option<Arc<Oauth>>,
}

/// How messages travel over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Each with its own answer: Streamable HTTP.
    Streamable,
    /// All answers in one event stream: HTTP+SSE, the transport of 2024-11-05.
    Sse,
}

impl Address {
    /// All that may hold placeholders.
    pub fn texts(&self) -> Vec<&Text> {
        let oauth = self.oauth.iter().flat_map(|oauth| oauth.texts());
        std::iter::once(&self.url).chain(self.headers.values()).chain(oauth).collect()
    }

    /// Whether it names a socket that carries bare lines, as far as that is known before placeholders are expanded.
    ///
    /// VS Code means HTTP by a `unix` URL, says so by `type`, and puts the path of the endpoint into the fragment.
    pub fn is_bare_socket(&self) -> bool {
        let is_unix = self.url.literal_prefix().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("unix:"));
        is_unix && self.transport.is_none() && !self.url.as_written().contains('#')
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL's query and the headers may hold secrets that are written out in the file.
        let written = self.url.as_written();
        let url = written.split_once('?').map_or(written, |(url, _)| url);
        f.debug_struct("Address")
            .field("url", &url)
            .field("headers", &self.headers.keys())
            .field("transport", &self.transport)
            .field("oauth", &self.oauth.is_some())
            .finish()
    }
}

/// When a server is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// When it is first needed.
    Lazy,
    /// At once, in the background.
    Eager,
}

/// Which era of the protocol a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era {
    /// Sessions that begin with `initialize`, up to 2025-11-25.
    Legacy,
    /// Stateless requests, from 2026-07-28 on.
    Modern,
}

/// How a server's health is watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// How often, and how patiently.
    pub settings: health::Settings,
    /// By what.
    pub probe: Probe,
}

/// What tells whether a server is well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Probe {
    /// A ping, or a discovery in the era that has no ping.
    #[default]
    Auto,
    /// A call of this tool without arguments.
    Tool(String),
    /// A GET of this absolute path at the server's URL.
    Http(String),
    /// Nothing: it is well until a call fails.
    None,
}
