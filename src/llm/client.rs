//! One question to one model over HTTP.

use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, RequestBuilder, Url};

use crate::downstream::http::faults::read;
use crate::downstream::http::plain;
use crate::downstream::variables::Surroundings;
use crate::llm::chat::{Answer, Chat};
use crate::llm::faults::{Hidden, lost, refused, retry_after};
use crate::llm::{anthropic, openai, stream};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::registry::model::{Api, Model};
use crate::registry::text::Text;

/// The longest that a model may be silent in the middle of an answer.
const SILENCE: Duration = Duration::from_mins(1);

/// The longest refusal that is read, in bytes.
const MAX_REFUSAL: usize = 64 * 1024;

/// The client for `model`, whose placeholders are expanded for that.
pub fn client(model: &Model) -> Result<Client, Fault> {
    let url = url(model)?;
    let builder = plain::builder(&url);
    builder.build().map_err(|error| Fault::new(Kind::Internal, code::INTERNAL, error.without_url().to_string()))
}

/// Asks `model`, once; twice if it does not know how to give a structured answer.
pub async fn ask(client: &Client, model: &Model, chat: &Chat) -> Result<Answer, Fault> {
    let url = url(model)?;
    let key = model.key.as_ref().map(expand).transpose()?;
    let hidden = Hidden::new(key.as_deref());
    let mut with_schema = chat.schema.is_some();
    loop {
        let body = match model.api {
            Api::OpenAi => openai::body(model, chat, url.as_str(), with_schema),
            Api::Anthropic => anthropic::body(model, chat, with_schema),
        };
        let post = request(client, model, url.clone(), key.as_deref())?.body(body.to_string());
        let response = post.send().await.map_err(|error| lost(error, &hidden))?;
        let status = response.status();
        if status.is_success() {
            let draft = stream::answer(response, model.api, SILENCE.min(model.timeout), &hidden).await?;
            return Ok(draft.finish(model, chat));
        }
        let after = retry_after(&response);
        let said = read(response, MAX_REFUSAL).await.unwrap_or_default();
        if with_schema && is_about_schema(status, &said) {
            with_schema = false;
            continue;
        }
        return Err(refused(status, after, &said, &hidden));
    }
}

/// Whether the API refused the demand for a structured answer, and not what is asked.
fn is_about_schema(status: StatusCode, said: &[u8]) -> bool {
    let said = String::from_utf8_lossy(said);
    matches!(status.as_u16(), 400 | 422 | 501)
        && ["response_format", "json_schema", "tool_choice", "input_schema"].iter().any(|word| said.contains(word))
}

fn request(client: &Client, model: &Model, url: Url, key: Option<&str>) -> Result<RequestBuilder, Fault> {
    let post = client
        .post(url)
        .timeout(model.timeout)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, if model.stream { "text/event-stream, application/json" } else { "application/json" });
    let post = match model.api {
        Api::OpenAi => post,
        Api::Anthropic => post.header("anthropic-version", anthropic::VERSION),
    };
    let Some(key) = key else { return Ok(post) };
    let (name, value) = match model.api {
        Api::OpenAi => ("authorization", HeaderValue::from_str(&format!("Bearer {key}"))),
        Api::Anthropic => ("x-api-key", HeaderValue::from_str(key)),
    };
    let mut value = value.map_err(|_| wrong("its `key` has characters that no header may have".to_owned()))?;
    value.set_sensitive(true);
    Ok(post.header(name, value))
}

/// The address of the API: what the registry says, with the path that belongs there if it is not part of that.
fn url(model: &Model) -> Result<Url, Fault> {
    let written = expand(&model.url)?;
    let base = written.trim_end_matches('/');
    let whole = match model.api {
        Api::OpenAi if base.ends_with(openai::PATH) => base.to_owned(),
        Api::OpenAi => format!("{base}{}", openai::PATH),
        Api::Anthropic if base.ends_with("/messages") => base.to_owned(),
        Api::Anthropic if base.ends_with("/v1") => format!("{base}/messages"),
        Api::Anthropic => format!("{base}/v1/messages"),
    };
    Url::parse(&whole).map_err(|error| wrong(format!("its `url` is none: {error}")))
}

fn expand(text: &Text) -> Result<String, Fault> {
    let expanded = text.expand(&Surroundings).map_err(|unset| {
        Fault::new(Kind::Unavailable, code::UNSET_VARIABLE, format!("cannot be asked: {unset}"))
            .hint("set it in the environment of mcp-orchestrator, or change the registry")
    })?;
    Ok(expanded.expose().clone())
}

fn wrong(message: String) -> Fault {
    Fault::new(Kind::Invalid, code::MODEL_REFUSED, message).hint("correct the registry")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::problem::Source;
    use crate::registry::load::load;
    use serde_json::Value;

    fn model(lines: &str) -> std::sync::Arc<Model> {
        let text = format!("[models.m]\nmodel = \"x\"\n{lines}\n");
        let (registry, problems) = load(&[Source::new("registry.toml", text)]);
        assert!(problems.is_empty(), "{problems:?}");
        std::sync::Arc::clone(&registry.models["m"])
    }

    #[test]
    fn a_url_may_be_the_base_or_the_whole() {
        for (lines, wanted) in [
            ("api = \"openai\"", "https://api.openai.com/v1/chat/completions"),
            ("api = \"openai\"\nurl = \"http://h/v1/\"", "http://h/v1/chat/completions"),
            ("api = \"openai\"\nurl = \"http://h/x/chat/completions\"", "http://h/x/chat/completions"),
            ("api = \"anthropic\"", "https://api.anthropic.com/v1/messages"),
            ("api = \"anthropic\"\nurl = \"http://h/v1\"", "http://h/v1/messages"),
            ("api = \"anthropic\"\nurl = \"http://h/v1/messages\"", "http://h/v1/messages"),
        ] {
            assert_eq!(url(&model(lines)).map(String::from).ok().as_deref(), Some(wanted), "{lines}");
        }
    }

    #[test]
    fn what_shows_a_model_does_not_show_its_key() {
        let model = model("api = \"openai\"\nkey = \"sk-written-out\"");
        assert!(!format!("{model:?}").contains("sk-written-out"));
        let request =
            request(&client(&model).expect("a client"), &model, url(&model).expect("a URL"), Some("sk-1234567"));
        assert!(!format!("{:?}", request.expect("a request")).contains("sk-1234567"));
        let asked: Value = openai::body(&model, &Chat::default(), "http://h", false);
        assert!(!asked.to_string().contains("sk-"));
    }
}
