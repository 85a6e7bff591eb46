//! What is stored of one run, and when: before anything is done that must not be done twice.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::engine::command::Command;
use crate::engine::event::{Event, Timestamp};
use crate::engine::run::Run;
use crate::journal::entry::{Emission, Entry, Line, Opening, Standing};
use crate::journal::writer::{Journal, NotStored};
use crate::model::durability::Durability;
use crate::runner::live::OpenQuestion;
use crate::runner::report::{Report, doubt_json};

/// Where a run is stored.
#[derive(Debug)]
pub struct Record {
    /// The journal; `None` if the run is not stored.
    pub journal: Option<Arc<Journal>>,
    /// How sure it must be.
    pub durability: Durability,
    /// What the run begins with, until that is stored.
    pub opening: Option<Arc<Opening>>,
    /// How many events are stored.
    pub stored: u64,
}

/// Stores one run.
pub(super) struct Recorder {
    run: String,
    record: Record,
    pending: Vec<Line>,
    /// What it tells the others, until that is stored.
    emissions: Vec<Emission>,
    /// How it was last said to stand; `None` if an earlier process has said it.
    told: Option<Standing>,
    /// When the last thing happened.
    latest: Option<Timestamp>,
    /// Whether it is to be stored as it goes on, be it only for those who look at it.
    is_kept: bool,
    /// Whether the last that was given could not be stored.
    is_failing: bool,
}

impl Recorder {
    pub(super) fn new(run: String, record: Record) -> Self {
        let is_kept = record.opening.is_none() || record.durability == Durability::Always;
        let running = || Standing { status: "running".to_owned(), ended: None, report: None };
        let told = record.opening.is_some().then(running);
        Self { run, record, pending: Vec::new(), emissions: Vec::new(), told, latest: None, is_kept, is_failing: false }
    }

    /// The event of this number had happened before the run was taken up; it may not have been stored.
    pub(super) fn recall(&mut self, number: u64, event: &Event) {
        self.latest = Some(event.now);
        if number >= self.record.stored {
            self.note(event);
        }
    }

    /// Something has happened.
    pub(super) fn note(&mut self, event: &Event) {
        self.latest = Some(event.now);
        if self.is_wanted() {
            self.pending.push(Line::from(event));
        }
    }

    /// The run is about to tell the others something: stored with what has led to it, it reaches whoever is taken up again
    /// without having heard it.
    pub(super) fn note_told(&mut self, commands: &[Command]) {
        let at = self.latest.unwrap_or_default();
        let told = commands.iter().filter_map(|command| match command {
            Command::Emit { at: step, event, data } => {
                let (id, event) = (emission_id(&self.run, step), Arc::clone(event));
                Some(Emission { id, event, data: data.clone(), at })
            }
            _ => None,
        });
        let told: Vec<_> = told.collect();
        if self.is_wanted() {
            self.emissions.extend(told);
        }
    }

    fn is_wanted(&self) -> bool {
        self.record.journal.is_some() && self.record.durability != Durability::None
    }

    /// Whether the run is stored, so that another process could take it up.
    pub(super) fn is_safe(&self) -> bool {
        self.is_wanted() && self.record.opening.is_none() && !self.is_failing
    }

    /// From now on the run goes on without anybody who waits for it.
    pub(super) fn is_left(&mut self) {
        self.is_kept = true;
    }

    /// Whether what has happened must be stored before `commands` are carried out. The end of a run, of which nobody knows yet,
    /// is stored with its report.
    pub(super) fn must_store(&mut self, run: &Run, commands: &[Command]) -> bool {
        let is_urgent = commands.iter().any(matters);
        self.is_kept |= is_urgent || run.waits_for_others();
        self.is_wanted() && self.is_kept && (is_urgent || run.outcome().is_none())
    }

    /// Stores what has happened. What cannot be stored now is tried again with what happens next.
    pub(super) async fn store(
        &mut self,
        run: &Run,
        open: &[OpenQuestion],
        end: Option<&Report>,
    ) -> Result<(), NotStored> {
        let Some(journal) = self.record.journal.clone().filter(|_| self.is_wanted()) else { return Ok(()) };
        let standing = match end {
            Some(report) => {
                // What led to the end may have been stored before the end is.
                Standing { status: report.status().to_owned(), ended: self.latest, report: Some(report.to_json()) }
            }
            None => standing(run, open),
        };
        let is_news = self.told.as_ref() != Some(&standing);
        let entry = Entry {
            run: self.run.clone(),
            opening: self.record.opening.clone(),
            first: self.record.stored,
            events: self.pending.clone(),
            emissions: self.emissions.clone(),
            standing: is_news.then(|| standing.clone()),
        };
        if !self.is_kept {
            // It has only read, so it may be lost, and nobody waits for the disk.
            journal.offer(entry);
            return Ok(());
        }
        let stored = journal.append(entry).await;
        match &stored {
            Ok(()) => {
                self.told = Some(standing);
                self.record.opening = None;
                self.record.stored += self.pending.len() as u64;
                self.pending.clear();
                self.emissions.clear();
                self.is_failing = false;
            }
            Err(why) if !self.is_failing => {
                tracing::warn!(run = self.run, "{why}; the run goes on, but would not survive the program");
                self.is_failing = true;
            }
            Err(_) => {}
        }
        if self.record.durability == Durability::Always { stored } else { Ok(()) }
    }
}

/// Tells what the step `at` of a run has emitted from what others have.
pub(super) fn emission_id(run: &str, at: &str) -> String {
    format!("{run}/{at}")
}

/// How a run stands that has not ended.
pub fn standing(run: &Run, open: &[OpenQuestion]) -> Standing {
    let doubts = run.doubts();
    let status = match () {
        () if !doubts.is_empty() => "paused",
        () if !open.is_empty() => "waiting",
        () if run.is_undoing() => "undoing",
        () => "running",
    };
    let questions: Vec<Value> = open.iter().map(OpenQuestion::to_json).collect();
    let in_doubt: Vec<Value> = doubts.iter().map(doubt_json).collect();
    let mut report = Map::new();
    if !questions.is_empty() {
        report.insert("questions".to_owned(), Value::from(questions));
    }
    if !in_doubt.is_empty() {
        report.insert("in_doubt".to_owned(), Value::from(in_doubt));
    }
    let report = (!report.is_empty()).then_some(Value::Object(report));
    Standing { status: status.to_owned(), ended: None, report }
}

/// Whether something is lost if this is done and nobody knows of it afterwards.
fn matters(command: &Command) -> bool {
    match command {
        Command::Call(call) => !call.effect.is_read() || call.is_afterwards,
        Command::Ask(_) | Command::Emit { .. } => true,
        // A pause that the workflow wants, not a time limit.
        Command::Timer { at, .. } => at.ends_with("#wait"),
        _ => false,
    }
}
