//! A run that waits for its turn: it can be looked at, cancelled and left, and is stored once nobody waits for it.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::engine::event::{Event, Timestamp, What};
use crate::journal::entry::{Entry, Line, Standing};
use crate::model::durability::Durability;
use crate::runner::drive::{Begin, started};
use crate::runner::effects::now;
use crate::runner::live::{Message, Signs, View};

/// How many events are kept for a run that has not begun.
const MAX_HEARD: usize = 100;

/// The word for how such a run stands.
pub const QUEUED: &str = "queued";

/// What has come of the waiting.
pub(super) enum Waited {
    /// It goes on, with what it was told meanwhile.
    GoesOn(Vec<What>),
    /// It is left to the next process.
    Rests,
}

/// Waits for the turn of a run. What has happened by then is its history: how it began, and what has ended it if that has
/// come first. So whatever bounds a run counts from when it was wanted.
pub(super) async fn for_turn(begin: &mut Begin, messages: &mut mpsc::Receiver<Message>, signs: &Signs) -> Waited {
    let mut heard = Vec::new();
    let Some(mut ticket) = begin.ticket.take_if(|ticket| ticket.is_waiting()) else { return Waited::GoesOn(heard) };
    if begin.history.is_empty() {
        begin.history.push(Event { now: now(), what: started(begin) });
    }
    let limit = begin.plan.workflow.timeout;
    let over = limit.map(|limit| due(begin.history[0].now, limit));
    let mut is_left = false;
    let last = loop {
        tokio::select! {
            biased;
            () = signs.stop.cancelled() => break Some(cancelled("its caller has left")),
            () = signs.rest.cancelled() => {
                if begin.record.opening.is_none() {
                    messages.close();
                    while let Some(message) = messages.recv().await {
                        hear(message, &mut heard);
                    }
                    begin.history.extend(heard.into_iter().map(|what| Event { now: now(), what }));
                    store(begin).await;
                    return Waited::Rests;
                }
                break Some(cancelled("the program ends before its turn has come"));
            }
            () = signs.left.cancelled(), if !is_left => {
                is_left = true;
                store(begin).await;
            }
            Some(message) = messages.recv() => {
                hear(message, &mut heard);
                if let Some(What::CancelRequested { .. }) = heard.last() {
                    break heard.pop();
                }
            }
            () = sleep(left(over)), if over.is_some() => break Some(What::Fired { at: "#timeout".to_owned() }),
            () = ticket.called() => break None,
        }
    };
    begin.ticket = Some(ticket);
    begin.history.extend(last.map(|what| Event { now: now(), what }));
    Waited::GoesOn(heard)
}

/// Keeps what the run is told until it begins.
fn hear(message: Message, heard: &mut Vec<What>) {
    match message {
        // Fails only if nobody wants to know any more.
        Message::Look(answer) => _ = answer.send(View { is_queued: true, ..View::default() }),
        Message::Event(what) if heard.len() < MAX_HEARD || matches!(*what, What::CancelRequested { .. }) => {
            heard.push(*what);
        }
        Message::Event(_) => {}
    }
}

fn cancelled(why: &str) -> What {
    What::CancelRequested { why: why.to_owned() }
}

fn due(since: Timestamp, limit: Duration) -> Timestamp {
    since.saturating_add(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX))
}

fn left(over: Option<Timestamp>) -> Duration {
    Duration::from_millis(over.unwrap_or_default().saturating_sub(now()))
}

/// Stores that the run waits and what it has been told, so that it has its turn whatever happens to the program.
async fn store(begin: &mut Begin) {
    let record = &mut begin.record;
    let Some(journal) = record.journal.as_ref().filter(|_| record.durability != Durability::None) else { return };
    let new = begin.history.get(usize::try_from(record.stored).unwrap_or(usize::MAX)..).unwrap_or_default();
    if new.is_empty() {
        return;
    }
    let entry = Entry {
        run: begin.through.run.clone(),
        opening: record.opening.clone(),
        first: record.stored,
        events: new.iter().map(Line::from).collect(),
        standing: Some(Standing { status: QUEUED.to_owned(), ended: None, report: None }),
        ..Entry::default()
    };
    match journal.append(entry).await {
        Ok(()) => (record.opening, record.stored) = (None, begin.history.len() as u64),
        Err(why) => tracing::warn!(run = begin.through.run, "{why}; it waits all the same"),
    }
}
