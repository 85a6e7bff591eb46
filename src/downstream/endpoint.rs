//! One live instance of a server, and the policies that every request to it passes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::sleep;

use crate::downstream::listing::Listing;
use crate::downstream::memory::{Memory, Recalled};
use crate::downstream::notice::Inbox;
use crate::downstream::pace::{self, Pace};
use crate::downstream::request::Request;
use crate::downstream::session::Session;
use crate::downstream::state::{Phase, State};
use crate::model::call::Reply;
use crate::model::chain::Hop;
use crate::model::code;
use crate::model::effect::Effect;
use crate::model::fault::{Fault, Kind};
use crate::model::freshness::Freshness;
use crate::model::limits::Limits;
use crate::policy::balance::Latency;
use crate::policy::breaker::{Breaker, Outcome, Permit, State as BreakerState, outcome_of};
use crate::policy::retry::budget::Budget;
use crate::registry::server::Server;
use crate::wire::mirror::MISMATCH;

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
    latency: Mutex<Latency>,
    /// When it was listed last; guarded for one assignment.
    pub(super) listed_at: Mutex<Option<Instant>>,
    /// Where what it offers is kept from one start of the program to the next.
    pub(super) memory: Option<Arc<Memory>>,
    /// When what it is known to offer was heard, if that was before the program started.
    pub(super) recalled: Option<Recalled>,
    /// Guards the breaker's counters; held for the length of one method.
    breaker: Mutex<Breaker>,
    bulkhead: Semaphore,
    /// That of all instances of the server.
    pace: Arc<Pace>,
    /// Guards what is left for repetitions; held for the length of one method.
    budget: Mutex<Budget>,
    /// Nobody needs the server any more: stop it.
    pub(super) rest: Notify,
    /// When any instance of the server was last used; guarded for one look or note.
    pub(super) used: Arc<Mutex<Instant>>,
    in_flight: AtomicU32,
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
            rest: Notify::new(),
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

    /// Starts the server if it waits to be needed.
    pub fn want(&self) {
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

    /// Makes `request` once. `was_sent` becomes true when it has reached the server.
    pub(super) async fn attempt(&self, request: &Request, terms: Terms, was_sent: &AtomicBool) -> Result<Reply, Fault> {
        if self.breaker().0 == BreakerState::Open {
            // Who is refused anyway must neither wait for a turn nor use one up.
            self.admit().map(drop)?;
        }
        self.pace.turn(request, pace::deadline(terms.limits.left(Instant::now()), terms.timeout)).await?;
        let limit = terms.limits.left(Instant::now()).map_or(terms.timeout, |left| left.min(terms.timeout));
        if limit.is_zero() {
            return Err(Fault::new(Kind::Timeout, code::CALL_TIMEOUT, "the caller's time is up; nothing was sent"));
        }
        let is_impatient = limit < terms.timeout;
        let admitted = self.admit()?;
        let began = Instant::now();
        let work = async {
            let _place = self.place().await?;
            let session = self.session(terms.may_wait).await?;
            was_sent.store(true, Ordering::Relaxed);
            self.send(&session, request).await.map(Reply::new)
        };
        // The limit stands still while somebody is asked.
        let result = tokio::select! {
            result = work => result,
            () = request.asking.idle_for(terms.timeout) => {
                Err(self.timed_out(terms.timeout, was_sent.load(Ordering::Relaxed), is_impatient))
            }
            // The caller's own deadline stands still for nobody.
            () = sleep(limit), if is_impatient => Err(self.timed_out(limit, was_sent.load(Ordering::Relaxed), true)),
        };
        self.note_latency(began, request, &result);
        if result.is_ok() {
            *self.last_answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        if let Err(fault) = &result {
            self.pace.learn(fault);
        }
        // A caller who is less patient than the server's own limit says nothing about the server.
        let is_timeout = result.as_ref().is_err_and(|fault| fault.kind == Kind::Timeout);
        admitted.record(if is_impatient && is_timeout { Outcome::Neutral } else { outcome_of(&result) });
        result
    }

    /// Sends `request`. A modern server over HTTP whose tool wants other headers than we know has not looked at it yet: it is
    /// listed anew, and the request is sent once more (2026-07-28, basic/transports).
    async fn send(&self, session: &Session, request: &Request) -> Result<Box<RawValue>, Fault> {
        let is_stale = |fault: &Fault| fault.rpc.as_ref().is_some_and(|rpc| rpc.code == MISMATCH);
        match session.request(request).await {
            Err(fault) if is_stale(&fault) && session.mirrors().is_some() && request.method == "tools/call" => {
                if self.relist(session).await { session.request(request).await } else { Err(fault) }
            }
            result => result,
        }
    }

    fn timed_out(&self, limit: Duration, was_sent: bool, is_impatient: bool) -> Fault {
        let seconds = limit.as_secs_f32();
        if !was_sent {
            return match self.state.borrow().phase {
                Phase::Starting | Phase::Idle => {
                    Fault::new(Kind::Timeout, code::SERVER_STARTING, format!("is still starting after {seconds} s"))
                }
                _ => Fault::new(Kind::Timeout, code::SERVER_BUSY, format!("had no place free within {seconds} s"))
                    .hint("try again later, or raise its `concurrency` in the registry"),
            };
        }
        if !is_impatient {
            self.suspicion.notify_one();
        }
        Fault::new(Kind::Timeout, code::CALL_TIMEOUT, format!("did not answer within {seconds} s"))
            .sent()
            .hint("raise its `timeout` in the registry if the tool needs longer")
    }

    fn admit(&self) -> Result<Admitted<'_>, Fault> {
        let admission = self.lock_breaker().admit(Instant::now());
        admission.map(|permit| Admitted { endpoint: self, permit: Some(permit) }).map_err(|after| {
            let why =
                self.state.borrow().fault.as_ref().map_or_else(String::new, |fault| format!(": {}", fault.message));
            Fault::new(Kind::Unavailable, code::BREAKER_OPEN, format!("is not called after repeated failures{why}"))
                .retry_after(after)
                .hint("`orchestrator_status` says more")
        })
    }

    async fn place(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Fault> {
        self.bulkhead
            .acquire()
            .await
            .map_err(|_| Fault::new(Kind::Unavailable, code::SHUTTING_DOWN, "is being stopped"))
    }

    /// The session, once there is one. A dead server is reported at once unless it is about to be tried again and the
    /// caller `may_wait`.
    async fn session(&self, may_wait: bool) -> Result<Arc<Session>, Fault> {
        self.want();
        let mut session = self.session.subscribe();
        let mut state = self.state.subscribe();
        loop {
            if let Some(session) = session.borrow_and_update().clone() {
                return Ok(session);
            }
            let (phase, fault) = {
                let state = state.borrow_and_update();
                (state.phase, state.fault.clone())
            };
            let retry_in = phase.retry_in(Instant::now());
            let is_lost = !may_wait && fault.is_some() && phase != Phase::Ready;
            if phase == Phase::Stopped || is_lost || retry_in.is_some_and(|wait| wait > PATIENCE) {
                return Err(down(phase, fault, retry_in));
            }
            tokio::select! {
                changed = session.changed() => changed,
                changed = state.changed() => changed,
            }
            .map_err(|_| down(Phase::Stopped, None, None))?;
        }
    }

    pub(super) fn lock_budget(&self) -> std::sync::MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A quick refusal says nothing about how long the work takes, nor does a call in which somebody was asked.
    fn note_latency(&self, began: Instant, request: &Request, result: &Result<Reply, Fault>) {
        let is_telling = result.as_ref().map_or_else(|fault| fault.kind == Kind::Timeout, |_| true);
        if is_telling && !request.asking.has_asked() && !request.method.starts_with("tasks/") {
            let now = Instant::now();
            let took = now.saturating_duration_since(began);
            self.latency.lock().unwrap_or_else(PoisonError::into_inner).note(took, now);
        }
    }

    pub(super) fn lock_breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that the breaker let through; gives its place back even if the call is dropped.
struct Admitted<'a> {
    endpoint: &'a Endpoint,
    permit: Option<Permit>,
}

impl Admitted<'_> {
    fn record(mut self, outcome: Outcome) {
        self.settle(outcome);
    }

    fn settle(&mut self, outcome: Outcome) {
        if let Some(permit) = self.permit.take() {
            self.endpoint.lock_breaker().record(permit, outcome, Instant::now());
        }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.settle(Outcome::Neutral);
    }
}

/// Counts a request as in flight for as long as it lives.
struct Counted<'a>(&'a Endpoint);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        *self.0.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

fn down(phase: Phase, fault: Option<Fault>, retry_in: Option<Duration>) -> Fault {
    let code = match phase {
        Phase::CrashLoop(_) => code::CRASH_LOOP,
        Phase::Stopped => code::SHUTTING_DOWN,
        _ => code::SERVER_DOWN,
    };
    let mut fault = fault.unwrap_or_else(|| Fault::new(Kind::Unavailable, code, "is not running"));
    fault.was_sent = false;
    fault.retry_after = retry_in;
    if phase != Phase::Stopped && fault.code == code::SERVER_DOWN {
        fault.code = code;
    }
    fault
}

/// A number in [0, 1) for jitter.
pub fn fraction() -> f64 {
    let bits = u32::from_le_bytes(uuid::Uuid::new_v4().as_bytes()[..4].try_into().expect("four bytes"));
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}
