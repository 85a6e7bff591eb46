//! The one thread that writes. Whatever waits for it becomes one transaction, so many runs share the cost of one flush.

use std::path::{Path, PathBuf};
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, params};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::journal::entry::{Entry, Opening};
use crate::journal::folder::Folder;
use crate::journal::open::{Error, open};
use crate::journal::reader::Reader;
use crate::journal::retention::{Retention, TRIM, prune, trim};

/// How many entries may wait.
const QUEUE: usize = 1_024;

/// How many entries one transaction takes.
const BATCH: usize = 512;

/// From this size on a body is stored once, by its hash.
const LARGE: usize = 64 * 1024;

/// How long somebody waits for an entry to be stored before he takes the disk for dead.
const PATIENCE: Duration = Duration::from_secs(30);

/// An entry could not be stored.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the run cannot be stored: {0}")]
pub struct NotStored(pub String);

/// One thing for the thread to do.
struct Order {
    /// What is stored together, or not at all; each with its parts that are trees, encoded by whoever gives the order.
    entries: Vec<(Entry, Texts)>,
    done: oneshot::Sender<Result<(), NotStored>>,
}

#[derive(Default)]
struct Texts {
    plan: String,
    terms: String,
    report: Option<String>,
}

impl Texts {
    fn of(entry: &Entry) -> Self {
        let mut texts = Self::default();
        if let Some(opening) = &entry.opening {
            (texts.plan, texts.terms) = (opening.plan.to_string(), opening.terms.to_string());
        }
        texts.report = entry.standing.as_ref().and_then(|standing| Some(standing.report.as_ref()?.to_string()));
        texts
    }
}

impl Order {
    fn of(entries: Vec<Entry>) -> (Self, oneshot::Receiver<Result<(), NotStored>>) {
        let encoded = |entry: Entry| {
            let texts = Texts::of(&entry);
            (entry, texts)
        };
        let (done, stored) = oneshot::channel();
        (Self { entries: entries.into_iter().map(encoded).collect(), done }, stored)
    }
}

/// A journal that this process owns.
#[derive(Debug)]
pub struct Journal {
    orders: Mutex<Option<mpsc::Sender<Order>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    folder: Folder,
    is_failing: Arc<AtomicBool>,
    /// Where a broken file was put when this one was opened.
    pub aside: Option<PathBuf>,
}

impl Journal {
    /// Opens the journal in `path` and makes it ours.
    pub fn open(path: &Path, retention: Retention, now: u64) -> Result<Self, Error> {
        let opened = open(path)?;
        let unusable = |why| Error::Unusable { path: path.to_path_buf(), why };
        prune(&opened.connection, retention, now).map_err(unusable)?;
        let (orders, waiting) = mpsc::channel(QUEUE);
        let is_failing = Arc::new(AtomicBool::new(false));
        let failing = Arc::clone(&is_failing);
        let thread = thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write(opened.connection, waiting, retention, &failing))
            .map_err(|why| unusable(rusqlite::Error::ToSqlConversionFailure(why.into())))?;
        Ok(Self {
            orders: Mutex::new(Some(orders)),
            thread: Mutex::new(Some(thread)),
            folder: opened.folder,
            is_failing,
            aside: opened.aside,
        })
    }

    /// Whether the last that was written could not be stored.
    pub fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A connection for reading.
    pub fn reader(&self) -> Result<Reader, rusqlite::Error> {
        Reader::open(self.folder.path())
    }

    /// Stores an entry, and all that were given before it. Once this is done it survives a loss of power.
    pub async fn append(&self, entry: Entry) -> Result<(), NotStored> {
        self.append_all(vec![entry]).await
    }

    /// Stores all of these entries, or none.
    pub async fn append_all(&self, entries: Vec<Entry>) -> Result<(), NotStored> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(orders) = orders else { return Err(NotStored("the journal is closed".to_owned())) };
        let (order, stored) = Order::of(entries);
        let silent = || NotStored(format!("the disk has not answered for {PATIENCE:?}"));
        let gone = || NotStored("the journal is closed".to_owned());
        timeout(PATIENCE, orders.send(order)).await.map_err(|_| silent())?.map_err(|_| gone())?;
        timeout(PATIENCE, stored).await.map_err(|_| silent())?.map_err(|_| gone())?
    }

    /// Stores an entry some time soon, if there is room: nobody waits for it.
    pub fn offer(&self, entry: Entry) {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if orders.is_some_and(|orders| orders.try_send(Order::of(vec![entry]).0).is_err()) {
            tracing::debug!("the journal is too busy to take what nobody waits for");
        }
    }

    /// Stores what is left and ends the thread. Blocks for as long as that takes.
    pub fn close(&self) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the journal panicked");
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

fn write(
    mut connection: Connection,
    mut waiting: mpsc::Receiver<Order>,
    retention: Retention,
    is_failing: &AtomicBool,
) {
    // The runs that have ended since some were deleted last.
    let mut ended = 0;
    while let Some(first) = waiting.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        let stored = store_all(&mut connection, &batch);
        let is_one_to_blame = matches!(&stored, Err(why) if is_about_one(why)) && batch.len() > 1;
        let stored = stored.map_err(|why| NotStored(why.to_string()));
        is_failing.store(stored.is_err() && !is_one_to_blame, Ordering::Relaxed);
        let entries = batch.iter().flat_map(|order| &order.entries);
        let ends: Vec<_> = entries.filter_map(|(entry, _)| entry.standing.as_ref()?.ended).collect();
        ended += ends.len();
        for order in batch {
            let mut alone =
                || store_all(&mut connection, slice::from_ref(&order)).map_err(|why| NotStored(why.to_string()));
            let stored = if is_one_to_blame { alone() } else { stored.clone() };
            // Fails only if nobody waits for it.
            let _ = order.done.send(stored);
        }
        if let Some(now) = ends.into_iter().max().filter(|_| ended >= TRIM) {
            ended = 0;
            if let Err(why) = trim(&mut connection, retention, now) {
                tracing::warn!("what has ended long ago cannot be deleted: {why}");
            }
        }
    }
    // What is not copied back now is at the next start.
    let _ = connection.pragma_update(None, "wal_checkpoint", "truncate");
}

/// Whether it is a single entry that cannot be stored, whatever the disk does.
fn is_about_one(why: &rusqlite::Error) -> bool {
    matches!(
        why.sqlite_error_code(),
        Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
    )
}

fn store_all(connection: &mut Connection, batch: &[Order]) -> rusqlite::Result<()> {
    let change = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    for (entry, texts) in batch.iter().flat_map(|order| &order.entries) {
        store(&change, entry, texts)?;
    }
    change.commit()
}

fn store(change: &Connection, entry: &Entry, texts: &Texts) -> rusqlite::Result<()> {
    let count = (entry.first + entry.events.len() as u64).cast_signed();
    if let Some(opening) = &entry.opening {
        begin(change, opening, texts, count)?;
    }
    let mut insert =
        change.prepare_cached("insert or ignore into event (run, seq, body, output, sum) values (?, ?, ?, ?, ?)")?;
    for (seq, event) in (entry.first..).zip(&entry.events) {
        let body = event.as_str();
        let sum = sum(seq, body);
        if body.len() < LARGE {
            insert.execute(params![entry.run, seq.cast_signed(), body, None::<String>, sum])?;
            continue;
        }
        let hash = hash(body);
        change
            .prepare_cached("insert or ignore into output (hash, body) values (?, ?)")?
            .execute(params![hash, body])?;
        insert.execute(params![entry.run, seq.cast_signed(), None::<String>, hash, sum])?;
    }
    for told in &entry.emissions {
        change
            .prepare_cached("insert or ignore into emission (id, event, data, at) values (?, ?, ?, ?)")?
            .execute(params![told.id, &*told.event, told.data.to_string(), told.at.cast_signed()])?;
    }
    match &entry.standing {
        Some(standing) => {
            let all =
                "update run set status = ?, ended = ?, report = ?, events = max(coalesce(events, 0), ?) where id = ?";
            let ended = standing.ended.map(u64::cast_signed);
            change.prepare_cached(all)?.execute(params![standing.status, ended, texts.report, count, entry.run])?;
        }
        // Spares the indices, which hold how a run stands.
        None if entry.opening.is_none() => {
            let only = "update run set events = max(coalesce(events, 0), ?) where id = ?";
            change.prepare_cached(only)?.execute(params![count, entry.run])?;
        }
        None => {}
    }
    Ok(())
}

fn begin(change: &Connection, opening: &Opening, texts: &Texts, count: i64) -> rusqlite::Result<()> {
    let hash = hash(&format!("{}\n{}", opening.format, opening.definition));
    change
        .prepare_cached("insert or ignore into definition (hash, body, format) values (?, ?, ?)")?
        .execute(params![hash, opening.definition, opening.format])?;
    // Whoever has waited for a slow disk in vain brings the same beginning again.
    change
        .prepare_cached(
            "insert into run (id, workflow, definition, plan, caller, parent, key, terms, began, status, events)
             values (?, ?, ?, ?, ?, ?, ?, ?, ?, 'running', ?)
             on conflict (id) do update set events = max(coalesce(events, 0), excluded.events)",
        )?
        .execute(params![
            opening.run,
            opening.workflow,
            hash,
            texts.plan,
            opening.caller,
            opening.parent,
            opening.key,
            texts.terms,
            opening.began.cast_signed(),
            count
        ])?;
    Ok(())
}

/// The name of a text: two texts of one name are the same.
fn hash(text: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(text.as_bytes())
        .iter()
        .fold(String::with_capacity(64), |name, byte| name + &format!("{byte:02x}"))
}

/// What the event of this number must come to when it is read again: the disk may have changed it meanwhile, and `SQLite` does
/// not look. FNV-1a, because it finds every single changed bit and costs next to nothing.
pub(super) fn sum(seq: u64, body: &str) -> i64 {
    let start = 0xcbf2_9ce4_8422_2325 ^ seq;
    body.bytes().fold(start, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)).cast_signed()
}
