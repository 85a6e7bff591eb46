//! Models: `[models.NAME]`, each an API that answers prompts.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::document::node::{Field, Node, Value};
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::model::code;
use crate::model::name::{SAMPLING, is_server_name};
use crate::model::usage::{Cost, Usage};
use crate::policy::retry::Retry;
use crate::registry::launch;
use crate::registry::mentions::Mentions;
use crate::registry::settings::{boolean, duration, retry, whole, word};
use crate::registry::text::Text;

/// A model and how it is asked.
#[derive(Clone, PartialEq)]
pub struct Model {
    /// Its name in the registry.
    pub name: Arc<str>,
    /// What its API speaks.
    pub api: Api,
    /// Where its API is.
    pub url: Text,
    /// What its API wants to see.
    pub key: Option<Text>,
    /// What it is called by its API.
    pub model: String,
    /// What else it may be called by, and what that is called by its API.
    pub aliases: BTreeMap<String, String>,
    /// The longest answer, in tokens.
    pub max_tokens: u64,
    /// How much chance there is in its answers; the API's default if not given.
    pub temperature: Option<f64>,
    /// How long one answer may take.
    pub timeout: Duration,
    /// Answers at once; more wait.
    pub concurrency: usize,
    /// When it is asked again.
    pub retry: Retry,
    /// What its answers cost.
    pub price: Price,
    /// Whether it is asked to answer piece by piece.
    pub stream: bool,
    /// The models that are asked when it cannot answer, in order; `sampling` is the host's.
    pub fallback: Vec<Arc<str>>,
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key and the URL may hold secrets that are written out in the file.
        f.debug_struct("Model").field("name", &self.name).field("model", &self.model).finish_non_exhaustive()
    }
}

impl Model {
    /// What so many tokens in and out are of its budget.
    pub fn usage(&self, input: u64, output: u64) -> Usage {
        let cost = Usage { cost: Cost::of_tokens(input, self.price.input), ..Usage::default() }
            + Usage { cost: Cost::of_tokens(output, self.price.output), ..Usage::default() };
        Usage::of_model(input, output, cost.cost)
    }
}

/// What an API speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Chat completions, as `OpenAI` and many others have them.
    OpenAi,
    /// Messages, as Anthropic has them.
    Anthropic,
}

impl Api {
    /// Where its makers serve it.
    fn home(self) -> &'static str {
        match self {
            Self::OpenAi => "https://api.openai.com/v1",
            Self::Anthropic => "https://api.anthropic.com",
        }
    }
}

/// What a million tokens cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Price {
    /// Those that the model is given.
    pub input: f64,
    /// Those that it gives.
    pub output: f64,
}

/// The models by name.
pub type Models = BTreeMap<Arc<str>, Arc<Model>>;

/// Reads the table of models; those of a later file replace those of the same name.
pub(super) fn read(reader: &mut Reader, node: &Node, models: &mut Models, mentions: &mut Mentions) {
    let Some(mut all) = reader.table(node, "models") else { return };
    for field in all.rest() {
        let found = reader.problems.len();
        let model = model(reader, field, mentions);
        match model.filter(|_| !reader.failed_since(found)) {
            Some(model) => _ = models.insert(Arc::clone(&model.name), Arc::new(model)),
            None => _ = mentions.broken_models.insert(field.key.clone()),
        }
    }
}

fn model(reader: &mut Reader, field: &Field, mentions: &mut Mentions) -> Option<Model> {
    if !is_server_name(&field.key) || field.key == SAMPLING {
        let message = format!("`{}` cannot be a model's name", field.key);
        reader.error(code::WRONG_VALUE, field.key_span.clone(), message).help =
            Some(format!("use 1 to 64 of `A-Z a-z 0-9 _ -`; `{SAMPLING}` is the host's model"));
        return None;
    }
    let mut table = reader.table(&field.value, &format!("models.{}", field.key))?;
    let apis = [("openai", Api::OpenAi), ("anthropic", Api::Anthropic)];
    let api = match table.key_span("api") {
        Some(_) => word(reader, &mut table, "api", &apis),
        None => table.require(reader, "api").and(None),
    };
    let url = match table.take("url") {
        Some(node) => url(reader, node, &table.path("url")),
        None => Text::parse(api.unwrap_or(Api::OpenAi).home()).ok(),
    };
    let key = table.take("key").and_then(|node| launch::text(reader, node, &table.path("key")));
    let called = table.require(reader, "model").and_then(|node| reader.text(node, &table.path("model")));
    let aliases = aliases(reader, &mut table);
    let max_tokens = whole(reader, &mut table, "max_tokens", 1..=10_000_000).unwrap_or(4_096);
    let temperature = number(reader, &mut table, "temperature", 2.0);
    let longest = Duration::from_millis(1)..=Duration::from_hours(1);
    let timeout = duration(reader, &mut table, "timeout", longest).unwrap_or(Duration::from_mins(2));
    let concurrency = whole(reader, &mut table, "concurrency", 1..=10_000).unwrap_or(8);
    let mut again = Retry::default();
    if let Some(node) = table.take("retry") {
        retry(&mut again, reader, node, &table.path("retry"));
    }
    let price = table.take("price").map(|node| price(reader, node, &table.path("price"))).unwrap_or_default();
    let stream = boolean(reader, &mut table, "stream").unwrap_or(true);
    let fallback = names(reader, &mut table, "fallback", mentions);
    table.finish(reader);
    Some(Model {
        name: Arc::from(field.key.as_str()),
        api: api?,
        url: url?,
        key,
        model: called?,
        aliases,
        max_tokens,
        temperature,
        timeout,
        concurrency,
        retry: again,
        price,
        stream,
        fallback,
    })
}

/// The models that `table` names under `key`.
pub(super) fn names(
    reader: &mut Reader,
    table: &mut Table<'_>,
    key: &'static str,
    mentions: &mut Mentions,
) -> Vec<Arc<str>> {
    let Some(node) = table.take(key) else { return Vec::new() };
    let names = reader.texts(node, &table.path(key)).unwrap_or_default();
    let spans = match &node.value {
        Value::List(items) => items.iter().map(|item| item.span.clone()).collect(),
        _ => Vec::new(),
    };
    let mentioned = names.iter().zip(spans).map(|(name, span)| (Arc::clone(&reader.source), name.clone(), span));
    mentions.models.extend(mentioned);
    names.into_iter().map(Arc::from).collect()
}

fn url(reader: &mut Reader, node: &Node, what: &str) -> Option<Text> {
    let url = launch::text(reader, node, what)?;
    let prefix = url.literal_prefix().to_ascii_lowercase();
    let rest = prefix.strip_prefix("http://").or_else(|| prefix.strip_prefix("https://"));
    let is_open = !url.is_literal() && prefix.is_empty();
    if is_open || rest.is_some_and(|host| !(host.starts_with('/') || host.is_empty() && url.is_literal())) {
        return Some(url);
    }
    let message = format!("`{what}` is no URL of http or https");
    reader.error(code::WRONG_VALUE, node.span.clone(), message).help =
        Some("for example `http://localhost:11434/v1`, or a placeholder such as `${URL}`".to_owned());
    None
}

fn aliases(reader: &mut Reader, table: &mut Table<'_>) -> BTreeMap<String, String> {
    let Some(node) = table.take("aliases") else { return BTreeMap::new() };
    let Some(mut names) = reader.table(node, &table.path("aliases")) else { return BTreeMap::new() };
    let path = |key: &str| format!("{}.{key}", table.path("aliases"));
    let name = |field: &Field| Some((field.key.clone(), reader.text(&field.value, &path(&field.key))?));
    names.rest().filter_map(name).collect()
}

fn price(reader: &mut Reader, node: &Node, what: &str) -> Price {
    let Some(mut table) = reader.table(node, what) else { return Price::default() };
    let input = number(reader, &mut table, "input", 1e6).unwrap_or_default();
    let output = number(reader, &mut table, "output", 1e6).unwrap_or_default();
    table.finish(reader);
    Price { input, output }
}

/// A number from 0 to `most`.
pub(super) fn number(reader: &mut Reader, table: &mut Table<'_>, key: &'static str, most: f64) -> Option<f64> {
    let node = table.take(key)?;
    reader.quantity(node, &table.path(key), most)
}

#[cfg(test)]
mod tests;
