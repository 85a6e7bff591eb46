//! `runs` where they are carried elsewhere than in one process of this machine.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::cli::archive;
use crate::cli::args::runs::Runs;
use crate::cli::exit::Exit;
use crate::cli::runs::{Refusal, list, wish};
use crate::cli::terminal::Terminal;
use crate::gateway::beyond::grant;
use crate::journal::entry::Stored;
use crate::journal::reader::Reader;
use crate::model::fault::Fault;
use crate::runner::backend::Backend;
use crate::runner::report::so_far;

/// How often is looked whether something has happened.
const LOOK: Duration = Duration::from_millis(300);

/// Does what needs no server.
pub async fn runs(backend: &Arc<dyn Backend>, what: Runs, terminal: Terminal) -> Exit {
    act(backend, what, terminal).await.map_or_else(
        |(why, exit)| {
            terminal.error(&why);
            exit
        },
        |()| Exit::Ok,
    )
}

/// Whether the command needs what begins runs.
pub fn needs_servers(what: &Runs) -> bool {
    matches!(what, Runs::Retry { .. })
}

/// Says that there is nobody who could be told which level holds.
pub fn level(terminal: Terminal) -> Exit {
    terminal.error(
        "the runs are carried by Restate, and no program that serves is reached by way of its files\n\
         hint: call the tool `set_level` of each orchestrator, as each has a level of its own",
    );
    Exit::Usage
}

/// Says that runs are left where this program does not go on with them.
pub fn note_left(folder: &Path, terminal: Terminal) {
    let open = Reader::open(folder).and_then(|reader| reader.open_runs()).map_or(0, |open| open.len());
    if open > 0 {
        let runs = if open == 1 {
            "1 run of the embedded journal is".to_owned()
        } else {
            format!("{open} runs of the embedded journal are")
        };
        terminal.note(&format!("{runs} open in {}; they go on when `backend` is \"embedded\" again", folder.display()));
    }
}

async fn act(backend: &Arc<dyn Backend>, what: Runs, terminal: Terminal) -> Result<(), Refusal> {
    if let Some((run, wish)) = wish(&what)? {
        grant(backend, &run, wish).await.map_err(refusal)?;
        terminal.note("the run has been told");
        return Ok(());
    }
    match what {
        Runs::List { limit } => {
            let count = u32::try_from(limit).unwrap_or(u32::MAX);
            list(&backend.last(count).await.map_err(refusal)?, terminal);
        }
        Runs::Show { run } => {
            let stored = find(backend, &run).await?;
            let mut all = stored.to_json();
            if !stored.is_over() {
                so_far(&mut all, &stored, &backend.events(&run).await.map_err(refusal)?);
            }
            terminal.data(&format!("{all:#}"));
        }
        Runs::Export { run } => {
            let stored = find(backend, &run).await?;
            let events = backend.events(&run).await.map_err(refusal)?;
            archive::write(stored, &events, terminal);
        }
        Runs::Follow { run } => follow(backend, &run, terminal).await?,
        Runs::Query { .. } | Runs::Import { .. } => {
            let why = "the runs are carried by Restate, and this is a command for the journal of one process\n\
                       hint: `restate sql`, or `runs export`";
            return Err((why.to_owned(), Exit::Usage));
        }
        Runs::Prune { .. } => terminal.note("Restate deletes runs itself, `keep_runs` after their end"),
        _ => terminal.note("runs that are carried by Restate go on by themselves"),
    }
    Ok(())
}

async fn find(backend: &Arc<dyn Backend>, run: &str) -> Result<Stored, Refusal> {
    let found = backend.run(run).await.map_err(refusal)?;
    found.ok_or_else(|| (format!("Restate has no run `{run}`\nhint: `runs list` shows the last"), Exit::Failed))
}

async fn follow(backend: &Arc<dyn Backend>, run: &str, terminal: Terminal) -> Result<(), Refusal> {
    let mut written = 0;
    loop {
        // First how it stands: what has happened until then is written after that.
        let stored = find(backend, run).await?;
        let events = backend.events(run).await.map_err(refusal)?;
        for event in events.iter().skip(written) {
            terminal.data(&serde_json::to_string(event).unwrap_or_default());
        }
        written = events.len();
        if stored.is_over() || matches!(stored.standing.status.as_str(), "waiting" | "paused") {
            terminal.note(&format!("{run} {}", stored.standing.status));
            return Ok(());
        }
        sleep(LOOK).await;
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what an error is mapped by")]
fn refusal(fault: Fault) -> Refusal {
    (fault.to_string(), Exit::of(&fault))
}
