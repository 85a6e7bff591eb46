//! Reads which tool does many calls of another in one.

use std::time::Duration;

use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::registry::settings::{duration, text, whole};

/// How many small calls of one tool become one call of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The tool of the same server that takes many.
    pub tool: String,
    /// The argument of the small call that differs from call to call.
    pub argument: String,
    /// The argument of the large call that takes them all, as a list.
    pub into: String,
    /// Which member of the large result is the list of results; the result itself, or its `result`, if not given.
    pub results: Option<String>,
    /// Which member of each result repeats the argument; results come in the order of the arguments if not given.
    pub key: Option<String>,
    /// For how long calls are gathered.
    pub window: Duration,
    /// So many are made at once, without waiting for more.
    pub max: usize,
}

/// The `batch` of `table`.
pub(super) fn batch(reader: &mut Reader, table: &mut Table<'_>) -> Option<Batch> {
    let node = table.take("batch")?;
    let mut table = reader.table(node, &table.path("batch"))?;
    let mut named = |key| {
        let node = table.require(reader, key)?;
        reader.text(node, &table.path(key))
    };
    let (tool, argument, into) = (named("tool"), named("argument"), named("into"));
    let results = text(reader, &mut table, "results");
    let key = text(reader, &mut table, "key");
    let windows = Duration::from_millis(1)..=Duration::from_secs(1);
    let window = duration(reader, &mut table, "window", windows).unwrap_or(Duration::from_millis(5));
    let max = whole(reader, &mut table, "max", 2..=1_000).unwrap_or(50);
    table.finish(reader);
    Some(Batch { tool: tool?, argument: argument?, into: into?, results, key, window, max })
}
