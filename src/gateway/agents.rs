//! Agents: somebody who is given a task, be it a model with instructions and tools, or a tool.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;
use serde_json::value::to_raw_value;
use serde_json::{Map, Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::catalog::naming::exposed;
use crate::catalog::snapshot::{Catalog, Own};
use crate::engine::call::output_of;
use crate::gateway::door::Gateway;
use crate::gateway::reply;
use crate::gateway::thinking::Thought;
use crate::gateway::workflows::parse_input;
use crate::llm::chat::{Chat, Message};
use crate::model::ask::within;
use crate::model::call::{CONTEXT_KEY, Call, Reply};
use crate::model::code;
use crate::model::effect::Effect;
use crate::model::fault::{Fault, Kind};
use crate::model::limits::{Limits, MAX_DEPTH};
use crate::registry::agent::{Agent, Agents, StandIn, Thinker, Work, able, near};
use crate::registry::capability::Adapter;
use crate::workflow::tool::hints;

/// What stands before an agent's name where hosts see it.
const PREFIX: &str = "agent";

/// How many tasks each agent may still be given.
#[derive(Default)]
pub(super) struct Places(BTreeMap<Arc<str>, Semaphore>);

impl Places {
    pub(super) fn of(agents: &Agents) -> Self {
        let place = |(name, agent): (&Arc<str>, &Arc<Agent>)| (Arc::clone(name), Semaphore::new(agent.max_concurrency));
        Self(agents.iter().map(place).collect())
    }

    async fn take(&self, name: &str) -> Option<SemaphorePermit<'_>> {
        self.0.get(name)?.acquire().await.ok()
    }

    fn is_free(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|places| places.available_permits() > 0)
    }
}

/// What an agent is given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    task: Value,
    #[serde(default)]
    context: Option<Value>,
    /// The JSON Schema of the answer.
    #[serde(default)]
    expect: Option<Arc<Value>>,
    /// What of the context it may set for others.
    #[serde(default)]
    shared: Vec<String>,
    #[serde(default)]
    turns: Option<u32>,
    #[serde(default)]
    thrifty: bool,
}

impl Gateway {
    /// Gives a task to the agent `name`, or to the first that is good at that and free.
    pub(super) async fn call_agent(self: Arc<Self>, name: &str, mut call: Call) -> Result<Reply, Fault> {
        let seen = self.usable_by(&call);
        let registry = self.registry();
        let mut able = able(&registry.agents, name);
        able.retain(|agent| call.profile.is_none() || seen.has_own(&shown_agent_as(&agent.name)));
        let free = able.iter().find(|agent| self.places().is_free(&agent.name)).or_else(|| able.first());
        let agent = Arc::clone(free.ok_or_else(|| self.no_such_agent(name))?);
        if call.agents.contains(&agent.name) {
            let circle = call.agents.iter().chain([&agent.name]).map(AsRef::as_ref).collect::<Vec<_>>().join(" -> ");
            return Err(Fault::new(Kind::Invalid, code::AGENT_CIRCLE, format!("agents call each other: {circle}"))
                .target(name)
                .hint("take one of them out of the other's `tools`"));
        }
        if call.limits.depth >= MAX_DEPTH {
            let message = format!("agents and workflows call each other more than {MAX_DEPTH} levels deep");
            return Err(Fault::new(Kind::Invalid, code::TOO_DEEP, message).target(name));
        }
        let arguments = parse_input(call.arguments.as_deref())?;
        let task: Given = serde_json::from_value(arguments).map_err(|error| {
            let message = format!("the task is wrong: {error}");
            Fault::new(Kind::Invalid, code::BAD_REQUEST, message)
                .target(name)
                .hint("give `task`, and if need be `context`")
        })?;
        let limits = Limits { depth: call.limits.depth + 1, ..call.limits }.within(Instant::now(), agent.timeout);
        // Which tools an agent may use is said by the registry, whatever names its caller sees; which servers, by both.
        call = Call { is_delegated: true, limits, ask: call.ask.map(within), ..call };
        call.agents.push(Arc::clone(&agent.name));
        let left = limits.left(Instant::now()).unwrap_or(agent.timeout);
        let work = async {
            let places = self.places();
            let _place = places.take(&agent.name).await;
            Arc::clone(&self).carry_out(&agent, task, call).await
        };
        let late = |_| {
            let message = format!("has not done its task within {:.1} s", left.as_secs_f32());
            Err(Fault::new(Kind::Timeout, code::CALL_TIMEOUT, message).sent())
        };
        let result = timeout(left, Box::pin(work)).await.unwrap_or_else(late);
        result.map_err(|fault| Fault { target: fault.target.or_else(|| Some(agent.name.to_string())), ..fault })
    }

    async fn carry_out(self: Arc<Self>, agent: &Agent, task: Given, call: Call) -> Result<Reply, Fault> {
        match &agent.work {
            Work::Model(thinker) => self.have_thought(agent, thinker, task, call).await,
            Work::Tool(stand_in) => {
                let StandIn { tool, args, output } = &**stand_in;
                let mut given = json!({ "task": task.task });
                if let Some(context) = task.context {
                    given["context"] = context;
                }
                let given = adapted(args.as_ref(), given, "args")?;
                let reply = self.call_tool(tool, Call { arguments: to_raw_value(&given).ok(), ..call }).await?;
                let Some(output) = output.as_ref().filter(|_| !reply.is_tool_error()) else { return Ok(reply) };
                let result = serde_json::from_str(reply.body.get()).unwrap_or_default();
                let answer = adapted(Some(output), output_of(result), "output").map_err(Fault::sent)?;
                Ok(reply::answer(&answer, reply::usage_of(&reply), &tool.to_string()))
            }
        }
    }

    async fn have_thought(
        self: Arc<Self>,
        agent: &Agent,
        thinker: &Thinker,
        task: Given,
        call: Call,
    ) -> Result<Reply, Fault> {
        let chain = self.chain(&thinker.models)?;
        let chain = if task.thrifty { self.cheapest_first(chain) } else { chain };
        let toolbox = self.toolbox(&thinker.tools, &call).await.with_notes(&task.shared);
        let chat = Chat {
            system: Some(thinker.instructions.clone()),
            messages: vec![Message::User(prompt(&task))],
            tools: toolbox.definitions(),
            schema: task.expect,
            ..Chat::default()
        };
        let turns = task.turns.map_or(thinker.max_turns, |turns| turns.min(thinker.max_turns));
        let thought = Thought { chain, chat, toolbox, turns, allowance: thinker.allowance };
        let finished = self.think(thought, &call).await?;
        tracing::debug!(agent = %agent.name, usage = %finished.usage, "has done its task");
        let reply = reply::answer(&finished.value, finished.usage, &finished.by);
        Ok(if finished.notes.is_empty() { reply } else { reply::with_meta(&reply, CONTEXT_KEY, &finished.notes) })
    }

    /// The agent that hosts know as `name`.
    pub(super) fn shown_agent(&self, name: &str) -> Option<Arc<Agent>> {
        self.registry().agents.values().find(|agent| shown_agent_as(&agent.name) == name).cloned()
    }

    fn no_such_agent(&self, name: &str) -> Fault {
        let fault = Fault::new(Kind::NotFound, code::NO_SUCH_AGENT, format!("there is no agent `{name}`"));
        match near(&self.registry().agents, name) {
            Some(near) => fault.hint(near),
            None => fault.hint("agents stand under `[agents]` in the registry"),
        }
    }

    /// Agents as tools, over the tools that `servers` has.
    pub(super) fn agent_tools(&self, servers: &Catalog) -> Vec<Own> {
        let tool = |agent: &Arc<Agent>| {
            let name = shown_agent_as(&agent.name);
            let definition = definition(agent, &name, agent.effect(|tool| Some(servers.origin(tool)?.effect)));
            Own { name, definition }
        };
        self.registry().agents.values().map(tool).collect()
    }
}

/// Under which name hosts see an agent.
pub(super) fn shown_agent_as(name: &str) -> String {
    exposed(PREFIX, name)
}

fn definition(agent: &Agent, name: &str, effect: Effect) -> Map<String, Value> {
    let what = agent.description.clone().unwrap_or_else(|| format!("The agent `{}`.", agent.name));
    let good_at = if agent.capabilities.is_empty() {
        String::new()
    } else {
        format!(" Good at: {}.", agent.capabilities.join(", "))
    };
    let schema = json!({
        "type": "object",
        "properties": {
            "task": { "type": ["string", "object"], "description": "What is to be done." },
            "context": { "description": "What it should know." },
        },
        "required": ["task"],
    });
    Map::from_iter([
        ("name".to_owned(), json!(name)),
        ("description".to_owned(), json!(format!("{what}{good_at}"))),
        ("inputSchema".to_owned(), schema),
        ("annotations".to_owned(), Value::Object(hints(effect))),
    ])
}

/// What a model is told of a task.
fn prompt(task: &Given) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    };
    match &task.context {
        Some(context) => format!("{}\n\nContext:\n{}", text(&task.task), text(context)),
        None => text(&task.task),
    }
}

fn adapted(adapter: Option<&Adapter>, value: Value, what: &str) -> Result<Value, Fault> {
    let Some(adapter) = adapter else { return Ok(value) };
    adapter.apply(&value).map_err(|error| {
        let message = format!("the agent's `{what}` cannot be computed: {error}");
        Fault::new(Kind::Invalid, code::EXPRESSION_FAILED, message)
    })
}
