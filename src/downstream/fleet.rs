//! All instances of one server, which share its name and its catalogue: which of them gets a call.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use tokio_util::sync::CancellationToken;

use crate::downstream::endpoint::{Counters, Endpoint, fraction};
use crate::downstream::listing::Listing;
use crate::downstream::state::{Phase, State};
use crate::model::call::Reply;
use crate::model::effect::Effect;
use crate::model::fault::Fault;
use crate::model::freshness::Freshness;
use crate::policy::balance::{Candidate, Standing, pick};
use crate::policy::breaker::{Outcome, State as BreakerState, outcome_of};
use crate::policy::outlier::Outliers;
use crate::policy::sticky::Homes;
use crate::registry::server::Server;

/// A server: one endpoint or several that are alike.
pub struct Fleet {
    /// Its registry entry.
    pub server: Arc<Server>,
    replicas: Vec<Replica>,
    /// Ends all of them.
    pub(super) stop: CancellationToken,
    /// So many of the replicas are to run, the first ones.
    active: AtomicUsize,
    /// Guarded for one look or note.
    outliers: Mutex<Outliers>,
    /// Guarded for one look or note.
    homes: Mutex<Homes>,
    /// Which of the fleets that there have been it is.
    number: u64,
}

/// One of several instances.
pub struct Replica {
    /// It itself.
    pub endpoint: Arc<Endpoint>,
    /// Lower tiers are used first.
    pub tier: u32,
    /// Its share of the calls of its tier.
    pub weight: u32,
}

/// What a call wants of a replica.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Who calls.
    pub caller: u64,
    /// What the call may do.
    pub effect: Effect,
    /// Whether it goes on with what its caller has begun at one replica.
    pub goes_on: bool,
}

impl Fleet {
    /// The instances of `server`, at least one. They end with `stop`.
    pub fn new(server: Arc<Server>, replicas: Vec<Replica>, stop: CancellationToken, number: u64) -> Self {
        Self {
            active: AtomicUsize::new(server.replicas.min),
            outliers: Mutex::new(Outliers::new(replicas.len())),
            homes: Mutex::default(),
            replicas,
            server,
            stop,
            number,
        }
    }

    /// Every endpoint, the first one first.
    pub fn endpoints(&self) -> impl ExactSizeIterator<Item = &Arc<Endpoint>> {
        self.replicas.iter().map(|replica| &replica.endpoint)
    }

    /// The endpoint at `place`.
    pub fn at(&self, place: usize) -> Option<&Arc<Endpoint>> {
        self.replicas.get(place).map(|replica| &replica.endpoint)
    }

    /// The endpoint, if there is one only.
    pub fn only(&self) -> Option<&Arc<Endpoint>> {
        self.at(0).filter(|_| self.replicas.len() == 1)
    }

    /// How many of the replicas are to run.
    pub fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    fn running(&self) -> &[Replica] {
        &self.replicas[..self.active().clamp(1, self.replicas.len())]
    }

    /// Whether none of the instances that are to run has been needed yet, or for a long time.
    pub(super) fn is_asleep(&self) -> bool {
        self.running().iter().all(|replica| replica.endpoint.phase() == Phase::Idle)
    }

    /// How long calls take on average, in seconds, where that is known.
    pub(super) fn latency(&self, now: Instant) -> Option<f64> {
        let known: Vec<f64> = self.endpoints().filter_map(|endpoint| endpoint.latency(now)).collect();
        let count = u32::try_from(known.len()).ok().filter(|count| *count > 0)?;
        Some(known.iter().sum::<f64>() / f64::from(count))
    }

    /// Has `wanted` instances run. One that a host belongs to is not stopped, nor those before it.
    pub(super) fn resize(&self, wanted: usize) {
        let now = Instant::now();
        let active = self.active();
        let has_guests = |place: &usize| self.lock_homes().has_guests(*place, now);
        let last_home = (wanted..active).rev().find(has_guests);
        let wanted = last_home.map_or(wanted, |place| place + 1).clamp(1, self.replicas.len());
        self.active.store(wanted, Ordering::Relaxed);
        if wanted == active {
            return;
        }
        tracing::info!(server = %self.server.name, from = active, to = wanted, "instances");
        self.replicas[active.min(wanted)..wanted].iter().for_each(|replica| replica.endpoint.want());
        self.replicas[wanted..active.max(wanted)].iter().for_each(|replica| replica.endpoint.release());
    }

    /// What it offers, as last heard of the first replica that has said it.
    pub fn listing(&self) -> Option<Arc<Listing>> {
        self.endpoints().find_map(|endpoint| endpoint.listing())
    }

    /// Another number whenever its lists or resources have changed, as far as it tells, and for another server of its name.
    pub fn changes(&self) -> u64 {
        let told: u64 = self.endpoints().map(|endpoint| endpoint.changes()).sum();
        (self.number << 32).wrapping_add(told)
    }

    /// Which of all servers that there have been it is: one that takes the place of another of its name has another number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How long its lists may still be kept.
    pub fn freshness(&self) -> Option<Freshness> {
        let listed = self.endpoints().find(|endpoint| endpoint.listing().is_some());
        listed.or_else(|| self.at(0)).and_then(|endpoint| endpoint.freshness())
    }

    /// The replica that does best.
    pub fn best(&self) -> &Arc<Endpoint> {
        let best = self.running().iter().min_by_key(|replica| rank(replica.endpoint.phase()));
        &best.unwrap_or(&self.replicas[0]).endpoint
    }

    /// What is known of the replica that does best.
    pub fn state(&self) -> State {
        self.best().state()
    }

    /// The tier of the replica at `place`.
    pub fn tier(&self, place: usize) -> u32 {
        self.replicas.get(place).map_or(0, |replica| replica.tier)
    }

    /// The counters of all replicas together.
    pub fn counters(&self) -> Counters {
        let all = self.endpoints().map(|endpoint| endpoint.counters());
        all.fold(Counters { requests: 0, failures: 0, repetitions: 0, in_flight: 0 }, |sum, one| Counters {
            requests: sum.requests + one.requests,
            failures: sum.failures + one.failures,
            repetitions: sum.repetitions + one.repetitions,
            in_flight: sum.in_flight + one.in_flight,
        })
    }

    /// How many calls the running replicas can take at once.
    pub fn places(&self) -> usize {
        self.server.concurrency * self.running().len()
    }

    /// Whether some replica takes calls, or will once it is started.
    pub fn is_up(&self) -> bool {
        let is_up = |endpoint: &Endpoint| {
            !matches!(endpoint.breaker().0, BreakerState::Open)
                && matches!(endpoint.phase(), Phase::Ready | Phase::Idle | Phase::Starting)
        };
        self.running().iter().any(|replica| is_up(&replica.endpoint))
    }

    /// Whether no replica takes calls, although each was needed: all are lost, or refused by their breakers.
    pub fn is_lost(&self) -> bool {
        let is_lost = |endpoint: &Endpoint| match endpoint.phase() {
            Phase::Idle => false,
            Phase::Ready => matches!(endpoint.breaker().0, BreakerState::Open),
            Phase::Starting => endpoint.was_lost(),
            Phase::Waiting(_) | Phase::CrashLoop(_) | Phase::Stopped => true,
        };
        self.running().iter().all(|replica| is_lost(&replica.endpoint))
    }

    /// Starts the replicas that are to run and wait to be needed.
    pub fn want(&self) {
        self.running().iter().for_each(|replica| replica.endpoint.want());
    }

    /// Waits until a replica has been listed once, or all have failed to be.
    pub async fn settled(&self) {
        let mut all: FuturesUnordered<_> = self.running().iter().map(|replica| replica.endpoint.settled()).collect();
        while all.next().await.is_some() {
            if self.listing().is_some() {
                return;
            }
        }
    }

    /// Wants to be told of the resource `uri`, as often as this is called.
    pub fn watch(&self, uri: &str) {
        // Replicas that are alike tell the same: one that lives is enough, and the first lives as long as any.
        self.replicas[0].endpoint.watch(uri);
    }

    /// Takes one [`Fleet::watch`] back.
    pub fn unwatch(&self, uri: &str) {
        self.replicas[0].endpoint.unwatch(uri);
    }

    /// The place of the replica that gets a call; `None` if all have been `tried`.
    pub fn pick(&self, wish: Wish, tried: &[usize]) -> Option<usize> {
        self.want();
        let now = Instant::now();
        if (self.server.replicas.sticky || wish.goes_on)
            && let Some(home) = self.home(wish, tried, now)
        {
            return Some(home);
        }
        let left: Vec<usize> = (0..self.replicas.len()).filter(|place| !tried.contains(place)).collect();
        let candidates: Vec<_> = left.iter().map(|place| self.candidate(*place, wish.effect, now)).collect();
        let place = left.get(pick(&candidates, (fraction(), fraction()))?).copied()?;
        if self.server.replicas.sticky {
            self.lock_homes().settle(wish.caller, place, now);
        }
        Some(place)
    }

    fn home(&self, wish: Wish, tried: &[usize], now: Instant) -> Option<usize> {
        let home = self.lock_homes().of(wish.caller, now).filter(|home| !tried.contains(home))?;
        if self.candidate(home, wish.effect, now).standing == Standing::Down {
            return None;
        }
        self.lock_homes().settle(wish.caller, home, now);
        Some(home)
    }

    fn candidate(&self, place: usize, effect: Effect, now: Instant) -> Candidate {
        let replica = &self.replicas[place];
        let endpoint = &replica.endpoint;
        let in_flight = endpoint.counters().in_flight;
        let standing = match endpoint.phase() {
            Phase::Ready => self.standing(place, effect, in_flight, now),
            Phase::Idle => Standing::Coming,
            Phase::Starting if !endpoint.was_lost() => Standing::Coming,
            Phase::Starting | Phase::Waiting(_) | Phase::CrashLoop(_) | Phase::Stopped => Standing::Down,
        };
        Candidate { standing, tier: replica.tier, weight: replica.weight, latency: endpoint.latency(now), in_flight }
    }

    /// Of a replica that is connected.
    fn standing(&self, place: usize, effect: Effect, in_flight: u32, now: Instant) -> Standing {
        let is_ejected = || self.outliers.lock().unwrap_or_else(PoisonError::into_inner).is_ejected(place, now);
        match self.replicas[place].endpoint.breaker() {
            (BreakerState::Open, _) | (BreakerState::HalfOpen, Some(_)) => Standing::Down,
            // Whether it has recovered is not found out by what cannot be done again elsewhere.
            (BreakerState::HalfOpen, None) if !effect.may_repeat() => Standing::Doubtful,
            // It is about to be stopped.
            _ if place >= self.active() => Standing::Coming,
            _ if is_ejected() => Standing::Doubtful,
            _ if usize::try_from(in_flight).is_ok_and(|count| count >= self.server.concurrency) => Standing::Busy,
            _ => Standing::Free,
        }
    }

    /// Learns from a call of the replica at `place`.
    pub fn note(&self, place: usize, result: &Result<Reply, Fault>) {
        let outcome = outcome_of(result);
        if outcome == Outcome::Neutral {
            return;
        }
        let mut outliers = self.outliers.lock().unwrap_or_else(PoisonError::into_inner);
        if outliers.note(place, outcome == Outcome::Success, Instant::now()) {
            tracing::warn!(server = %self.server.name, replica = place + 1, "is left alone: it fails where others do not");
        }
    }

    /// Whether the replica at `place` is left alone because it fails where others do not.
    pub fn is_ejected(&self, place: usize) -> bool {
        self.outliers.lock().unwrap_or_else(PoisonError::into_inner).is_ejected(place, Instant::now())
    }

    /// The caller's next call goes to the same replica: it has begun something there.
    pub fn keep(&self, caller: u64, place: usize) {
        self.lock_homes().settle(caller, place, Instant::now());
    }

    fn lock_homes(&self) -> std::sync::MutexGuard<'_, Homes> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The better the lower.
fn rank(phase: Phase) -> u8 {
    match phase {
        Phase::Ready => 0,
        Phase::Starting => 1,
        Phase::Idle => 2,
        Phase::Waiting(_) => 3,
        Phase::CrashLoop(_) => 4,
        Phase::Stopped => 5,
    }
}
