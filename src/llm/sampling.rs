//! The host's own model, asked by MCP sampling.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::downstream::question::LONGEST;
use crate::llm::chat::{Answer, Chat, Message, tokens_of};
use crate::llm::structured::instruction;
use crate::model::ask::{Ask, Question};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::usage::{Cost, Usage};

/// Who asks, as the host is told.
const ASKER: &str = "mcp-orchestrator";

/// The longest answer that is asked for, in tokens, if nothing else is said.
const MAX_TOKENS: u64 = 4_096;

/// A result of `sampling/createMessage`; the content is one block or, from 2025-11-25 on, also a list of them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sampled {
    content: Value,
    #[serde(default)]
    stop_reason: Option<String>,
}

/// Asks the host behind `ask`, which may ask a person. What it uses up is estimated, as hosts do not say.
pub async fn ask(ask: Option<&Arc<dyn Ask>>, chat: &Chat) -> Result<Answer, Fault> {
    let nobody = |why: &str| {
        Fault::new(Kind::Unavailable, code::NO_SAMPLING, format!("the host's model cannot be asked: {why}"))
            .hint("name a model of the registry before `sampling`")
    };
    let ask = ask.ok_or_else(|| nobody("there is no host behind this call"))?;
    if ask.capabilities().get("sampling").is_none_or(Value::is_null) {
        return Err(nobody("it does not offer sampling"));
    }
    if !chat.tools.is_empty() {
        return Err(nobody("it is not asked to use tools"));
    }
    let params = to_raw_value(&params(chat)).ok();
    let question = Question { server: Arc::from(ASKER), method: "sampling/createMessage".to_owned(), params };
    let answer = timeout(LONGEST, Arc::clone(ask).ask(question)).await.map_err(|_| {
        let message = format!("the host has not answered within {LONGEST:?}");
        Fault::new(Kind::Timeout, code::CALL_TIMEOUT, message)
    })??;
    let sampled: Sampled = serde_json::from_str(answer.get()).map_err(|error| {
        let message = format!("the host's answer is no result of sampling: {error}");
        Fault::new(Kind::Unavailable, code::BAD_ANSWER, message)
    })?;
    let text = text(&sampled.content);
    let usage = Usage::of_model(chat.estimate(), tokens_of(text.len()), Cost::ZERO);
    let is_cut = sampled.stop_reason.as_deref() == Some("maxTokens");
    Ok(Answer { text, usage, is_cut, ..Answer::default() })
}

fn params(chat: &Chat) -> Value {
    let message = |role: &str, text: &str| json!({ "role": role, "content": { "type": "text", "text": text } });
    let messages: Vec<_> = chat
        .messages
        .iter()
        .flat_map(|said| match said {
            Message::User(text) => vec![message("user", text)],
            Message::Assistant { text, .. } => vec![message("assistant", text)],
            Message::Results(results) => results.iter().map(|result| message("user", &result.text)).collect(),
        })
        .collect();
    let mut params = json!({ "messages": messages, "maxTokens": chat.max_tokens.unwrap_or(MAX_TOKENS) });
    let system = chat.system.clone().unwrap_or_default();
    let system = chat.schema.as_deref().map_or_else(|| system.clone(), |schema| instruction(&system, schema));
    if !system.is_empty() {
        params["systemPrompt"] = json!(system);
    }
    params
}

fn text(content: &Value) -> String {
    let blocks = content.as_array().map_or_else(|| std::slice::from_ref(content), Vec::as_slice);
    blocks.iter().filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join("\n")
}
