//! One live instance of a server, and the policies that every request to it passes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, watch};

use crate::downstream::attempt::Counted;
use crate::downstream::listing::Listing;
use crate::downstream::memory::{Memory, Recalled};
use crate::downstream::notice::Inbox;
use crate::downstream::pace::Pace;
use crate::downstream::request::Request;
use crate::downstream::session::Session;
use crate::downstream::state::{Phase, State};
use crate::model::call::Reply;
use crate::model::chain::Hop;
use crate::model::effect::Effect;
use crate::model::fault::Fault;
use crate::model::freshness::Freshness;
use crate::model::limits::Limits;
use crate::policy::balance::Latency;
use crate::policy::breaker::{Breaker, State as BreakerState};
use crate::policy::retry::budget::Budget;
use crate::registry::server::Server;

/// A lost server that is about to be tried again is waited for at most this long; beyond it, the caller is told.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// A server's endpoint. Requests come in here; the supervisor keeps its session.
pub struct Endpoint {
    /// Its registry entry.
    pub server: Arc<Server>,
    /// Which of the server's instances it is, from 0.
    pub place: usize,
    /// The orchestrator that it belongs to.
    pub(super) us: Hop,
    pub(super) inbox: Arc<Inbox>,
    pub(super) state: watch::Sender<State>,
    pub(super) session: watch::Sender<Option<Arc<Session>>>,
    pub(super) listing: watch::Sender<Option<Arc<Listing>>>,
    /// The resources that hosts want to be told of, and how many want each.
    pub(super) watched: Arc<watch::Sender<BTreeMap<String, usize>>>,
    /// Somebody needs the server: start it.
    pub(super) demand: Notify,
    pub(super) is_wanted: AtomicBool,
    /// A request ran into its time limit: ask at once whether the server still lives.
    pub(super) suspicion: Notify,
    pub(super) last_answer: Mutex<Option<Instant>>,
    /// How long its calls take; guarded for one look or note.
    pub(super) latency: Mutex<Latency>,
    /// When it was listed last; guarded for one assignment.
    pub(super) listed_at: Mutex<Option<Instant>>,
    /// Where what it offers is kept from one start of the program to the next.
    pub(super) memory: Option<Arc<Memory>>,
    /// When what it is known to offer was heard, if that was before the program started.
    pub(super) recalled: Option<Recalled>,
    /// Guards the breaker's counters; held for the length of one method.
    breaker: Mutex<Breaker>,
    pub(super) bulkhead: Semaphore,
    /// That of all instances of the server.
    pub(super) pace: Arc<Pace>,
    /// Guards what is left for repetitions; held for the length of one method.
    budget: Mutex<Budget>,
    /// Whether nobody has needed the server since it was said that nobody does: stop it.
    pub(super) released: watch::Sender<bool>,
    /// When any instance of the server was last used; guarded for one look or note.
    pub(super) used: Arc<Mutex<Instant>>,
    pub(super) in_flight: AtomicU32,
    /// Conversations that are not over, whether or not a request of theirs is in flight.
    pub(super) held: AtomicU32,
    requests: AtomicU64,
    failures: AtomicU64,
    pub(super) repetitions: AtomicU64,
}

/// What a request may do and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Decides whether it may be repeated.
    pub effect: Effect,
    /// The longest one attempt may take.
    pub timeout: Duration,
    /// The caller's own bounds.
    pub limits: Limits,
    /// Whether it is made again, and a lost server waited for. Not if somebody else can be asked at once.
    pub may_wait: bool,
}

/// An endpoint's counters.
#[derive(Debug, Clone, Copy)]
pub struct Counters {
    /// Requests made, attempts not counted.
    pub requests: u64,
    /// Requests that failed.
    pub failures: u64,
    /// Attempts beyond the first of each.
    pub repetitions: u64,
    /// Requests being made.
    pub in_flight: u32,
}

impl Endpoint {
    /// An endpoint that is not connected yet.
    ///
    /// It is the instance at `place` of all that share `turns` and `used`.
    pub(super) fn new(
        server: Arc<Server>,
        inbox: Inbox,
        us: Hop,
        place: usize,
        (turns, used): (Arc<Pace>, Arc<Mutex<Instant>>),
    ) -> Self {
        Self {
            place,
            us,
            latency: Mutex::default(),
            released: watch::channel(false).0,
            used,
            inbox: Arc::new(inbox),
            state: watch::channel(State::new(Instant::now())).0,
            session: watch::channel(None).0,
            listing: watch::channel(None).0,
            watched: Arc::new(watch::channel(BTreeMap::new()).0),
            demand: Notify::new(),
            is_wanted: AtomicBool::new(false),
            suspicion: Notify::new(),
            last_answer: Mutex::default(),
            listed_at: Mutex::default(),
            memory: None,
            recalled: None,
            breaker: Mutex::new(Breaker::new(server.breaker)),
            bulkhead: Semaphore::new(server.concurrency),
            pace: turns,
            budget: Mutex::default(),
            in_flight: AtomicU32::new(0),
            held: AtomicU32::new(0),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            repetitions: AtomicU64::new(0),
            server,
        }
    }

    /// The endpoint with what `memory` has of its server, which is told to `memory` from now on.
    #[must_use]
    pub fn remembering(mut self, memory: &Arc<Memory>) -> Self {
        if let Some((listing, recalled)) = memory.recall(&self.server) {
            self.listing.send_replace(Some(Arc::new(listing)));
            self.recalled = Some(recalled);
        }
        self.memory = Some(Arc::clone(memory));
        self
    }

    /// Since when it has not been heard of, while what is known of it is from before the program started.
    pub fn recalled(&self) -> Option<&Recalled> {
        let is_listed = self.listed_at.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        self.recalled.as_ref().filter(|_| !is_listed && self.listing().is_some())
    }

    /// What is known of it now.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Where it is in its life.
    pub fn phase(&self) -> Phase {
        self.state.borrow().phase
    }

    /// Whether it has failed since it was last connected.
    pub(super) fn was_lost(&self) -> bool {
        self.state.borrow().fault.is_some()
    }

    /// How long its calls take, in seconds, as far as it is remembered.
    pub fn latency(&self, now: Instant) -> Option<f64> {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner).seconds(now)
    }

    /// What it offers, as last heard; `None` until it has been listed once.
    pub fn listing(&self) -> Option<Arc<Listing>> {
        self.listing.borrow().clone()
    }

    /// How long its lists may still be kept; not at all until it has been listed. `None` if it has none.
    pub fn freshness(&self) -> Option<Freshness> {
        let listed_at = *self.listed_at.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(listing), Some(at)) = (self.listing(), listed_at) else { return Some(Freshness::default()) };
        listing.freshness.map(|freshness| freshness.after(at.elapsed()))
    }

    /// The state of its breaker, and when an open one lets a call through.
    pub fn breaker(&self) -> (BreakerState, Option<Duration>) {
        let breaker = self.lock_breaker();
        let now = Instant::now();
        (breaker.state(now), breaker.retry_after(now))
    }

    /// Its requests in flight.
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Its counters.
    pub fn counters(&self) -> Counters {
        Counters {
            requests: self.requests.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            repetitions: self.repetitions.load(Ordering::Relaxed),
            in_flight: self.in_flight(),
        }
    }

    /// How often its lists or resources have changed, as far as it tells.
    pub fn changes(&self) -> u64 {
        self.inbox.changes()
    }

    /// The last lines that its process, which may be dead, wrote to standard error.
    pub fn stderr(&self) -> Vec<String> {
        self.inbox.tail().lines()
    }

    /// Wants to be told of the resource `uri`, as often as this is called.
    pub fn watch(&self, uri: &str) {
        self.watched.send_modify(|watched| *watched.entry(uri.to_owned()).or_default() += 1);
    }

    /// Takes one [`Endpoint::watch`] back.
    pub fn unwatch(&self, uri: &str) {
        self.watched.send_modify(|watched| {
            if let Some(count) = watched.get_mut(uri) {
                *count -= 1;
                if *count == 0 {
                    watched.remove(uri);
                }
            }
        });
    }

    /// Starts the server if it waits to be needed, and has it go on if it was to be stopped.
    pub fn want(&self) {
        if *self.released.borrow() {
            self.released.send_replace(false);
        }
        if !self.is_wanted.load(Ordering::SeqCst) && !self.is_wanted.swap(true, Ordering::SeqCst) {
            self.demand.notify_one();
        }
    }

    /// Waits until the server has been listed once, or has failed to be.
    pub async fn settled(&self) {
        let mut state = self.state.subscribe();
        let is_settled = |state: &State| match state.phase {
            Phase::Ready => self.listing.borrow().is_some() || state.fault.is_some(),
            Phase::Starting | Phase::Idle => false,
            Phase::Waiting(_) | Phase::CrashLoop(_) | Phase::Stopped => true,
        };
        // Fails only if the endpoint is gone.
        let _ = state.wait_for(is_settled).await;
    }

    /// Makes `request` under every policy of the server. Dropping the future cancels it.
    ///
    /// Order: deadline of the whole; then for each attempt its turn under the rate limits, breaker, place among the requests
    /// in flight, session, time limit of the attempt; then the retry policy, which repeats only what is safe to repeat.
    pub async fn request(&self, request: &Request, terms: Terms) -> Result<Reply, Fault> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        // Before the session is looked for: whoever stops an idle server takes the session away first and counts then.
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let counted = Counted(self);
        self.lock_budget().pay_in();
        let result = match self.hedge(request, terms) {
            Some(after) => Box::pin(self.hedged(request, terms, after)).await,
            None => self.repeated(request, terms, &AtomicBool::new(false)).await,
        };
        drop(counted);
        if result.is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        result.map_err(|fault| Fault { server: Some(self.server.name.to_string()), ..fault })
    }

    pub(super) fn lock_budget(&self) -> std::sync::MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number in [0, 1) for jitter.
pub fn fraction() -> f64 {
    let bits = u32::from_le_bytes(uuid::Uuid::new_v4().as_bytes()[..4].try_into().expect("four bytes"));
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}
