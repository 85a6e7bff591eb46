//! What a command leaves behind: runs that nobody waits for, and those that were open before it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use crate::app::run::App;
use crate::cli::serve::asked_to_stop;
use crate::cli::terminal::Terminal;
use crate::journal::entry::Stored;
use crate::journal::reader::Reader;
use crate::model::principal::Principal;

/// How often is looked whether a run is stored, or over.
const LOOK: Duration = Duration::from_millis(100);

/// The runs that were open in a folder when the command began.
pub struct Before {
    folder: PathBuf,
    ids: HashSet<String>,
}

impl Before {
    /// Those that are open in `folder` now.
    pub fn of(folder: PathBuf) -> Self {
        let ids = open(&folder).into_iter().map(|stored| stored.opening.run).collect();
        Self { folder, ids }
    }

    /// Says which runs are left by the command, which is over.
    pub fn note(&self, terminal: Terminal) {
        let (old, new): (Vec<_>, Vec<_>) =
            open(&self.folder).into_iter().partition(|run| self.ids.contains(&run.opening.run));
        // What else is new was waited for, and has said how it goes on.
        for left in new.iter().filter(|run| run.opening.terms["detached"] == true) {
            let (run, workflow) = (&left.opening.run, &left.opening.workflow);
            terminal.note(&format!(
            "run {run} of `{workflow}`, which nobody waits for, is not over; it is stored: `runs resume {run}` goes on with it, or `serve`"
        ));
        }
        if !old.is_empty() {
            let (runs, them) = match old.len() {
                1 => ("1 run is".to_owned(), "it"),
                count => (format!("{count} runs are"), "them"),
            };
            terminal.note(&format!("{runs} left from before: `serve` goes on with {them}, or `runs resume`"));
        }
    }
}

fn open(folder: &Path) -> Vec<Stored> {
    let read = |reader: Reader| {
        let mut open = reader.open_runs()?;
        open.extend(reader.left_open()?);
        Ok(open)
    };
    // Where nothing was ever stored there is no journal, and nothing to tell.
    Reader::open(folder).and_then(read).unwrap_or_default()
}

/// Waits for the runs that were begun along with one that is over and that are stored nowhere: they would be lost. False if a signal
/// comes first.
pub async fn stay(app: &App, terminal: Terminal) -> bool {
    if app.is_carried_elsewhere() {
        return true;
    }
    let caller = Principal::new("cli");
    let mut told = HashSet::new();
    let waiting = async {
        loop {
            let mut going = app.gateway().runs_of(&caller);
            going.retain(|handle| !app.gateway().is_kept(&handle.run_id));
            let Some(handle) = going.first() else { return };
            // What is stored without a wait is so in a moment.
            let was_there = tokio::time::timeout(LOOK, handle.ended()).await.is_ok();
            if !was_there && !app.gateway().is_kept(&handle.run_id) && told.insert(handle.run_id.clone()) {
                let (run, workflow) = (&handle.run_id, &handle.workflow);
                terminal.note(&format!("run {run} of `{workflow}` goes on and is stored nowhere: waiting for its end"));
            }
            if was_there {
                sleep(LOOK).await;
            }
        }
    };
    tokio::select! {
        () = waiting => true,
        () = asked_to_stop(|| {}) => false,
    }
}
