//! A circuit breaker: leaves a server alone that keeps failing, and lets few calls through to see whether it has recovered.
//!
//! Each change of state begins a new *generation*. A permit carries the generation it was given in, and an outcome of
//! an earlier one is ignored: a slow call from before an outage tells nothing about the server after it. Recovery is
//! counted in probes, not in time, so that a server that is called once an hour recovers too.

use std::time::{Duration, Instant};

use crate::model::call::Reply;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::policy::breaker::window::Window;

mod window;

/// A wait never grows beyond this many times `open_for`.
const LONGEST_WAIT: u32 = 10;

/// When all probes are under way, one may end any moment: callers are asked back after this long at the most. No probe is
/// held to be lost sooner, however short the breaker was open.
const PROBING: Duration = Duration::from_secs(1);

/// JSON-RPC "internal error": the server answered, but only that it is broken.
const INTERNAL_ERROR: i64 = -32603;

/// When to open, and how to recover. A count of 0 means the same as 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Opens at this many failures in a row, or in the window if they are at least half of its calls.
    pub failures: u32,
    /// How far back failures count. It slides in tenths, so the oldest tenth leaves at once.
    pub window: Duration,
    /// How long all calls are refused at first. Doubles each time recovery fails, up to ten times this.
    pub open_for: Duration,
    /// How many calls may be under way while half open, and how many of them must succeed to close.
    pub half_open_probes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { failures: 5, window: Duration::from_secs(30), open_for: Duration::from_mins(1), half_open_probes: 3 }
    }
}

/// What callers may expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Every call is admitted.
    Closed,
    /// No call is admitted.
    Open,
    /// A few calls are admitted as probes.
    HalfOpen,
}

impl State {
    /// The word that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// The right to make one call. Hand it back through [`Breaker::record`] exactly once, also when the call is cancelled.
#[must_use = "a permit that is not handed back holds a probe's place"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    generation: u64,
}

/// What a call says about its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is there and works.
    Success,
    /// It is not, or does not.
    Failure,
    /// Nothing: the call was cancelled, or failed on our side.
    Neutral,
}

/// What the answer to a call says about the server's health, not about the call's worth.
///
/// A server that answers is a success, even if it answers with an error: a tool failed, arguments were wrong. Failures
/// are silence of any kind, from a refused connection to a time limit, the error `-32603`, an answer that the protocol
/// does not allow, and being turned away for too many calls. What we or the caller decided without asking the server is
/// neutral. So is the wait for a server that is starting or is kept from crashing in a loop: both have a pace of their
/// own, and the breaker must not lengthen it.
pub fn outcome_of(result: &Result<Reply, Fault>) -> Outcome {
    let Err(fault) = result else { return Outcome::Success };
    match (fault.kind, &fault.rpc) {
        (Kind::Cancelled, _) => return Outcome::Neutral,
        (_, Some(rpc)) if rpc.code == INTERNAL_ERROR => return Outcome::Failure,
        (_, Some(_)) => return Outcome::Success,
        _ => {}
    }
    match fault.code {
        code::BAD_ANSWER => return Outcome::Failure,
        code::BREAKER_OPEN
        | code::SERVER_BUSY
        | code::SERVER_STARTING
        | code::CRASH_LOOP
        | code::UNSET_VARIABLE
        | code::SHUTTING_DOWN => return Outcome::Neutral,
        _ => {}
    }
    match fault.kind {
        // In doubt means: sent, and no answer came.
        Kind::Timeout | Kind::Unavailable | Kind::RateLimited | Kind::InDoubt => Outcome::Failure,
        Kind::ToolError => Outcome::Success,
        Kind::Denied
        | Kind::Invalid
        | Kind::NotFound
        | Kind::Budget
        | Kind::Rejected
        | Kind::Cancelled
        | Kind::Internal => Outcome::Neutral,
    }
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Closed {
        /// Failures since the last success.
        in_a_row: u32,
    },
    Open {
        since: Instant,
    },
    HalfOpen {
        under_way: u32,
        successes: u32,
        /// When the latest probe was admitted.
        latest: Instant,
    },
}

/// The breaker of one server or tool.
#[derive(Debug, Clone)]
pub struct Breaker {
    settings: Settings,
    window: Window,
    phase: Phase,
    generation: u64,
    /// How long it is open, this time or the next.
    wait: Duration,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(settings: Settings) -> Self {
        let settings = Settings {
            failures: settings.failures.max(1),
            half_open_probes: settings.half_open_probes.max(1),
            ..settings
        };
        Self {
            window: Window::new(settings.window),
            phase: Phase::Closed { in_a_row: 0 },
            generation: 0,
            wait: settings.open_for,
            settings,
        }
    }

    /// Permits a call, or says after how long to ask again.
    pub fn admit(&mut self, now: Instant) -> Result<Permit, Duration> {
        if let Some(after) = self.retry_after(now) {
            return Err(after);
        }
        match &mut self.phase {
            Phase::Closed { .. } => {}
            Phase::Open { .. } => self.enter(Phase::HalfOpen { under_way: 1, successes: 0, latest: now }),
            Phase::HalfOpen { under_way, latest, .. } => {
                // Only a probe in the place of an overdue one finds them all taken.
                *under_way = under_way.saturating_add(1).min(self.settings.half_open_probes);
                *latest = now;
            }
        }
        Ok(Permit { generation: self.generation })
    }

    /// Takes a permit back and learns from its outcome.
    pub fn record(&mut self, permit: Permit, outcome: Outcome, now: Instant) {
        if permit.generation != self.generation {
            return;
        }
        if outcome != Outcome::Neutral {
            self.window.count(outcome == Outcome::Failure, now);
        }
        let Settings { failures, half_open_probes, open_for, .. } = self.settings;
        match (&mut self.phase, outcome) {
            (Phase::Closed { in_a_row }, Outcome::Success) => *in_a_row = 0,
            (Phase::Closed { in_a_row }, Outcome::Failure) => {
                *in_a_row = in_a_row.saturating_add(1);
                if *in_a_row >= failures || self.window.is_failing(failures, now) {
                    self.enter(Phase::Open { since: now });
                }
            }
            (Phase::HalfOpen { under_way, successes, .. }, Outcome::Success) => {
                *under_way = under_way.saturating_sub(1);
                *successes += 1;
                if *successes >= half_open_probes {
                    self.reset();
                }
            }
            (Phase::HalfOpen { .. }, Outcome::Failure) => {
                self.wait = self.wait.saturating_mul(2).min(open_for.saturating_mul(LONGEST_WAIT));
                self.enter(Phase::Open { since: now });
            }
            (Phase::HalfOpen { under_way, .. }, Outcome::Neutral) => *under_way = under_way.saturating_sub(1),
            // A cancelled call says nothing, and no permit is of an open generation.
            (Phase::Closed { .. }, Outcome::Neutral) | (Phase::Open { .. }, _) => {}
        }
    }

    /// The state at `now`. Half open begins when the wait is over, not with the first probe.
    pub fn state(&self, now: Instant) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { since } if now.saturating_duration_since(since) < self.wait => State::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// How long a call at `now` would be refused; `None` if it would be admitted.
    ///
    /// When all probes are under way this is a guess, at most a second. If none has come back and none was admitted for
    /// as long as the breaker was open, one more is admitted: a permit that got lost cannot shut a server off for ever.
    pub fn retry_after(&self, now: Instant) -> Option<Duration> {
        let left = |wait: Duration, since| {
            wait.checked_sub(now.saturating_duration_since(since)).filter(|left| !left.is_zero())
        };
        match self.phase {
            Phase::Closed { .. } => None,
            Phase::Open { since } => left(self.wait, since),
            Phase::HalfOpen { under_way, .. } if under_way < self.settings.half_open_probes => None,
            Phase::HalfOpen { latest, .. } => left(self.wait.max(PROBING), latest).map(|left| left.min(PROBING)),
        }
    }

    /// The failures of the window before `now`.
    pub fn failures(&self, now: Instant) -> u32 {
        self.window.failures(now)
    }

    /// Closes it and forgets everything, as if the server were new.
    pub fn reset(&mut self) {
        self.window = Window::new(self.settings.window);
        self.wait = self.settings.open_for;
        self.enter(Phase::Closed { in_a_row: 0 });
    }

    /// Opens it at `now` as if it had tripped; it recovers by itself.
    pub fn force_open(&mut self, now: Instant) {
        self.enter(Phase::Open { since: now });
    }

    fn enter(&mut self, phase: Phase) {
        self.generation += 1;
        self.phase = phase;
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
