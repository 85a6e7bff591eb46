//! Agents: `[agents.NAME]`, each a model with instructions and tools, or a tool that does an agent's work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::document::node::{Field, Node, Value};
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::model::code;
use crate::model::effect::Effect;
use crate::model::name::{OURS, ToolRef, is_pattern, is_server_name};
use crate::model::suggest;
use crate::model::usage::{Allowance, Cost};
use crate::registry::capability::{Adapter, adapter};
use crate::registry::mentions::Mentions;
use crate::registry::model;
use crate::registry::patterns::{Patterns, compiled};
use crate::registry::settings::{duration, text, texts, whole};

/// How often an agent asks its model within one task, unless it says otherwise.
const TURNS: u32 = 16;

/// Somebody who can be given a task.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    /// Its name.
    pub name: Arc<str>,
    /// What it is for, in a few words for those who may call it.
    pub description: Option<String>,
    /// What it is good at: an `agent` step may name that in place of the agent.
    pub capabilities: Vec<String>,
    /// Among agents that can do the same, lower ones are asked first.
    pub priority: u32,
    /// How many tasks it has at once; more wait.
    pub max_concurrency: usize,
    /// What it may do, where that is not as its tools say.
    pub effect: Option<Effect>,
    /// How long a task may take.
    pub timeout: Duration,
    /// How it works.
    pub work: Work,
}

impl Agent {
    /// What it may do: what the registry says, or what its tools may, of which `of_tool` tells as far as it knows. Which tools a
    /// model will use nobody knows.
    pub fn effect(&self, of_tool: impl Fn(&ToolRef) -> Option<Effect>) -> Effect {
        let own = || match &self.work {
            Work::Model(thinker) if thinker.tools.is_empty() => Effect::Read,
            Work::Model(_) => Effect::Destructive,
            Work::Tool(stand_in) => of_tool(&stand_in.tool).unwrap_or(Effect::Destructive),
        };
        self.effect.unwrap_or_else(own)
    }
}

/// What the agents that are called `name`, or are good at that, may do at most; `None` if there is none.
pub fn most(agents: &Agents, name: &str, of_tool: impl Fn(&ToolRef) -> Option<Effect>) -> Option<Effect> {
    able(agents, name).iter().map(|agent| agent.effect(&of_tool)).max()
}

/// How an agent works.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// A model that is asked until it has the answer.
    Model(Box<Thinker>),
    /// A tool.
    Tool(Box<StandIn>),
}

/// A tool that does an agent's work.
#[derive(Debug, Clone, PartialEq)]
pub struct StandIn {
    /// Which.
    pub tool: ToolRef,
    /// Its arguments, over `args`: the `task` and the `context`; these as they are if `None`.
    pub args: Option<Adapter>,
    /// The answer, over `result`, the tool's; the same if `None`.
    pub output: Option<Adapter>,
}

/// A model with instructions and tools.
#[derive(Debug, Clone, PartialEq)]
pub struct Thinker {
    /// What it is told before the task.
    pub instructions: String,
    /// The models to be asked, in order.
    pub models: Vec<Arc<str>>,
    /// The tools that it may use, as `server.tool`.
    pub tools: Patterns,
    /// How often it may ask its model within one task.
    pub max_turns: u32,
    /// How much one task may use up.
    pub allowance: Allowance,
}

/// The agents by name.
pub type Agents = BTreeMap<Arc<str>, Arc<Agent>>;

/// Reads the table of agents; those of a later file replace those of the same name.
pub(super) fn read(reader: &mut Reader, node: &Node, agents: &mut Agents, mentions: &mut Mentions) {
    let Some(mut all) = reader.table(node, "agents") else { return };
    for field in all.rest() {
        let found = reader.problems.len();
        let agent = agent(reader, field, mentions);
        if let Some(agent) = agent.filter(|_| !reader.failed_since(found)) {
            agents.insert(Arc::clone(&agent.name), Arc::new(agent));
        }
    }
}

fn agent(reader: &mut Reader, field: &Field, mentions: &mut Mentions) -> Option<Agent> {
    if !is_server_name(&field.key) {
        let message = format!("`{}` cannot be an agent's name", field.key);
        reader.error(code::WRONG_VALUE, field.key_span.clone(), message).help =
            Some("use 1 to 64 of `A-Z a-z 0-9 _ -`".to_owned());
        return None;
    }
    let mut table = reader.table(&field.value, &format!("agents.{}", field.key))?;
    let description = text(reader, &mut table, "description");
    let capabilities = texts(reader, &mut table, "capabilities").unwrap_or_default();
    let priority = whole(reader, &mut table, "priority", 0..=1_000_000).unwrap_or(100);
    let max_concurrency = whole(reader, &mut table, "max_concurrency", 1..=10_000).unwrap_or(8);
    let effects = Effect::ALL.map(|effect| (effect.as_str(), effect));
    let effect = table.take("effect").and_then(|node| reader.word(node, &table.path("effect"), &effects));
    let longest = Duration::from_millis(1)..=Duration::from_hours(24);
    let timeout = duration(reader, &mut table, "timeout", longest).unwrap_or(Duration::from_mins(10));
    let work = match table.take("tool") {
        Some(node) => tool(reader, node, &mut table, mentions),
        None => Some(thinker(reader, &mut table, mentions)),
    };
    table.finish(reader);
    let name = Arc::from(field.key.as_str());
    Some(Agent { name, description, capabilities, priority, max_concurrency, effect, timeout, work: work? })
}

fn tool(reader: &mut Reader, node: &Node, table: &mut Table<'_>, mentions: &mut Mentions) -> Option<Work> {
    let written = reader.text(node, &table.path("tool"))?;
    let args = table.take("args").and_then(|node| adapter(reader, node, "args"));
    let output = table.take("output").and_then(|node| adapter(reader, node, "result"));
    let Some(tool) = ToolRef::parse(&written) else {
        let message = format!("`{written}` is no tool");
        reader.error(code::WRONG_VALUE, node.span.clone(), message).help = Some("write `server.tool`".to_owned());
        return None;
    };
    for key in ["instructions", "models", "tools", "max_turns", "limits"] {
        if let Some(span) = table.key_span(key) {
            table.ignore(key);
            let message = format!("`{}` does not go with `tool`: the tool does the agent's work", table.path(key));
            reader.error(code::CONFLICT, span, message).help = Some("keep one of the two".to_owned());
        }
    }
    mentions.tools.push((Arc::clone(&reader.source), tool.clone(), node.span.clone()));
    Some(Work::Tool(Box::new(StandIn { tool, args, output })))
}

fn thinker(reader: &mut Reader, table: &mut Table<'_>, mentions: &mut Mentions) -> Work {
    let instructions = table.require(reader, "instructions");
    let instructions = instructions.and_then(|node| reader.text(node, &table.path("instructions")));
    let models = model::names(reader, table, "models", mentions);
    let tools = tools(reader, table, mentions);
    let max_turns = whole(reader, table, "max_turns", 1..=1_000).unwrap_or(TURNS);
    let allowance = table.take("limits").map(|node| limits(reader, node, &table.path("limits"))).unwrap_or_default();
    Work::Model(Box::new(Thinker {
        instructions: instructions.unwrap_or_default(),
        models,
        tools,
        max_turns,
        allowance,
    }))
}

/// The tools that an agent may use. Servers that are named in full are looked for later.
fn tools(reader: &mut Reader, table: &mut Table<'_>, mentions: &mut Mentions) -> Patterns {
    let Some(node) = table.take("tools") else { return Patterns::default() };
    let what = table.path("tools");
    let Some(written) = reader.texts(node, &what) else { return Patterns::default() };
    if let Value::List(items) = &node.value {
        let named = written.iter().zip(items).filter_map(|(name, item)| Some((ToolRef::parse(name)?, item)));
        let named = named.filter(|(tool, _)| !is_pattern(&tool.server) && !OURS.contains(&tool.server.as_str()));
        mentions.tools.extend(named.map(|(tool, item)| (Arc::clone(&reader.source), tool, item.span.clone())));
    }
    compiled(reader, node, &what, written).unwrap_or_default()
}

fn limits(reader: &mut Reader, node: &Node, what: &str) -> Allowance {
    let Some(mut table) = reader.table(node, what) else { return Allowance::default() };
    let tokens = table.take("tokens").and_then(|node| reader.amount(node, &table.path("tokens")));
    let cost = model::number(reader, &mut table, "cost", 1e9).map(Cost::of);
    let calls = whole(reader, &mut table, "calls", 1..=1_000_000);
    table.finish(reader);
    Allowance { tokens, cost, calls }
}

/// The agents that are called `name`; if there is none, those that are good at that, the first first.
pub fn able<'a>(agents: &'a Agents, name: &str) -> Vec<&'a Arc<Agent>> {
    if let Some(agent) = agents.get(name) {
        return vec![agent];
    }
    let mut able: Vec<_> =
        agents.values().filter(|agent| agent.capabilities.iter().any(|known| known == name)).collect();
    able.sort_by_key(|agent| agent.priority);
    able
}

/// What `agent` steps may name: the agents, and what they are good at.
pub fn known_as(agents: &Agents) -> Vec<String> {
    let capabilities = agents.values().flat_map(|agent| agent.capabilities.iter().cloned());
    agents.keys().map(ToString::to_string).chain(capabilities).collect()
}

/// The near name, for what is no agent's.
pub fn near(agents: &Agents, name: &str) -> Option<String> {
    suggest::did_you_mean(name, known_as(agents).iter().map(String::as_str))
}
