//! Reading a journal, also that of another process.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row};

use crate::engine::event::Event;
use crate::journal::entry::{Emission, Opening, Standing, Stored};
use crate::journal::open::FILE;
use crate::journal::schema;
use crate::journal::writer::sum;

/// How many events of one name a run that is taken up may have missed: it keeps no more that it does not use.
const HEARD: i64 = 100;

/// A connection for reading.
#[derive(Debug)]
pub struct Reader(Connection);

const COLUMNS: &str =
    "select run.id, workflow, body, format, plan, caller, parent, key, terms, began, status, ended, report
    from run join definition on definition.hash = run.definition";

impl Reader {
    /// Opens the journal in `path`.
    pub fn open(path: &Path) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path.join(FILE), flags)?;
        schema::prepare(&connection)?;
        Ok(Self(connection))
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.0
    }

    /// The run `id`.
    pub fn run(&self, id: &str) -> rusqlite::Result<Option<Stored>> {
        self.one("run.id = ?", id)
    }

    /// The run that is the work of this step of another.
    pub fn child(&self, parent: &str) -> rusqlite::Result<Option<Stored>> {
        self.one("parent = ?", parent)
    }

    /// The last run that was begun with this key.
    pub fn of_key(&self, key: &str) -> rusqlite::Result<Option<Stored>> {
        self.one("key = ?", key)
    }

    /// The run that tries this one again.
    pub fn retried(&self, id: &str) -> rusqlite::Result<Option<Stored>> {
        self.one("json_extract(terms, '$.retry_of') = ?", id)
    }

    fn one(&self, condition: &str, value: &str) -> rusqlite::Result<Option<Stored>> {
        let text = format!("{COLUMNS} where {condition} order by began desc, run.id desc limit 1");
        self.0.prepare_cached(&text)?.query_row([value], read).optional()
    }

    /// The runs that have not ended and are no part of others, the oldest first.
    pub fn open_runs(&self) -> rusqlite::Result<Vec<Stored>> {
        self.unended("parent is null")
    }

    /// The runs that have not ended and are part of one that has, or that is not here any more; the oldest first.
    pub fn left_open(&self) -> rusqlite::Result<Vec<Stored>> {
        self.unended(
            "parent is not null and not exists (select 1 from run as above
             where above.ended is null and above.id = substr(run.parent, 1, instr(run.parent, '/') - 1))",
        )
    }

    fn unended(&self, condition: &str) -> rusqlite::Result<Vec<Stored>> {
        let text = format!("{COLUMNS} where ended is null and {condition} order by began, run.id");
        let mut select = self.0.prepare(&text)?;
        let mut open = Vec::new();
        for found in select.query_map([], read)? {
            match found {
                Ok(stored) => open.push(stored),
                // One that is damaged does not keep the others from going on.
                Err(rusqlite::Error::FromSqlConversionFailure(_, _, why)) => {
                    tracing::error!("a stored run is damaged and cannot be taken up: {why}");
                }
                Err(why) => return Err(why),
            }
        }
        Ok(open)
    }

    /// The last runs, the newest first.
    pub fn last(&self, count: usize) -> rusqlite::Result<Vec<Stored>> {
        let text = format!("{COLUMNS} order by began desc, run.id desc limit ?");
        self.0.prepare(&text)?.query_map([i64::try_from(count).unwrap_or(i64::MAX)], read)?.collect()
    }

    /// The runs that are part of `id`.
    pub fn children(&self, id: &str) -> rusqlite::Result<Vec<Stored>> {
        let text = format!("{COLUMNS} where parent >= ? and parent < ? order by began, run.id");
        self.0.prepare(&text)?.query_map([format!("{id}/"), format!("{id}0")], read)?.collect()
    }

    /// The last events of this name that runs have told each other since a point in time, the oldest first.
    pub fn emissions(&self, event: &Arc<str>, since: u64) -> rusqlite::Result<Vec<Emission>> {
        let mut select = self.0.prepare_cached(
            "select id, data, at from emission where event = ? and at >= ? order by at desc, id desc limit ?",
        )?;
        let rows = select.query_map(rusqlite::params![event, since.cast_signed(), HEARD], |row| {
            let at: i64 = row.get(2)?;
            Ok(Emission { id: row.get(0)?, event: Arc::clone(event), data: json(row, 1)?, at: at.cast_unsigned() })
        })?;
        let mut told = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        told.reverse();
        Ok(told)
    }

    /// What has happened to the run `id`, from the event of this number on.
    pub fn events(&self, id: &str, from: u64) -> rusqlite::Result<Vec<Event>> {
        // Before the events, of which there may be more in a moment.
        let mut count = self.0.prepare_cached("select events from run where id = ?")?;
        let count: Option<i64> = count.query_row([id], |row| row.get(0)).optional()?.flatten();
        let mut select = self.0.prepare_cached(
            "select coalesce(event.body, output.body), seq, sum
             from event left join output on output.hash = event.output
             where run = ? and seq >= ? order by seq",
        )?;
        let rows = select.query_map(rusqlite::params![id, from.cast_signed()], event)?;
        let mut events = Vec::new();
        for row in rows {
            let (seq, event) = row?;
            if seq != from + events.len() as u64 {
                return Err(damaged(&format!("event {} is missing", from + events.len() as u64)));
            }
            events.push(event);
        }
        let next = from + events.len() as u64;
        if count.is_some_and(|count| next < count.cast_unsigned()) && next > from {
            return Err(damaged(&format!("event {next} is missing")));
        }
        Ok(events)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let time = |at: usize| row.get::<_, Option<i64>>(at).map(|time| time.map(i64::cast_unsigned));
    let opening = Opening {
        run: row.get(0)?,
        workflow: row.get(1)?,
        definition: row.get(2)?,
        format: row.get(3)?,
        plan: json(row, 4)?,
        caller: row.get(5)?,
        parent: row.get(6)?,
        key: row.get(7)?,
        terms: json(row, 8)?,
        began: time(9)?.unwrap_or_default(),
    };
    let report = row.get::<_, Option<String>>(12)?.and_then(|text| serde_json::from_str(&text).ok());
    Ok(Stored { opening, standing: Standing { status: row.get(10)?, ended: time(11)?, report } })
}

/// An event and its number, if it is what was written.
fn event(row: &Row<'_>) -> rusqlite::Result<(u64, Event)> {
    let text: String = row.get(0)?;
    let (seq, expected): (i64, Option<i64>) = (row.get(1)?, row.get(2)?);
    if expected.is_some_and(|expected| expected != sum(seq.cast_unsigned(), &text)) {
        return Err(damaged(&format!("event {seq} is not what was written")));
    }
    Ok((seq.cast_unsigned(), json(row, 0)?))
}

fn damaged(why: &str) -> rusqlite::Error {
    let why = format!("{why}: the disk has changed the history of this run");
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, why.into())
}

fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, at: usize) -> rusqlite::Result<T> {
    let text: String = row.get(at)?;
    serde_json::from_str(&text)
        .map_err(|why| rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, why.into()))
}
