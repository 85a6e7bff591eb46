//! When a server that has ended is started again: soon at first, ever later if it keeps ending, rarely if it always does.
//!
//! Only time in use earns trust: starting proves nothing, so the waits begin anew after a sustained life, not after a
//! successful start. A crash loop is never final; the server is tried again now and then, and heals without anybody's help.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::policy::retry::{Backoff, Jitter, Retry, portion};

/// How soon and how often to start a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The longest wait after the first end; doubles with each further one.
    pub delay: Duration,
    /// The longest wait of all, and the wait between the attempts in a crash loop.
    pub max_delay: Duration,
    /// This many ends within `window` are a crash loop; 0 means the same as 1.
    pub budget: u32,
    /// How far back ends count.
    pub window: Duration,
    /// A server that was ready for this long is trusted like a new one.
    pub sustained: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
            budget: 5,
            window: Duration::from_mins(1),
            sustained: Duration::from_secs(30),
        }
    }
}

/// What to do about a server that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Start it again.
    Retry {
        /// After this long.
        after: Duration,
    },
    /// Report it as crashing in a loop, and start it once more.
    CrashLoop {
        /// After this long.
        after: Duration,
    },
}

impl Next {
    /// How long to wait before the next start.
    pub fn after(self) -> Duration {
        match self {
            Self::Retry { after } | Self::CrashLoop { after } => after,
        }
    }
}

/// The restarts of one server.
#[derive(Debug, Clone)]
pub struct Restarts {
    settings: Settings,
    /// Ends since it was last trusted.
    in_a_row: u32,
    /// The latest of them, at most `budget`.
    recent: VecDeque<Instant>,
    is_crash_loop: bool,
}

impl Restarts {
    /// A server without a past.
    pub fn new(settings: Settings) -> Self {
        Self { settings, in_a_row: 0, recent: VecDeque::new(), is_crash_loop: false }
    }

    /// Decides about a server that ended at `now` against our will, after it was ready for `up` (`None` if it never was).
    ///
    /// `random` in `[0, 1)` picks the wait between half and the whole of its step. Once in a crash loop, it stays in it
    /// until it was up for `sustained`: a slow series of crashes must not pass for recovery because the window slid on.
    pub fn ended(&mut self, now: Instant, up: Option<Duration>, random: f64) -> Next {
        if let Some(up) = up {
            self.stayed_up(up);
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.remember(now);
        if self.is_crash_loop {
            return Next::CrashLoop { after: self.settings.max_delay };
        }
        let step = self.step();
        Next::Retry { after: step / 2 + portion(step / 2, random) }
    }

    /// Trusts the server again if it has been ready for `sustained`. [`Restarts::ended`] sees to this by itself; telling it
    /// while the server runs lets [`Restarts::is_crash_loop`] end with the trouble.
    pub fn stayed_up(&mut self, up: Duration) {
        if up >= self.settings.sustained {
            self.reset();
        }
    }

    /// Whether it is in a crash loop.
    pub fn is_crash_loop(&self) -> bool {
        self.is_crash_loop
    }

    /// How often it has ended since it was last trusted.
    pub fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// Forgets the past: somebody has mended the server, or wants it tried at once.
    pub fn reset(&mut self) {
        *self = Self::new(self.settings);
    }

    fn remember(&mut self, now: Instant) {
        let Settings { budget, window, .. } = self.settings;
        self.recent.push_back(now);
        self.recent.retain(|end| now.saturating_duration_since(*end) < window);
        let ends = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        self.is_crash_loop |= ends >= budget;
        if ends > budget {
            self.recent.pop_front();
        }
    }

    /// The longest wait after this many ends in a row.
    fn step(&self) -> Duration {
        let Settings { delay, max_delay, .. } = self.settings;
        let backoff =
            Retry { attempts: u32::MAX, delay, max_delay, backoff: Backoff::Exponential, jitter: Jitter::None };
        backoff.delay_after(self.in_a_row, 0.0)
    }
}

#[cfg(test)]
mod tests;
