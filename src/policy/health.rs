//! Whether an endpoint is alive, from probes and from what real calls show along the way.
//!
//! It only keeps the score: whoever probes asks [`Health::next_probe`] when, and tells [`Health::record`] what came of it.
//! A verdict needs several signals in a row, so that one lost answer does not take a server out of use.

use std::time::{Duration, Instant};

/// Longer than any process lives, and yet within what a clock can hold.
const A_LIFETIME: Duration = Duration::from_hours(100 * 365 * 24);

/// How often to look, and how sure to be. A count of 0 means the same as 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The time from one sign of life to the next probe.
    pub every: Duration,
    /// The longest that whoever probes waits for one answer.
    pub timeout: Duration,
    /// Unhealthy after this many signals in a row that it is not alive.
    pub unhealthy_after: u32,
    /// Healthy after this many signs of life in a row.
    pub healthy_after: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { every: Duration::from_secs(10), timeout: Duration::from_secs(5), unhealthy_after: 3, healthy_after: 1 }
    }
}

/// What is known about an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Too little to say. It may be used.
    Unknown,
    /// It answers.
    Healthy,
    /// It does not.
    Unhealthy,
}

impl Verdict {
    /// The word that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// The health of one endpoint.
#[derive(Debug, Clone)]
pub struct Health {
    settings: Settings,
    verdict: Verdict,
    last: Option<Signal>,
    last_change: Option<Instant>,
}

/// The latest signal, and how many of its kind came in a row.
#[derive(Debug, Clone, Copy)]
struct Signal {
    alive: bool,
    in_a_row: u32,
    at: Instant,
}

impl Health {
    /// Nothing is known yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings, verdict: Verdict::Unknown, last: None, last_change: None }
    }

    /// Takes in a signal: a probe's result, or a real call that was answered or was not.
    ///
    /// Every answer is a sign of life, also an error.
    pub fn record(&mut self, alive: bool, now: Instant) {
        let in_a_row = self.in_a_row(alive).saturating_add(1);
        self.last = Some(Signal { alive, in_a_row, at: now });
        let (verdict, enough) = if alive {
            (Verdict::Healthy, self.settings.healthy_after)
        } else {
            (Verdict::Unhealthy, self.settings.unhealthy_after)
        };
        if in_a_row >= enough && self.verdict != verdict {
            self.verdict = verdict;
            self.last_change = Some(now);
        }
    }

    /// What is known.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// When to probe next: `now` or later. A real call counts as a probe, so a busy endpoint is never probed.
    pub fn next_probe(&self, now: Instant) -> Instant {
        let Some(last) = self.last else { return now };
        let waited = now.saturating_duration_since(last.at);
        let left = self.settings.every.saturating_sub(waited);
        now.checked_add(left).unwrap_or_else(|| now + A_LIFETIME)
    }

    /// How many signs of life came last, without a failure between them.
    pub fn successes_in_a_row(&self) -> u32 {
        self.in_a_row(true)
    }

    /// How many failures came last, without a sign of life between them.
    pub fn failures_in_a_row(&self) -> u32 {
        self.in_a_row(false)
    }

    /// When the verdict last changed; `None` if it never has.
    pub fn last_change(&self) -> Option<Instant> {
        self.last_change
    }

    fn in_a_row(&self, alive: bool) -> u32 {
        self.last.filter(|last| last.alive == alive).map_or(0, |last| last.in_a_row)
    }
}

#[cfg(test)]
mod tests;
