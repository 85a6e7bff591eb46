//! An answer while it is being put together, from one piece or from many.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::llm::chat::{Answer, Chat, ToolCall, tokens_of};
use crate::registry::model::Model;

/// The tool by which a model without structured answers of its own is made to give one.
pub const ANSWER_TOOL: &str = "answer";

/// What has come of an answer so far.
#[derive(Debug, Default)]
pub struct Draft {
    /// What was said.
    pub text: String,
    /// The calls that were asked for, by their place.
    pub calls: BTreeMap<u64, Asked>,
    /// The tokens that the model was given, as it counts them.
    pub input: Option<u64>,
    /// The tokens that it has given.
    pub output: Option<u64>,
    /// Why it has stopped; `None` while it has not.
    pub stop: Option<Stop>,
    /// Whether nothing more will come.
    pub is_over: bool,
}

/// A call that is being asked for.
#[derive(Debug, Default)]
pub struct Asked {
    /// The model's name for it.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments, as JSON text.
    pub arguments: String,
}

/// Why a model has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It has said what it had to say, or asks for tools.
    Done,
    /// The answer is as long as it may be.
    Length,
    /// It declines.
    Refusal,
}

impl Draft {
    /// The whole answer of `model` to `chat`.
    pub fn finish(self, model: &Model, chat: &Chat) -> Answer {
        let said = self.text.len() + self.calls.values().map(|call| call.arguments.len()).sum::<usize>();
        let usage =
            model.usage(self.input.unwrap_or_else(|| chat.estimate()), self.output.unwrap_or_else(|| tokens_of(said)));
        let (mut text, mut calls) = (self.text, Vec::new());
        for (place, call) in self.calls {
            if call.name == ANSWER_TOOL && chat.schema.is_some() && chat.tools.is_empty() {
                text = call.arguments;
                continue;
            }
            let arguments = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
            let arguments = serde_json::from_str(arguments).unwrap_or_else(|_| Value::String(call.arguments.clone()));
            let id = if call.id.is_empty() { format!("call-{place}") } else { call.id };
            calls.push(ToolCall { id, name: call.name, arguments });
        }
        let (is_cut, is_refusal) = (self.stop == Some(Stop::Length), self.stop == Some(Stop::Refusal));
        Answer { text, calls, usage, is_cut, is_refusal }
    }
}
