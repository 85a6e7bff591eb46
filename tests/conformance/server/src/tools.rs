//! What each tool does.

use std::time::Duration;

use rmcp::model::{
    CallToolResponse, CallToolResult, ContentBlock, ErrorData, InputRequests, JsonObject, ProgressNotificationParam,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::ask::{self, Answers, Gathered, Round, form, one, optional_form, roots, sampling};
use crate::changes::Change;
use crate::server::Fixture;
use crate::{content, tasks};

const STEP: Duration = Duration::from_millis(50);

pub(crate) async fn call(
    fixture: &Fixture,
    round: &Round<'_>,
    arguments: JsonObject,
) -> Result<CallToolResponse, ErrorData> {
    if let Some(result) = plain(round.name, &arguments) {
        return Ok(result.into());
    }
    match round.name {
        "test_tool_with_logging" => {
            for message in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
                fixture.log.info(round.context, message).await;
                sleep(STEP).await;
            }
        }
        "test_logging_tool" => fixture.log.info(round.context, "Tool has run").await,
        "test_tool_with_progress" => report_progress(round).await,
        "test_reconnection" => sleep(STEP * 2).await,
        "test_trigger_tool_change" => fixture.shared.changes.make(Change::Tools).await,
        "test_trigger_prompt_change" => fixture.shared.changes.make(Change::Prompts).await,
        "test_input_required_result_multi_round" => return two_rounds(round).await,
        name => {
            let Some((questions, step)) = questions(round, &arguments) else {
                return match tasks::call(fixture, round, &arguments).await? {
                    Some(response) => Ok(response),
                    None => Err(ErrorData::invalid_params(format!("Unknown tool: {name}"), None)),
                };
            };
            return Ok(match round.gather(questions, step).await? {
                Gathered::Ask(ask) => ask.into(),
                Gathered::Answers(answers) => said(told(name, &answers)).into(),
            });
        }
    }
    Ok(said(format!("{} is done.", round.name)).into())
}

/// The tools that only say something.
fn plain(name: &str, arguments: &JsonObject) -> Option<CallToolResult> {
    let resource = |uri, mime_type, text| ContentBlock::resource(content::text(uri, mime_type, text));
    Some(match name {
        "test_simple_text" => said("This is a simple text response for testing."),
        "test_image_content" => CallToolResult::success(vec![content::image()]),
        "test_audio_content" => CallToolResult::success(vec![content::audio()]),
        "test_embedded_resource" => CallToolResult::success(vec![resource(
            "test://embedded-resource",
            "text/plain",
            "This is an embedded resource content.",
        )]),
        "test_multiple_content_types" => CallToolResult::success(vec![
            ContentBlock::text("Multiple content types test:"),
            content::image(),
            resource("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#),
        ]),
        "test_error_handling" => failed("This tool intentionally returns an error for testing"),
        "test_changing_tool" => said("This tool is listed to be changed."),
        "greet" => said(format!("Hello, {}!", arguments.get("name").and_then(Value::as_str).unwrap_or("World"))),
        "test_custom_header" | "json_schema_2020_12_tool" => said(Value::Object(arguments.clone()).to_string()),
        _ => return None,
    })
}

/// What a tool asks before it answers, and whether it has a state for the while.
fn questions(round: &Round<'_>, arguments: &JsonObject) -> Option<(InputRequests, Option<&'static str>)> {
    let text = |name| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
    let name = json!({ "name": { "type": "string" } });
    let ok = json!({ "ok": { "type": "boolean" } });
    let ask_name = || form("What is your name?", &name);
    Some(match round.name {
        "test_sampling" => (one("sampling", sampling(text("prompt"), 100)), None),
        "test_missing_capability" => (one("sampling", sampling("Are you there?", 100)), None),
        "test_elicitation" => (one("elicitation", form(text("message"), &user())), None),
        "test_elicitation_sep1034_defaults" => {
            (one("defaults", optional_form("Please review the default values.", &defaults())), None)
        }
        "test_elicitation_sep1330_enums" => (one("enums", optional_form("Please choose.", &enums())), None),
        "test_streaming_elicitation" => (one("confirm", form("Please confirm.", &ok)), None),
        "test_input_required_result_elicitation" => (one("user_name", ask_name()), None),
        "test_input_required_result_sampling" => {
            (one("capital_question", sampling("What is the capital of France?", 100)), None)
        }
        "test_input_required_result_list_roots" => (one("client_roots", roots()), None),
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
            (one("confirm", form("Please confirm", &ok)), Some("confirm"))
        }
        "test_input_required_result_multiple_inputs" => {
            let greeting = ("greeting".to_owned(), sampling("Generate a greeting", 50));
            let questions = [("user_name".to_owned(), ask_name()), greeting, ("client_roots".to_owned(), roots())];
            (InputRequests::from(questions), Some("all"))
        }
        "test_input_required_result_capabilities" => {
            let client = round.context.client_capabilities().unwrap_or_default();
            let mut questions = one("user_name", ask_name());
            questions.append(&mut one("greeting", sampling("Generate a greeting", 50)));
            questions.retain(|_, question| ask::can_be_asked(&client, question));
            (questions, None)
        }
        _ => return None,
    })
}

/// Asks a second time with what the first answer was.
async fn two_rounds(round: &Round<'_>) -> Result<CallToolResponse, ErrorData> {
    let first = one("step1", form("Step 1: What is your name?", &json!({ "name": { "type": "string" } })));
    let second =
        || one("step2", form("Step 2: What is your favorite color?", &json!({ "color": { "type": "string" } })));
    if round.is_modern() && round.step()?.as_deref() == Some("second") {
        return Ok(match round.gather(second(), Some("second")).await? {
            Gathered::Ask(ask) => ask.into(),
            Gathered::Answers(answers) => said(told(round.name, &answers)).into(),
        });
    }
    if let Gathered::Ask(ask) = round.gather(first, Some("first")).await? {
        return Ok(ask.into());
    }
    Ok(match round.gather(second(), Some("second")).await? {
        Gathered::Ask(ask) => ask.into(),
        Gathered::Answers(answers) => said(told(round.name, &answers)).into(),
    })
}

async fn report_progress(round: &Round<'_>) {
    for done in [0.0, 50.0, 100.0] {
        if let Some(token) = round.context.meta.get_progress_token() {
            let progress = ProgressNotificationParam::new(token, done).with_total(100.0);
            // Fails only if the client is gone.
            let _ = round.context.peer.notify_progress(progress).await;
        }
        sleep(STEP).await;
    }
}

/// What has been answered, in words.
fn told(name: &str, answers: &Answers) -> String {
    let answer = |key: &str| answers.get(key).unwrap_or(&Value::Null);
    let elicited = |key| format!("action={}, content={}", answer(key)["action"], answer(key)["content"]);
    match name {
        "test_sampling" | "test_missing_capability" => {
            format!("LLM response: {}", answer("sampling")["content"]["text"])
        }
        "test_elicitation" => format!("User response: {}", elicited("elicitation")),
        "test_elicitation_sep1034_defaults" => format!("Elicitation completed: {}", elicited("defaults")),
        "test_elicitation_sep1330_enums" => format!("Elicitation completed: {}", elicited("enums")),
        "test_input_required_result_elicitation" => {
            format!("Hello, {}!", answer("user_name")["content"]["name"].as_str().unwrap_or("nobody"))
        }
        "test_input_required_result_request_state" => format!("state-ok: {}", elicited("confirm")),
        _ => format!("{name} has been answered: {}", json!(answers)),
    }
}

fn user() -> Value {
    json!({
        "username": { "type": "string", "description": "User's response" },
        "email": { "type": "string", "description": "User's email address" },
    })
}

fn defaults() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": { "type": "string", "default": "John Doe" },
            "age": { "type": "integer", "default": 30 },
            "score": { "type": "number", "default": 95.5 },
            "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
            "verified": { "type": "boolean", "default": true },
        },
    })
}

fn enums() -> Value {
    let plain = json!(["option1", "option2", "option3"]);
    let titled = |what: &str| -> Value {
        let ordinals = ["First", "Second", "Third"].iter().enumerate();
        ordinals
            .map(|(at, ordinal)| json!({ "const": format!("value{}", at + 1), "title": format!("{ordinal} {what}") }))
            .collect()
    };
    let legacy = ["Option One", "Option Two", "Option Three"];
    json!({
        "type": "object",
        "properties": {
            "untitledSingle": { "type": "string", "enum": plain },
            "titledSingle": { "type": "string", "oneOf": titled("Option") },
            "legacyEnum": { "type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": legacy },
            "untitledMulti": { "type": "array", "items": { "type": "string", "enum": plain } },
            "titledMulti": { "type": "array", "items": { "anyOf": titled("Choice") } },
        },
    })
}

pub(crate) fn said(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

pub(crate) fn failed(text: &str) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(text)])
}
