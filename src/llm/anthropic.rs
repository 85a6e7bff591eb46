//! Messages, the API of Anthropic.

use serde_json::{Value, json};

use crate::llm::chat::{Chat, Message, Tool, ToolResult};
use crate::llm::draft::{ANSWER_TOOL, Draft, Stop};
use crate::llm::openai::called;
use crate::llm::structured::instruction;
use crate::registry::model::Model;

/// The revision of the API that is spoken here.
pub const VERSION: &str = "2023-06-01";

/// The request. Where nothing else is to be called, a structured answer is asked for as the arguments of a tool.
pub fn body(model: &Model, chat: &Chat, with_schema: bool) -> Value {
    let is_object = |schema: &&Value| schema["type"] == "object";
    let answer = chat.schema.as_deref().filter(|_| with_schema && chat.tools.is_empty()).filter(is_object);
    let mut system = chat.system.clone().unwrap_or_default();
    if let (Some(schema), None) = (chat.schema.as_deref(), answer) {
        system = instruction(&system, schema);
    }
    let messages: Vec<_> = chat.messages.iter().map(message).collect();
    let most = chat.max_tokens.map_or(model.max_tokens, |most| most.min(model.max_tokens));
    let mut body = json!({ "model": called(model, chat), "max_tokens": most, "messages": messages });
    if !system.is_empty() {
        body["system"] = json!(system);
    }
    if let Some(temperature) = model.temperature {
        body["temperature"] = json!(temperature);
    }
    if !chat.tools.is_empty() {
        body["tools"] = chat.tools.iter().map(tool).collect();
    }
    if let Some(schema) = answer {
        body["tools"] = json!([{ "name": ANSWER_TOOL, "description": "Gives the answer.", "input_schema": schema }]);
        body["tool_choice"] = json!({ "type": "tool", "name": ANSWER_TOOL });
    }
    if model.stream {
        body["stream"] = json!(true);
    }
    body
}

fn message(message: &Message) -> Value {
    match message {
        Message::User(text) => json!({ "role": "user", "content": text }),
        Message::Assistant { text, calls } => {
            // Neither an empty text nor no content at all is allowed.
            let text = if text.is_empty() && calls.is_empty() { "(nothing)" } else { text };
            let said = (!text.is_empty()).then(|| json!({ "type": "text", "text": text }));
            let asked = calls.iter().map(|call| {
                let input = if call.arguments.is_object() { call.arguments.clone() } else { json!({}) };
                json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": input })
            });
            let content: Vec<_> = said.into_iter().chain(asked).collect();
            json!({ "role": "assistant", "content": content })
        }
        Message::Results(results) => {
            let content: Vec<_> = results.iter().map(result).collect();
            json!({ "role": "user", "content": content })
        }
    }
}

fn result(result: &ToolResult) -> Value {
    json!({ "type": "tool_result", "tool_use_id": result.id, "content": result.text, "is_error": result.is_error })
}

fn tool(tool: &Tool) -> Value {
    json!({ "name": tool.name, "description": tool.description, "input_schema": tool.schema })
}

/// Takes in a whole answer. The error is what the API says that went wrong.
pub fn read(draft: &mut Draft, answer: &Value) -> Result<(), String> {
    if answer["type"] == "error" {
        return Err(said(answer));
    }
    count(draft, &answer["usage"]);
    for (place, block) in answer["content"].as_array().into_iter().flatten().enumerate() {
        begin(draft, place as u64, block);
    }
    stop(draft, answer);
    Ok(())
}

/// Takes in one event. The error is what the API says that went wrong.
pub fn hear(draft: &mut Draft, event: &Value) -> Result<(), String> {
    let place = event["index"].as_u64().unwrap_or_default();
    let delta = &event["delta"];
    match event["type"].as_str().unwrap_or_default() {
        "message_start" => count(draft, &event["message"]["usage"]),
        "content_block_start" => begin(draft, place, &event["content_block"]),
        "content_block_delta" => {
            draft.text.push_str(delta["text"].as_str().unwrap_or_default());
            if let Some(part) = delta["partial_json"].as_str() {
                draft.calls.entry(place).or_default().arguments.push_str(part);
            }
        }
        "message_delta" => {
            count(draft, &event["usage"]);
            stop(draft, delta);
        }
        "message_stop" => draft.is_over = true,
        "error" => return Err(said(event)),
        _ => {}
    }
    Ok(())
}

fn begin(draft: &mut Draft, place: u64, block: &Value) {
    let text = |key: &str| block[key].as_str().unwrap_or_default().to_owned();
    match block["type"].as_str() {
        Some("text") => draft.text += &text("text"),
        Some("tool_use") => {
            let asked = draft.calls.entry(place).or_default();
            (asked.id, asked.name) = (text("id"), text("name"));
            // In a stream it begins empty and the text follows.
            if block["input"].as_object().is_some_and(|input| !input.is_empty()) {
                asked.arguments = block["input"].to_string();
            }
        }
        _ => {}
    }
}

fn count(draft: &mut Draft, usage: &Value) {
    // What was read from the model's cache counts, too.
    let cached = ["cache_creation_input_tokens", "cache_read_input_tokens"];
    let cached: u64 = cached.iter().filter_map(|key| usage[*key].as_u64()).sum();
    draft.input = usage["input_tokens"].as_u64().map(|input| input + cached).or(draft.input);
    draft.output = usage["output_tokens"].as_u64().or(draft.output);
}

fn stop(draft: &mut Draft, from: &Value) {
    let Some(reason) = from["stop_reason"].as_str() else { return };
    draft.stop = Some(match reason {
        "max_tokens" | "model_context_window_exceeded" => Stop::Length,
        "refusal" => Stop::Refusal,
        _ => Stop::Done,
    });
}

fn said(event: &Value) -> String {
    event["error"]["message"].as_str().map_or_else(|| event["error"].to_string(), ToOwned::to_owned)
}
