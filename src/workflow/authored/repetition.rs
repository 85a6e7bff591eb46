//! How often a step runs: for which items of a list, and until when.

use std::sync::Arc;

use crate::document::node::{Node, Value};
use crate::document::table::Table;
use crate::expr::template::Template;
use crate::model::code;
use crate::model::name;
use crate::workflow::authored::author::Author;
use crate::workflow::authored::step;
use crate::workflow::modifier::{Each, Goal, OnError, Repeat};
use crate::workflow::site::{Place, StepSites, Use};

/// Items at once, unless the step says otherwise.
const CONCURRENCY: usize = 8;
const MAX_CONCURRENCY: u64 = 1_000;
const MAX_ITEMS: u64 = 10_000;
const MAX_TURNS: u64 = 10_000;

/// Keys that only mean something beside `for_each`.
const BESIDE_EACH: [&str; 5] = ["as", "concurrency", "batch", "on_error", "at_least"];

/// Names that expressions give a meaning to; an item cannot have them.
const RESERVED: [&str; 11] =
    ["input", "steps", "index", "result", "error", "run", "event", "trigger", "flags", "context", "env"];

/// `for_each` with [`BESIDE_EACH`]. If there is one, its item and `index` stay bound.
pub(super) fn each(author: &mut Author, table: &mut Table<'_>, what: &str, sites: &mut StepSites) -> Option<Each> {
    let over = table.take("for_each");
    let [binding_node, concurrency, batch, on_error, at_least] = BESIDE_EACH.map(|key| table.take(key));
    let Some(over) = over else {
        for key in BESIDE_EACH {
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
    let count = |author: &mut Author, node: Option<&Node>, key: &str, most: u64| {
        let number = node.and_then(|node| author.reader.integer(node, &format!("{what}.{key}"), 1..=most));
        number.and_then(|number| usize::try_from(number).ok())
    };
    let words = [("fail", OnError::Fail), ("skip", OnError::Skip), ("collect", OnError::Collect)];
    Some(Each {
        over: template,
        binding,
        concurrency: count(author, concurrency, "concurrency", MAX_CONCURRENCY).unwrap_or(CONCURRENCY),
        batch: count(author, batch, "batch", MAX_ITEMS),
        on_error: on_error
            .and_then(|node| author.reader.word(node, &format!("{what}.on_error"), &words))
            .unwrap_or_default(),
        at_least: count(author, at_least, "at_least", MAX_ITEMS).unwrap_or(0),
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

/// `repeat`: when it is over, how long it pauses, how many turns it may have.
pub(super) fn repeat(author: &mut Author, table: &mut Table<'_>, uses: &mut Vec<Use>) -> Option<Repeat> {
    let what = table.path("repeat");
    let node = table.take("repeat")?;
    let mut table = author.reader.table(node, &what)?;
    let (until_key, while_key) = (table.key_span("until"), table.key_span("while"));
    let [until, goes_on, every, max] = ["until", "while", "every", "max"].map(|key| table.take(key));
    if let (Some(_), Some(span)) = (until_key, while_key) {
        let message = format!("`{what}` has both an `until` and a `while`");
        author.reader.error(code::CONFLICT, span, message).help = Some("join them with `or` in `until`".to_owned());
    }
    let mut condition = |key: &str, node: Option<&Node>| {
        node.and_then(|node| author.condition(node, &format!("{what}.{key}"), Place::Output, uses))
    };
    // Both are read, so that both are checked.
    let (until, goes_on) = (condition("until", until), condition("while", goes_on));
    let goal = until.map(Goal::Until).or_else(|| goes_on.map(Goal::While));
    let every = every.and_then(|node| author.reader.duration(node, &format!("{what}.every"))).unwrap_or_default();
    if max.is_none() {
        let span = author.head(&node.span);
        author.reader.error(code::MISSING, span, format!("`{what}` needs `max`")).help =
            Some("say how many turns there may be at most, for instance `max: 100`".to_owned());
    }
    let max = max.and_then(|node| author.reader.integer(node, &format!("{what}.max"), 1..=MAX_TURNS)).unwrap_or(1);
    table.finish(&mut author.reader);
    Some(Repeat { goal, every, max: u32::try_from(max).unwrap_or(1) })
}
