//! Whose turn it is when more wants to be done at once than may be.
//!
//! The most urgent first; of two alike, whoever has the least going on already; then whoever has the least time left; then
//! whoever came first. What waits becomes more urgent by one step with every [`AGE`], without end: so nothing waits for ever,
//! and nothing is overtaken by what came so much later that no difference in urgency makes up for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::model::priority::Priority;

/// What waits so long becomes one step more urgent.
pub const AGE: Duration = Duration::from_secs(10);

/// How much of what is known about the usual time a new observation outweighs.
const SHARE: f64 = 0.2;

/// How long somebody is told to stay away at least.
const SHORTEST_REST: Duration = Duration::from_secs(1);

/// One who wants a place. Points in time are told as what has passed since some beginning.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// On whose behalf: each gets a fair share.
    pub who: Arc<str>,
    /// How urgent it is.
    pub priority: Priority,
    /// When it is of no use any more.
    pub deadline: Option<Duration>,
    /// What may become of it besides.
    pub manner: Manner,
}

/// What may become of somebody who wants a place, beside having to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// He is refused if as many wait as may, or if his turn would come too late.
    Prompt,
    /// He is refused if as many wait as may.
    Patient,
    /// He is not refused: he was let in before.
    Admitted,
}

/// What becomes of somebody who wants a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// He has it.
    Now,
    /// He waits under this number.
    Later(u64),
}

/// Why somebody may not even wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// As many wait as may.
    Full {
        /// How many wait.
        waiting: usize,
        /// When it makes sense to come back.
        retry_after: Duration,
    },
    /// His turn would come too late, as long as things usually take.
    TooLate {
        /// How many wait.
        waiting: usize,
        /// When his turn would come.
        expected: Duration,
    },
}

/// Places, and a queue for them.
#[derive(Debug)]
pub struct Turns {
    places: usize,
    most_waiting: usize,
    in_use: usize,
    /// How many places each has.
    shares: HashMap<Arc<str>, usize>,
    waiting: Vec<Waiting>,
    next: u64,
    /// How long a place is usually kept, in seconds, once one was given back.
    usual: Option<f64>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    wanted: Wanted,
    since: Duration,
}

impl Turns {
    /// So many places, for which so many may wait.
    pub fn new(places: usize, most_waiting: usize) -> Self {
        let (shares, waiting) = (HashMap::new(), Vec::new());
        Self { places, most_waiting, in_use: 0, shares, waiting, next: 0, usual: None }
    }

    /// So many places from now on, for which so many may wait.
    pub fn resize(&mut self, places: usize, most_waiting: usize) {
        (self.places, self.most_waiting) = (places, most_waiting);
    }

    /// Somebody wants a place at `now`.
    pub fn ask(&mut self, wanted: Wanted, now: Duration) -> Result<Turn, Refusal> {
        if self.in_use < self.places && self.waiting.is_empty() {
            self.take(&wanted.who);
            return Ok(Turn::Now);
        }
        let waiting = self.waiting.len();
        if waiting >= self.most_waiting && wanted.manner != Manner::Admitted {
            let retry_after = self.expected(waiting).unwrap_or_default().max(SHORTEST_REST);
            return Err(Refusal::Full { waiting, retry_after });
        }
        if let (Manner::Prompt, Some(deadline)) = (wanted.manner, wanted.deadline)
            && let Some(expected) = self.expected(self.ahead_of(&wanted, now))
            && now + expected > deadline
        {
            return Err(Refusal::TooLate { waiting, expected });
        }
        let number = self.next;
        self.next += 1;
        self.waiting.push(Waiting { number, wanted, since: now });
        Ok(Turn::Later(number))
    }

    /// Takes a place whether there is one or not: for what was let in before.
    pub fn insist(&mut self, who: &Arc<str>) {
        self.take(who);
    }

    /// Somebody who waits does not want a place any more; false if he has one by now.
    pub fn withdraw(&mut self, number: u64) -> bool {
        let place = self.waiting.iter().position(|waiting| waiting.number == number);
        place.map(|place| self.waiting.swap_remove(place)).is_some()
    }

    /// A place is given back.
    pub fn leave(&mut self, who: &Arc<str>) {
        self.in_use = self.in_use.saturating_sub(1);
        if let Some(share) = self.shares.get_mut(who) {
            *share = share.saturating_sub(1);
            if *share == 0 {
                self.shares.remove(who);
            }
        }
    }

    /// Takes note of how long a place was kept.
    pub fn note(&mut self, kept: Duration) {
        let kept = kept.as_secs_f64();
        let usual = self.usual.get_or_insert(kept);
        *usual += SHARE * (kept - *usual);
    }

    /// Whose turn it is at `now`, if a place is free: he has it from now on.
    pub fn next(&mut self, now: Duration) -> Option<u64> {
        if self.in_use >= self.places {
            return None;
        }
        let first = (0..self.waiting.len()).min_by_key(|place| self.rank(&self.waiting[*place], now))?;
        let Waiting { number, wanted, .. } = self.waiting.swap_remove(first);
        self.take(&wanted.who);
        Some(number)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many places are taken.
    pub fn in_use(&self) -> usize {
        self.in_use
    }

    fn take(&mut self, who: &Arc<str>) {
        self.in_use += 1;
        *self.shares.entry(Arc::clone(who)).or_default() += 1;
    }

    /// The least comes first.
    fn rank(&self, waiting: &Waiting, now: Duration) -> impl Ord + use<> {
        let age = now.saturating_sub(waiting.since).as_secs() / AGE.as_secs();
        let urgency = waiting.wanted.priority as u64 + age;
        let share = self.shares.get(&waiting.wanted.who).copied().unwrap_or_default();
        (std::cmp::Reverse(urgency), share, waiting.wanted.deadline.unwrap_or(Duration::MAX), waiting.number)
    }

    /// How many are sure to have their turn before `wanted`.
    fn ahead_of(&self, wanted: &Wanted, now: Duration) -> usize {
        let own = Waiting { number: self.next, wanted: wanted.clone(), since: now };
        let own = self.rank(&own, now);
        self.waiting.iter().filter(|waiting| self.rank(waiting, now) < own).count()
    }

    /// How long it usually takes until it is the turn of somebody who has so many before him.
    fn expected(&self, ahead: usize) -> Option<Duration> {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let rounds = ahead as f64 / self.places.max(1) as f64;
        self.usual.map(|usual| Duration::try_from_secs_f64(usual * rounds).unwrap_or(Duration::MAX / 4))
    }
}

#[cfg(test)]
mod tests;
