//! Reads when one answer of a tool serves several calls: kept, or shared by those that are made at once.

use std::time::Duration;

use crate::document::node::{Node, Value};
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::model::code;
use crate::model::effect::Effect;
use crate::model::problem::Span;
use crate::policy::keeping::Keeping;
use crate::registry::settings::{duration, word};

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_hours(24 * 30);

/// The `cache` of `table`: for how long, or a table that says more.
pub(super) fn cache(reader: &mut Reader, table: &mut Table<'_>) -> Option<Keeping> {
    let node = table.take("cache")?;
    let what = table.path("cache");
    let never = Duration::ZERO;
    let keeping = |ttl| Keeping { ttl, is_shared: false, stale_if_error: never, stale_while_revalidate: never };
    if !matches!(node.value, Value::Table(_)) {
        return reader.duration_within(node, &what, SHORTEST..=LONGEST).map(keeping);
    }
    refined(reader, node, &what, keeping)
}

fn refined(reader: &mut Reader, node: &Node, what: &str, keeping: impl Fn(Duration) -> Keeping) -> Option<Keeping> {
    let mut table = reader.table(node, what)?;
    let ttl = table.require(reader, "ttl");
    let ttl = ttl.and_then(|node| reader.duration_within(node, &table.path("ttl"), SHORTEST..=LONGEST));
    let is_shared = word(reader, &mut table, "scope", &[("caller", false), ("shared", true)]).unwrap_or(false);
    let any = Duration::ZERO..=LONGEST;
    let stale_if_error = duration(reader, &mut table, "stale_if_error", any.clone()).unwrap_or_default();
    let stale_while_revalidate = duration(reader, &mut table, "stale_while_revalidate", any).unwrap_or_default();
    table.finish(reader);
    ttl.map(|ttl| Keeping { is_shared, stale_if_error, stale_while_revalidate, ..keeping(ttl) })
}

/// Refuses what is for tools that only read, where the file says that this one does more.
pub(super) fn refuse_for_writes(reader: &mut Reader, effect: Option<Effect>, keys: &[(&str, Option<Span>)]) {
    let Some(effect) = effect.filter(|effect| !effect.is_read()) else { return };
    for (key, span) in keys {
        let Some(span) = span.clone() else { continue };
        let message = format!("`{key}` is for tools that only read, and this one is `{}`", effect.as_str());
        reader.error(code::CONFLICT, span, message).help =
            Some(format!("remove `{key}`, or write `effect = \"read\"` if it changes nothing"));
    }
}
