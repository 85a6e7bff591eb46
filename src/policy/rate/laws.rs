//! What holds for every rate and every way of calling.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Limiter, Rate};

const MILLI: Duration = Duration::from_millis(1);
const FOREVER: Duration = Duration::from_hours(1_000);

fn rates() -> impl Strategy<Value = Rate> {
    (1u32..20, 1u32..2_000, 0u32..10).prop_map(|(calls, per, burst)| Rate {
        calls,
        per: per * MILLI,
        burst,
        per_caller: false,
    })
}

/// Pauses between calls, how patient each caller is, and now and then how long the server asks to be left alone.
fn callers() -> impl Strategy<Value = Vec<(u32, u32, Option<u32>)>> {
    prop::collection::vec((0u32..300, 0u32..3_000, prop::option::weighted(0.1, 0u32..2_000)), 1..80)
}

proptest! {
    #[test]
    fn no_window_has_more_calls_than_the_limit_and_the_burst(rate in rates(), callers in callers()) {
        let mut limiter = Limiter::new(Some(rate));
        let mut now = Instant::now();
        let mut turns = Vec::new();
        for (pause, patience, held) in callers {
            now += pause * MILLI;
            if let Some(held) = held {
                limiter.hold(now + held * MILLI);
                // Who still waits for an earlier turn asks anew, as a caller does when its turn has come.
                let waiting: Vec<Instant> = turns.extract_if(.., |turn| *turn > now && !limiter.stands(*turn)).collect();
                for _ in waiting {
                    turns.push(limiter.take(now, FOREVER).expect("patient"));
                }
            }
            if let Ok(turn) = limiter.take(now, patience * MILLI) {
                prop_assert!(turn >= now && turn - now <= patience * MILLI && limiter.stands(turn));
                turns.push(turn);
            }
        }
        turns.sort();
        let most = (rate.calls + rate.burst) as usize;
        for window in turns.windows(most + 1) {
            prop_assert!(window[most] - window[0] >= rate.per, "{} calls within {:?}", most + 1, window[most] - window[0]);
        }
    }

    #[test]
    fn nobody_starves_and_turns_come_in_order(rate in rates(), count in 1u32..100) {
        let mut limiter = Limiter::new(Some(rate));
        let now = Instant::now();
        let turns: Vec<Instant> = (0..count).map(|_| limiter.take(now, FOREVER).expect("patient")).collect();
        prop_assert!(turns.is_sorted());
        let last = turns.last().expect("at least one") .duration_since(now);
        prop_assert!(last <= rate.turn() * count, "{last:?}");
    }

    #[test]
    fn who_is_told_when_to_come_again_is_let_through_then(rate in rates(), count in 1u32..40) {
        let mut limiter = Limiter::new(Some(rate));
        let now = Instant::now();
        for _ in 0..count {
            if let Err(wait) = limiter.take(now, Duration::ZERO) {
                prop_assert_eq!(limiter.take(now + wait, Duration::ZERO), Ok(now + wait));
                return Ok(());
            }
        }
    }
}

#[test]
fn the_first_calls_of_a_burst_go_at_once_and_then_evenly() {
    let mut limiter = Limiter::new(Some(Rate { calls: 10, per: 1_000 * MILLI, burst: 2, per_caller: false }));
    let now = Instant::now();
    let waits: Vec<u128> = (0..5).map(|_| (limiter.take(now, FOREVER).expect("patient") - now).as_millis()).collect();
    assert_eq!(waits, [0, 0, 0, 100, 200]);
}

#[test]
fn nobody_is_let_through_before_the_time_that_the_server_has_named() {
    let mut limiter = Limiter::new(Some(Rate { calls: 10, per: 1_000 * MILLI, burst: 5, per_caller: false }));
    let now = Instant::now();
    let early = limiter.take(now, FOREVER).expect("patient");
    limiter.hold(now + 700 * MILLI);
    assert!(!limiter.stands(early));
    assert_eq!(limiter.take(now, 699 * MILLI), Err(700 * MILLI));
    assert_eq!(limiter.take(now, 700 * MILLI), Ok(now + 700 * MILLI));
}

#[test]
fn what_is_no_rate_is_not_read_as_one() {
    let time = |text: &str| (text == "1m").then_some(Duration::from_mins(1));
    assert_eq!(
        Rate::parse("100/1m", time),
        Some(Rate { calls: 100, per: Duration::from_mins(1), burst: 0, per_caller: false })
    );
    for wrong in ["", "100", "/1m", "0/1m", "-1/1m", "100/", "100/x", "1.5/1m"] {
        assert_eq!(Rate::parse(wrong, time), None, "{wrong}");
    }
}
