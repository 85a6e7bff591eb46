//! `ask`: a question to somebody, and the form of its answer.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::document::node::Node;
use crate::document::table::Table;
use crate::model::code;
use crate::model::name;
use crate::workflow::authored::author::Author;
use crate::workflow::authored::declaration;
use crate::workflow::site::{Place, StepSites};
use crate::workflow::verb::{Ask, Audience};

/// The types of the fields that somebody can fill in.
const PLAIN: [&str; 4] = ["string", "number", "integer", "boolean"];

/// The question of a step, with the keys that belong to it.
pub(super) fn read(
    author: &mut Author,
    node: &Node,
    table: &mut Table<'_>,
    inside: Place,
    sites: &mut StepSites,
) -> Ask {
    let question = author.template(node, inside, &mut sites.uses);
    let what = table.path("answer");
    let answer = table.take("answer").map(|node| answer(author, node, &what)).map(Arc::new);
    let what = table.path("to");
    let audience = table.take("to").and_then(|node| audience(author, node, &what)).unwrap_or_default();
    Ask { question, answer, audience }
}

/// The schema of an answer. Hosts show it as a form, so its fields are plain ones.
fn answer(author: &mut Author, node: &Node, what: &str) -> Json {
    let schema = declaration::object(author, Some(node), what);
    let fields = schema.get("properties").and_then(Json::as_object).into_iter().flatten();
    let odd: Vec<_> = fields.filter(|(_, field)| !is_plain(field)).map(|(name, _)| format!("`{name}`")).collect();
    if !odd.is_empty() && !author.has_problem_in(&node.span) {
        let span = author.head(&node.span);
        let message = format!("nobody can fill in {} of `{what}`: a form has plain fields only", odd.join(", "));
        author.reader.error(code::BAD_SCHEMA, span, message).help =
            Some(format!("use `{}`, or a `string` with an `enum`", PLAIN.join("`, `")));
    }
    schema
}

/// Whether somebody can fill it in: a plain value, or some words out of a list.
fn is_plain(field: &Json) -> bool {
    let is_type = |field: &Json, types: &[&str]| field["type"].as_str().is_some_and(|word| types.contains(&word));
    is_type(field, &PLAIN)
        || (is_type(field, &["array"]) && is_type(&field["items"], &["string"]) && field["items"]["enum"].is_array())
}

/// `caller`, or `role:NAME`.
fn audience(author: &mut Author, node: &Node, what: &str) -> Option<Audience> {
    let text = author.reader.text(node, what)?;
    match text.strip_prefix("role:") {
        Some(role) if name::is_server_name(role) => Some(Audience::Role(role.into())),
        None if text == "caller" => Some(Audience::Caller),
        _ => {
            let message = format!("`{what}` must be `caller` or `role:NAME`, not `{text}`");
            author.reader.error(code::WRONG_VALUE, node.span.clone(), message).help =
                Some("whoever wanted the run is asked without it".to_owned());
            None
        }
    }
}
