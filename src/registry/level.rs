//! What goes on while servers are missing that much depends on.

use std::time::Duration;

use crate::document::node::Node;
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::policy::level::{Level, Settings};
use crate::registry::patterns::{Patterns, patterns};
use crate::registry::settings::{duration, whole};

/// The table `[levels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Levels {
    /// When which level is entered and left.
    pub settings: Settings,
    reduced: Kept,
    minimal: Kept,
}

/// What a level keeps. What a list does not restrict is kept whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    servers: Option<Patterns>,
    workflows: Option<Patterns>,
}

impl Levels {
    /// Whether calls of `server` go on at `level`.
    pub fn keeps_server(&self, level: Level, server: &str) -> bool {
        let kept = self.kept(level).and_then(|kept| kept.servers.as_ref());
        kept.is_none_or(|servers| servers.matches(server))
    }

    /// Whether runs of `workflow` are begun at `level`.
    pub fn keeps_workflow(&self, level: Level, workflow: &str) -> bool {
        let kept = self.kept(level).and_then(|kept| kept.workflows.as_ref());
        kept.is_none_or(|workflows| workflows.matches(workflow))
    }

    /// What `level` keeps, as it is written; nothing at the level that keeps all.
    pub fn kept(&self, level: Level) -> Option<&Kept> {
        match level {
            Level::Normal => None,
            Level::Reduced => Some(&self.reduced),
            Level::Minimal => Some(&self.minimal),
        }
    }
}

impl Kept {
    /// The patterns of servers, as they are written; `None` if all are kept.
    pub fn servers(&self) -> Option<&[String]> {
        self.servers.as_ref().map(Patterns::written)
    }

    /// The patterns of workflows, as they are written; `None` if all are kept.
    pub fn workflows(&self) -> Option<&[String]> {
        self.workflows.as_ref().map(Patterns::written)
    }
}

/// Reads the table `[levels]`; that of a later file replaces that of an earlier one.
pub(super) fn read(reader: &mut Reader, node: &Node) -> Option<Levels> {
    let found = reader.problems.len();
    let mut table = reader.table(node, "levels")?;
    let times = Duration::ZERO..=Duration::from_hours(24);
    let enter_after = duration(reader, &mut table, "enter_after", times.clone()).unwrap_or(Duration::from_secs(5));
    let leave_after = duration(reader, &mut table, "leave_after", times).unwrap_or(Duration::from_secs(30));
    let (reduced, reduced_at) = level(reader, &mut table, "reduced", 1);
    let (minimal, minimal_at) = level(reader, &mut table, "minimal", 2);
    table.finish(reader);
    let settings = Settings { reduced_at, minimal_at, enter_after, leave_after };
    // One that is not what its author meant may shut out too much.
    (!reader.failed_since(found)).then_some(Levels { settings, reduced, minimal })
}

/// What a level keeps, and how many servers must be missing; none are enough if it is not given.
fn level(reader: &mut Reader, table: &mut Table<'_>, key: &'static str, usual: u32) -> (Kept, Option<u32>) {
    let what = table.path(key);
    let Some(mut level) = table.take(key).and_then(|node| reader.table(node, &what)) else {
        return (Kept::default(), None);
    };
    let kept =
        Kept { servers: patterns(reader, &mut level, "servers"), workflows: patterns(reader, &mut level, "workflows") };
    let missing = whole(reader, &mut level, "missing", 1..=10_000).unwrap_or(usual);
    level.finish(reader);
    (kept, Some(missing))
}
