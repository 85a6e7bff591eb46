//! `llm` and `agent`, `limits` and `budget`.

use std::sync::Arc;

use crate::document::node::{Node, Value};
use crate::document::table::Table;
use crate::expr::template::Template;
use crate::expr::value::Value as Constant;
use crate::model::code;
use crate::model::name::{ToolRef, is_pattern, is_step_id};
use crate::model::problem::Span;
use crate::model::usage::{Allowance, Cost};
use crate::workflow::authored::author::Author;
use crate::workflow::authored::verb::call_site;
use crate::workflow::delegation::{Budget, Errand, Llm, OnExceed, StepLimits, Told};
use crate::workflow::site::{CallSite, Place, StepSites};
use crate::workflow::verb::Verb;

/// Keys that only mean something beside `llm`.
const OF_LLM: [&str; 4] = ["system", "model", "providers", "tools"];

/// Keys that only mean something beside `agent`.
const OF_AGENT: [&str; 2] = ["task", "context"];

/// The keys beside `llm: PROMPT`.
pub(super) fn llm(
    author: &mut Author,
    node: &Node,
    table: &mut Table<'_>,
    inside: Place,
    sites: &mut StepSites,
) -> Llm {
    let prompt = author.template(node, inside, &mut sites.uses);
    let system = table.take("system").map(|node| author.template(node, inside, &mut sites.uses));
    let model = table.take("model");
    let model_site = model.map(|node| node.span.clone()).unwrap_or_default();
    let model = model.map(|node| author.template(node, inside, &mut sites.uses));
    let providers = providers(author, table);
    let tools = tools(author, table);
    let site = author.head(&node.span);
    Llm { prompt, site, system, model, model_site, providers, tools }
}

/// `a | b | c`, or a list.
pub(super) fn providers(author: &mut Author, table: &mut Table<'_>) -> Vec<(Arc<str>, Span)> {
    let what = table.path("providers");
    let Some(node) = table.take("providers") else { return Vec::new() };
    let names: Vec<(String, Span)> = match &node.value {
        Value::Text(text) => text.split('|').map(|name| (name.trim().to_owned(), node.span.clone())).collect(),
        Value::List(items) => {
            let texts = author.reader.texts(node, &what).unwrap_or_default();
            texts.into_iter().zip(items.iter().map(|item| item.span.clone())).collect()
        }
        _ => {
            author.reader.texts(node, &what);
            Vec::new()
        }
    };
    if names.iter().any(|(name, _)| name.is_empty()) {
        author.reader.error(code::WRONG_VALUE, node.span.clone(), format!("`{what}` has a name that is empty")).help =
            Some("for example `fast | careful | sampling`".to_owned());
    }
    names.into_iter().map(|(name, span)| (Arc::from(name), span)).collect()
}

/// The tools that a model may use: `server.tool`, or patterns of such.
fn tools(author: &mut Author, table: &mut Table<'_>) -> Vec<(Arc<str>, CallSite)> {
    let what = table.path("tools");
    let Some(node) = table.take("tools") else { return Vec::new() };
    let Some(names) = author.reader.texts(node, &what) else { return Vec::new() };
    let Value::List(items) = &node.value else { return Vec::new() };
    for (name, item) in names.iter().zip(items) {
        if ToolRef::parse(name).is_none() && !is_pattern(name) {
            let message = format!("`{name}` is not of the form `server.tool`");
            author.reader.error(code::WRONG_VALUE, item.span.clone(), message).help =
                Some("name the server, too, for example `github.search_code` or `github.*`".to_owned());
        }
    }
    names.into_iter().zip(items).map(|(name, item)| (Arc::from(name), call_site(item, None))).collect()
}

/// The keys beside `agent: NAME`.
pub(super) fn agent(
    author: &mut Author,
    node: &Node,
    table: &mut Table<'_>,
    what: &str,
    inside: Place,
    sites: &mut StepSites,
) -> Option<Errand> {
    let agent = author.reader.text(node, &format!("{what}.agent"));
    let task = table.require(&mut author.reader, "task");
    let task =
        task.map_or_else(|| Template::Value(Constant::null()), |node| author.template(node, inside, &mut sites.uses));
    let context = table.take("context").map_or(Told::Nothing, |node| told(author, node, what, inside, sites));
    Some(Errand { agent: Arc::from(agent?), site: node.span.clone(), task, context })
}

/// `context`: names of what agents share, or any other value as it is.
fn told(author: &mut Author, node: &Node, what: &str, inside: Place, sites: &mut StepSites) -> Told {
    let names = match &node.value {
        Value::List(items) => items.iter().map(Node::as_text).collect::<Option<Vec<_>>>(),
        _ => None,
    };
    let Some(names) = names.filter(|names| names.iter().all(|name| !name.contains('$'))) else {
        return Told::Given(author.template(node, inside, &mut sites.uses));
    };
    for name in names.iter().filter(|name| !is_step_id(name)) {
        let message = format!("`{name}` in `{what}.context` cannot name what agents share");
        author.reader.error(code::WRONG_VALUE, node.span.clone(), message).help = Some(
            "lower-case letters, digits and `_`, a letter first; a table is given to the agent as it is".to_owned(),
        );
    }
    Told::Shared(names.into_iter().map(Arc::from).collect())
}

/// Reports keys that mean nothing beside `verb`.
pub(super) fn refuse(author: &mut Author, table: &mut Table<'_>, verb: &str) {
    let of_llm = OF_LLM.iter().filter(|key| verb != "llm" && !(**key == "providers" && verb == "tool"));
    let of_agent = OF_AGENT.iter().filter(|_| verb != "agent");
    for key in of_llm.chain(of_agent) {
        let Some(span) = table.key_span(key) else { continue };
        table.take(key);
        author.reader.error(code::UNKNOWN_KEY, span, format!("`{key}` means nothing beside `{verb}`"));
    }
}

/// `limits: { tokens, cost, calls, turns }` of a step with this verb, if that could be read.
pub(super) fn limits(author: &mut Author, table: &mut Table<'_>, verb: Option<&Verb>) -> StepLimits {
    let what = table.path("limits");
    let span = table.key_span("limits").unwrap_or_default();
    let Some(mut table) = table.take("limits").and_then(|node| author.reader.table(node, &what)) else {
        return StepLimits::default();
    };
    let allowance = allowance(author, &mut table);
    let turns = table.take("turns").and_then(|node| author.reader.integer(node, &table.path("turns"), 1..=1_000));
    let turns_span = table.key_span("turns").unwrap_or_default();
    table.finish(&mut author.reader);
    // What stands in for a broken verb tells nothing.
    let asks = verb.is_none_or(|verb| matches!(verb, Verb::Llm(_) | Verb::Agent(_)));
    if !asks && !matches!(verb, Some(Verb::Tool { .. } | Verb::Workflow { .. })) {
        author.reader.warning(code::NO_EFFECT, span, "`limits` has no effect: the step itself calls nothing").help =
            Some("give them to the steps inside, or the workflow a `budget`".to_owned());
    } else if !asks && turns.is_some() {
        author.reader.warning(code::NO_EFFECT, turns_span, "`turns` has no effect: only models are asked in turns");
    }
    StepLimits { allowance, turns: turns.and_then(|turns| turns.try_into().ok()) }
}

/// `budget: { time, tokens, cost, calls, on_exceed }`.
pub(super) fn budget(author: &mut Author, table: &mut Table<'_>) -> Option<Budget> {
    let node = table.take("budget")?;
    let mut table = author.reader.table(node, "budget")?;
    let allowance = allowance(author, &mut table);
    let time = table.take("time").and_then(|node| author.reader.duration(node, &table.path("time")));
    let words = [("fail", OnExceed::Fail), ("degrade", OnExceed::Degrade)];
    let on_exceed = table.take("on_exceed").and_then(|node| author.reader.word(node, &table.path("on_exceed"), &words));
    table.finish(&mut author.reader);
    Some(Budget { allowance, time, on_exceed: on_exceed.unwrap_or_default() })
}

fn allowance(author: &mut Author, table: &mut Table<'_>) -> Allowance {
    let tokens = table.take("tokens").and_then(|node| author.reader.amount(node, &table.path("tokens")));
    let cost = table.take("cost").and_then(|node| author.reader.quantity(node, &table.path("cost"), 1e9));
    let calls = table.take("calls").and_then(|node| author.reader.integer(node, &table.path("calls"), 0..=u64::MAX));
    Allowance { tokens, cost: cost.map(Cost::of), calls }
}
