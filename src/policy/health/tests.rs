//! How many signals make a verdict, and when the next probe is due.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn after(signals: &[bool]) -> Health {
    let mut health = Health::new(Settings::default());
    for alive in signals {
        health.record(*alive, Instant::now());
    }
    health
}

#[test]
fn one_answer_makes_healthy_and_three_silences_make_unhealthy() {
    assert_eq!(after(&[]).verdict(), Verdict::Unknown);
    assert_eq!(after(&[true]).verdict(), Verdict::Healthy);
    assert_eq!(after(&[false, false]).verdict(), Verdict::Unknown);
    assert_eq!(after(&[false, false, false]).verdict(), Verdict::Unhealthy);
    assert_eq!(after(&[true, false, false]).verdict(), Verdict::Healthy);
    assert_eq!(after(&[false, false, true, false, false]).verdict(), Verdict::Healthy);
    assert_eq!(after(&[false, false, false, true]).verdict(), Verdict::Healthy);
}

#[test]
fn a_cautious_endpoint_needs_several_signs_of_life() {
    let mut health = Health::new(Settings { healthy_after: 2, unhealthy_after: 1, ..Settings::default() });
    let verdicts = [false, true, false, true, true].map(|alive| {
        health.record(alive, Instant::now());
        health.verdict()
    });
    assert_eq!(
        verdicts,
        [Verdict::Unhealthy, Verdict::Unhealthy, Verdict::Unhealthy, Verdict::Unhealthy, Verdict::Healthy]
    );
}

#[test]
fn signals_in_a_row_are_counted() {
    let health = after(&[true, false, false]);
    assert_eq!((health.successes_in_a_row(), health.failures_in_a_row()), (0, 2));
    let health = after(&[false, true]);
    assert_eq!((health.successes_in_a_row(), health.failures_in_a_row()), (1, 0));
}

#[test]
fn a_change_is_dated_and_more_of_the_same_is_not() {
    let start = Instant::now();
    let mut health = Health::new(Settings::default());
    assert_eq!(health.last_change(), None);
    for second in 0..6 {
        health.record(second < 2, start + second * SECOND);
    }
    assert_eq!((health.verdict(), health.last_change()), (Verdict::Unhealthy, Some(start + 4 * SECOND)));
}

#[test]
fn a_recent_call_takes_the_place_of_a_probe() {
    let start = Instant::now();
    let mut health = Health::new(Settings::default());
    assert_eq!(health.next_probe(start), start, "nothing is known, so look at once");
    health.record(true, start);
    health.record(true, start + 7 * SECOND);
    assert_eq!(health.next_probe(start + 9 * SECOND), start + 17 * SECOND);
    assert_eq!(health.next_probe(start + 60 * SECOND), start + 60 * SECOND, "overdue means now");
}

#[test]
fn an_endless_interval_is_far_away_and_no_panic() {
    let now = Instant::now();
    let mut health = Health::new(Settings { every: Duration::MAX, ..Settings::default() });
    health.record(true, now);
    assert!(health.next_probe(now) > now + 86_400 * SECOND);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_verdict_follows_from_the_latest_run_that_was_long_enough(
        signals in vec(any::<bool>(), 0..60),
        unhealthy_after in 1..5_u32,
        healthy_after in 1..5_u32,
    ) {
        let start = Instant::now();
        let mut health = Health::new(Settings { unhealthy_after, healthy_after, ..Settings::default() });
        let mut expected = Verdict::Unknown;
        for (index, alive) in signals.iter().enumerate() {
            let now = start + u32::try_from(index).expect("few") * SECOND;
            health.record(*alive, now);
            let run = signals[..=index].iter().rev().take_while(|other| *other == alive).count();
            if *alive && run >= healthy_after as usize {
                expected = Verdict::Healthy;
            } else if !alive && run >= unhealthy_after as usize {
                expected = Verdict::Unhealthy;
            }
            prop_assert_eq!(health.verdict(), expected);
            prop_assert_eq!(health.next_probe(now), now + 10 * SECOND);
            prop_assert!(health.last_change().is_none_or(|change| change <= now));
        }
    }
}
