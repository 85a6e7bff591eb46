//! `join`: how many branches of `parallel` must succeed.

use crate::document::node::{Node, Value};
use crate::document::table::Table;
use crate::model::code;
use crate::workflow::authored::author::Author;
use crate::workflow::verb::Join;

/// The `join` of a step with so many branches; none of any other step.
pub(super) fn read(author: &mut Author, table: &mut Table<'_>, branches: usize) -> Join {
    let all = Join { quorum: branches, tolerates: 0, within: None, cancels_rest: true };
    let any = Join { quorum: 1, tolerates: branches.saturating_sub(1), ..all };
    let first = Join { quorum: 1, ..all };
    let what = table.path("join");
    let Some(node) = table.take("join") else { return all };
    match &node.value {
        Value::Table(_) => quorum(author, node, &what, all),
        _ => author.reader.word(node, &what, &[("all", all), ("any", any), ("first", first)]).unwrap_or(all),
    }
}

/// Reports a `join` beside another verb.
pub(super) fn refuse(author: &mut Author, table: &mut Table<'_>, verb: &str) {
    let span = table.key_span("join");
    if let (Some(_), Some(span)) = (table.take("join"), span) {
        author.reader.error(code::UNKNOWN_KEY, span, format!("`join` means nothing beside `{verb}`")).help =
            Some("it says how the branches of a `parallel` come together".to_owned());
    }
}

fn quorum(author: &mut Author, node: &Node, what: &str, all: Join) -> Join {
    let Some(mut table) = author.reader.table(node, what) else { return all };
    let most = u64::try_from(all.quorum.max(1)).unwrap_or(u64::MAX);
    let quorum = table.require(&mut author.reader, "quorum");
    let quorum = quorum.and_then(|node| author.reader.integer(node, &format!("{what}.quorum"), 1..=most));
    let quorum = quorum.and_then(|number| usize::try_from(number).ok()).unwrap_or(all.quorum);
    let within = table.take("within").and_then(|node| author.reader.duration(node, &format!("{what}.within")));
    let rest = table.take("cancel_rest");
    let rest = rest.and_then(|node| author.reader.boolean(node, &format!("{what}.cancel_rest")));
    table.finish(&mut author.reader);
    Join { quorum, tolerates: all.quorum.saturating_sub(quorum), within, cancels_rest: rest.unwrap_or(true) }
}
