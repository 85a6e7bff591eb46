//! How a step runs: in which order, and how often it is tried.

use std::sync::Arc;
use std::time::Duration;

use crate::document::node::{Node, Value};
use crate::document::table::Table;
use crate::model::code;
use crate::model::fault::Kind;
use crate::model::suggest;
use crate::policy::retry::{Backoff, Jitter, Retry};
use crate::workflow::authored::author::Author;
use crate::workflow::authored::declaration;
use crate::workflow::modifier::{Expect, StepRetry};
use crate::workflow::site::{Place, StepSites, Use};

const MAX_ATTEMPTS: u64 = 100;

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

/// `expect`: a schema, or a condition.
pub(super) fn expect(author: &mut Author, table: &mut Table<'_>, uses: &mut Vec<Use>) -> Option<Expect> {
    let what = table.path("expect");
    let node = table.take("expect")?;
    let is_schema = matches!(node.value, Value::Table(_)) || node.as_text().is_some_and(declaration::is_type);
    if is_schema {
        return Some(Expect::Fits(Arc::new(declaration::result(author, node, &what))));
    }
    author.condition(node, &what, Place::Output, uses).map(Expect::Holds)
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
