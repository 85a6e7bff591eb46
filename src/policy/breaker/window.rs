//! Calls and failures of the last while, in ten buckets that are used again and again.

use std::time::{Duration, Instant};

const BUCKETS: u32 = 10;

/// The last tick there is, so that adding the window to it does not overflow.
const LAST_TICK: u64 = u64::MAX - BUCKETS as u64;

/// A sliding window: one bucket for each tenth of its length.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// One tenth of the length.
    width: Duration,
    /// When counting began.
    origin: Option<Instant>,
    buckets: [Bucket; BUCKETS as usize],
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    /// Which tenth since the origin it counts. A bucket of an older tenth is stale, and taken over by the next that
    /// falls on it: nothing ever needs to be cleared on time.
    tick: u64,
    calls: u32,
    failures: u32,
}

impl Window {
    /// An empty window.
    pub(super) fn new(length: Duration) -> Self {
        let width = (length / BUCKETS).max(Duration::from_nanos(1));
        Self { width, origin: None, buckets: Default::default() }
    }

    /// Counts one call.
    pub(super) fn count(&mut self, is_failure: bool, now: Instant) {
        self.origin.get_or_insert(now);
        let tick = self.tick(now);
        #[expect(clippy::cast_possible_truncation, reason = "the remainder is less than `BUCKETS`")]
        let index = (tick % u64::from(BUCKETS)) as usize;
        let bucket = &mut self.buckets[index];
        // A caller that read the clock before another but came later counts into the newer tenth.
        if bucket.tick < tick {
            *bucket = Bucket { tick, ..Bucket::default() };
        }
        bucket.calls = bucket.calls.saturating_add(1);
        bucket.failures = bucket.failures.saturating_add(u32::from(is_failure));
    }

    /// The failures in the window that ends at `now`.
    pub(super) fn failures(&self, now: Instant) -> u32 {
        self.sums(now).1
    }

    /// Whether there are at least `failures` failures, and at least half of the calls failed.
    pub(super) fn is_failing(&self, failures: u32, now: Instant) -> bool {
        let (calls, failed) = self.sums(now);
        failed >= failures && failed >= calls - failed
    }

    fn sums(&self, now: Instant) -> (u32, u32) {
        let tick = self.tick(now);
        let is_recent = |bucket: &&Bucket| bucket.tick + u64::from(BUCKETS) > tick;
        self.buckets.iter().filter(is_recent).fold((0, 0), |(calls, failures), bucket| {
            (u32::saturating_add(calls, bucket.calls), u32::saturating_add(failures, bucket.failures))
        })
    }

    fn tick(&self, now: Instant) -> u64 {
        let age = self.origin.map_or(Duration::ZERO, |origin| now.saturating_duration_since(origin));
        u64::try_from(age.as_nanos() / self.width.as_nanos()).map_or(LAST_TICK, |tick| tick.min(LAST_TICK))
    }
}
