//! Questions to the client, in the way of its era: a modern one is handed the questions and repeats its request with the
//! answers, a legacy one is asked while its request waits.
//!
//! Every tool and prompt that asks does so through [`Round::gather`], so that each works in both eras.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use rmcp::model::{
    ClientCapabilities, ErrorData, GetMeta as _, InputRequest, InputRequests, InputRequiredResult, InputResponses,
    ListRootsRequest, RequestStateCodec, SealOptions, ServerRequest,
};
use rmcp::service::{RequestContext, RoleServer, ServiceError};
use serde_json::{Value, json};

use crate::era::is_modern;

/// The `_meta` key under which a legacy client is told the name that the question has for a modern one.
const NAME_KEY: &str = "io.mcp-orchestrator/input-key";

/// The answers by the names of the questions.
pub(crate) type Answers = BTreeMap<String, Value>;

/// What asking comes to.
pub(crate) enum Gathered {
    Answers(Answers),
    /// To be given to the client, which repeats its request.
    Ask(InputRequiredResult),
}

/// One request that may ask.
pub(crate) struct Round<'a> {
    /// The tool or prompt: a state that was sealed for one is worth nothing to another.
    pub(crate) name: &'a str,
    pub(crate) responses: Option<InputResponses>,
    pub(crate) state: Option<String>,
    pub(crate) context: &'a RequestContext<RoleServer>,
    pub(crate) codec: &'a RequestStateCodec,
}

impl Round<'_> {
    /// Asks everything at once. With a `step`, the answers count only with the state that was given out for that step.
    pub(crate) async fn gather(&self, questions: InputRequests, step: Option<&str>) -> Result<Gathered, ErrorData> {
        let client = self.context.client_capabilities().unwrap_or_default();
        for question in questions.values() {
            require(&client, question)?;
        }
        if !self.is_modern() {
            return self.ask_now(questions).await.map(Gathered::Answers);
        }
        let is_this_step = match step {
            Some(step) => self.step()?.as_deref() == Some(step),
            None => true,
        };
        let responses = self.responses.iter().flatten().filter(|(_, answer)| is_this_step && answer.is_object());
        let answers: Answers =
            responses.filter(|(name, _)| questions.contains_key(*name)).map(|(k, v)| (k.clone(), v.clone())).collect();
        if answers.len() == questions.len() {
            return Ok(Gathered::Answers(answers));
        }
        let state = step.map(|step| self.seal(step));
        Ok(Gathered::Ask(InputRequiredResult::new(Some(questions), state)))
    }

    /// The step that the state of this request was sealed for.
    pub(crate) fn step(&self) -> Result<Option<String>, ErrorData> {
        let Some(state) = &self.state else { return Ok(None) };
        let step = self.codec.open_with(state, self.name.as_bytes());
        let step = step.map_err(|error| ErrorData::invalid_params(error.to_string(), None))?;
        Ok(Some(String::from_utf8_lossy(&step).into_owned()))
    }

    pub(crate) fn is_modern(&self) -> bool {
        self.context.protocol_version().is_some_and(|version| is_modern(version.as_str()))
    }

    fn seal(&self, step: &str) -> String {
        self.codec.seal_with(step.as_bytes(), &SealOptions::new().associated_data(self.name.as_bytes()))
    }

    /// Asks a legacy client. All in this task: rmcp finds by it which request, and so which stream, a question belongs to.
    async fn ask_now(&self, questions: InputRequests) -> Result<Answers, ErrorData> {
        let asked = questions.into_iter().map(async |(name, question)| {
            let answer = self.ask_one(&name, question).await;
            let answer = answer.map_err(|error| ErrorData::internal_error(format!("asking failed: {error}"), None))?;
            Ok((name, answer))
        });
        Ok(try_join_all(asked).await?.into_iter().collect())
    }

    async fn ask_one(&self, name: &str, question: InputRequest) -> Result<Value, ServiceError> {
        let mut request = match question {
            InputRequest::CreateMessage(request) => ServerRequest::CreateMessageRequest(request),
            InputRequest::Elicitation(request) => ServerRequest::ElicitRequest(request),
            _ => ServerRequest::ListRootsRequest(ListRootsRequest::default()),
        };
        request.get_meta_mut().insert(NAME_KEY.to_owned(), json!(name));
        let answer = self.context.peer.send_request(request).await?;
        Ok(serde_json::to_value(answer).expect("what was read from JSON can be written as JSON"))
    }
}

/// Refuses what the client has not said that it can be asked.
fn require(client: &ClientCapabilities, question: &InputRequest) -> Result<(), ErrorData> {
    if can_be_asked(client, question) {
        return Ok(());
    }
    let required = ClientCapabilities::builder();
    Err(ErrorData::missing_required_client_capability(match question {
        InputRequest::CreateMessage(_) => required.enable_sampling().build(),
        InputRequest::Elicitation(_) => required.enable_elicitation().build(),
        _ => required.enable_roots().build(),
    }))
}

pub(crate) fn can_be_asked(client: &ClientCapabilities, question: &InputRequest) -> bool {
    match question {
        InputRequest::CreateMessage(_) => client.sampling.is_some(),
        InputRequest::Elicitation(_) => client.elicitation.is_some(),
        _ => client.roots.is_some(),
    }
}

/// A form for the user. `properties` are all required.
pub(crate) fn form(message: &str, properties: &Value) -> InputRequest {
    let required: Vec<_> = properties.as_object().into_iter().flat_map(|properties| properties.keys()).collect();
    optional_form(message, &json!({ "type": "object", "properties": properties, "required": required }))
}

/// A form for the user, with a whole schema.
pub(crate) fn optional_form(message: &str, schema: &Value) -> InputRequest {
    question(json!({
        "method": "elicitation/create",
        "params": { "mode": "form", "message": message, "requestedSchema": schema },
    }))
}

/// A prompt for the model.
pub(crate) fn sampling(prompt: &str, max_tokens: u32) -> InputRequest {
    let message = json!({ "role": "user", "content": { "type": "text", "text": prompt } });
    question(json!({
        "method": "sampling/createMessage",
        "params": { "messages": [message], "maxTokens": max_tokens },
    }))
}

pub(crate) fn roots() -> InputRequest {
    question(json!({ "method": "roots/list", "params": {} }))
}

/// One question under a name.
pub(crate) fn one(name: &str, question: InputRequest) -> InputRequests {
    InputRequests::from([(name.to_owned(), question)])
}

fn question(question: Value) -> InputRequest {
    serde_json::from_value(question).expect("the questions are written here")
}
