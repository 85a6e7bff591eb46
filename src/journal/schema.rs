//! The tables, and how those of an older version become those of this one.

use rusqlite::Connection;

/// Each brings the tables from the version before it to its own.
const MIGRATIONS: [&str; 4] = [
    "
create table definition (hash text primary key, body text not null, format text not null) strict, without rowid;
create table run (
    id text primary key, workflow text not null, definition text not null references definition, plan text not null,
    caller text not null, parent text, key text, terms text not null, began integer not null,
    status text not null, ended integer, report text
) strict;
create unique index run_parent on run (parent) where parent is not null;
create index run_key on run (key) where key is not null;
create index run_open on run (began) where ended is null;
create table output (hash text primary key, body text not null) strict, without rowid;
create table event (
    run text not null references run on delete cascade, seq integer not null, body text, output text references output,
    primary key (run, seq)
) strict, without rowid;
create table mail (id integer primary key, run text not null, body text not null, answer text) strict;
",
    // What an event must hash to, and how many a run must have; what was written before has neither, and is not checked.
    "alter table event add column sum integer; alter table run add column events integer;",
    // By which what is kept no longer is found.
    "create index run_ended on run (ended) where ended is not null;
create index event_output on event (output) where output is not null;",
    // What runs have told each other.
    "create table emission (id text primary key, event text not null, data text not null, at integer not null) strict;
create index emission_event on emission (event, at);",
];

/// Makes a connection what the journal needs.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "foreign_keys", "on")
}

/// Makes the connection of the owner safe against the loss of power, and its tables those of this version.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    let version = version(connection)?;
    for (place, migration) in MIGRATIONS.iter().enumerate().skip(version) {
        let change = connection.transaction()?;
        change.execute_batch(migration)?;
        change.pragma_update(None, "user_version", i64::try_from(place + 1).unwrap_or(i64::MAX))?;
        change.commit()?;
    }
    Ok(())
}

/// The version of the tables; 0 if there are none.
fn version(connection: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(usize::try_from(version).unwrap_or(0))
}

/// Whether the tables were made by a later version than this one.
pub(super) fn is_newer(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(version(connection)? > MIGRATIONS.len())
}
