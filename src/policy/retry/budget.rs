//! How many repetitions a server is to bear.
//!
//! Attempts are counted for each call; but when every call fails, attempts for each call multiply the load on a server that
//! cannot bear it as it is. So repetitions are also counted together: each call pays in a part of one.

use std::time::{Duration, Instant};

/// So many calls pay for one repetition: 20 %.
const CALLS: u64 = 5;

/// This many repetitions may be made without, so that a server that is seldom called is repeated, too.
const RESERVE: u64 = 10 * CALLS;

/// How soon one of the reserve is there again.
const REFILL: Duration = Duration::from_secs(1);

/// No more repetitions than this are saved up.
const MOST: u64 = 100 * CALLS;

/// What is left for repetitions, in parts of one that a call pays in.
#[derive(Debug, Clone, Default)]
pub struct Budget {
    /// None before the first use: the whole reserve.
    saved: Option<u64>,
    /// Up to when the reserve has been refilled.
    refilled: Option<Instant>,
}

impl Budget {
    /// A call is made for the first time.
    pub fn pay_in(&mut self) {
        self.saved = Some(self.saved().saturating_add(1).min(MOST));
    }

    /// Whether a call may be repeated at `now`; it is paid for then.
    pub fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let left = self.saved().checked_sub(CALLS);
        self.saved = Some(left.unwrap_or_else(|| self.saved()));
        left.is_some()
    }

    fn saved(&self) -> u64 {
        self.saved.unwrap_or(RESERVE)
    }

    fn refill(&mut self, now: Instant) {
        let since = *self.refilled.get_or_insert(now);
        let times = now.saturating_duration_since(since).as_nanos() / REFILL.as_nanos();
        let times = u32::try_from(times).unwrap_or(u32::MAX);
        self.refilled = since.checked_add(REFILL.saturating_mul(times)).or(Some(now));
        if self.saved() < RESERVE {
            self.saved = Some(self.saved().saturating_add(u64::from(times) * CALLS).min(RESERVE));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn repetitions_are_a_part_of_the_calls_a_reserve_and_one_a_second(
            steps in prop::collection::vec((any::<bool>(), 0u64..3_000), 1..400),
        ) {
            let (mut budget, start) = (Budget::default(), Instant::now());
            let (mut now, mut calls, mut repetitions) = (start, 0, 0);
            for (is_call, pause) in steps {
                now += Duration::from_millis(pause / 10);
                if is_call {
                    budget.pay_in();
                    calls += 1;
                } else {
                    repetitions += u64::from(budget.take(now));
                }
            }
            prop_assert!(repetitions <= 10 + calls / 5 + (now - start).as_secs());
        }
    }

    #[test]
    fn a_server_that_is_seldom_called_is_repeated_and_the_reserve_comes_back() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        let taken = |budget: &mut Budget, now| (0..20).filter(|_| budget.take(now)).count();
        assert_eq!(taken(&mut budget, now), 10);
        assert_eq!(taken(&mut budget, now + 3 * REFILL), 3);
        assert_eq!(taken(&mut budget, now + 1_000 * REFILL), 10);
    }

    #[test]
    fn what_is_saved_has_a_bound() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        (0..1_000_000).for_each(|_| budget.pay_in());
        assert_eq!((0..1_000).filter(|_| budget.take(now)).count(), 100);
    }
}
