//! How many instances of a server are to run: more before calls have to wait, fewer when they have been idle for a while.
//!
//! What is needed is forecast from the rate at which calls arrive and how it changes (double exponential smoothing), times how
//! long a call takes (Little's law). What is seen beats what is forecast: if calls wait for a place, there are too few
//! instances, whatever the forecast says. One instance more is started at once, one fewer only after `down_after` without
//! need of it, so that a wave does not start and stop the same processes again and again.

use std::time::{Duration, Instant};

/// How much of the rate a new look outweighs, and of its change.
const SMOOTHING: (f64, f64) = (0.3, 0.2);

/// The forecast is for so much later: about what an instance needs to start.
const AHEAD: f64 = 2.0;

/// Instances are to be used up to this share of their places: the rest is for what comes unevenly.
const FULL: f64 = 0.75;

/// The bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// So many always run.
    pub min: usize,
    /// Never more.
    pub max: usize,
    /// So many more than are needed.
    pub warm: usize,
    /// How many calls one instance can take at once.
    pub places: usize,
    /// One that has not been needed for so long is stopped.
    pub down_after: Duration,
}

/// What is seen in one look.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Calls that have arrived, ever.
    pub arrived: u64,
    /// Calls in flight, those included that wait for a place.
    pub in_flight: u32,
    /// How long calls take, in seconds, if that is known.
    pub latency: Option<f64>,
}

/// The state of the decision.
#[derive(Debug, Clone)]
pub struct Scaler {
    settings: Settings,
    last: Option<(Instant, u64)>,
    /// Calls a second, and by how much that grows in a second.
    rate: f64,
    trend: f64,
    wanted: usize,
    /// Since when fewer would do.
    idle_since: Option<Instant>,
}

impl Scaler {
    /// As many as must always run.
    pub fn new(settings: Settings) -> Self {
        let wanted = settings.warm.clamp(settings.min, settings.max);
        Self { settings, last: None, rate: 0.0, trend: 0.0, wanted, idle_since: None }
    }

    /// How many instances are to run, after what is `seen` at `now`.
    pub fn decide(&mut self, seen: Seen, now: Instant) -> usize {
        self.learn(seen.arrived, now);
        let needed = self.needed(seen);
        if needed >= self.wanted {
            self.wanted = needed;
            self.idle_since = None;
            return self.wanted;
        }
        let since = *self.idle_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= self.settings.down_after {
            // One at a time: each step is a look at how the others do without it.
            self.wanted -= 1;
            self.idle_since = (needed < self.wanted).then_some(now);
        }
        self.wanted
    }

    /// Takes in how many calls have arrived.
    fn learn(&mut self, arrived: u64, now: Instant) {
        let Some((at, before)) = self.last.replace((now, arrived)) else { return };
        let passed = now.saturating_duration_since(at).as_secs_f64();
        if passed <= 0.0 {
            return;
        }
        let rate = f64::from(u32::try_from(arrived.saturating_sub(before)).unwrap_or(u32::MAX)) / passed;
        let before = self.rate;
        self.rate = SMOOTHING.0 * rate + (1.0 - SMOOTHING.0) * (before + self.trend * passed);
        self.rate = self.rate.max(0.0);
        self.trend = SMOOTHING.1 * (self.rate - before) / passed + (1.0 - SMOOTHING.1) * self.trend;
    }

    /// How many instances the work at hand and the work to come need, the warm ones included.
    fn needed(&self, seen: Seen) -> usize {
        let Settings { min, max, warm, places, .. } = self.settings;
        let places = f64::from(u32::try_from(places.max(1)).unwrap_or(u32::MAX));
        let coming = self.rate.max(self.rate + self.trend * AHEAD) * seen.latency.unwrap_or(0.0) / FULL;
        let now = f64::from(seen.in_flight);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded, and not negative")]
        let instances = (now.max(coming) / places).ceil().clamp(0.0, 1_000.0) as usize;
        (instances + warm).clamp(min, max)
    }
}

#[cfg(test)]
mod tests;
