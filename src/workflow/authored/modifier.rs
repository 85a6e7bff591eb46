//! How a step runs: for which items, in which order, how often.

use std::sync::Arc;
use std::time::Duration;

use crate::document::node::{Node, Value};
use crate::document::table::Table;
use crate::expr::template::Template;
use crate::model::code;
use crate::model::fault::Kind;
use crate::model::name;
use crate::model::suggest;
use crate::policy::retry::{Backoff, Jitter, Retry};
use crate::workflow::authored::author::Author;
use crate::workflow::authored::step;
use crate::workflow::definition::{Each, OnError, StepRetry};
use crate::workflow::site::{Place, StepSites};

/// Items at once, unless the step says otherwise.
const CONCURRENCY: usize = 8;
const MAX_CONCURRENCY: u64 = 1_000;
const MAX_ATTEMPTS: u64 = 100;

/// Names that expressions give a meaning to; an item cannot have them.
const RESERVED: [&str; 11] =
    ["input", "steps", "index", "result", "error", "run", "event", "trigger", "flags", "context", "env"];

/// `for_each` with `as`, `concurrency` and `on_error`. If there is one, its item and `index` stay bound.
pub(super) fn each(author: &mut Author, table: &mut Table<'_>, what: &str, sites: &mut StepSites) -> Option<Each> {
    let over = table.take("for_each");
    let binding_node = table.take("as");
    let concurrency = table.take("concurrency");
    let on_error = table.take("on_error");
    let Some(over) = over else {
        for key in ["as", "concurrency", "on_error"] {
            let Some(span) = table.key_span(key) else { continue };
            let problem =
                author.reader.error(code::UNKNOWN_KEY, span, format!("`{key}` means nothing without `for_each`"));
            problem.help = Some("say over what: `for_each: $input.items`".to_owned());
        }
        return None;
    };
    let binding = binding_node.and_then(|node| binding(author, node, what)).unwrap_or_else(|| "item".to_owned());
    let binding: Arc<str> = Arc::from(binding);
    let template = author.template(over, Place::Outside, &mut sites.uses);
    must_be_a_list(author, over, &template, what);
    author.bindings.push(Arc::clone(&binding));
    author.bindings.push(Arc::from("index"));
    let words = [("fail", OnError::Fail), ("skip", OnError::Skip), ("collect", OnError::Collect)];
    Some(Each {
        over: template,
        binding,
        concurrency: concurrency
            .and_then(|node| author.reader.integer(node, &format!("{what}.concurrency"), 1..=MAX_CONCURRENCY))
            .and_then(|number| usize::try_from(number).ok())
            .unwrap_or(CONCURRENCY),
        on_error: on_error
            .and_then(|node| author.reader.word(node, &format!("{what}.on_error"), &words))
            .unwrap_or_default(),
    })
}

fn binding(author: &mut Author, node: &Node, what: &str) -> Option<String> {
    let name = author.reader.text(node, &format!("{what}.as"))?;
    if RESERVED.contains(&name.as_str()) {
        let message = format!("`{name}` has a meaning of its own in expressions");
        author.reader.error(code::CONFLICT, node.span.clone(), message).help = Some("choose another name".to_owned());
    } else if !name::is_step_id(&name) {
        step::bad_id(author, &name, &node.span, "an item");
    }
    Some(name)
}

fn must_be_a_list(author: &mut Author, node: &Node, template: &Template, what: &str) {
    let is_expression = matches!(template, Template::Text(_));
    if is_expression || matches!(node.value, Value::List(_)) || author.has_problem_in(&node.span) {
        return;
    }
    let span = author.head(&node.span);
    let message = format!("`{what}.for_each` must be a list or an expression, not {}", node.kind());
    author.reader.error(code::WRONG_VALUE, span, message).help = Some("for example `$input.items`".to_owned());
}

/// `after`: a list of ids.
pub(super) fn after(author: &mut Author, table: &mut Table<'_>, sites: &mut StepSites) -> Option<Vec<Arc<str>>> {
    let what = table.path("after");
    let node = table.take("after")?;
    let names = author.reader.texts(node, &what)?;
    if let Value::List(items) = &node.value {
        sites.after = items.iter().map(|item| item.span.clone()).collect();
    }
    Some(names.into_iter().map(Arc::from).collect())
}

/// `retry`: a number of attempts, or a table.
pub(super) fn retry(author: &mut Author, table: &mut Table<'_>) -> Option<StepRetry> {
    let what = table.path("retry");
    let node = table.take("retry")?;
    let mut policy = Retry::default();
    if !matches!(node.value, Value::Table(_)) {
        policy.attempts = attempts(author, node, &what)?;
        return Some(StepRetry { policy, on: None });
    }
    let mut table = author.reader.table(node, &what)?;
    if let Some(given) = table.take("attempts").and_then(|node| attempts(author, node, &format!("{what}.attempts"))) {
        policy.attempts = given;
    }
    let mut duration = |key: &'static str, policy: &mut Duration| {
        let path = table.path(key);
        if let Some(given) = table.take(key).and_then(|node| author.reader.duration(node, &path)) {
            *policy = given;
        }
    };
    duration("delay", &mut policy.delay);
    duration("max_delay", &mut policy.max_delay);
    let backoffs = [("fixed", Backoff::Fixed), ("linear", Backoff::Linear), ("exponential", Backoff::Exponential)];
    if let Some(node) = table.take("backoff") {
        policy.backoff = author.reader.word(node, &table.path("backoff"), &backoffs).unwrap_or(policy.backoff);
    }
    if let Some(node) = table.take("jitter") {
        let words = [("none", Jitter::None), ("full", Jitter::Full)];
        policy.jitter = author.reader.word(node, &table.path("jitter"), &words).unwrap_or(policy.jitter);
    }
    let on = table.take("on").map(|node| kinds(author, node, &table.path("on")));
    table.finish(&mut author.reader);
    Some(StepRetry { policy, on })
}

fn attempts(author: &mut Author, node: &Node, what: &str) -> Option<u32> {
    author.reader.integer(node, what, 1..=MAX_ATTEMPTS).and_then(|number| u32::try_from(number).ok())
}

/// Kinds of failures: one word or a list of them.
pub(super) fn kinds(author: &mut Author, node: &Node, what: &str) -> Vec<Kind> {
    let nodes = match &node.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    let mut kinds = Vec::new();
    for node in nodes {
        let Some(word) = author.reader.text(node, what) else { continue };
        if let Some(kind) = Kind::parse(&word) {
            kinds.push(kind);
            continue;
        }
        let known = Kind::ALL.map(Kind::as_str);
        let near = suggest::nearest(&word, known);
        let replacement = near.map(|near| author.reader.requoted(&node.span, near));
        let problem =
            author.reader.error(code::WRONG_VALUE, node.span.clone(), format!("`{word}` is no kind of failure"));
        problem.help = Some(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the kinds are `{}`", known.join("`, `")),
        });
        if let Some(replacement) = replacement {
            *problem = problem.clone().replace_with(replacement);
        }
    }
    kinds
}
