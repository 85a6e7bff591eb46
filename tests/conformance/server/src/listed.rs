//! What the list of tools says.

use rmcp::model::{JsonObject, Tool};
use serde_json::{Value, json};

/// The tools that take no arguments, with what they do.
const PLAIN: [(&str, &str); 28] = [
    // The first of the list is called by scenarios that need any tool at all.
    ("test_simple_text", "Returns a text."),
    ("test_image_content", "Returns an image."),
    ("test_audio_content", "Returns a sound."),
    ("test_embedded_resource", "Returns a resource."),
    ("test_multiple_content_types", "Returns a text, an image and a resource."),
    ("test_tool_with_logging", "Logs three messages."),
    ("test_logging_tool", "Logs a message."),
    ("test_tool_with_progress", "Reports progress three times."),
    ("test_error_handling", "Fails."),
    ("test_reconnection", "Answers after a moment."),
    ("test_elicitation_sep1034_defaults", "Asks the user, with default values."),
    ("test_elicitation_sep1330_enums", "Asks the user to choose, in five ways."),
    ("test_streaming_elicitation", "Asks the user to confirm."),
    ("test_missing_capability", "Asks the model, whether or not it can be asked."),
    ("test_trigger_tool_change", "Changes the list of tools."),
    ("test_trigger_prompt_change", "Changes the list of prompts."),
    ("test_input_required_result_elicitation", "Asks the user."),
    ("test_input_required_result_sampling", "Asks the model."),
    ("test_input_required_result_list_roots", "Asks for the roots."),
    ("test_input_required_result_request_state", "Asks the user, with a state."),
    ("test_input_required_result_multiple_inputs", "Asks the user, the model and for the roots."),
    ("test_input_required_result_multi_round", "Asks the user twice."),
    ("test_input_required_result_tampered_state", "Asks the user, with a state that cannot be forged."),
    ("test_input_required_result_capabilities", "Asks whoever can be asked."),
    ("test_tool_with_task", "Asks the user, and works on in a task."),
    ("failing_job", "Fails in a task."),
    ("protocol_error_job", "Breaks in a task."),
    ("multi_input", "Asks the user two questions in a task."),
];

/// All tools, always in the same order; `changes` is how often the list has changed.
pub(crate) fn all(changes: u64) -> Vec<Tool> {
    let plain = PLAIN.iter().map(|(name, what)| tool(name, (*what).to_owned(), &json!({})));
    let others = [
        tool("test_sampling", "Asks the model.", &json!({ "prompt": { "type": "string" } })),
        tool("test_elicitation", "Asks the user.", &json!({ "message": { "type": "string" } })),
        tool("greet", "Greets.", &json!({ "name": { "type": "string" } })),
        tool("confirm_delete", "Asks the user in a task.", &json!({ "filename": { "type": "string" } })),
        optional(
            "slow_compute",
            "Computes in a task.",
            &json!({ "seconds": { "type": "number" }, "label": { "type": "string" } }),
        ),
        optional(
            "test_custom_header",
            "Has an argument that is repeated in a header.",
            &json!({ "region": { "type": "string", "x-mcp-header": "Region" } }),
        ),
        Tool::new("json_schema_2020_12_tool", "Has a schema with everything in it.", object(rich_schema())),
        tool("test_changing_tool", format!("A tool that has changed {changes} times."), &json!({})),
    ];
    plain.chain(others).collect()
}

/// A tool all of whose arguments are required.
fn tool(name: &'static str, what: impl Into<String>, properties: &Value) -> Tool {
    let required: Vec<_> = properties.as_object().into_iter().flat_map(|properties| properties.keys()).collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    Tool::new(name, what.into(), object(schema))
}

fn optional(name: &'static str, what: &'static str, properties: &Value) -> Tool {
    Tool::new(name, what, object(json!({ "type": "object", "properties": properties })))
}

/// The keywords that gateways tend to lose.
fn rich_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": { "street": { "type": "string" }, "city": { "type": "string" } },
            },
        },
        "properties": {
            "name": { "type": "string" },
            "address": { "$ref": "#/$defs/address" },
            "contactMethod": { "type": "string", "enum": ["phone", "email"] },
            "phone": { "type": "string" },
            "email": { "type": "string" },
        },
        "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
        "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
        "then": { "required": ["phone"] },
        "else": { "required": ["email"] },
        "additionalProperties": false,
    })
}

fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(object) => object,
        other => unreachable!("the schemas are written here: {other}"),
    }
}
