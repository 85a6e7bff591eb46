//! Several instances of one server: how many, where, and which first.

use std::time::Duration;

use crate::document::node::{Node, Value};
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::model::code;
use crate::registry::dialect::Dialect;
use crate::registry::launch;
use crate::registry::server::{Address, Launch};
use crate::registry::settings::{duration, whole};

/// The most instances that one server may have.
const MOST: u64 = 64;

/// The largest weight.
const MOST_WEIGHT: u64 = 1_000_000;

/// How many instances a server has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replicas {
    /// So many are always there, at least one.
    pub min: usize,
    /// There are never more.
    pub max: usize,
    /// So many more than are needed are kept ready, within `max`.
    pub warm: usize,
    /// One that has not been needed for so long is stopped, down to `min`.
    pub down_after: Duration,
    /// Whether a host keeps the instance that it has called first.
    pub sticky: bool,
    /// The first instance's share of the calls of its tier.
    pub weight: u32,
    /// Instances that are reached in another way than the first.
    pub others: Vec<Other>,
}

/// An instance that is reached in another way than the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// How it is reached.
    pub launch: Launch,
    /// Lower tiers are used first; that of the first instance is 0.
    pub tier: u32,
    /// Its share of the calls of its tier.
    pub weight: u32,
}

impl Default for Replicas {
    fn default() -> Self {
        Self {
            min: 1,
            max: 1,
            warm: 0,
            down_after: Duration::from_secs(30),
            sticky: false,
            weight: 1,
            others: Vec::new(),
        }
    }
}

impl Replicas {
    /// Whether their number changes with what there is to do.
    pub fn is_elastic(&self) -> bool {
        self.min < self.max
    }
}

/// Reads what `table`, which describes a server reached by `first`, says of its replicas.
pub(super) fn read(reader: &mut Reader, table: &mut Table<'_>, dialect: Dialect, first: Option<&Launch>) -> Replicas {
    let weight_span = table.key_span("weight");
    let weight = weight(reader, table);
    let node = table.take("replicas");
    if let Some(span) = weight_span
        && !node.is_some_and(|node| matches!(node.value, Value::List(_)))
    {
        reader.warning(
            code::NO_EFFECT,
            span,
            "a `weight` has no effect without a list of `replicas` to share calls with",
        );
    }
    let Some(node) = node else { return Replicas::default() };
    let what = table.path("replicas");
    match &node.value {
        Value::Table(_) => bounds(reader, node, &what),
        Value::List(items) => {
            let others: Vec<_> = items.iter().filter_map(|item| other(reader, item, &what, dialect, first)).collect();
            let count = others.len() + 1;
            if items.len() as u64 >= MOST {
                reader.error(code::TOO_LARGE, node.span.clone(), format!("`{what}` has more than {} items", MOST - 1));
            }
            Replicas { min: count, max: count, weight, others, ..Replicas::default() }
        }
        _ => {
            let count = reader.integer(node, &what, 1..=MOST).and_then(|count| usize::try_from(count).ok());
            let count = count.unwrap_or(1);
            Replicas { min: count, max: count, ..Replicas::default() }
        }
    }
}

/// The share of the calls of its tier that an instance gets.
fn weight(reader: &mut Reader, table: &mut Table<'_>) -> u32 {
    whole(reader, table, "weight", 0..=MOST_WEIGHT).unwrap_or(1)
}

fn bounds(reader: &mut Reader, node: &Node, what: &str) -> Replicas {
    let mut replicas = Replicas::default();
    let Some(mut table) = reader.table(node, what) else { return replicas };
    replicas.min = whole(reader, &mut table, "min", 1..=MOST).unwrap_or(1);
    replicas.max = whole(reader, &mut table, "max", 1..=MOST).unwrap_or(replicas.min);
    replicas.warm = whole(reader, &mut table, "warm", 0..=MOST).unwrap_or(0);
    let times = Duration::from_millis(100)..=Duration::from_hours(24);
    replicas.down_after = duration(reader, &mut table, "down_after", times).unwrap_or(replicas.down_after);
    if replicas.min > replicas.max {
        let span = table.key_span("min").unwrap_or_else(|| table.span());
        reader.error(code::CONFLICT, span, format!("`{what}.min` is above `{what}.max`")).help =
            Some("raise `max` or lower `min`".to_owned());
        replicas.max = replicas.min;
    }
    table.finish(reader);
    replicas
}

fn other(reader: &mut Reader, node: &Node, what: &str, dialect: Dialect, first: Option<&Launch>) -> Option<Other> {
    let mut table = reader.table(node, what)?;
    let launch = launch::launch(reader, &mut table, dialect);
    let tier = whole(reader, &mut table, "priority", 0..=1_000).unwrap_or(0);
    let weight = weight(reader, &mut table);
    table.finish(reader);
    let launch = match (launch?, first) {
        // What one instance is sent, the others are sent, too, unless they have their own.
        (Launch::Url(one), Some(Launch::Url(first))) => Launch::Url(Address {
            headers: if one.headers.is_empty() { first.headers.clone() } else { one.headers },
            transport: one.transport.or(first.transport),
            oauth: one.oauth.or_else(|| first.oauth.clone()),
            url: one.url,
        }),
        (launch, _) => launch,
    };
    Some(Other { launch, tier, weight })
}

#[cfg(test)]
mod tests;
