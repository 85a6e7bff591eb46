//! Leaving a replica alone that fails where the others do not, for a while, and never more than half of them.
//!
//! A breaker looks at one server alone, and opens when nothing works any more. This looks at a replica beside the others, and
//! notices the one that fails every second call. If all fail alike the fault is somewhere else, and nobody is left out.

use std::time::{Duration, Instant};

/// How much of what is known a new observation outweighs.
const SHARE: f64 = 0.2;

/// So many calls must have been seen before a replica is judged.
const ENOUGH: u32 = 5;

/// So much less of a replica's calls must succeed than of the others'.
const GAP: f64 = 0.3;

/// How long a replica is left alone the first time; twice as long each time after that.
const FIRST: Duration = Duration::from_secs(10);

/// The longest that a replica is left alone.
const LONGEST: Duration = Duration::from_mins(5);

/// What has been seen of several replicas of one server.
#[derive(Debug, Clone)]
pub struct Outliers {
    members: Vec<Member>,
}

#[derive(Debug, Clone, Copy)]
struct Member {
    /// Which share of its calls succeeds, the recent counting most.
    success: f64,
    /// Calls since it was last judged.
    seen: u32,
    /// Left alone until then.
    until: Option<Instant>,
    /// How long it is left alone the next time.
    wait: Duration,
}

const NEW: Member = Member { success: 1.0, seen: 0, until: None, wait: FIRST };

impl Outliers {
    /// So many replicas, of which nothing is known.
    pub fn new(count: usize) -> Self {
        Self { members: vec![NEW; count] }
    }

    /// Takes note of a call of the replica at `place`. Says whether it is left alone from now on.
    pub fn note(&mut self, place: usize, is_success: bool, now: Instant) -> bool {
        let Some(member) = self.members.get_mut(place) else { return false };
        member.seen = member.seen.saturating_add(1);
        member.success += SHARE * (f64::from(u8::from(is_success)) - member.success);
        let member = *member;
        if is_success {
            // It has proved itself: the next time counts as the first.
            if member.seen >= ENOUGH * 10 {
                self.members[place].wait = FIRST;
            }
            return false;
        }
        let is_judged = member.seen >= ENOUGH && !self.is_ejected(place, now);
        if !is_judged || !self.has_room(now) || !self.is_outlier(place, now) {
            return false;
        }
        let wait = member.wait;
        self.members[place] = Member { until: now.checked_add(wait), wait: wait.saturating_mul(2).min(LONGEST), ..NEW };
        true
    }

    /// Whether the replica at `place` is left alone now.
    pub fn is_ejected(&self, place: usize, now: Instant) -> bool {
        self.members.get(place).and_then(|member| member.until).is_some_and(|until| now < until)
    }

    /// Forgets everything about the replica at `place`: it has been started anew.
    pub fn forget(&mut self, place: usize) {
        if let Some(member) = self.members.get_mut(place) {
            *member = NEW;
        }
    }

    /// Whether one more may be left alone: never more than half.
    fn has_room(&self, now: Instant) -> bool {
        let ejected = (0..self.members.len()).filter(|place| self.is_ejected(*place, now)).count();
        ejected < self.members.len() / 2
    }

    /// Whether much less succeeds there than elsewhere. Those that nobody has called say nothing.
    fn is_outlier(&self, place: usize, now: Instant) -> bool {
        let others: Vec<f64> = (0..self.members.len())
            .filter(|other| *other != place && !self.is_ejected(*other, now))
            .map(|other| self.members[other])
            .filter(|member| member.seen > 0)
            .map(|member| member.success)
            .collect();
        let Ok(count @ 1..) = u32::try_from(others.len()) else { return false };
        self.members[place].success + GAP < others.iter().sum::<f64>() / f64::from(count)
    }
}

#[cfg(test)]
mod tests;
