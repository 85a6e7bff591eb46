//! How every server does, for people, models and programs alike.

use std::fmt::Write as _;
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::discovery::board::Report;
use crate::downstream::fleet::Fleet;
use crate::downstream::state::Phase;
use crate::gateway::answers::Use;
use crate::gateway::door::Gateway;
use crate::gateway::instances::{InstanceStatus, instances};
use crate::model::entry::Kind;
use crate::policy::breaker::State as BreakerState;

/// A snapshot of everything.
#[derive(Debug)]
pub struct Status {
    servers: Vec<ServerStatus>,
    disabled: Vec<String>,
    workflows: usize,
    /// For people and for programs, if the registry has levels.
    level: Option<(String, Value)>,
    problems: Vec<String>,
    sources: Vec<Report>,
    journal: Option<JournalStatus>,
}

/// A snapshot of where runs are stored.
#[derive(Debug)]
struct JournalStatus {
    folder: String,
    is_failing: bool,
    /// Where a broken file was put.
    aside: Option<String>,
}

/// A snapshot of one server.
#[derive(Debug)]
pub struct ServerStatus {
    /// Its name in the registry.
    pub name: String,
    /// Where it is defined, if that is no file that the user has named.
    pub origin: Option<String>,
    /// One word for its state.
    pub state: &'static str,
    /// The server's own name and version.
    pub identity: Option<String>,
    /// Which protocol it speaks.
    pub era: Option<&'static str>,
    /// How many tools it offers.
    pub tools: usize,
    /// When that was heard, if it was before the program started.
    pub recalled: Option<String>,
    /// The state of its breaker.
    pub breaker: &'static str,
    /// Its process.
    pub pid: Option<u32>,
    /// How often it has been started.
    pub starts: u32,
    /// Requests made, failed, and in flight.
    pub requests: (u64, u64, u32),
    /// Attempts beyond the first of each request.
    pub repetitions: u64,
    /// How often kept answers have been of use.
    pub cache: Use,
    /// The last error and when it is tried again, in seconds.
    pub error: Option<(String, Option<u64>)>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Its instances, if it has several.
    pub instances: Vec<InstanceStatus>,
    /// The last lines of its standard error, if it is not well.
    pub stderr: Vec<String>,
}

impl Gateway {
    /// How every server does that `is_wanted` by its name.
    pub fn status(&self, is_wanted: impl Fn(&str) -> bool) -> Status {
        let registry = self.registry();
        let disabled = registry.servers.values().filter(|entry| entry.disabled && is_wanted(&entry.name));
        let disabled = disabled.map(|entry| entry.name.to_string());
        Status {
            servers: self
                .pool
                .iter()
                .filter(|fleet| is_wanted(&fleet.server.name))
                .map(|fleet| {
                    let origin = registry.origins.get(&fleet.server.name).map(ToString::to_string);
                    server_status(&fleet, origin, self.answers.book(&fleet.server.name).used())
                })
                .collect(),
            disabled: disabled.collect(),
            workflows: self.workflows().names().count(),
            level: self.level_status(),
            problems: self.problems.load().iter().cloned().chain(self.fitness.told()).collect(),
            sources: self.sources.get().map(|board| board.reports()).unwrap_or_default(),
            journal: self.store().map(|store| JournalStatus {
                folder: store.journal.path().display().to_string(),
                is_failing: store.journal.is_failing(),
                aside: store.journal.aside.as_ref().map(|aside| aside.display().to_string()),
            }),
        }
    }
}

fn server_status(fleet: &Fleet, origin: Option<String>, cache: Use) -> ServerStatus {
    let now = Instant::now();
    let endpoint = fleet.best();
    let state = endpoint.state();
    let (breaker, _) = endpoint.breaker();
    let counters = fleet.counters();
    let about = state.about.as_ref();
    let recalled = endpoint.recalled();
    let is_well = state.phase == Phase::Ready && state.fault.is_none();
    let listing = fleet.listing();
    let tools =
        listing.as_ref().map_or(0, |listing| listing.entries.iter().filter(|entry| entry.kind == Kind::Tool).count());
    let hint = state.fault.as_ref().and_then(|fault| fault.hint.clone());
    let odd = || (is_well && tools == 0 && listing.is_some()).then(|| "it is connected but offers no tools".to_owned());
    ServerStatus {
        name: endpoint.server.name.to_string(),
        origin,
        state: state.phase.as_str(),
        identity: about
            .and_then(|about| Some(format!("{} {}", about.name.as_ref()?, about.version.as_deref().unwrap_or(""))))
            .or_else(|| recalled.and_then(|recalled| recalled.identity.clone())),
        era: about.map(|about| about.era.as_str()),
        tools,
        recalled: recalled.map(|recalled| recalled.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        breaker: breaker.as_str(),
        pid: state.pid,
        starts: state.starts,
        requests: (counters.requests, counters.failures, counters.in_flight),
        repetitions: counters.repetitions,
        cache,
        error: state.fault.as_ref().map(|fault| {
            let wait = state.phase.retry_in(now).map(|wait| wait.as_secs().max(1));
            (format!("[{}] {}", fault.code, fault.message), wait)
        }),
        hint: hint
            .or_else(|| (breaker == BreakerState::Open).then(|| "wait, or repair the server".to_owned()))
            .or_else(odd)
            .or_else(|| never_shared(fleet)),
        instances: instances(fleet),
        stderr: if is_well { Vec::new() } else { endpoint.stderr() },
    }
}

/// What is said of a tool whose answers could be kept if it were known that it only reads.
fn never_shared(fleet: &Fleet) -> Option<String> {
    let listing = fleet.listing()?;
    let tools = &fleet.server.tools;
    let wants = |tool: &str| tools.get(tool).is_some_and(|told| told.cache.is_some() || told.coalesce);
    let mut all = listing.entries.iter().filter(|entry| entry.kind == Kind::Tool);
    let tool = all.find(|entry| !entry.effect.is_read() && wants(&entry.id))?;
    let (name, effect) = (&tool.id, tool.effect.as_str());
    Some(format!(
        "answers of `{name}` are not shared as it is `{effect}`; write `effect = \"read\"` if it changes nothing"
    ))
}

impl Status {
    /// The servers.
    pub fn servers(&self) -> &[ServerStatus] {
        &self.servers
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        json!({
            "servers": self.servers.iter().map(ServerStatus::to_json).collect::<Vec<_>>(),
            "disabled": self.disabled,
            "workflows": self.workflows,
            "level": self.level.as_ref().map(|(_, level)| level),
            "problems": self.problems,
            "sources": self.sources.iter().map(Report::to_json).collect::<Vec<_>>(),
            "journal": self.journal.as_ref().map(JournalStatus::to_json),
        })
    }

    /// For people and models: one line for each server, and what to do.
    pub fn to_text(&self) -> String {
        let well = self.servers.iter().filter(|server| server.state == "ready").count();
        let mut text = format!("{well} of {} servers ready, {} workflows", self.servers.len(), self.workflows);
        if let Some((line, _)) = &self.level {
            let _ = write!(text, "\n{line}");
        }
        let width = self.servers.iter().map(|server| server.name.len()).max().unwrap_or_default();
        for server in &self.servers {
            let _ = write!(text, "\n{} {:width$}  {}", server.mark(), server.name, server.line());
        }
        for name in &self.disabled {
            let _ = write!(text, "\n⊘ {name:width$}  disabled");
        }
        for problem in &self.problems {
            let _ = write!(text, "\n! {problem}");
        }
        for trouble in self.sources.iter().filter_map(Report::trouble) {
            let _ = write!(text, "\n! {trouble}");
        }
        if let Some(journal) = &self.journal {
            text += &journal.trouble();
        }
        text
    }
}

impl JournalStatus {
    fn to_json(&self) -> Value {
        json!({ "folder": self.folder, "is_failing": self.is_failing, "put_aside": self.aside })
    }

    /// What is wrong with it, in lines of their own.
    fn trouble(&self) -> String {
        let mut text = String::new();
        if self.is_failing {
            let _ = write!(text, "\n! runs cannot be stored in {}: look at the disk, and at the log", self.folder);
        }
        if let Some(aside) = &self.aside {
            let _ = write!(text, "\n! the stored runs were damaged, and put aside as {aside}");
        }
        text
    }
}

impl ServerStatus {
    fn mark(&self) -> char {
        match self.state {
            "ready" if self.error.is_none() => '✓',
            "ready" => '!',
            "starting" | "idle" => '…',
            _ => '✗',
        }
    }

    fn line(&self) -> String {
        let mut line = format!("{:8} {:3} tools", self.state, self.tools);
        if let Some(identity) = &self.identity {
            let _ = write!(line, "  {}", identity.trim_end());
        }
        if let Some(origin) = &self.origin {
            let _ = write!(line, "  from {origin}");
        }
        if let Some(heard) = &self.recalled {
            let _ = write!(line, "  as of {heard}");
        }
        if self.breaker != "closed" {
            let _ = write!(line, "  breaker {}", self.breaker);
        }
        if let Some(percent) = self.cache.hit_percent() {
            let _ = write!(line, "  cache {percent} %");
        }
        if !self.instances.is_empty() {
            let well = self.instances.iter().filter(|one| one.state == "ready").count();
            let _ = write!(line, "  {well} of {} instances ready", self.instances.len());
        }
        if let Some((error, wait)) = &self.error {
            let _ = write!(line, "\n    {error}");
            if let Some(wait) = wait {
                let _ = write!(line, "; tried again in {wait} s");
            }
        }
        if let Some(hint) = &self.hint {
            let _ = write!(line, "\n    {hint}");
        }
        for one in self.instances.iter().filter(|one| !one.is_well()) {
            let _ = write!(line, "\n    {}", one.line());
        }
        for said in self.stderr.iter().rev().take(3).rev() {
            let _ = write!(line, "\n    stderr │ {said}");
        }
        line
    }

    fn to_json(&self) -> Value {
        let (made, failed, in_flight) = self.requests;
        let mut all = Map::new();
        let mut put = |key: &str, value: Value| {
            if !value.is_null() {
                all.insert(key.to_owned(), value);
            }
        };
        put("name", json!(self.name));
        put("from", json!(self.origin));
        put("state", json!(self.state));
        put("identity", json!(self.identity));
        put("era", json!(self.era));
        put("tools", json!(self.tools));
        put("as_of", json!(self.recalled));
        put("breaker", json!(self.breaker));
        let instances: Vec<_> = self.instances.iter().map(InstanceStatus::to_json).collect();
        put("instances", json!(Some(instances).filter(|all| !all.is_empty())));
        put("pid", json!(self.pid));
        put("starts", json!(self.starts));
        put(
            "requests",
            json!({ "made": made, "failed": failed, "repeated": self.repetitions, "in_flight": in_flight }),
        );
        put("cache", json!(self.cache.hit_percent().map(|percent| self.cache.to_json(percent))));
        put("last_error", json!(self.error.as_ref().map(|(error, _)| error)));
        put("retry_in_s", json!(self.error.as_ref().and_then(|(_, wait)| *wait)));
        put("what_to_do", json!(self.hint));
        put("stderr", json!(Some(&self.stderr).filter(|lines| !lines.is_empty())));
        Value::Object(all)
    }
}
