//! Answers of tools that only read: kept for later calls, and shared by equal calls that are made at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{Shared, WeakShared};
use moka::sync::Cache;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::model::call::Reply;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::port::BoxFuture;
use crate::registry::server::Server;
use crate::registry::tools::ToolOverride;

/// How much all kept answers may weigh together, in bytes. The least used go first.
const CAPACITY: u64 = 64 * 1024 * 1024;

/// A larger answer is not kept, in bytes.
const LARGEST: usize = 1024 * 1024;

/// The longest that an answer can be of use: a registry's longest time to live, and as long again when it is stale.
const LONGEST: Duration = Duration::from_hours(24 * 60);

/// So many answers are fetched anew at once while stale ones are given.
const REFRESHES: usize = 32;

/// A request that several callers may wait for. It is cancelled when the last of them leaves.
pub(super) type Flight = Shared<BoxFuture<Result<Reply, Fault>>>;

/// Requests under way, which do not keep themselves so.
type Flights = HashMap<String, WeakShared<BoxFuture<Result<Reply, Fault>>>>;

/// The answers of all servers.
pub(super) struct Answers {
    kept: Cache<String, Arc<Kept>>,
    /// Requests under way; guarded for one look-up.
    flights: Mutex<Flights>,
    /// What is known of each server, by its name; guarded for one look-up.
    books: Mutex<HashMap<Arc<str>, Arc<Book>>>,
    pub(super) refreshes: Arc<Semaphore>,
}

/// A kept answer.
pub(super) struct Kept {
    reply: Reply,
    since: Instant,
    stamp: Stamp,
}

/// What an answer depends on beside its question: when it differs, the answer is worth nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// How often the server's lists and resources have changed, or the capability itself.
    pub(super) changes: u64,
    /// How often the tool's answers have been made worthless by calls of other tools; of a capability, which servers there were.
    pub(super) writes: u64,
}

/// What is known of one server.
#[derive(Default)]
pub(super) struct Book {
    /// How many calls that may write have begun or ended. No call joins a request that is older than the last of them.
    writes: AtomicU64,
    /// How often the kept answers of a tool have been made worthless; guarded for one look-up.
    epochs: Mutex<HashMap<String, u64>>,
    hits: AtomicU64,
    stale: AtomicU64,
    misses: AtomicU64,
    joined: AtomicU64,
}

/// How a call got its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// A kept one was as good as new.
    Hit,
    /// A kept one had to do.
    Stale,
    /// The server was asked.
    Miss,
    /// The server had been asked already.
    Joined,
}

/// How often kept answers have been of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// Kept answers that were as good as new.
    pub hits: u64,
    /// Kept answers that had to do.
    pub stale: u64,
    /// Answers that had to be asked for.
    pub misses: u64,
    /// Calls that shared the request of another.
    pub joined: u64,
}

impl Default for Answers {
    fn default() -> Self {
        let weigh = |key: &String, kept: &Arc<Kept>| {
            u32::try_from(key.len() + kept.reply.body.get().len() + 128).unwrap_or(u32::MAX)
        };
        Self {
            kept: Cache::builder().max_capacity(CAPACITY).weigher(weigh).time_to_live(LONGEST).build(),
            flights: Mutex::default(),
            books: Mutex::default(),
            refreshes: Arc::new(Semaphore::new(REFRESHES)),
        }
    }
}

impl Answers {
    /// The kept answer and its age, unless something has happened since that makes it worthless.
    pub(super) fn find(&self, key: &str, stamp: Stamp) -> Option<(Reply, Duration)> {
        let kept = self.kept.get(key).filter(|kept| kept.stamp == stamp)?;
        Some((kept.reply.clone(), kept.since.elapsed()))
    }

    /// Keeps an answer that was asked for when `stamp` was current.
    pub(super) fn keep(&self, key: &str, stamp: Stamp, reply: &Reply) {
        if reply.body.get().len() <= LARGEST {
            let kept = Kept { reply: reply.clone(), since: Instant::now(), stamp };
            self.kept.insert(key.to_owned(), Arc::new(kept));
        }
    }

    /// Joins the request under way for `key`, or begins one.
    pub(super) fn join(
        &self,
        key: String,
        begin: impl FnOnce() -> BoxFuture<Result<Reply, Fault>>,
    ) -> (Waiting<'_>, How) {
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.get(&key).and_then(WeakShared::upgrade) {
            return (Waiting { answers: self, key, flight: Some(flight) }, How::Joined);
        }
        let flight = begin().shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(key.clone(), weak);
        }
        (Waiting { answers: self, key, flight: Some(flight) }, How::Miss)
    }

    /// What is known of `server`.
    pub(super) fn book(&self, server: &Arc<str>) -> Arc<Book> {
        Arc::clone(lock(&self.books).entry(Arc::clone(server)).or_default())
    }

    /// Notes a call that may write, from now until what is given back is dropped.
    pub(super) fn writing<'a>(&self, server: &'a Server, rule: Option<&'a ToolOverride>) -> Writing<'a> {
        let book = self.book(&server.name);
        book.writes.fetch_add(1, Ordering::AcqRel);
        Writing { book, server, rule }
    }
}

/// A place among those who wait for a request. The last to leave before its end cancels it.
pub(super) struct Waiting<'a> {
    answers: &'a Answers,
    key: String,
    flight: Option<Flight>,
}

impl Waiting<'_> {
    /// The request, for somebody who waits elsewhere.
    pub(super) fn flight(&self) -> Option<Flight> {
        self.flight.clone()
    }

    /// Waits for the answer.
    pub(super) async fn answer(&self) -> Result<Reply, Fault> {
        match self.flight() {
            Some(flight) => flight.await,
            None => Err(Fault::new(Kind::Internal, code::INTERNAL, "the answer of a shared request was lost")),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // The request itself ends outside of the lock, as it may have to tell its server.
        drop(self.flight.take());
        let mut flights = lock(&self.answers.flights);
        if flights.get(&self.key).is_some_and(|flight| flight.upgrade().is_none()) {
            flights.remove(&self.key);
        }
    }
}

/// A call that may write. What it makes worthless is so when it is over, however it ends.
pub(super) struct Writing<'a> {
    book: Arc<Book>,
    server: &'a Server,
    rule: Option<&'a ToolOverride>,
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.book.writes.fetch_add(1, Ordering::AcqRel);
        let Some(rule) = self.rule.filter(|rule| !rule.invalidates.is_empty()) else { return };
        let mut epochs = lock(&self.book.epochs);
        let kept = self.server.tools.overrides().filter(|(_, told)| told.cache.is_some());
        for (tool, _) in kept.filter(|(tool, _)| rule.invalidates.matches(tool)) {
            *epochs.entry(tool.to_owned()).or_default() += 1;
        }
    }
}

impl Book {
    /// How often the kept answers of `tool` have been made worthless.
    pub(super) fn epoch(&self, tool: &str) -> u64 {
        lock(&self.epochs).get(tool).copied().unwrap_or_default()
    }

    /// How many calls that may write have begun or ended.
    pub(super) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Acquire)
    }

    /// Counts an answer.
    pub(super) fn count(&self, how: How) {
        let counter = match how {
            How::Hit => &self.hits,
            How::Stale => &self.stale,
            How::Miss => &self.misses,
            How::Joined => &self.joined,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How often kept answers have been of use.
    pub(super) fn used(&self) -> Use {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Use { hits: read(&self.hits), stale: read(&self.stale), misses: read(&self.misses), joined: read(&self.joined) }
    }
}

impl Use {
    /// The part of the calls for which the server did not have to be asked anew, in percent.
    pub fn hit_percent(&self) -> Option<u64> {
        let without = self.hits + self.stale + self.joined;
        (without * 100).checked_div(without + self.misses)
    }

    /// For programs.
    pub fn to_json(&self, hit_percent: u64) -> Value {
        let Self { hits, stale, misses, joined } = self;
        json!({ "hit_percent": hit_percent, "hits": hits, "stale": stale, "misses": misses, "joined": joined })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
