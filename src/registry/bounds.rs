//! What the processes of one server may use of the machine.

use std::time::Duration;

use crate::document::node::Node;
use crate::document::reader::Reader;
use crate::registry::settings::{duration, set, whole};

/// The least memory that is of any use to a process, and the most that is likely to be meant.
const MEMORY: std::ops::RangeInclusive<u64> = 8_000_000..=1_000_000_000_000;

/// The system counts processor time in whole seconds.
const CPU_TIME: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24 * 30);

/// What the processes of a server may use; without bounds where nothing is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Memory of all of them together, in bytes.
    pub memory: Option<u64>,
    /// Processor time of each.
    pub cpu_time: Option<Duration>,
    /// Files that each may have open.
    pub files: Option<u64>,
    /// How many there may be.
    pub processes: Option<usize>,
}

impl Bounds {
    /// Whether it has to be looked now and then what the processes use.
    pub fn are_watched(&self) -> bool {
        self.memory.is_some() || self.processes.is_some()
    }

    /// These bounds, with what stands at `node` in place of what they say.
    pub(super) fn refine(&mut self, reader: &mut Reader, node: &Node, what: &str) {
        let Some(mut table) = reader.table(node, what) else { return };
        let memory = table.take("memory");
        let memory = memory.and_then(|node| reader.size(node, &table.path("memory"), MEMORY));
        set(&mut self.memory, memory.map(Some));
        set(&mut self.cpu_time, duration(reader, &mut table, "cpu_time", CPU_TIME).map(Some));
        set(&mut self.files, whole(reader, &mut table, "files", 16..=1_000_000).map(Some));
        set(&mut self.processes, whole(reader, &mut table, "processes", 1..=100_000).map(Some));
        table.finish(reader);
    }
}
