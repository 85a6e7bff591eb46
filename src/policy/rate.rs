//! How often a server or a tool may be called: the generic cell rate algorithm (GCRA).
//!
//! One instant is all that is kept: when the next call would be due if calls came evenly. A call may come earlier than that
//! by as many turns as the burst has. In any stretch as long as the rate's period, no more than its calls plus its burst
//! are let through.

pub mod limiters;

use std::time::{Duration, Instant};

/// So many calls in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The calls.
    pub calls: u32,
    /// The time.
    pub per: Duration,
    /// How many calls more may come at once.
    pub burst: u32,
    /// Whether each caller has so many.
    pub per_caller: bool,
}

impl Rate {
    /// The rate written as `CALLS/TIME`, as `time` reads the second part.
    pub fn parse(text: &str, time: impl Fn(&str) -> Option<Duration>) -> Option<Self> {
        let (calls, per) = text.split_once('/')?;
        let (calls, per) = (calls.trim().parse().ok()?, time(per.trim())?);
        (calls > 0 && !per.is_zero()).then_some(Self { calls, per, burst: 0, per_caller: false })
    }

    /// From one turn to the next. Rounded up, so that rounding never lets one call more through.
    fn turn(self) -> Duration {
        let calls = u128::from(self.calls.max(1));
        Duration::from_nanos(u64::try_from(self.per.as_nanos().div_ceil(calls)).unwrap_or(u64::MAX))
    }
}

/// The calls let through so far.
#[derive(Debug, Clone)]
pub struct Limiter {
    /// None if nothing but the server's own wish counts.
    rate: Option<Rate>,
    /// When the next call is due if calls come evenly.
    due: Option<Instant>,
    /// The server has asked not to be called before.
    held: Option<Instant>,
    /// By how much all turns that were given have been put off.
    put_off: Duration,
}

impl Limiter {
    /// A limiter that has let nothing through yet.
    pub fn new(rate: Option<Rate>) -> Self {
        Self { rate, due: None, held: None, put_off: Duration::ZERO }
    }

    /// Gives a call its turn: the instant from which it may be made, no later than `patience` from `now`. Turns are given
    /// in the order of asking. `Err` tells after how long its turn would come; it then takes none.
    pub fn take(&mut self, now: Instant, patience: Duration) -> Result<Instant, Duration> {
        let (length, early) = self
            .rate
            .map_or((Duration::ZERO, Duration::ZERO), |rate| (rate.turn(), rate.turn().saturating_mul(rate.burst)));
        let due = self.due.map_or(now, |due| due.max(now));
        let from = due.checked_sub(early).map_or(now, |from| from.max(now));
        let turn = self.held.map_or(from, |held| held.max(from));
        let wait = turn.duration_since(now);
        if wait > patience {
            return Err(wait);
        }
        self.due = due.max(turn).checked_add(length);
        Ok(turn)
    }

    /// Lets nobody through before `until`, as the server has asked. Who has been given an earlier turn asks anew.
    pub fn hold(&mut self, until: Instant) {
        self.held = Some(self.held.map_or(until, |held| held.max(until)));
    }

    /// Puts all turns off that were given and have not come, and those to come: the call whose turn it was could not be made yet.
    pub fn put_off(&mut self, by: Duration) {
        self.put_off += by;
        self.due = self.due.and_then(|due| due.checked_add(by));
    }

    /// By how much turns have been put off so far. Whoever has been given one looks, when it comes, whether that is more now.
    pub fn has_put_off(&self) -> Duration {
        self.put_off
    }

    /// Whether it is for the server's wish, and not for the rate, that nobody is let through at `now`.
    pub fn is_held(&self, now: Instant) -> bool {
        self.held.is_some_and(|held| held > now)
    }

    /// Whether it would do nothing at `now` that a new limiter would not.
    pub fn is_idle(&self, now: Instant) -> bool {
        !self.is_held(now) && self.due.is_none_or(|due| due <= now)
    }

    /// Whether a call may still be made at the `turn` that it was given.
    pub fn stands(&self, turn: Instant) -> bool {
        self.held.is_none_or(|held| held <= turn)
    }
}

#[cfg(test)]
mod laws;
