//! A model as what a step calls: one question, one answer.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::gateway::door::Gateway;
use crate::gateway::reply;
use crate::gateway::thinking::Thought;
use crate::gateway::workflows::parse_input;
use crate::llm::chat::{Chat, Message};
use crate::model::ask::within;
use crate::model::call::{Call, Reply};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::usage::Allowance;
use crate::registry::patterns::Patterns;

/// How often a model may be asked within one call, unless the call says otherwise.
const TURNS: u32 = 16;

/// The arguments of a call of a model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    prompt: String,
    #[serde(default)]
    system: Option<String>,
    /// What the model is called: an entry of the registry, or with `providers`, what each of them is to be asked for.
    #[serde(default)]
    model: Option<Arc<str>>,
    #[serde(default)]
    providers: Vec<Arc<str>>,
    #[serde(default)]
    tools: Vec<String>,
    #[serde(default)]
    turns: Option<u32>,
    #[serde(default)]
    expect: Option<Arc<Value>>,
    /// Whether what costs least is asked first.
    #[serde(default)]
    thrifty: bool,
}

impl Gateway {
    pub(super) async fn call_model(self: Arc<Self>, mut call: Call) -> Result<Reply, Fault> {
        let arguments = parse_input(call.arguments.as_deref())?;
        let asked: Asked = serde_json::from_value(arguments).map_err(|error| wrong(&error.to_string()))?;
        call.ask = call.ask.map(within);
        let (named, called) = if asked.providers.is_empty() {
            (asked.model.into_iter().collect(), None)
        } else {
            (asked.providers, asked.model.map(|model| model.to_string()))
        };
        let chain = self.chain(&named)?;
        let chain = if asked.thrifty { self.cheapest_first(chain) } else { chain };
        let allowed =
            Patterns::parse(asked.tools).map_err(|(_, why)| wrong(&format!("a pattern in `tools`: {why}")))?;
        let toolbox = self.toolbox(&allowed, &call).await;
        let chat = Chat {
            system: asked.system,
            messages: vec![Message::User(asked.prompt)],
            tools: toolbox.definitions(),
            schema: asked.expect,
            max_tokens: None,
            called,
        };
        let turns = asked.turns.unwrap_or(TURNS);
        let thought = Thought { chain, chat, toolbox, turns, allowance: Allowance::default() };
        let finished = self.think(thought, &call).await?;
        Ok(reply::answer(&finished.value, finished.usage, &finished.by))
    }
}

fn wrong(why: &str) -> Fault {
    Fault::new(Kind::Invalid, code::BAD_REQUEST, format!("the question to the model is wrong: {why}"))
}
