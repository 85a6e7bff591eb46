//! A call in flight, and how a tool's result becomes an output or a failure.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::engine::board::Seen;
use crate::engine::command::{Callee, StepCall};
use crate::engine::event::{Called, Failure};
use crate::engine::frame::{End, FrameId, Next};
use crate::engine::turn::Turn;
use crate::expr::value::Value;
use crate::model::call::CONTEXT_KEY;
use crate::model::code;
use crate::model::effect::Effect;
use crate::model::fault::Kind;

/// How much of what a failed tool said becomes the failure's message, in characters.
const MAX_MESSAGE: usize = 2_000;

/// A call that a step makes.
#[derive(Debug)]
pub(super) struct CallFrame {
    /// The address of the step.
    pub(super) at: Arc<str>,
    /// Which of its attempts.
    pub(super) attempt: u32,
    /// What the call may do.
    pub(super) effect: Effect,
    callee: Callee,
    /// Whether the run may do without.
    is_optional: bool,
    /// What it shares with other agents.
    shared: Seen,
    /// The call itself.
    call: StepCall,
    /// How it stands.
    pub(super) stage: Stage,
    /// Why its answer has not come, while the run goes on.
    pub(super) unanswered: Option<Box<Failure>>,
}

/// How a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has not been sent, as far as anybody knows.
    New,
    /// It may have been sent.
    Intended,
    /// Another tool is asked whether it was carried out.
    Checked,
    /// Somebody has to say whether it was carried out.
    Doubtful,
}

impl CallFrame {
    /// A call that is about to be made.
    pub(super) fn new(at: Arc<str>, call: StepCall, is_optional: bool) -> Self {
        let (attempt, effect, callee) = (call.attempt, call.effect, call.callee.clone());
        Self {
            at,
            attempt,
            effect,
            callee,
            is_optional,
            shared: Seen::new(),
            call,
            stage: Stage::New,
            unanswered: None,
        }
    }

    /// The call of an agent that shares this with others.
    pub(super) fn sharing(self, shared: Seen) -> Self {
        Self { shared, ..self }
    }

    /// The call with a key of its own.
    pub(super) fn keyed(mut self, key: Option<String>) -> Self {
        self.call.key = key;
        self
    }

    pub(super) fn start(&mut self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        match turn.afford(self.call.clone(), self.is_optional) {
            Ok(call) => {
                self.call = StepCall { is_afterwards: turn.is_cleaning_up(), ..call };
                turn.call(id, &self.at, self.call.clone());
                Next::Wait
            }
            Err(failure) => Next::End(End::failed(failure.at(&self.at))),
        }
    }

    /// What is called.
    pub(super) fn callee(&self) -> &Callee {
        &self.callee
    }

    /// Whether what is in flight is the call itself, not a question about it.
    pub(super) fn is_first_hand(&self) -> bool {
        self.stage != Stage::Checked
    }

    /// The call as it was made.
    pub(super) fn sent(&self) -> Option<&StepCall> {
        (self.stage == Stage::Doubtful).then_some(&self.call)
    }

    /// The call, to be made once more.
    pub(super) fn again(&self) -> StepCall {
        self.call.clone()
    }

    /// Whether nobody could say if the call was carried out, should its answer never come.
    pub(super) fn may_have_happened(&self) -> bool {
        matches!(self.callee, Callee::Tool(_)) && !self.effect.may_repeat() && self.stage != Stage::New
    }

    pub(super) fn answered(&mut self, turn: &mut Turn<'_>, id: FrameId, called: Called) -> Next {
        if self.stage == Stage::Checked {
            return self.checked(turn, id, called);
        }
        let mut failure = match called {
            // A workflow's output may be anything, null included.
            Called::Result(mut result) if matches!(self.callee, Callee::Workflow(_)) && !is_error(&result) => {
                let output = result.get_mut("structuredContent").map(Json::take).unwrap_or_default();
                return Next::End(End::completed(Value::from_json(output)));
            }
            Called::Result(result) if self.is_asked() && !is_error(&result) => {
                let wanted = result.get("_meta").and_then(|meta| meta.get(CONTEXT_KEY)).and_then(Json::as_object);
                if let Some(Err(failure)) = wanted.map(|wanted| turn.set_shared(wanted, &self.shared)) {
                    return Next::End(End::failed(failure.at(&self.at)));
                }
                let may_be_json = matches!(self.callee, Callee::Agent(_));
                return Next::End(End::completed(Value::from_json(answer_of(result, may_be_json))));
            }
            Called::Result(result) => match output(result) {
                Ok(output) => return Next::End(End::completed(output)),
                Err(failure) => *failure,
            },
            Called::Failure(failure) => failure,
        };
        failure.step = Some(self.at.to_string());
        match &self.callee {
            Callee::Tool(tool) => {
                failure.server.get_or_insert_with(|| tool.server.clone());
                failure.target.get_or_insert_with(|| tool.tool.clone());
            }
            Callee::Workflow(name) => {
                failure.target.get_or_insert_with(|| name.to_string());
            }
            Callee::Agent(name) => {
                failure.target.get_or_insert_with(|| name.to_string());
            }
            Callee::Model => {}
        }
        let is_doubtful = failure.leaves_doubt(self.effect);
        if is_doubtful { self.unanswered(turn, id, failure) } else { Next::End(End::failed(failure)) }
    }

    /// Whether a model or an agent is asked, whose answer may be mere text.
    fn is_asked(&self) -> bool {
        matches!(self.callee, Callee::Model | Callee::Agent(_))
    }
}

/// The answer that a result stands for: what is structured, or the text; an agent's text is the JSON in it, if that is an
/// object or a list.
fn answer_of(mut result: Json, may_be_json: bool) -> Json {
    let structured = result.get_mut("structuredContent").map(Json::take).filter(|content| !content.is_null());
    let text = match structured {
        Some(Json::String(text)) => text,
        Some(structured) => return structured,
        None => texts(result.get("content").unwrap_or(&Json::Null)),
    };
    let json = if may_be_json { json_of(&text) } else { None };
    json.unwrap_or(Json::String(text))
}

/// The output that a tool result stands for, or what the tool says that went wrong.
pub(super) fn output(mut result: Json) -> Result<Value, Box<Failure>> {
    if is_error(&result) {
        let structured = result.get_mut("structuredContent").map(Json::take).filter(|content| !content.is_null());
        let content = result.get_mut("content").map_or_else(|| json!([]), Json::take);
        return Err(tool_error(structured, &content).into());
    }
    Ok(Value::from_json(output_of(result)))
}

/// The output that a successful tool result stands for.
///
/// `structuredContent` if there is any; else the JSON of a single text, if it is an object or a list; else the texts and
/// all content as they are.
pub fn output_of(mut result: Json) -> Json {
    let structured = result.get_mut("structuredContent").map(Json::take).filter(|content| !content.is_null());
    let content = result.get_mut("content").map_or_else(|| json!([]), Json::take);
    structured
        .or_else(|| single_json(&content))
        .unwrap_or_else(|| json!({ "text": texts(&content), "content": content }))
}

pub(super) fn is_error(result: &Json) -> bool {
    result.get("isError").and_then(Json::as_bool) == Some(true)
}

fn tool_error(structured: Option<Json>, content: &Json) -> Failure {
    let text = texts(content);
    let said = match &structured {
        Some(structured) if text.trim().is_empty() => structured.to_string(),
        None if text.trim().is_empty() => "the tool said that it failed, but not why".to_owned(),
        _ => text.clone(),
    };
    let failure = Failure::new(Kind::ToolError, code::STEP_FAILED, bounded(said));
    Failure { was_sent: true, data: structured.unwrap_or(Json::String(text)), ..failure }
}

/// The JSON of a single text block, if it is an object or a list.
fn single_json(content: &Json) -> Option<Json> {
    let [only] = content.as_array()?.as_slice() else { return None };
    json_of(text(only)?)
}

/// The JSON of a text, if it is an object or a list.
fn json_of(text: &str) -> Option<Json> {
    let text = text.trim();
    // Most texts are no JSON: look before parsing.
    text.starts_with(['{', '[']).then(|| serde_json::from_str(text).ok())?
}

/// All text blocks, joined by line breaks.
fn texts(content: &Json) -> String {
    let blocks = content.as_array().map(Vec::as_slice).unwrap_or_default();
    blocks.iter().filter_map(text).collect::<Vec<_>>().join("\n")
}

fn text(block: &Json) -> Option<&str> {
    (block.get("type")?.as_str()? == "text").then(|| block.get("text")?.as_str())?
}

fn bounded(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
        message.truncate(end);
        message.push('…');
    }
    message
}
