//! A conversation with a model, in no API's words.

use std::sync::Arc;

use serde_json::Value;

use crate::model::usage::Usage;

/// What a model is asked.
#[derive(Debug, Clone, Default)]
pub struct Chat {
    /// What it is told before the conversation.
    pub system: Option<String>,
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// The tools that it may ask for.
    pub tools: Vec<Tool>,
    /// The JSON Schema of its answer; without one, text.
    pub schema: Option<Arc<Value>>,
    /// The longest answer, in tokens, if that is less than the model may give.
    pub max_tokens: Option<u64>,
    /// What the model is to be called at its API, if not as the registry says.
    pub called: Option<String>,
}

/// One turn of a conversation.
#[derive(Debug, Clone)]
pub enum Message {
    /// Ours.
    User(String),
    /// The model's.
    Assistant {
        /// What it said.
        text: String,
        /// The tools that it asked for.
        calls: Vec<ToolCall>,
    },
    /// What came of the tools that it asked for.
    Results(Vec<ToolResult>),
}

/// A tool as a model sees it.
#[derive(Debug, Clone)]
pub struct Tool {
    /// Its name: letters, digits, `_` and `-`, 64 at most.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// The JSON Schema of its arguments.
    pub schema: Value,
}

/// A call that a model asks for.
#[derive(Debug, Clone)]
pub struct ToolCall {
    /// The model's name for the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments; text if they are no JSON.
    pub arguments: Value,
}

/// What came of a call.
#[derive(Debug, Clone)]
pub struct ToolResult {
    /// The model's name for the call.
    pub id: String,
    /// What came of it.
    pub text: String,
    /// Whether it failed.
    pub is_error: bool,
}

/// What a model answers.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// What it said.
    pub text: String,
    /// The tools that it asks for.
    pub calls: Vec<ToolCall>,
    /// What it has used up.
    pub usage: Usage,
    /// Whether it was cut off, because it is longer than it may be.
    pub is_cut: bool,
    /// Whether it declined to answer.
    pub is_refusal: bool,
}

impl Chat {
    /// About how many tokens the conversation has, for those who do not count: four bytes to a token.
    pub fn estimate(&self) -> u64 {
        let of_message = |message: &Message| match message {
            Message::User(text) => text.len(),
            Message::Assistant { text, calls } => {
                text.len() + calls.iter().map(|call| call.arguments.to_string().len()).sum::<usize>()
            }
            Message::Results(results) => results.iter().map(|result| result.text.len()).sum(),
        };
        let tools = self.tools.iter().map(|tool| tool.description.len() + tool.schema.to_string().len());
        let all = self.system.as_ref().map_or(0, String::len)
            + self.messages.iter().map(of_message).sum::<usize>()
            + tools.sum::<usize>();
        tokens_of(all)
    }
}

/// About how many tokens so many bytes of text are.
pub fn tokens_of(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(4)).unwrap_or(u64::MAX)
}
