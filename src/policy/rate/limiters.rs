//! One limiter for everybody, or one for each caller.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::policy::rate::{Limiter, Rate};

/// So many callers are told apart; those beyond share one limiter for as long as all of these are busy.
const CALLERS: usize = 10_000;

/// The limiters of one `rate_limit`.
#[derive(Debug)]
pub struct Limiters {
    rate: Option<Rate>,
    /// Of all callers, or of those for whom there was no room.
    common: Limiter,
    callers: HashMap<Arc<str>, Limiter>,
    held: Option<Instant>,
}

impl Limiters {
    /// Limiters that have let nothing through yet. Without a `rate` they only know when a server wants to be left alone.
    pub fn new(rate: Option<Rate>) -> Self {
        Self { rate, common: Limiter::new(rate), callers: HashMap::new(), held: None }
    }

    /// Gives a call of `caller` its turn, as [`Limiter::take`] does.
    pub fn take(&mut self, caller: &Arc<str>, now: Instant, patience: Duration) -> Result<Instant, Duration> {
        if !self.rate.is_some_and(|rate| rate.per_caller) {
            return self.common.take(now, patience);
        }
        if !self.callers.contains_key(caller) {
            if self.callers.len() >= CALLERS {
                self.callers.retain(|_, limiter| !limiter.is_idle(now));
            }
            if self.callers.len() >= CALLERS {
                return self.common.take(now, patience);
            }
            let mut limiter = Limiter::new(self.rate);
            if let Some(held) = self.held {
                limiter.hold(held);
            }
            self.callers.insert(Arc::clone(caller), limiter);
        }
        self.callers.get_mut(caller).unwrap_or(&mut self.common).take(now, patience)
    }

    /// By how much turns of `caller` have been put off so far.
    pub fn has_put_off(&self, caller: &Arc<str>) -> Duration {
        self.callers.get(caller).unwrap_or(&self.common).has_put_off()
    }

    /// Puts the turns of `caller`, and of whoever shares them, off, as [`Limiter::put_off`] does.
    pub fn put_off(&mut self, caller: &Arc<str>, by: Duration) {
        self.callers.get_mut(caller).unwrap_or(&mut self.common).put_off(by);
    }

    /// Lets nobody through before `until`, as [`Limiter::hold`] does.
    pub fn hold(&mut self, until: Instant) {
        self.held = Some(self.held.map_or(until, |held| held.max(until)));
        self.common.hold(until);
        for limiter in self.callers.values_mut() {
            limiter.hold(until);
        }
    }

    /// Whether it is for the server's wish that nobody is let through at `now`.
    pub fn is_held(&self, now: Instant) -> bool {
        self.common.is_held(now)
    }

    /// Whether a call may still be made at the `turn` that it was given.
    pub fn stands(&self, turn: Instant) -> bool {
        self.common.stands(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn one_a_second(per_caller: bool) -> Limiters {
        Limiters::new(Some(Rate { calls: 1, per: SECOND, burst: 0, per_caller }))
    }

    #[test]
    fn callers_do_not_use_up_each_others_turns() {
        let (now, ada, bob) = (Instant::now(), Arc::from("ada"), Arc::from("bob"));
        let mut own = one_a_second(true);
        assert_eq!((own.take(&ada, now, SECOND), own.take(&bob, now, SECOND)), (Ok(now), Ok(now)));
        assert_eq!(own.take(&ada, now, SECOND), Ok(now + SECOND));
        let mut common = one_a_second(false);
        assert_eq!((common.take(&ada, now, SECOND), common.take(&bob, now, SECOND)), (Ok(now), Ok(now + SECOND)));
    }

    #[test]
    fn a_server_that_wants_to_be_left_alone_is_by_everybody() {
        let (now, ada, bob) = (Instant::now(), Arc::from("ada"), Arc::from("bob"));
        let mut limiters = one_a_second(true);
        assert_eq!(limiters.take(&ada, now, SECOND), Ok(now));
        limiters.hold(now + 5 * SECOND);
        assert_eq!(
            (limiters.take(&ada, now, SECOND), limiters.take(&bob, now, SECOND)),
            (Err(5 * SECOND), Err(5 * SECOND))
        );
        assert!(limiters.is_held(now) && !limiters.is_held(now + 5 * SECOND));
        let mut without_rate = Limiters::new(None);
        without_rate.hold(now + SECOND);
        assert_eq!(without_rate.take(&ada, now, SECOND), Ok(now + SECOND));
        assert_eq!(without_rate.take(&bob, now, SECOND), Ok(now + SECOND));
    }

    #[test]
    fn there_are_no_more_limiters_than_there_is_room_for() {
        let now = Instant::now();
        let mut limiters = one_a_second(true);
        for number in 0..CALLERS + 10 {
            let _ = limiters.take(&Arc::from(number.to_string()), now, SECOND);
        }
        assert_eq!(limiters.callers.len(), CALLERS);
        assert_eq!(
            limiters.take(&Arc::from("late"), now + SECOND, SECOND),
            Ok(now + SECOND),
            "the idle ones have gone"
        );
        assert_eq!(limiters.callers.len(), 1);
    }
}
