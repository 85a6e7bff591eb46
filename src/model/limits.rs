//! How long and how deep a call may go.

use std::time::{Duration, Instant};

use crate::model::chain::Hops;
use crate::model::usage::Allowance;

/// Workflows may call workflows; beyond this many levels a call is refused as endless recursion.
pub const MAX_DEPTH: u8 = 16;

/// The bounds that travel with a call and only ever shrink on the way down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// When the answer is no longer of use. `None` leaves it to the server's own time limit.
    pub deadline: Option<Instant>,
    /// How many workflows this call is nested in.
    pub depth: u8,
    /// Which orchestrators the call has come through.
    pub hops: Hops,
    /// How much the call may use up.
    pub allowance: Allowance,
}

impl Limits {
    /// These limits with the deadline no later than `within` from `now`.
    #[must_use]
    pub fn within(self, now: Instant, within: Duration) -> Self {
        let own = now + within;
        Self { deadline: Some(self.deadline.map_or(own, |given| given.min(own))), ..self }
    }

    /// What is left at `now`; zero if the deadline has passed, `None` if there is none.
    pub fn left(&self, now: Instant) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_only_shrinks() {
        let now = Instant::now();
        let short = Limits::default().within(now, Duration::from_secs(1));
        assert_eq!(short.within(now, Duration::from_secs(9)), short);
        assert_eq!(short.left(now), Some(Duration::from_secs(1)));
        assert_eq!(short.left(now + Duration::from_secs(5)), Some(Duration::ZERO));
    }
}
