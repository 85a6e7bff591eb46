//! The parts of a workflow that are neither steps nor schemas.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::document::node::Node;
use crate::document::table::Table;
use crate::model::code;
use crate::model::durability::Durability;
use crate::model::name;
use crate::model::priority::Priority;
use crate::model::problem::Span;
use crate::workflow::authored::author::Author;
use crate::workflow::authored::trigger;
use crate::workflow::conduct::{Conduct, Guards};
use crate::workflow::site::{Place, Use};

/// The hints that MCP knows, all of them booleans.
const HINTS: [&str; 4] = ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"];

/// The workflow's name and its place.
pub(super) fn name(author: &mut Author, table: &mut Table<'_>) -> (Arc<str>, Span) {
    let Some(node) = table.require(&mut author.reader, "name") else {
        return (Arc::from(""), 0..0);
    };
    let Some(text) = author.reader.text(node, "name") else {
        return (Arc::from(""), node.span.clone());
    };
    if !name::is_workflow_name(&text) {
        let message = format!("`{text}` cannot name a workflow");
        let legal = legal_name(&text);
        let replacement = legal.as_ref().map(|legal| author.reader.requoted(&node.span, legal));
        let problem = author.reader.error(code::WRONG_VALUE, node.span.clone(), message);
        *problem = problem.clone().label(name::workflow_name_rule(&text));
        if let (Some(legal), Some(replacement)) = (legal, replacement) {
            *problem = problem.clone().help(format!("for example `{legal}`")).replace_with(replacement);
        }
    }
    (Arc::from(text), node.span.clone())
}

/// Claims about the tool: the four hints and a title.
pub(super) fn annotations(author: &mut Author, node: &Node) -> Map<String, Value> {
    let mut claims = Map::new();
    let Some(mut table) = author.reader.table(node, "annotations") else { return claims };
    for hint in HINTS {
        let Some(node) = table.take(hint) else { continue };
        if let Some(claim) = author.reader.boolean(node, &table.path(hint)) {
            claims.insert(hint.to_owned(), Value::Bool(claim));
        }
    }
    if let Some(title) = table.take("title").and_then(|node| author.reader.text(node, "annotations.title")) {
        claims.insert("title".to_owned(), Value::String(title));
    }
    table.finish(&mut author.reader);
    claims
}

/// `priority`, `deadline`, `durability`, `idempotency_key`, `guards` and `triggers`.
pub(super) fn conduct(author: &mut Author, table: &mut Table<'_>, uses: &mut Vec<Use>) -> Conduct {
    let priorities = Priority::ALL.map(|priority| (priority.as_str(), priority));
    let priority = table.take("priority").and_then(|node| author.reader.word(node, "priority", &priorities));
    let deadline = table.take("deadline").and_then(|node| author.reader.duration(node, "deadline"));
    let durabilities = Durability::ALL.map(|durability| (durability.as_str(), durability));
    let durability = table.take("durability").and_then(|node| author.reader.word(node, "durability", &durabilities));
    let key = table.take("idempotency_key").map(|node| author.template(node, Place::Outside, uses));
    let guards = table.take("guards").map(|node| guards(author, node)).unwrap_or_default();
    let triggers = trigger::triggers(author, table, uses);
    Conduct { priority: priority.unwrap_or_default(), deadline, durability, key, guards, triggers }
}

fn guards(author: &mut Author, node: &Node) -> Guards {
    let Some(mut table) = author.reader.table(node, "guards") else { return Guards::default() };
    let pii = table
        .take("pii")
        .and_then(|node| author.reader.word(node, "guards.pii", &[("redact", true), ("allow", false)]));
    let retention = table.take("retention").and_then(|node| author.reader.duration(node, "guards.retention"));
    let encrypts = table.take("encrypt").and_then(|node| author.reader.boolean(node, "guards.encrypt"));
    table.finish(&mut author.reader);
    Guards { redacts_pii: pii.unwrap_or_default(), retention, encrypts: encrypts.unwrap_or_default() }
}

fn legal_name(text: &str) -> Option<String> {
    let replaced: String = text
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' })
        .take(64)
        .collect();
    let words: Vec<_> = replaced.split('_').filter(|word| !word.is_empty()).collect();
    let legal = words.join("_");
    let legal = legal.trim_start_matches(|first: char| !first.is_ascii_alphabetic());
    name::is_workflow_name(legal).then(|| legal.to_owned())
}
