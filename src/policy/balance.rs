//! Which of several servers that are alike gets the next call: the nearest tier that can take it, and there the better of two
//! drawn at random; where weights are given, one drawn by them (RFC 2782), as whoever gives them knows better.
//!
//! The better one has the lower product of its recent latency (which jumps up at once and sinks slowly) and its calls in
//! flight. Two drawn at random, in place of the best of all, keep callers who all know the same from running to the same place.

use std::time::{Duration, Instant};

/// How fast what was seen of a latency is forgotten: after this long, about a third of it still counts.
const MEMORY: Duration = Duration::from_secs(10);

/// What a weight of 0 counts beside others: "a very small chance" (RFC 2782).
const LEAST_WEIGHT: f64 = 0.01;

/// How long calls of one replica take: the peak at once, then a moving average that sinks with time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Latency {
    seen: Option<(f64, Instant)>,
}

impl Latency {
    /// Takes note of a call that took so long.
    pub fn note(&mut self, took: Duration, now: Instant) {
        let took = took.as_secs_f64();
        let next = match self.seen {
            Some((cost, at)) if took < cost => {
                let kept = kept(at, now);
                took + (cost - took) * kept
            }
            _ => took,
        };
        self.seen = Some((next, now));
    }

    /// In seconds, as far as it is remembered; `None` if nothing was ever seen. A replica that has been slow is tried again
    /// some day, as this sinks while it is not called.
    pub fn seconds(&self, now: Instant) -> Option<f64> {
        self.seen.map(|(cost, at)| cost * kept(at, now))
    }
}

/// Which share of what was seen `at` counts `now`.
fn kept(at: Instant, now: Instant) -> f64 {
    (-now.saturating_duration_since(at).as_secs_f64() / MEMORY.as_secs_f64()).exp()
}

/// What can be expected of a replica, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It can take a call at once.
    Free,
    /// It works, but calls have to wait for a place.
    Busy,
    /// It works worse than the others, and is left alone for a while.
    Doubtful,
    /// It is being started, or can be.
    Coming,
    /// It is known not to work now.
    Down,
}

/// One replica, as a call sees it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// What can be expected of it.
    pub standing: Standing,
    /// Lower tiers are used first.
    pub tier: u32,
    /// Its share of the calls, beside those of the others.
    pub weight: u32,
    /// How long its calls take, in seconds; `None` if it has not been called yet.
    pub latency: Option<f64>,
    /// Its calls in flight.
    pub in_flight: u32,
}

/// The place of the one that gets the call; `None` if there are none. `chance` are two numbers in [0, 1).
pub fn pick(candidates: &[Candidate], chance: (f64, f64)) -> Option<usize> {
    let rank = |one: &Candidate| (one.standing, one.tier);
    let best = candidates.iter().map(rank).min()?;
    let alike: Vec<usize> = (0..candidates.len()).filter(|place| rank(&candidates[*place]) == best).collect();
    if alike.len() == 1 {
        return alike.first().copied();
    }
    if alike.iter().any(|place| candidates[*place].weight != candidates[alike[0]].weight) {
        return by_weight(candidates, &alike, chance.0);
    }
    // One that nobody has called yet counts as average: as the quickest, it would draw all calls until its first answer.
    let known: Vec<f64> = alike.iter().filter_map(|place| candidates[*place].latency).collect();
    let average = if known.is_empty() { 1.0 } else { known.iter().sum::<f64>() / count(known.len()) };
    let cost = |place: usize| {
        let one = &candidates[place];
        one.latency.unwrap_or(average).max(f64::MIN_POSITIVE) * (f64::from(one.in_flight) + 1.0)
    };
    let first = draw(alike.len(), chance.0);
    let second = (first + 1 + draw(alike.len() - 1, chance.1)) % alike.len();
    let (first, second) = (alike[first], alike[second]);
    Some(if cost(second) < cost(first) { second } else { first })
}

/// One of `alike`, for a `chance` in [0, 1).
fn by_weight(candidates: &[Candidate], alike: &[usize], chance: f64) -> Option<usize> {
    let weight = |place: &usize| f64::from(candidates[*place].weight).max(LEAST_WEIGHT);
    let mut left = alike.iter().map(weight).sum::<f64>() * chance;
    let drawn = alike.iter().find(|place| {
        left -= weight(place);
        left < 0.0
    });
    // What is left may be rounded to nothing.
    drawn.or_else(|| alike.last()).copied()
}

/// A place among `count`, for a `chance` in [0, 1).
fn draw(count: usize, chance: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "neither negative nor beyond the number of replicas"
    )]
    let place = (self::count(count) * chance) as usize;
    place.min(count - 1)
}

fn count(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
