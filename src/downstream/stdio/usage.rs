//! What a child and everything that it has started use of the machine.

use std::collections::HashSet;

/// What the processes of one child use together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Memory that is really there, in bytes. What processes share counts for each of them.
    pub(super) memory: u64,
    /// How many there are.
    pub(super) processes: usize,
}

/// One process, as the system tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    id: u32,
    parent: u32,
    group: u32,
    pages: u64,
}

/// What the group that `leader` started uses, and what descends from it.
#[cfg(target_os = "linux")]
pub(super) fn usage(leader: u32) -> Usage {
    let Ok(folder) = std::fs::read_dir("/proc") else { return Usage::default() };
    let processes = folder.flatten().filter_map(|process| {
        let id = process.file_name().to_str()?.parse().ok()?;
        parse(id, &std::fs::read_to_string(process.path().join("stat")).ok()?)
    });
    total(&processes.collect::<Vec<_>>(), leader, rustix::param::page_size() as u64)
}

/// Nothing that could be known without `/proc`.
#[cfg(not(target_os = "linux"))]
pub(super) fn usage(_leader: u32) -> Usage {
    Usage::default()
}

/// Reads `/proc/ID/stat` (proc(5)); `None` of a process that has ended.
fn parse(id: u32, stat: &str) -> Option<Process> {
    // The name of the program stands in brackets and may itself have brackets and blanks.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let pages = fields.nth(18)?.parse().ok()?;
    Some(Process { id, parent, group, pages })
}

fn total(processes: &[Process], leader: u32, page: u64) -> Usage {
    let mut ours: HashSet<u32> =
        processes.iter().filter(|process| process.group == leader).map(|process| process.id).collect();
    loop {
        let before = ours.len();
        ours.extend(
            processes
                .iter()
                .filter(|process| ours.contains(&process.parent))
                .map(|process| process.id)
                .collect::<Vec<_>>(),
        );
        if ours.len() == before {
            break;
        }
    }
    let all = processes.iter().filter(|process| ours.contains(&process.id));
    Usage { memory: all.map(|process| process.pages * page).sum(), processes: ours.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_may_look_like_anything() {
        let stat = "42 (a) Z (b c) S 7 40 40 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 99 123456 250 18446744073709551615";
        assert_eq!(parse(42, stat), Some(Process { id: 42, parent: 7, group: 40, pages: 250 }));
        assert_eq!(parse(42, "42 (gone) Z 7 40 40 0 -1"), None);
        assert_eq!(parse(42, "nonsense"), None);
    }

    #[test]
    fn descendants_count_wherever_they_have_gone() {
        let process = |id, parent, group| Process { id, parent, group, pages: 10 };
        let all = [process(1, 0, 1), process(52, 51, 52), process(50, 1, 50), process(51, 50, 50), process(60, 1, 60)];
        assert_eq!(total(&all, 50, 4096), Usage { memory: 3 * 10 * 4096, processes: 3 });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_very_process_is_seen() {
        let group = rustix::process::getpgrp().as_raw_nonzero().get();
        let usage = usage(group.try_into().expect("a process id"));
        assert!(usage.processes >= 1 && usage.memory > 1_000_000, "{usage:?}");
    }
}
