//! The journal over real files.

use std::time::Duration;

use serde_json::json;

use crate::engine::event::{Event, What};
use crate::journal::entry::{Emission, Entry, Line, Opening, Standing};
use crate::journal::folder;
use crate::journal::open::Error;
use crate::journal::reader::Reader;
use crate::journal::retention::Retention;
use crate::journal::writer::Journal;

fn event(name: &str) -> Event {
    Event { now: 7, what: What::Fired { at: name.to_owned() } }
}

fn lines(events: &[Event]) -> Vec<Line> {
    events.iter().map(Line::from).collect()
}

fn first(run: &str, events: &[Event]) -> Entry {
    let events = lines(events);
    Entry { run: run.to_owned(), opening: Some(Opening::example(run).into()), events, ..Entry::default() }
}

fn ended(run: &str, at: u64) -> Entry {
    let standing = Standing { status: "completed".to_owned(), ended: Some(at), report: Some(json!({ "a": 1 })) };
    Entry { run: run.to_owned(), first: 1, standing: Some(standing), ..Entry::default() }
}

fn open(path: &std::path::Path) -> Journal {
    Journal::open(path, Retention::default(), 10).expect("a journal")
}

#[tokio::test]
async fn what_was_stored_is_there_after_a_restart() {
    let home = tempfile::tempdir().expect("a folder");
    let large = event(&"x".repeat(100_000));
    {
        let journal = open(home.path());
        journal.append(first("r1", &[event("a"), large.clone()])).await.expect("stored");
        journal
            .append(Entry { run: "r1".into(), first: 2, events: lines(&[event("b")]), ..Entry::default() })
            .await
            .expect("stored");
    }
    let journal = open(home.path());
    let reader = journal.reader().expect("a reader");
    assert_eq!(reader.open_runs().expect("runs")[0].opening, Opening::example("r1"));
    assert_eq!(reader.events("r1", 0).expect("events"), [event("a"), large, event("b")]);
    journal.append(ended("r1", 9)).await.expect("stored");
    assert!(reader.open_runs().expect("runs").is_empty());
    assert!(reader.run("r1").expect("a run").expect("a run").is_over());
}

#[tokio::test]
async fn what_is_old_or_too_much_is_deleted_with_all_that_belongs_to_it() {
    let home = tempfile::tempdir().expect("a folder");
    {
        let journal = open(home.path());
        for (run, end) in [("old", 5), ("one", 100), ("two", 101), ("three", 102)] {
            journal.append(first(run, &[event(&"x".repeat(70_000))])).await.expect("stored");
            journal.append(ended(run, end)).await.expect("stored");
        }
        journal.append(first("open", &[])).await.expect("stored");
    }
    let retention = Retention { age: Duration::from_millis(50), count: 2 };
    let journal = Journal::open(home.path(), retention, 120).expect("a journal");
    let reader = journal.reader().expect("a reader");
    let mut left: Vec<_> = reader.last(10).expect("runs").into_iter().map(|run| run.opening.run).collect();
    left.sort();
    assert_eq!(left, ["open", "three", "two"]);
    assert!(reader.events("old", 0).expect("events").is_empty());
}

#[test]
fn a_folder_has_one_owner_who_is_named() {
    let home = tempfile::tempdir().expect("a folder");
    assert_eq!(folder::holder(home.path()), None);
    let owner = open(home.path());
    let holder = format!("process {}", std::process::id());
    assert_eq!(folder::holder(home.path()), Some(holder.clone()));
    match Journal::open(home.path(), Retention::default(), 0) {
        Err(Error::Folder(folder::Error::Held { holder: named, .. })) => assert_eq!(named, holder),
        other => panic!("{other:?}"),
    }
    drop(owner);
    open(home.path());
}

#[tokio::test]
async fn a_broken_file_is_put_aside_and_a_new_one_begun() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("journal.sqlite");
    std::fs::write(&file, "this is no journal, but a text of some length".repeat(50)).expect("a file");
    let journal = open(home.path());
    let aside = journal.aside.clone().expect("a broken file");
    assert!(std::fs::read_to_string(aside).expect("a file").starts_with("this is no journal"));
    journal.append(first("r1", &[event("a")])).await.expect("stored");
    drop(journal);
    // Cut in the middle.
    let bytes = std::fs::read(&file).expect("a file");
    std::fs::write(&file, &bytes[..bytes.len() / 2 + 100]).expect("a file");
    let journal = open(home.path());
    assert!(journal.aside.is_some());
    assert!(Reader::open(home.path()).expect("a reader").open_runs().expect("runs").is_empty());
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_reads_any_file_of_a_new_journal() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().expect("a folder");
    let journal = open(home.path());
    journal.append(first("r1", &[event("a")])).await.expect("stored");
    let files = std::fs::read_dir(home.path()).expect("a folder").map(|file| file.expect("a file"));
    let modes: Vec<_> =
        files.map(|file| (file.file_name(), file.metadata().expect("its mode").permissions().mode() & 0o777)).collect();
    assert!(modes.len() >= 4 && modes.iter().all(|(_, mode)| *mode == 0o600), "{modes:?}");
}

/// A copy of the files as a crash would leave them.
fn copy(from: &std::path::Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    for part in ["journal.sqlite", "journal.sqlite-wal"] {
        let _ = std::fs::copy(from.join(part), copy.path().join(part));
    }
    copy
}

#[tokio::test]
async fn at_every_flush_all_that_was_waited_for_is_in_the_files() {
    let home = tempfile::tempdir().expect("a folder");
    let journal = open(home.path());
    journal.append(first("r1", &[event("0")])).await.expect("stored");
    for seq in 1..40 {
        let entry =
            Entry { run: "r1".into(), first: seq, events: lines(&[event(&seq.to_string())]), ..Entry::default() };
        journal.append(entry).await.expect("stored");
        let copy = copy(home.path());
        // What a process without the lock sees after a loss of power: the log is played back.
        let left = open(copy.path());
        assert!(left.aside.is_none());
        let events = left.reader().expect("a reader").events("r1", 0).expect("events");
        assert_eq!(events.len() as u64, seq + 1, "after {seq}");
    }
}

#[tokio::test]
async fn a_torn_end_of_the_log_is_dropped_and_the_rest_is_there() {
    let home = tempfile::tempdir().expect("a folder");
    let journal = open(home.path());
    journal
        .append(first("r1", &(0..20).map(|place| event(&place.to_string())).collect::<Vec<_>>()))
        .await
        .expect("stored");
    let whole = std::fs::read(home.path().join("journal.sqlite-wal")).expect("a log");
    journal
        .append(Entry { run: "r1".into(), first: 20, events: lines(&[event("last")]), ..Entry::default() })
        .await
        .expect("stored");
    let longer = std::fs::read(home.path().join("journal.sqlite-wal")).expect("a log");
    assert!(longer.len() > whole.len());
    for end in [whole.len(), whole.len() + 1, whole.len() + 24, whole.len().midpoint(longer.len()), longer.len() - 1] {
        let copy = copy(home.path());
        std::fs::write(copy.path().join("journal.sqlite-wal"), &longer[..end]).expect("a file");
        let left = open(copy.path());
        let events = left.reader().expect("a reader").events("r1", 0).expect("events");
        assert_eq!((events.len(), left.aside.is_some()), (20, false), "cut at {end}");
    }
}

/// The disk keeps of a write that nobody has waited for what it likes, sector by sector: up to some point, or any of them.
fn lose(log: &mut Vec<u8>, safe: usize, trial: usize) {
    const SECTOR: usize = 512;
    let sectors = (log.len() - safe).div_ceil(SECTOR);
    if trial < 5 {
        log.truncate(safe + (sectors * trial / 5) * SECTOR);
        return;
    }
    let mut chance = safe.wrapping_mul(31).wrapping_add(trial);
    for sector in 0..sectors {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if chance >> 62 == 0 || sector == trial % sectors {
            let from = safe + sector * SECTOR;
            let to = log.len().min(from + SECTOR);
            log[from..to].fill(0);
        }
    }
}

#[tokio::test]
async fn whatever_the_disk_loses_of_the_last_write_all_that_was_waited_for_is_there() {
    let home = tempfile::tempdir().expect("a folder");
    let log = || std::fs::read(home.path().join("journal.sqlite-wal")).expect("a log");
    let mut all = vec![event("0")];
    let journal = open(home.path());
    journal.append(first("r1", &all)).await.expect("stored");
    for seq in 1..9_usize {
        let safe = log().len();
        let next = event(&seq.to_string().repeat(seq * 1_700));
        let entry = Entry {
            run: "r1".into(),
            first: seq as u64,
            events: lines(std::slice::from_ref(&next)),
            ..Entry::default()
        };
        journal.append(entry).await.expect("stored");
        all.push(next);
        for trial in 0..12 {
            let (copy, mut rest) = (copy(home.path()), log());
            lose(&mut rest, safe, trial);
            std::fs::write(copy.path().join("journal.sqlite-wal"), rest).expect("a file");
            let left = open(copy.path());
            let events = left.reader().expect("a reader").events("r1", 0).expect("events");
            assert!(left.aside.is_none(), "write {seq}, trial {trial}");
            // Of the last write there is all or nothing: all if what was lost was empty.
            assert!([&all[..seq], &all[..=seq]].contains(&events.as_slice()), "write {seq}, trial {trial}: {events:?}");
        }
    }
}

#[tokio::test]
async fn a_flipped_bit_is_found_or_does_no_harm() {
    let home = tempfile::tempdir().expect("a folder");
    let all: Vec<_> = (0..200).map(|place| event(&format!("the step number {place} of this run"))).collect();
    {
        let journal = open(home.path());
        let standing = Standing { status: "running".to_owned(), ended: None, report: None };
        let entry = Entry { standing: Some(standing), ..first("r1", &all) };
        journal.append(entry).await.expect("stored");
    }
    let bytes = std::fs::read(home.path().join("journal.sqlite")).expect("a file");
    let mut found = 0;
    for place in (7..bytes.len()).step_by(211) {
        let copy = copy(home.path());
        let mut flipped = bytes.clone();
        flipped[place] ^= 1 << (place % 8);
        std::fs::write(copy.path().join("journal.sqlite"), flipped).expect("a file");
        // Refused only as a later version's.
        let left = match Journal::open(copy.path(), Retention::default(), 10) {
            Ok(left) => left,
            Err(Error::Newer(_)) => continue,
            Err(error) => panic!("byte {place}: {error}"),
        };
        let events = left.reader().and_then(|reader| reader.events("r1", 0));
        match events {
            _ if left.aside.is_some() => found += 1,
            Err(_) => found += 1,
            Ok(events) if events.is_empty() => found += 1,
            Ok(events) => assert_eq!(events, all, "byte {place}: changed, and nobody has noticed"),
        }
    }
    assert!(found > 20, "only {found} were found");
}

#[tokio::test]
async fn an_entry_that_cannot_be_stored_is_alone_with_that() {
    let home = tempfile::tempdir().expect("a folder");
    let journal = open(home.path());
    let nobodys = || Entry { run: "nobody".into(), events: lines(&[event("a")]), ..Entry::default() };
    let all = (0..50).map(async |number| {
        let (name, other) = (format!("r{number}"), nobodys());
        tokio::join!(journal.append(first(&name, &[event("a")])), journal.append(other))
    });
    for (stored, refused) in futures::future::join_all(all).await {
        stored.expect("a run of its own");
        refused.expect_err("no run");
    }
    assert!(!journal.is_failing());
}

#[tokio::test]
async fn a_beginning_that_comes_twice_is_one_run() {
    let home = tempfile::tempdir().expect("a folder");
    let journal = open(home.path());
    journal.append(first("r1", &[event("a")])).await.expect("stored, though nobody was told");
    journal.append(first("r1", &[event("a"), event("b")])).await.expect("stored once more");
    let reader = journal.reader().expect("a reader");
    assert_eq!(reader.events("r1", 0).expect("events"), [event("a"), event("b")]);
}

#[tokio::test]
async fn what_is_too_much_is_also_deleted_while_the_program_runs() {
    let home = tempfile::tempdir().expect("a folder");
    let retention = Retention { age: Duration::from_hours(1), count: 5 };
    let journal = Journal::open(home.path(), retention, 10).expect("a journal");
    journal.append(first("open", &[event("a")])).await.expect("stored");
    let large = event(&"x".repeat(70_000));
    let all = (0..600_u64).map(|number| {
        let events = if number == 0 { std::slice::from_ref(&large) } else { &[] };
        let Entry { standing, .. } = ended("", number);
        journal.append(Entry { standing, ..first(&format!("r{number:03}"), events) })
    });
    for stored in futures::future::join_all(all).await {
        stored.expect("stored");
    }
    // Deleting comes after answering, and before anything else.
    journal.append(first("last", &[event("a")])).await.expect("stored");
    let reader = journal.reader().expect("a reader");
    let left = reader.last(1_000).expect("runs");
    assert!((7..=600 - 500 + 7).contains(&left.len()), "{} are left", left.len());
    assert!(reader.run("open").expect("a run").is_some() && reader.run("r599").expect("a run").is_some());
    let outputs: i64 =
        reader.connection().query_row("select count(*) from output", [], |row| row.get(0)).expect("a number");
    assert_eq!(outputs, 0);
}

#[tokio::test]
async fn what_runs_tell_each_other_is_kept_for_as_long_as_one_of_them_may_hear_it() {
    let home = tempfile::tempdir().expect("a folder");
    let told = |id: &str, event: &str, at| Emission { id: id.to_owned(), event: event.into(), data: json!({}), at };
    let ids = |reader: &Reader, event: &str, since| -> Vec<_> {
        let told = reader.emissions(&event.into(), since).expect("what was told");
        told.into_iter().map(|told| told.id).collect()
    };
    {
        let journal = open(home.path());
        let emissions = vec![told("c", "it", 7), told("a", "it", 4), told("b", "other", 6), told("d", "it", 5)];
        journal.append(Entry { emissions, ..first("r1", &[event("a")]) }).await.expect("stored");
        let again = Entry { run: "r1".into(), first: 1, emissions: vec![told("c", "it", 9)], ..Entry::default() };
        journal.append(again).await.expect("told twice, it is one");
    }
    let journal = open(home.path());
    let reader = journal.reader().expect("a reader");
    // The run began at 5.
    assert_eq!(
        (ids(&reader, "it", 5), ids(&reader, "it", 0)),
        (vec!["d".into(), "c".into()], vec!["d".into(), "c".into()])
    );
    journal.append(ended("r1", 9)).await.expect("stored");
    drop((journal, reader));
    assert_eq!(ids(&open(home.path()).reader().expect("a reader"), "it", 0), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_given_together_is_stored_together_or_not_at_all() {
    let home = tempfile::tempdir().expect("a folder");
    let journal = open(home.path());
    // Events of a run that nobody has begun are refused.
    let orphan = Entry { run: "nobody".into(), events: lines(&[event("a")]), ..Entry::default() };
    journal.append_all(vec![first("r1", &[event("a")]), orphan]).await.expect_err("one of them cannot be stored");
    let reader = journal.reader().expect("a reader");
    assert!(reader.run("r1").expect("the journal can be read").is_none());
    journal.append_all(vec![first("r1", &[event("a")]), first("r2", &[])]).await.expect("stored");
    assert_eq!(reader.open_runs().expect("runs").len(), 2);
}
