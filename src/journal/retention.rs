//! How much of what has ended is kept: the rest is deleted at the start, and now and then while the program runs.

use std::time::Duration;

use rusqlite::{Connection, params};

/// After how many runs that have ended the oldest are deleted.
pub(super) const TRIM: usize = 500;

/// How many are deleted at once at most, so that nobody waits long for that.
const MOST: i64 = 2_000;

/// Deletes what was told before any run began that may still hear it.
const UNHEARD: &str = "delete from emission where at < coalesce((select min(began) from run where ended is null), ?)";

/// How much of what has ended is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// For how long.
    pub age: Duration,
    /// How many runs.
    pub count: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { age: Duration::from_hours(24 * 30), count: 10_000 }
    }
}

impl Retention {
    /// What has ended before this is too old.
    fn oldest(self, now: u64) -> i64 {
        now.saturating_sub(u64::try_from(self.age.as_millis()).unwrap_or(u64::MAX)).cast_signed()
    }
}

/// Deletes what has ended too long ago, and all but the last. Returns how many runs.
pub(super) fn prune(connection: &Connection, retention: Retention, now: u64) -> rusqlite::Result<usize> {
    let old = "delete from run where ended is not null and ended < ?";
    let mut count = connection.execute(old, [retention.oldest(now)])?;
    count += connection.execute(
        "delete from run where ended is not null and id not in
         (select id from run where ended is not null order by ended desc limit ?)",
        [retention.count.min(i64::MAX as u64).cast_signed()],
    )?;
    connection
        .execute("delete from output where hash not in (select output from event where output is not null)", [])?;
    connection.execute("delete from definition where hash not in (select definition from run)", [])?;
    connection.execute("delete from mail where answer is not null", [])?;
    connection.execute(UNHEARD, [now.cast_signed()])?;
    Ok(count)
}

/// Deletes what is too much while others write: less at once than [`prune`], and found by indices.
pub(super) fn trim(connection: &mut Connection, retention: Retention, now: u64) -> rusqlite::Result<()> {
    let count = retention.count.min(i64::MAX as u64).cast_signed();
    let change = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let surplus = change
        .prepare_cached("select id from run where ended is not null order by ended desc limit ? offset ?")?
        .query_map([MOST, count], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    let old = change
        .prepare_cached("select id from run where ended < ? limit ?")?
        .query_map([retention.oldest(now), MOST], |row| row.get(0))?
        .collect::<rusqlite::Result<Vec<String>>>()?;
    for run in surplus.iter().chain(&old) {
        let outputs = change
            .prepare_cached("select output from event where run = ? and output is not null")?
            .query_map([run], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<String>>>()?;
        change.prepare_cached("delete from run where id = ?")?.execute([run])?;
        for output in outputs {
            let unused = "delete from output where hash = ?1 and not exists (select 1 from event where output = ?1)";
            change.prepare_cached(unused)?.execute(params![output])?;
        }
    }
    change.prepare_cached(UNHEARD)?.execute([now.cast_signed()])?;
    change.commit()
}
