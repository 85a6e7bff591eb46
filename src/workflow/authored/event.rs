//! `emit` and `await`: telling that something has happened, and waiting for it.

use std::sync::Arc;

use crate::document::node::Node;
use crate::document::table::Table;
use crate::expr::template::Template;
use crate::expr::value::Value as Constant;
use crate::model::code;
use crate::model::name;
use crate::workflow::authored::author::Author;
use crate::workflow::site::{Place, StepSites};
use crate::workflow::verb::Verb;

/// `emit`, with its `data`.
pub(super) fn emit(
    author: &mut Author,
    node: &Node,
    table: &mut Table<'_>,
    inside: Place,
    sites: &mut StepSites,
) -> Option<Verb> {
    let event = event(author, node, &table.path("emit"));
    let data = table.take("data").map(|node| author.template(node, inside, &mut sites.uses));
    Some(Verb::Emit { event: event?, data: data.unwrap_or_else(|| Template::Value(Constant::null())) })
}

/// `await`, with its `where`.
pub(super) fn wait(author: &mut Author, node: &Node, table: &mut Table<'_>, sites: &mut StepSites) -> Option<Verb> {
    let event = event(author, node, &table.path("await"));
    let what = table.path("where");
    let filter = table.take("where").and_then(|node| author.condition(node, &what, Place::Event, &mut sites.uses));
    Some(Verb::Await { event: event?, filter })
}

/// The name of an event.
fn event(author: &mut Author, node: &Node, what: &str) -> Option<Arc<str>> {
    let text = author.reader.text(node, what)?;
    if !name::is_event_name(&text) {
        let problem =
            author.reader.error(code::WRONG_VALUE, node.span.clone(), format!("`{text}` cannot name an event"));
        problem.label = Some("letters, digits, `_`, `-` and `.`, a letter first".to_owned());
        problem.help =
            Some("for example `order.shipped`; what differs from time to time belongs into `data`".to_owned());
        return None;
    }
    Some(text.into())
}
