//! What is stored of the runs, as a stranger reads it from a copy of the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mcp_orchestrator::engine::event::{Called, Decision, Event, What};
use mcp_orchestrator::journal::entry::Stored;
use mcp_orchestrator::journal::reader::Reader;

/// A run with its events.
pub(super) struct Kept {
    pub(super) run: Stored,
    pub(super) events: Vec<Event>,
}

/// Every run in `folder`. The files themselves are left as the death of the program has left them.
pub(super) fn read(folder: &Path) -> BTreeMap<String, Kept> {
    let copy = tempfile::tempdir().expect("a folder");
    for part in ["journal.sqlite", "journal.sqlite-wal"] {
        // There may be no journal yet.
        let _ = fs::copy(folder.join(part), copy.path().join(part));
    }
    let Ok(reader) = Reader::open(copy.path()) else { return BTreeMap::new() };
    let Ok(all) = reader.last(100_000) else { return BTreeMap::new() };
    let kept = all.into_iter().map(|run| {
        let id = run.opening.run.clone();
        let events = reader.events(&id, 0).unwrap_or_else(|why| panic!("the events of {id}: {why}"));
        (id, Kept { run, events })
    });
    kept.collect()
}

impl Kept {
    /// How often the answer of each call is stored, by address and attempt.
    pub(super) fn answers(&self) -> BTreeMap<(&str, u32), usize> {
        let mut all = BTreeMap::new();
        for event in &self.events {
            if let What::Called { at, attempt, .. } = &event.what {
                *all.entry((at.as_str(), *attempt)).or_default() += 1;
            }
        }
        all
    }

    /// The addresses of the calls that have succeeded.
    pub(super) fn successes(&self) -> impl Iterator<Item = &str> {
        self.events.iter().filter_map(|event| match &event.what {
            What::Called { at, outcome: Called::Result(result), .. } if result["isError"] != true => Some(at.as_str()),
            _ => None,
        })
    }

    /// How often it is stored that this call was to be made.
    pub(super) fn intentions(&self, place: &str) -> usize {
        self.events.iter().filter(|event| matches!(&event.what, What::Intended { at, .. } if at == place)).count()
    }

    /// What was decided about this call, in order.
    pub(super) fn decisions(&self, place: &str) -> Vec<&Decision> {
        let decided = self.events.iter().filter_map(|event| match &event.what {
            What::Decided { at, decision, .. } if at == place => Some(decision),
            _ => None,
        });
        decided.collect()
    }

    /// The calls that were to be made once and that nothing more is known of.
    pub(super) fn doubts(&self) -> Vec<(String, u32)> {
        let mut open = Vec::new();
        for event in &self.events {
            match &event.what {
                What::Intended { at, attempt } => open.push((at.clone(), *attempt)),
                What::Called { at, attempt, .. } | What::Decided { at, attempt, .. } => {
                    open.retain(|(place, number)| (place, number) != (at, attempt));
                }
                _ => {}
            }
        }
        open
    }
}
