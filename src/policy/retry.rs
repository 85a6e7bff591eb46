//! Whether a failed call may be made again, and after how long.

pub mod budget;

use std::time::Duration;

use crate::model::effect::Effect;
use crate::model::fault::Fault;

/// How the wait grows from one failure to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backoff {
    /// It stays the same.
    Fixed,
    /// It grows by the first wait each time.
    Linear,
    /// It doubles each time.
    Exponential,
}

impl Backoff {
    /// Every way to grow.
    pub const ALL: [Self; 3] = [Self::Fixed, Self::Linear, Self::Exponential];

    /// Parses the word used in files.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|backoff| backoff.as_str() == word)
    }

    /// The word used in files and in what users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Linear => "linear",
            Self::Exponential => "exponential",
        }
    }
}

/// How chance spreads the waits of many callers that failed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Jitter {
    /// Not at all.
    None,
    /// Evenly between nothing and the whole wait.
    Full,
}

impl Jitter {
    /// Every way to spread.
    pub const ALL: [Self; 2] = [Self::None, Self::Full];

    /// Parses the word used in files.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|jitter| jitter.as_str() == word)
    }

    /// The word used in files and in what users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Full => "full",
        }
    }
}

/// How often a call is tried, and how far apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How often in all, the first attempt included; 0 means the same as 1.
    pub attempts: u32,
    /// The wait after the first failure, before chance.
    pub delay: Duration,
    /// The longest wait of our own choice; a server that asks for more gets more.
    pub max_delay: Duration,
    /// How the wait grows.
    pub backoff: Backoff,
    /// How chance spreads it.
    pub jitter: Jitter,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 3,
            delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(30),
            backoff: Backoff::Exponential,
            jitter: Jitter::Full,
        }
    }
}

impl Retry {
    /// One attempt and no more.
    pub const NEVER: Self = Self {
        attempts: 1,
        delay: Duration::ZERO,
        max_delay: Duration::ZERO,
        backoff: Backoff::Fixed,
        jitter: Jitter::None,
    };

    /// The wait after the `attempt`-th attempt (from 1) has failed, with `random` in `[0, 1)`. At most `max_delay`.
    pub fn delay_after(&self, attempt: u32, random: f64) -> Duration {
        let doublings = attempt.saturating_sub(1);
        let times = match self.backoff {
            Backoff::Fixed => 1,
            Backoff::Linear => attempt.max(1),
            Backoff::Exponential => 1_u32.checked_shl(doublings).unwrap_or(u32::MAX),
        };
        let whole = self.delay.saturating_mul(times).min(self.max_delay);
        match self.jitter {
            Jitter::None => whole,
            Jitter::Full => portion(whole, random),
        }
    }

    /// How long to wait before the call is made again after its `attempt`-th attempt (from 1); `None` if it must not be.
    ///
    /// It may be if attempts are left, the failure may pass ([`Fault::is_retryable`]), and a second time does no harm:
    /// because the tool's `effect` says so, or because the request never left us. The server's own `retry_after` is
    /// waited for even beyond `max_delay`, as calling earlier would only fail again. A wait that leaves nothing of `left`
    /// is no use: then the caller learns of the failure now.
    pub fn decide(
        &self,
        fault: &Fault,
        effect: Effect,
        attempt: u32,
        left: Option<Duration>,
        random: f64,
    ) -> Option<Duration> {
        let is_safe = effect.may_repeat() || !fault.was_sent;
        if attempt >= self.attempts || !fault.is_retryable() || !is_safe {
            return None;
        }
        let own = self.delay_after(attempt, random);
        let wait = fault.retry_after.map_or(own, |asked| asked.max(own));
        left.is_none_or(|left| wait < left).then_some(wait)
    }
}

/// The given part, in `[0, 1]`, of `whole`. Anything else, even NaN, is taken as the nearer end.
pub(super) fn portion(whole: Duration, part: f64) -> Duration {
    let part = if part > 0.0 { part.min(1.0) } else { 0.0 };
    // The largest durations round up to more than a duration holds.
    Duration::try_from_secs_f64(whole.as_secs_f64() * part).map_or(whole, |portion| portion.min(whole))
}

#[cfg(test)]
mod tests;
