//! Which replica a caller belongs to, where replicas remember their callers.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The most callers that are remembered; the one that was away longest is forgotten first.
const MOST: usize = 4_096;

/// A caller that was away for so long may be given to another replica.
const AWAY: Duration = Duration::from_mins(30);

/// The places of callers.
#[derive(Debug, Clone, Default)]
pub struct Homes {
    of: HashMap<u64, (usize, Instant)>,
}

impl Homes {
    /// Where `caller` belongs, if it has been anywhere lately.
    pub fn of(&self, caller: u64, now: Instant) -> Option<usize> {
        self.of.get(&caller).filter(|(_, at)| !is_away(*at, now)).map(|(place, _)| *place)
    }

    /// `caller` belongs to `place` from now on.
    pub fn settle(&mut self, caller: u64, place: usize, now: Instant) {
        if self.of.len() >= MOST && !self.of.contains_key(&caller) {
            self.of.retain(|_, (_, at)| !is_away(*at, now));
            let longest = self.of.iter().min_by_key(|(_, (_, at))| *at).map(|(caller, _)| *caller);
            if let Some(longest) = longest.filter(|_| self.of.len() >= MOST) {
                self.of.remove(&longest);
            }
        }
        self.of.insert(caller, (place, now));
    }

    /// Whether anybody belongs to `place`, so that it must not be stopped.
    pub fn has_guests(&self, place: usize, now: Instant) -> bool {
        self.of.values().any(|(home, at)| *home == place && !is_away(*at, now))
    }
}

fn is_away(at: Instant, now: Instant) -> bool {
    now.saturating_duration_since(at) >= AWAY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_belongs_where_it_was_last_unless_it_was_away_for_long() {
        let now = Instant::now();
        let mut homes = Homes::default();
        homes.settle(1, 2, now);
        assert_eq!((homes.of(1, now), homes.of(2, now)), (Some(2), None));
        assert!(homes.has_guests(2, now) && !homes.has_guests(0, now));
        homes.settle(1, 0, now);
        assert_eq!(homes.of(1, now), Some(0));
        assert_eq!(homes.of(1, now + AWAY), None);
        assert!(!homes.has_guests(0, now + AWAY));
    }

    #[test]
    fn callers_are_remembered_up_to_a_bound_the_recent_ones_longest() {
        let start = Instant::now();
        let mut homes = Homes::default();
        for caller in 0..5_000 {
            homes.settle(caller, 0, start + Duration::from_millis(caller));
        }
        let now = start + Duration::from_secs(5);
        assert_eq!(homes.of.len(), MOST);
        assert_eq!((homes.of(0, now), homes.of(4_999, now)), (None, Some(0)));
    }
}
