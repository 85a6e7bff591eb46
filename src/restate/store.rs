//! Runs as Restate keeps them: read by questions in SQL, so that every process sees all of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use tokio::time::sleep;

use crate::engine::event::{Event, Timestamp, What};
use crate::engine::run::Run;
use crate::journal::entry::{Opening, Standing, Stored};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::port::BoxFuture;
use crate::registry::engine::Restate;
use crate::restate::client::{Client, Row};
use crate::restate::mirror;
use crate::restate::others::Asker;
use crate::restate::parcel::{PARCEL, Parcel};
use crate::restate::wire::{Letter, Note, RUN, key};
use crate::runner::backend::{Backend, Carrying};
use crate::runner::drive::Begin;
use crate::runner::effects::now;
use crate::runner::live::{Handle, OpenQuestion};
use crate::workflow::pin::replan;

/// How long a run that was accepted may take to begin.
const BEGINNING: Duration = Duration::from_secs(5);

/// How often is looked whether it has.
const LOOK: Duration = Duration::from_millis(50);

/// How many of the runs that have not ended are told at most.
const MOST: u32 = 1_000;

/// Carries runs by Restate. Cheap to clone.
#[derive(Debug, Clone)]
pub struct OnRestate {
    pub(super) client: Arc<Client>,
}

/// A run as it is kept, with the invocation that carries it.
pub(super) struct Kept {
    pub(super) stored: Stored,
    pub(super) invocation: String,
    /// What is told of its end, not opened yet.
    report: Option<Parcel>,
}

impl OnRestate {
    /// Restate as it is found at these addresses; nobody is asked yet.
    pub fn new(at: &Restate) -> Result<Self, Fault> {
        Ok(Self { client: Arc::new(Client::new(at)?) })
    }

    /// The run of this id. One that was accepted a moment ago is waited for until its beginning is kept.
    pub(super) async fn kept(&self, run: &str) -> Result<Option<Kept>, Fault> {
        let until = Instant::now() + BEGINNING;
        loop {
            let found = self.kept_now(run).await?;
            if found.is_some() || !self.is_accepted(run).await? {
                return Ok(found);
            }
            if Instant::now() > until {
                let message = format!("run {run} was accepted by Restate and has not begun");
                return Err(Fault::new(Kind::Unavailable, code::BACKEND_DOWN, message)
                    .hint("see that an orchestrator serves what Restate knows of, and ask again"));
            }
            sleep(LOOK).await;
        }
    }

    /// Tells a run, which this invocation carries, that something has happened.
    pub(super) async fn post(&self, run: &str, to: &str, now: Timestamp, what: &What) -> Result<(), Fault> {
        let what = Parcel::pack(what, run, &self.client).await?;
        self.client.tell(&Letter { to: to.to_owned(), now, what }).await
    }

    async fn is_accepted(&self, run: &str) -> Result<bool, Fault> {
        let sql = format!(
            "select id from sys_invocation_status where target_service_name = '{RUN}' and target_service_key = {} \
             and target_handler_name = 'run'",
            quoted(run)
        );
        Ok(!self.client.query(&sql).await?.is_empty())
    }

    async fn kept_now(&self, run: &str) -> Result<Option<Kept>, Fault> {
        let wanted = [key::OPENING, key::NOTE, key::REPORT].map(quoted).join(", ");
        let sql = format!(
            "select service_key, key, value_utf8 from state where service_name = '{RUN}' and service_key = {} and key in ({wanted})",
            quoted(run)
        );
        let Some(mut kept) = grouped(&self.client.query(&sql).await?).into_iter().next_back() else { return Ok(None) };
        if let Some(report) = kept.report.take() {
            kept.stored.standing.report = Some(report.open(&self.client).await?);
        }
        Ok(Some(kept))
    }

    /// What has happened to a run from the event of this number on.
    pub(super) async fn events_from(&self, run: &str, first: usize) -> Result<Vec<Event>, Fault> {
        let sql = format!(
            "select key, value_utf8 from state where service_name = '{RUN}' and service_key = {} and key >= {} and key < 'e0' order by key",
            quoted(run),
            quoted(&key::event(first)),
        );
        let rows = self.client.query(&sql).await?;
        let mut events = Vec::new();
        for parcel in rows.iter().map_while(value::<Parcel>) {
            events.push(parcel.open(&self.client).await?);
        }
        Ok(events)
    }

    /// The runs that ask something, of those that a run has set off, by way of others or not.
    pub(super) async fn askers_within(&self, root: &str) -> Result<BTreeMap<String, Asker>, Fault> {
        let of_root = serde_json::to_string(root).unwrap_or_default();
        let sql = format!(
            "select service_key, key, value_utf8 from state where service_name = '{RUN}' and key in ('{}', '{}') and service_key in \
             (select service_key from state where service_name = '{RUN}' and key = '{}' and value_utf8 = {})",
            key::OPENING,
            key::NOTE,
            key::ROOT,
            quoted(&of_root)
        );
        let mut askers = BTreeMap::new();
        for kept in grouped(&self.client.query(&sql).await?) {
            let opening = kept.stored.opening;
            if kept.stored.standing.status == "waiting" {
                let open = self.questions_of(&opening).await?;
                askers.insert(opening.run, Asker { workflow: opening.workflow.into(), open });
            }
        }
        Ok(askers)
    }

    async fn questions_of(&self, opening: &Opening) -> Result<Vec<OpenQuestion>, Fault> {
        let Opening { run, workflow, definition, format, plan, .. } = opening;
        let Ok(workflow) = replan(workflow, definition, format, plan) else { return Ok(Vec::new()) };
        let mut folded = Run::new(Arc::new(workflow));
        for event in self.events_from(run, 0).await? {
            folded.apply(event);
        }
        let open = folded.questions().into_iter();
        Ok(open.map(|question| OpenQuestion { run_id: run.clone(), question }).collect())
    }

    /// The newest runs of which a condition holds, the newest first.
    async fn newest(&self, condition: &str, count: u32) -> Result<Vec<Stored>, Fault> {
        let wanted = [key::OPENING, key::NOTE].map(quoted).join(", ");
        let sql = format!(
            "select service_key, key, value_utf8 from state where service_name = '{RUN}' and key in ({wanted}) and service_key in \
             (select target_service_key from sys_invocation_status where target_service_name = '{RUN}' and \
             target_handler_name = 'run' and {condition} order by created_at desc limit {count})"
        );
        let mut all: Vec<_> = grouped(&self.client.query(&sql).await?).into_iter().map(|kept| kept.stored).collect();
        all.sort_by_key(|stored| std::cmp::Reverse(stored.opening.began));
        Ok(all)
    }
}

impl Client {
    /// The names of those pieces of something that are kept beside a run.
    pub(super) async fn kept_pieces(&self, run: &str, hash: &str) -> Result<Vec<String>, Fault> {
        let sql = format!(
            "select key from state where service_name = '{PARCEL}' and service_key = {} and key >= {} and key < {}",
            quoted(run),
            quoted(&format!("{hash}/")),
            quoted(&format!("{hash}0")),
        );
        let rows = self.query(&sql).await?;
        Ok(rows.iter().filter_map(|row| text(row, "key")).map(ToOwned::to_owned).collect())
    }

    /// A piece of something that is kept beside a run.
    pub(super) async fn piece(&self, run: &str, name: &str) -> Result<String, Fault> {
        let sql = format!(
            "select value_utf8 from state where service_name = '{PARCEL}' and service_key = {} and key = {}",
            quoted(run),
            quoted(name),
        );
        let gone = || {
            let message = format!("a part of what belongs to run {run} is not kept any more");
            Fault::new(Kind::NotFound, code::NO_SUCH_RUN, message)
        };
        self.query(&sql).await?.first().and_then(value).ok_or_else(gone)
    }
}

impl Backend for OnRestate {
    fn carry(&self, begin: Begin) -> (Carrying, Handle) {
        mirror::carry(self.clone(), begin)
    }

    fn run(&self, run: &str) -> BoxFuture<Result<Option<Stored>, Fault>> {
        let (own, run) = (self.clone(), run.to_owned());
        Box::pin(async move { Ok(own.kept(&run).await?.map(|kept| kept.stored)) })
    }

    fn events(&self, run: &str) -> BoxFuture<Result<Vec<Event>, Fault>> {
        let (own, run) = (self.clone(), run.to_owned());
        Box::pin(async move { own.events_from(&run, 0).await })
    }

    fn tell(&self, run: &str, what: What) -> BoxFuture<Result<(), Fault>> {
        let (own, run) = (self.clone(), run.to_owned());
        Box::pin(async move {
            let deaf = |why: String| Fault::new(Kind::NotFound, code::NO_SUCH_RUN, why);
            let kept = own.kept(&run).await?.ok_or_else(|| deaf(format!("Restate has no run `{run}`")))?;
            if kept.stored.is_over() {
                return Err(deaf(format!("run `{run}` has ended: {}", kept.stored.standing.status)));
            }
            own.post(&run, &kept.invocation, now(), &what).await
        })
    }

    fn last(&self, count: u32) -> BoxFuture<Result<Vec<Stored>, Fault>> {
        let own = self.clone();
        Box::pin(async move { own.newest("true", count).await })
    }

    fn open(&self, caller: &str) -> BoxFuture<Result<Vec<Stored>, Fault>> {
        let (own, caller) = (self.clone(), caller.to_owned());
        Box::pin(async move {
            let all = own.newest("status <> 'completed'", MOST).await?;
            Ok(all.into_iter().rev().filter(|run| run.opening.caller == caller && !run.is_over()).collect())
        })
    }
}

/// A text of SQL.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn text<'a>(row: &'a Row, column: &str) -> Option<&'a str> {
    row.get(column)?.as_str()
}

fn value<T: DeserializeOwned>(row: &Row) -> Option<T> {
    serde_json::from_str(text(row, "value_utf8")?).ok()
}

/// The runs that these rows are of, by id. One of which the beginning is not kept yet is none.
fn grouped(rows: &[Row]) -> Vec<Kept> {
    let mut runs: BTreeMap<&str, BTreeMap<&str, &Row>> = BTreeMap::new();
    for row in rows {
        if let (Some(run), Some(key)) = (text(row, "service_key"), text(row, "key")) {
            runs.entry(run).or_default().insert(key, row);
        }
    }
    runs.into_values().filter_map(|of| kept(&of)).collect()
}

fn kept(of: &BTreeMap<&str, &Row>) -> Option<Kept> {
    let opening: Opening = value(of.get(key::OPENING)?)?;
    let note: Note = value(of.get(key::NOTE)?)?;
    let report = of.get(key::REPORT).and_then(|row| value(row));
    let standing = Standing { status: note.status, ended: note.ended, report: Some(note.told) };
    Some(Kept { stored: Stored { opening, standing }, invocation: note.invocation, report })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_an_id_stays_within_the_text() {
        assert_eq!(quoted("a' or 'b"), "'a'' or ''b'");
    }
}
