//! The prompts.

use rmcp::model::{
    ContentBlock, ErrorData, GetPromptResponse, GetPromptResult, JsonObject, Prompt, PromptArgument, PromptMessage,
    Role,
};
use serde_json::json;

use crate::ask::{Gathered, Round, form, one};
use crate::content;

const ASKING: &str = "test_input_required_result_prompt";

/// All of them; `changes` is how often the list has changed.
pub(crate) fn all(changes: u64) -> Vec<Prompt> {
    let required = |name: &str, what: &str| PromptArgument::new(name).with_description(what).with_required(true);
    let arguments = vec![required("arg1", "The first argument."), required("arg2", "The second argument.")];
    let uri = vec![required("resourceUri", "The URI of the resource to embed.")];
    vec![
        Prompt::new("test_simple_prompt", Some("A prompt without arguments."), None),
        Prompt::new("test_prompt_with_arguments", Some("A prompt with two arguments."), Some(arguments)),
        Prompt::new("test_prompt_with_embedded_resource", Some("A prompt with a resource in it."), Some(uri)),
        Prompt::new("test_prompt_with_image", Some("A prompt with an image in it."), None),
        Prompt::new(ASKING, Some("A prompt that asks the user."), None),
        Prompt::new("test_changing_prompt", Some(format!("A prompt that has changed {changes} times.")), None),
    ]
}

pub(crate) async fn get(round: &Round<'_>, arguments: &JsonObject) -> Result<GetPromptResponse, ErrorData> {
    let messages = match round.name {
        "test_simple_prompt" | "test_changing_prompt" => vec![says("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            let (first, second) = (argument(arguments, "arg1")?, argument(arguments, "arg2")?);
            vec![says(format!("Prompt with arguments: arg1='{first}', arg2='{second}'"))]
        }
        "test_prompt_with_embedded_resource" => {
            let uri = argument(arguments, "resourceUri")?;
            let resource = content::text(uri, "text/plain", "Embedded resource content for testing.");
            let resource = PromptMessage::new(Role::User, ContentBlock::resource(resource));
            vec![resource, says("Please process the embedded resource above.")]
        }
        "test_prompt_with_image" => {
            vec![PromptMessage::new(Role::User, content::image()), says("Please analyze the image above.")]
        }
        ASKING => {
            let question = form("What context should the prompt use?", &json!({ "context": { "type": "string" } }));
            match round.gather(one("user_context", question), None).await? {
                Gathered::Ask(ask) => return Ok(ask.into()),
                Gathered::Answers(answers) => {
                    let context = &answers["user_context"]["content"]["context"];
                    vec![says(format!("A prompt in the context of {context}."))]
                }
            }
        }
        name => return Err(ErrorData::invalid_params(format!("Unknown prompt: {name}"), None)),
    };
    Ok(GetPromptResult::new(messages).into())
}

fn says(text: impl Into<String>) -> PromptMessage {
    PromptMessage::new_text(Role::User, text)
}

fn argument<'a>(arguments: &'a JsonObject, name: &str) -> Result<&'a str, ErrorData> {
    let argument = arguments.get(name).and_then(|argument| argument.as_str());
    argument.ok_or_else(|| ErrorData::invalid_params(format!("Missing argument: {name}"), None))
}
