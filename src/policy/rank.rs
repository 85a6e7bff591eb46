//! In which order several tools that can do one job are tried: the quick, idle and reliable first.

use std::time::Duration;

/// How much of what is known a new observation outweighs.
const SHARE: f64 = 0.25;

/// What a tool that nobody has called yet is taken for.
const UNKNOWN: Duration = Duration::from_millis(100);

/// What has been seen of one tool: moving averages, the recent counting most.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record {
    /// How long its calls take, in seconds.
    latency: f64,
    /// Which share of them succeeds.
    success: f64,
}

impl Default for Record {
    fn default() -> Self {
        Self { latency: UNKNOWN.as_secs_f64(), success: 1.0 }
    }
}

impl Record {
    /// Takes note of a call.
    pub fn note(&mut self, took: Duration, is_success: bool) {
        let outcome = if is_success { 1.0 } else { 0.0 };
        self.success += SHARE * (outcome - self.success);
        // A quick refusal says nothing about how long the work takes.
        if is_success {
            self.latency += SHARE * (took.as_secs_f64() - self.latency);
        }
    }
}

/// How much each property counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// How long calls take, beside the others'.
    pub latency: f64,
    /// Which share of its places is taken.
    pub load: f64,
    /// Which share of calls fails.
    pub reliability: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { latency: 1.0, load: 1.0, reliability: 2.0 }
    }
}

/// One tool among those that can do the job.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// What has been seen of it.
    pub record: Record,
    /// Which share of its places is taken, from 0 to 1.
    pub load: f64,
    /// Whether it can be called now.
    pub is_up: bool,
}

/// The places of `candidates` in the order in which they are to be tried; of two alike the earlier first.
pub fn ranked(candidates: &[Candidate], weights: &Weights) -> Vec<usize> {
    let slowest = candidates.iter().map(|one| one.record.latency).fold(f64::MIN_POSITIVE, f64::max);
    let cost = |one: &Candidate| {
        let usual = weights.latency * one.record.latency / slowest
            + weights.load * one.load
            + weights.reliability * (1.0 - one.record.success);
        // Who cannot be called is the last resort, whatever it was like.
        (!one.is_up, usual)
    };
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (cost(&candidates[*a]), cost(&candidates[*b]));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    order
}

/// The places of `count` candidates, beginning with the one that `key` always begins with (rendezvous hashing): when one
/// leaves, only its own keys move.
pub fn sticky(count: usize, hash: impl Fn(usize) -> u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|place| std::cmp::Reverse(hash(*place)));
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate(latency_ms: u64, failures: u32, load: f64) -> Candidate {
        let mut record = Record::default();
        (0..40).for_each(|_| record.note(Duration::from_millis(latency_ms), true));
        (0..failures).for_each(|_| record.note(Duration::ZERO, false));
        Candidate { record, load, is_up: true }
    }

    #[test]
    fn the_quick_the_idle_and_the_reliable_come_first() {
        let weights = Weights::default();
        assert_eq!(ranked(&[candidate(400, 0, 0.0), candidate(40, 0, 0.0)], &weights), [1, 0]);
        assert_eq!(ranked(&[candidate(40, 0, 0.9), candidate(40, 0, 0.1)], &weights), [1, 0]);
        assert_eq!(ranked(&[candidate(40, 3, 0.0), candidate(60, 0, 0.0)], &weights), [1, 0]);
        let dead = Candidate { is_up: false, ..candidate(1, 0, 0.0) };
        assert_eq!(ranked(&[dead, candidate(400, 2, 0.5)], &weights), [1, 0]);
        assert_eq!(ranked(&[candidate(5, 0, 0.0), candidate(5, 0, 0.0)], &weights), [0, 1]);
    }

    #[test]
    fn weights_decide() {
        let (quick, reliable) = (candidate(10, 4, 0.0), candidate(500, 0, 0.0));
        let only_speed = Weights { latency: 1.0, load: 0.0, reliability: 0.0 };
        assert_eq!(ranked(&[reliable, quick], &only_speed), [1, 0]);
        assert_eq!(ranked(&[reliable, quick], &Weights { latency: 0.1, ..Weights::default() }), [0, 1]);
    }

    #[test]
    fn a_tool_that_recovers_is_tried_again() {
        let mut bad = candidate(10, 20, 0.0);
        let good = candidate(200, 0, 0.0);
        assert_eq!(ranked(&[bad, good], &Weights::default()), [1, 0]);
        (0..20).for_each(|_| bad.record.note(Duration::from_millis(10), true));
        assert_eq!(ranked(&[bad, good], &Weights::default()), [0, 1]);
    }

    proptest! {
        #[test]
        fn every_candidate_has_its_turn(all in proptest::collection::vec((0u64..2_000, 0u32..5, 0.0..1.0f64), 0..8)) {
            let all: Vec<_> = all.into_iter().map(|(latency, failures, load)| candidate(latency, failures, load)).collect();
            let mut order = ranked(&all, &Weights::default());
            order.sort_unstable();
            prop_assert_eq!(order, (0..all.len()).collect::<Vec<_>>());
        }
    }
}
