//! `runs export` and `runs import`: runs as lines that can be kept elsewhere and looked at again.

use std::collections::HashSet;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cli::exit::Exit;
use crate::cli::runs::{Refusal, unreadable};
use crate::cli::terminal::Terminal;
use crate::engine::event::Event;
use crate::journal::entry::{Entry, Line, Opening, Standing, Stored};
use crate::journal::reader::Reader;
use crate::journal::retention::Retention;
use crate::journal::writer::Journal;
use crate::runner::effects::now;

/// The form of the lines; a later one is not read.
const VERSION: u32 = 1;

/// The line that a run begins with; its events follow.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    journal: u32,
    run: Opening,
    status: String,
    ended: Option<u64>,
    report: Option<Value>,
}

/// Writes a run and those that are part of it.
pub(super) fn export(reader: &Reader, stored: Stored, terminal: Terminal) -> Result<(), Refusal> {
    let children = reader.children(&stored.opening.run).map_err(|why| unreadable(&why))?;
    for stored in [vec![stored], children].concat() {
        let events = reader.events(&stored.opening.run, 0).map_err(|why| unreadable(&why))?;
        write(stored, &events, terminal);
    }
    Ok(())
}

/// Writes one run.
pub(super) fn write(Stored { opening, standing }: Stored, events: &[Event], terminal: Terminal) {
    let Standing { status, ended, report } = standing;
    let head = Head { journal: VERSION, run: opening, status, ended, report };
    terminal.data(&serde_json::to_string(&head).unwrap_or_default());
    for event in events {
        terminal.data(&serde_json::to_string(event).unwrap_or_default());
    }
}

/// Stores the runs of a file: none of them if anything is wrong with it, or if one of them is here.
pub(super) async fn import(folder: &Path, file: &Path, terminal: Terminal) -> Exit {
    match stored(folder, file).await {
        Ok(count) => {
            terminal.note(&format!("{count} runs stored"));
            Exit::Ok
        }
        Err((why, exit)) => {
            terminal.error(&why);
            exit
        }
    }
}

async fn stored(folder: &Path, file: &Path) -> Result<usize, Refusal> {
    let text = std::fs::read_to_string(file)
        .map_err(|why| (format!("`{}` cannot be read: {why}", file.display()), Exit::Usage))?;
    let entries = read(&text).map_err(|why| (format!("{}:{why}", file.display()), Exit::Usage))?;
    // What is there already is not touched, however old it is.
    let all = Retention { age: std::time::Duration::MAX, count: u64::MAX };
    let journal = Journal::open(folder, all, now()).map_err(|why| {
        let hint = "an import needs the data directory for itself: end that process, or name another by --data-dir";
        (format!("nothing was stored: {why}\nhint: {hint}"), Exit::Failed)
    })?;
    let reader = journal.reader().map_err(|why| unreadable(&why))?;
    for entry in &entries {
        if reader.run(&entry.run).map_err(|why| unreadable(&why))?.is_some() {
            return Err((format!("nothing was stored: run `{}` is here already", entry.run), Exit::Failed));
        }
    }
    let count = entries.len();
    let stored = journal.append_all(entries).await;
    stored.map_err(|why| (format!("nothing was stored: {why}"), Exit::Unexpected))?;
    Ok(count)
}

/// The runs of a text; the error names the line.
fn read(text: &str) -> Result<Vec<Entry>, String> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut seen = HashSet::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |why: serde_json::Error| format!("{number}: this is no line of an export: {why}");
        let line: Value = serde_json::from_str(line).map_err(wrong)?;
        if line.get("journal").is_none() {
            let event: Event = serde_json::from_value(line).map_err(wrong)?;
            let entry = entries.last_mut().ok_or_else(|| format!("{number}: it does not begin with a run"))?;
            entry.events.push(Line::from(&event));
            continue;
        }
        let Head { journal, run, status, ended, report } = serde_json::from_value(line).map_err(wrong)?;
        if journal != VERSION {
            return Err(format!("{number}: it is of a later version of the program"));
        }
        if ended.is_none() {
            // Two would go on with it.
            return Err(format!("{number}: run `{}` has not ended; it goes on where it was begun", run.run));
        }
        if !seen.insert(run.run.clone()) {
            return Err(format!("{number}: run `{}` is in the file twice; nothing was stored", run.run));
        }
        let standing = Some(Standing { status, ended, report });
        entries.push(Entry { run: run.run.clone(), opening: Some(run.into()), standing, ..Entry::default() });
    }
    Ok(entries)
}
