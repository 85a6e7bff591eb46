//! Chat completions, the API that most speak.

use serde_json::{Value, json};

use crate::llm::chat::{Chat, Message, Tool, ToolCall, ToolResult};
use crate::llm::draft::{Draft, Stop};
use crate::llm::structured::instruction;
use crate::registry::model::Model;

/// Below which part of the model's URL it is served.
pub const PATH: &str = "/chat/completions";

/// The request. Without `with_schema`, the form of the answer is asked for in words.
pub fn body(model: &Model, chat: &Chat, url: &str, with_schema: bool) -> Value {
    let schema = chat.schema.as_deref();
    let mut system = chat.system.clone().unwrap_or_default();
    if let Some(schema) = schema.filter(|_| !with_schema) {
        system = instruction(&system, schema);
    }
    let head = (!system.is_empty()).then(|| json!({ "role": "system", "content": system }));
    let messages: Vec<_> = head.into_iter().chain(chat.messages.iter().flat_map(message)).collect();
    let mut body = json!({ "model": called(model, chat), "messages": messages });
    // Its maker has given the bound another name, which others do not know.
    let bound = if url.contains("api.openai.com") { "max_completion_tokens" } else { "max_tokens" };
    body[bound] = json!(chat.max_tokens.map_or(model.max_tokens, |most| most.min(model.max_tokens)));
    if let Some(temperature) = model.temperature {
        body["temperature"] = json!(temperature);
    }
    if !chat.tools.is_empty() {
        body["tools"] = chat.tools.iter().map(tool).collect();
    }
    if let Some(schema) = schema.filter(|_| with_schema) {
        let format = json!({ "name": "answer", "schema": schema, "strict": false });
        body["response_format"] = json!({ "type": "json_schema", "json_schema": format });
    }
    if model.stream {
        body["stream"] = json!(true);
        body["stream_options"] = json!({ "include_usage": true });
    }
    body
}

/// What the model is called at its API.
pub(super) fn called(model: &Model, chat: &Chat) -> String {
    let called = chat.called.as_deref().unwrap_or(&model.model);
    model.aliases.get(called).cloned().unwrap_or_else(|| called.to_owned())
}

fn message(message: &Message) -> Vec<Value> {
    match message {
        Message::User(text) => vec![json!({ "role": "user", "content": text })],
        Message::Assistant { text, calls } => {
            let mut said = json!({ "role": "assistant", "content": text });
            if !calls.is_empty() {
                said["tool_calls"] = calls.iter().map(call).collect();
            }
            vec![said]
        }
        Message::Results(results) => results.iter().map(result).collect(),
    }
}

fn call(call: &ToolCall) -> Value {
    let function = json!({ "name": call.name, "arguments": call.arguments.to_string() });
    json!({ "id": call.id, "type": "function", "function": function })
}

fn result(result: &ToolResult) -> Value {
    let text = if result.is_error { format!("error: {}", result.text) } else { result.text.clone() };
    json!({ "role": "tool", "tool_call_id": result.id, "content": text })
}

fn tool(tool: &Tool) -> Value {
    let function = json!({ "name": tool.name, "description": tool.description, "parameters": tool.schema });
    json!({ "type": "function", "function": function })
}

/// Takes in a whole answer (`message`) or a piece of one (`delta`). The error is what the API says that went wrong.
pub fn hear(draft: &mut Draft, piece: &Value) -> Result<(), String> {
    if let Some(error) = piece.get("error").filter(|error| !error.is_null()) {
        return Err(error["message"].as_str().map_or_else(|| error.to_string(), ToOwned::to_owned));
    }
    let usage = &piece["usage"];
    draft.input = usage["prompt_tokens"].as_u64().or(draft.input);
    draft.output = usage["completion_tokens"].as_u64().or(draft.output);
    let choice = &piece["choices"][0];
    let said = if choice["message"].is_object() { &choice["message"] } else { &choice["delta"] };
    draft.text.push_str(said["content"].as_str().unwrap_or_default());
    if let Some(refusal) = said["refusal"].as_str() {
        draft.text.push_str(refusal);
        draft.stop = Some(Stop::Refusal);
    }
    for (place, call) in said["tool_calls"].as_array().into_iter().flatten().enumerate() {
        let place = call["index"].as_u64().unwrap_or(place as u64);
        let asked = draft.calls.entry(place).or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        asked.id += &text(&call["id"]);
        asked.name += &text(&call["function"]["name"]);
        // Some give an object where text is meant.
        let arguments = &call["function"]["arguments"];
        asked.arguments += &if arguments.is_object() { arguments.to_string() } else { text(arguments) };
    }
    if let Some(reason) = choice["finish_reason"].as_str() {
        let stop = match reason {
            "length" => Stop::Length,
            "content_filter" => Stop::Refusal,
            _ => Stop::Done,
        };
        draft.stop.get_or_insert(stop);
    }
    Ok(())
}
