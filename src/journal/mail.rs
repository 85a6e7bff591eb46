//! What operators want of runs, or of the program itself: written by their process, carried out by the one that owns the journal.

use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::journal::reader::Reader;
use crate::journal::retention::{Retention, prune};

/// What is wanted of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Wish {
    /// It is to end.
    Cancel,
    /// Its question is answered, or declined.
    Answer {
        /// The step that asks; the only one if not given.
        step: Option<String>,
        /// The answer; no if not given.
        answer: Option<Value>,
    },
    /// Something has happened that a step of it waits for.
    Signal {
        /// What sort of thing.
        event: String,
        /// What is known about it.
        data: Value,
    },
    /// It has failed and is to be tried again.
    Retry {
        /// Whether what is in doubt is done again.
        does_again: bool,
    },
    /// Of no run: another level is to hold.
    Level {
        /// Its name, or `auto`.
        level: String,
    },
    /// It is said what became of a call that is in doubt.
    Decide {
        /// The step that made it; the only one if not given.
        step: Option<String>,
        /// As `control_run` takes it.
        payload: Value,
    },
}

/// A wish that nobody has seen to yet.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Its number.
    pub id: i64,
    /// The run.
    pub run: String,
    /// What is wanted.
    pub wish: Wish,
}

impl Reader {
    /// Leaves a wish for the owner; its number.
    pub fn post(&self, run: &str, wish: &Wish) -> rusqlite::Result<i64> {
        let body = serde_json::to_string(wish).map_err(|why| rusqlite::Error::ToSqlConversionFailure(why.into()))?;
        self.connection().execute("insert into mail (run, body) values (?, ?)", params![run, body])?;
        Ok(self.connection().last_insert_rowid())
    }

    /// Deletes what has ended too long ago, and all but the last. Returns how many runs.
    pub fn prune(&self, retention: Retention, now: u64) -> rusqlite::Result<usize> {
        prune(self.connection(), retention, now)
    }

    /// What the owner has said to a wish, once it has.
    pub fn answer_to(&self, id: i64) -> rusqlite::Result<Option<String>> {
        let found = self.connection().query_row("select answer from mail where id = ?", [id], |row| row.get(0));
        Ok(found.optional()?.flatten())
    }

    /// The wishes that nobody has seen to.
    pub fn unseen(&self) -> rusqlite::Result<Vec<Letter>> {
        let mut select =
            self.connection().prepare_cached("select id, run, body from mail where answer is null order by id")?;
        let rows = select
            .query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)))?;
        let mut letters = Vec::new();
        for row in rows {
            let (id, run, body) = row?;
            // A wish of a later version is left to it.
            letters.extend(serde_json::from_str(&body).ok().map(|wish| Letter { id, run, wish }));
        }
        Ok(letters)
    }

    /// Says what has become of a wish: nothing if all is well.
    pub fn answer(&self, id: i64, answer: &str) -> rusqlite::Result<()> {
        self.connection().execute("update mail set answer = ? where id = ?", params![answer, id]).map(drop)
    }
}
