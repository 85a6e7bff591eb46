//! Reads how often a server or a tool may be called.

use std::time::Duration;

use crate::document::duration::parse_duration;
use crate::document::node::{Node, Value};
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::model::code;
use crate::policy::rate::Rate;
use crate::registry::settings::{whole, word};

/// The longest time that calls are counted in.
const LONGEST: Duration = Duration::from_hours(24);

/// The `rate_limit` of `table`: `"100/1m"`, or a table with a `burst` and `per` beside that.
pub(super) fn rate_limit(reader: &mut Reader, table: &mut Table<'_>) -> Option<Rate> {
    let node = table.take("rate_limit")?;
    let what = table.path("rate_limit");
    if !matches!(node.value, Value::Table(_)) {
        return rate(reader, node, &what);
    }
    let mut table = reader.table(node, &what)?;
    let limit = table.require(reader, "limit").and_then(|node| rate(reader, node, &table.path("limit")));
    let burst = whole(reader, &mut table, "burst", 0..=1_000_000).unwrap_or(0);
    let per_caller = word(reader, &mut table, "per", &[("server", false), ("caller", true)]).unwrap_or(false);
    table.finish(reader);
    limit.map(|rate| Rate { burst, per_caller, ..rate })
}

fn rate(reader: &mut Reader, node: &Node, what: &str) -> Option<Rate> {
    let text = reader.text(node, what)?;
    let rate = Rate::parse(&text, parse_duration).filter(|rate| rate.calls <= 1_000_000 && rate.per <= LONGEST);
    if rate.is_none() {
        reader.error(code::WRONG_VALUE, node.span.clone(), format!("`{what}` is no rate")).help =
            Some("write calls and time, at most 24 hours, for example `100/1m`".to_owned());
    }
    rate
}
