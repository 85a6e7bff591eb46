//! The tools that a model may ask for, and what becomes of it when it does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::join_all;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use crate::catalog::naming::exposed;
use crate::engine::call::output_of;
use crate::gateway::capabilities::shown_as;
use crate::gateway::door::Gateway;
use crate::gateway::reply::usage_of;
use crate::llm::chat::{Tool, ToolCall, ToolResult};
use crate::model::call::{Call, Target};
use crate::model::effect::Effect;
use crate::model::entry::Kind as EntryKind;
use crate::model::fault::{Fault, Kind};
use crate::model::name::{OURS, ToolRef};
use crate::model::port::Invoke as _;
use crate::model::suggest::did_you_mean;
use crate::model::usage::{Allowance, Usage};
use crate::registry::patterns::Patterns;
use crate::wire::envelope::bounded;

/// How much of what a tool says a model is told, in bytes.
const MAX_RESULT: usize = 64 * 1024;

/// The calls that one answer of a model may ask for.
const MAX_CALLS: usize = 32;

/// The tool by which a model lets others know something.
const NOTE: &str = "set_context";

/// The tools that a model may ask for.
#[derive(Default)]
pub(super) struct Toolbox {
    /// By the names that it sees.
    tools: BTreeMap<String, Known>,
    /// Under which names it may let others know something.
    keys: Vec<String>,
    /// What it has; guarded for one look-up.
    notes: Mutex<Map<String, Value>>,
}

struct Known {
    target: Target,
    effect: Effect,
    definition: Tool,
}

impl Gateway {
    /// The tools that `allowed` allows to `call`. Waits for the servers that it names to be listed.
    pub(super) async fn toolbox(&self, allowed: &Patterns, call: &Call) -> Toolbox {
        let mut tools = BTreeMap::new();
        if allowed.is_empty() {
            return Toolbox::default();
        }
        self.await_servers(allowed, call).await;
        let seen = self.usable_by(call);
        for (name, offer) in seen.offers(EntryKind::Tool) {
            let tool = ToolRef { server: offer.entry.server.to_string(), tool: offer.entry.id.clone() };
            if allowed.matches(&tool.to_string()) {
                let name = if is_legal(name) { name.to_owned() } else { exposed(&tool.server, &tool.tool) };
                let known = known(&name, offer.definition(), Target::Tool(tool), Some(offer.entry.effect));
                tools.insert(name, known);
            }
        }
        for (name, definition) in seen.own(EntryKind::Tool) {
            let Some((written, target)) = self.own_target(name) else { continue };
            if allowed.matches(&written) && !is_within(&target, call) {
                tools.insert(name.to_owned(), known(name, definition, target, None));
            }
        }
        Toolbox { tools, ..Toolbox::default() }
    }

    /// How a tool of our own is written in patterns, and what it is.
    fn own_target(&self, name: &str) -> Option<(String, Target)> {
        let registry = self.registry();
        let job = registry.capabilities.keys().find(|job| shown_as(job) == name);
        let [workflow, agent] = OURS;
        if let Some(job) = job {
            return Some((job.to_string(), Target::Tool(job.clone())));
        }
        if self.workflows().get(name).is_some() {
            return Some((format!("{workflow}.{name}"), Target::Workflow(name.to_owned())));
        }
        let known = registry.agents.keys().find(|known| exposed(agent, known) == name)?;
        Some((format!("{agent}.{known}"), Target::Agent(known.to_string())))
    }

    /// Waits for the servers that patterns may mean. One that cannot be listed is left out.
    async fn await_servers(&self, allowed: &Patterns, call: &Call) {
        let head = |pattern: &String| pattern.split_once('.').map_or(pattern.as_str(), |(server, _)| server).to_owned();
        let Ok(heads) = Patterns::parse(allowed.written().iter().map(head).collect()) else { return };
        let is_wanted = |server: &str| heads.matches(server) && self.shows_server(call.profile.as_deref(), server);
        let wanted: Vec<_> = self.pool.iter().filter(|endpoint| is_wanted(&endpoint.server.name)).collect();
        for fault in join_all(wanted.iter().map(|endpoint| self.await_listing(endpoint, call))).await {
            if let Err(fault) = fault {
                tracing::warn!(%fault, "its tools are not offered to the model");
            }
        }
    }

    /// Makes the calls that a model asks for: side by side if all of them only read, else one after the other. A fault that
    /// a model can do nothing about ends it all.
    pub(super) async fn use_tools(
        self: &Arc<Self>,
        toolbox: &Toolbox,
        calls: &[ToolCall],
        allowance: Allowance,
        call: &Call,
    ) -> (Usage, Result<Vec<ToolResult>, Fault>) {
        let mut used = Usage::default();
        let mut results = Vec::new();
        let step = if toolbox.only_reads(calls) { calls.len().max(1) } else { 1 };
        for some in calls.chunks(step) {
            let left = allowance.less(used);
            let made = some.iter().enumerate().map(|(place, asked)| {
                let is_too_many = results.len() + place >= MAX_CALLS;
                Arc::clone(self).use_tool(toolbox, asked, (left, is_too_many), call)
            });
            for (spent, result) in join_all(made).await {
                used += spent;
                match result {
                    Ok(result) => results.push(result),
                    Err(fault) => return (used, Err(fault)),
                }
            }
        }
        (used, Ok(results))
    }

    async fn use_tool(
        self: Arc<Self>,
        toolbox: &Toolbox,
        asked: &ToolCall,
        (left, is_too_many): (Allowance, bool),
        call: &Call,
    ) -> (Usage, Result<ToolResult, Fault>) {
        let told = |text: String, is_error| ToolResult { id: asked.id.clone(), text, is_error };
        let refused = |why: String| (Usage::default(), Ok(told(why, true)));
        if is_too_many {
            return refused(format!("no more than {MAX_CALLS} tools can be called at once"));
        }
        if let Some(answer) = toolbox.note(asked) {
            return (Usage::default(), Ok(told(answer.clone().unwrap_or_else(|why| why), answer.is_err())));
        }
        let Some(known) = toolbox.tools.get(&asked.name) else { return refused(toolbox.no_such(&asked.name)) };
        if !asked.arguments.is_object() {
            return refused("the arguments are no JSON object".to_owned());
        }
        if left.spent().is_some() {
            return refused("nothing is left of what may be used up; give your answer now".to_owned());
        }
        let mut inner = Call::new(known.target.clone(), to_raw_value(&asked.arguments).ok(), call.principal.clone());
        inner.profile.clone_from(&call.profile);
        inner.is_delegated = call.is_delegated;
        inner.limits = call.limits;
        inner.limits.allowance = left;
        inner.ask.clone_from(&call.ask);
        inner.agents.clone_from(&call.agents);
        // It is part of the run that the model thinks for.
        inner.root.clone_from(&call.root);
        inner.priority = call.priority;
        match self.invoke(inner).await {
            Ok(reply) => {
                let (text, is_error) = said(&reply.body);
                (usage_of(&reply), Ok(told(bounded(&text, MAX_RESULT), is_error)))
            }
            Err(fault) => {
                let spent = fault.spent.as_deref().copied().unwrap_or(Usage::CALL);
                let is_final = matches!(fault.kind, Kind::Cancelled | Kind::Budget);
                (spent, if is_final { Err(fault) } else { Ok(told(fault.to_string(), true)) })
            }
        }
    }
}

impl Toolbox {
    /// The tools as a model sees them.
    pub(super) fn definitions(&self) -> Vec<Tool> {
        let tools = self.tools.values().map(|known| known.definition.clone());
        let note = (!self.keys.is_empty()).then(|| Tool {
            name: NOTE.to_owned(),
            description: "Lets those who work on the same know something: sets it in the context.".to_owned(),
            schema: json!({
                "type": "object",
                "properties": { "key": { "enum": self.keys }, "value": {} },
                "required": ["key", "value"],
            }),
        });
        tools.chain(note).collect()
    }

    /// Whether the calls that a model asks for do nothing but read.
    pub(super) fn only_reads(&self, calls: &[ToolCall]) -> bool {
        calls.iter().all(|asked| self.tools.get(&asked.name).is_none_or(|known| known.effect.is_read()))
    }

    /// The same tools, and one by which something can be set under these names.
    pub(super) fn with_notes(self, keys: &[String]) -> Self {
        Self { keys: keys.to_vec(), ..self }
    }

    /// What others are to know.
    pub(super) fn into_notes(self) -> Map<String, Value> {
        self.notes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes down what others are to know, if that is asked for.
    fn note(&self, asked: &ToolCall) -> Option<Result<String, String>> {
        if asked.name != NOTE || self.keys.is_empty() {
            return None;
        }
        let key = asked.arguments["key"].as_str().filter(|key| self.keys.iter().any(|known| known == key));
        let Some(key) = key else { return Some(Err(format!("`key` must be one of {}", self.keys.join(", ")))) };
        let value = asked.arguments.get("value").cloned().unwrap_or_default();
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), value);
        Some(Ok("done".to_owned()))
    }

    fn no_such(&self, name: &str) -> String {
        let near = did_you_mean(name, self.tools.keys().map(String::as_str));
        let near = near.map_or_else(String::new, |near| format!("; {near}"));
        format!("there is no tool `{name}`{near}")
    }
}

fn known(name: &str, definition: &RawValue, target: Target, effect: Option<Effect>) -> Known {
    let definition: Map<String, Value> = serde_json::from_str(definition.get()).unwrap_or_default();
    let annotations = definition.get("annotations").and_then(Value::as_object);
    let effect = effect.unwrap_or_else(|| Effect::from_annotations(annotations));
    let text = |key: &str| definition.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let schema = definition.get("inputSchema").cloned().unwrap_or_else(|| json!({ "type": "object" }));
    let definition = Tool { name: name.to_owned(), description: text("description"), schema };
    Known { target, effect, definition }
}

/// Whether a model may be shown a tool under this name: no API allows more than this.
fn is_legal(name: &str) -> bool {
    name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Whether the target is an agent that the call is made within.
fn is_within(target: &Target, call: &Call) -> bool {
    matches!(target, Target::Agent(name) if call.agents.iter().any(|outer| **outer == **name))
}

/// What a tool's result says, and whether it says that the tool failed.
fn said(body: &RawValue) -> (String, bool) {
    let result: Value = serde_json::from_str(body.get()).unwrap_or_default();
    let is_error = result["isError"] == true;
    let text = result["content"].as_array().into_iter().flatten().filter_map(|block| block["text"].as_str());
    let text = text.collect::<Vec<_>>().join("\n");
    if !text.is_empty() {
        return (text, is_error);
    }
    (output_of(result).to_string(), is_error)
}
