//! `runs`: what can be done about runs that are stored.

use std::path::PathBuf;

use clap::Subcommand;

/// What to do about runs.
#[derive(Debug, Subcommand)]
pub enum Runs {
    /// List the last runs, the newest first.
    List {
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Show a run: how it stands, what it asks, what is in doubt, how it has ended.
    Show {
        /// The run.
        run: String,
    },
    /// Write a run and those that are part of it as JSON lines: what each began with, then what has happened to it.
    Export {
        /// The run.
        run: String,
    },
    /// Write what happens to a run as JSON lines, until it has ended or waits for somebody.
    Follow {
        /// The run.
        run: String,
    },
    /// End a run; what it has done is undone where its workflow says how.
    Cancel {
        /// The run.
        run: String,
    },
    /// Answer what a run asks.
    Answer {
        /// The run.
        run: String,
        /// The answer: `yes`, `no`, or a JSON object.
        answer: String,
        /// The step that asks, if several do.
        #[arg(long)]
        step: Option<String>,
    },
    /// Say what has become of a call of a paused run that is in doubt.
    Decide {
        /// The run.
        run: String,
        /// `retry`, `fail`, or the result of the call as JSON: it happened.
        decision: String,
        /// The step that made the call, if several are in doubt.
        #[arg(long)]
        step: Option<String>,
    },
    /// Tell a run that something has happened that a step of it awaits.
    Signal {
        /// The run.
        run: String,
        /// The name of the event.
        event: String,
        /// What is known about it, as JSON.
        data: Option<String>,
    },
    /// Try a run again that has failed: as a new run, which takes over what was done and not undone.
    Retry {
        /// The run.
        run: String,
        /// Also do again what may have been done, nobody knows.
        #[arg(long)]
        again: bool,
    },
    /// Ask the journal by SQL; nothing can be changed. The tables are run, event, output, definition and mail.
    Query {
        /// The question: one `select`.
        sql: String,
        /// No more rows than this.
        #[arg(long, default_value_t = 1_000)]
        limit: usize,
    },
    /// Store runs that `export` has written, to look at them here. Those that are stored already are refused.
    Import {
        /// The file.
        file: PathBuf,
    },
    /// Go on with the runs that an earlier process has left, until they have ended or wait for somebody.
    Resume {
        /// Only this run.
        run: Option<String>,
    },
    /// Delete runs that have ended.
    Prune {
        /// Keep those that have ended within so many days.
        #[arg(long, value_name = "DAYS", default_value_t = 30)]
        days: u32,
        /// Keep no more than so many.
        #[arg(long, value_name = "COUNT", default_value_t = 10_000)]
        keep: u64,
    },
}
