//! How soon a server is started again, and how a crash loop begins and ends.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{ProptestConfig, Strategy as _, any, prop_assert, prop_assert_eq, proptest};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

/// When a server is started that ends at once each time, as offsets from its first start.
fn starts(restarts: &mut Restarts, random: f64, within: Duration) -> Vec<Duration> {
    let start = Instant::now();
    let mut at = Duration::ZERO;
    let mut starts = Vec::new();
    while at <= within {
        starts.push(at);
        at += restarts.ended(start + at, None, random).after();
    }
    starts
}

#[test]
fn a_server_that_ends_at_every_start_is_not_started_more_than_ten_times_in_five_seconds() {
    for random in [0.0, 0.5, 0.999] {
        let count = starts(&mut Restarts::new(Settings::default()), random, 5 * SECOND).len();
        assert!((3..=10).contains(&count), "{count} starts with {random}");
    }
}

#[test]
fn a_server_whose_third_start_works_is_back_within_forty_seconds() {
    for random in [0.0, 0.999] {
        let third = starts(&mut Restarts::new(Settings::default()), random, 40 * SECOND)[2];
        assert!(third <= 1_500 * MILLISECOND, "{third:?}");
    }
}

#[test]
fn a_server_that_crashes_once_is_back_within_half_a_second() {
    let next = Restarts::new(Settings::default()).ended(Instant::now(), Some(SECOND), 0.999);
    assert!(matches!(next, Next::Retry { after } if after <= 500 * MILLISECOND), "{next:?}");
}

#[test]
fn waits_double_between_half_and_whole() {
    let waits = |random| {
        let mut restarts = Restarts::new(Settings { budget: 100, ..Settings::default() });
        [(); 8].map(|()| restarts.ended(Instant::now(), None, random).after().as_millis())
    };
    assert_eq!(waits(0.0), [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
    assert_eq!(waits(1.0), [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
}

/// A server in a crash loop, and when it got there.
fn crash_loop() -> (Restarts, Instant) {
    let now = Instant::now();
    let mut restarts = Restarts::new(Settings::default());
    for _ in 0..4 {
        assert!(matches!(restarts.ended(now, None, 0.5), Next::Retry { .. }));
        assert!(!restarts.is_crash_loop());
    }
    assert_eq!(restarts.ended(now, None, 0.5), Next::CrashLoop { after: 30 * SECOND });
    assert!(restarts.is_crash_loop());
    (restarts, now)
}

#[test]
fn a_crash_loop_is_one_attempt_at_a_time_until_the_server_stays_up() {
    let (mut restarts, mut now) = crash_loop();
    for _ in 0..20 {
        now += 50 * SECOND;
        let next = restarts.ended(now, Some(20 * SECOND), 0.5);
        assert_eq!(next, Next::CrashLoop { after: 30 * SECOND }, "a short life is no recovery");
    }
    now += 60 * SECOND;
    let next = restarts.ended(now, Some(30 * SECOND), 0.5);
    assert_eq!((next, restarts.is_crash_loop()), (Next::Retry { after: 375 * MILLISECOND }, false));
}

#[test]
fn a_crash_loop_is_over_while_the_server_runs() {
    let (mut restarts, _) = crash_loop();
    restarts.stayed_up(29 * SECOND);
    assert!(restarts.is_crash_loop());
    restarts.stayed_up(30 * SECOND);
    assert!(!restarts.is_crash_loop());
}

#[test]
fn an_operator_can_end_a_crash_loop() {
    let (mut restarts, now) = crash_loop();
    restarts.reset();
    assert_eq!((restarts.is_crash_loop(), restarts.in_a_row()), (false, 0));
    assert!(matches!(restarts.ended(now, None, 0.5), Next::Retry { .. }));
}

#[test]
fn rare_crashes_are_no_crash_loop() {
    let start = Instant::now();
    let mut restarts = Restarts::new(Settings::default());
    for minute in 0..100 {
        let next = restarts.ended(start + minute * 60 * SECOND, Some(25 * SECOND), 0.5);
        assert!(matches!(next, Next::Retry { .. }), "minute {minute}");
    }
}

#[test]
fn an_end_leaves_the_window_after_its_whole_length() {
    let start = Instant::now();
    let fifth = |after: Duration| {
        let mut restarts = Restarts::new(Settings::default());
        for _ in 0..4 {
            restarts.ended(start, None, 0.5);
        }
        restarts.ended(start + after, None, 0.5);
        restarts.is_crash_loop()
    };
    assert!(fifth(59 * SECOND + 999 * MILLISECOND));
    assert!(!fifth(60 * SECOND));
}

#[test]
fn no_more_ends_are_kept_than_the_budget_needs() {
    let now = Instant::now();
    let mut restarts = Restarts::new(Settings::default());
    for _ in 0..1_000 {
        restarts.ended(now, None, 0.5);
    }
    assert_eq!((restarts.in_a_row(), restarts.recent.len()), (1_000, 5));
}

#[test]
fn a_budget_of_nothing_or_without_end_is_no_panic() {
    let now = Instant::now();
    let nothing = Settings { delay: Duration::ZERO, max_delay: SECOND, budget: 0, window: SECOND, sustained: SECOND };
    assert_eq!(Restarts::new(nothing).ended(now, None, 0.0), Next::CrashLoop { after: SECOND });
    let endless = Duration::MAX;
    let settings =
        Settings { delay: endless, max_delay: endless, budget: u32::MAX, window: endless, sustained: endless };
    assert_eq!(Restarts::new(settings).ended(now, None, 0.0), Next::Retry { after: endless / 2 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn waits_keep_their_bounds_and_the_budget_is_kept(
        lives in vec((option::of(0..29_u64), 0.0..1.0_f64), 1..40),
        delay in (1..2_000_u64).prop_map(Duration::from_millis),
        max_delay in (1..60_000_u64).prop_map(Duration::from_millis),
        budget in 1..8_u32,
    ) {
        let settings = Settings { delay, max_delay, budget, ..Settings::default() };
        let mut restarts = Restarts::new(settings);
        let mut now = Instant::now();
        let mut ends = Vec::new();
        let mut was_crash_loop = false;
        let mut cap = Duration::ZERO;
        for (up, random) in lives {
            let up = up.map(Duration::from_secs);
            now += up.unwrap_or_default();
            ends.push(now);
            let in_window = ends.iter().filter(|end| now - **end < settings.window).count();
            was_crash_loop |= in_window >= budget as usize;
            let next = restarts.ended(now, up, random);
            prop_assert_eq!(matches!(next, Next::CrashLoop { .. }), was_crash_loop);
            prop_assert_eq!(restarts.is_crash_loop(), was_crash_loop);
            cap = (cap * 2).max(delay).min(max_delay);
            if was_crash_loop {
                prop_assert_eq!(next.after(), max_delay);
            } else {
                prop_assert!(next.after() <= cap && next.after() >= cap / 2);
            }
            now += next.after();
        }
    }

    #[test]
    fn a_server_that_stays_up_starts_over(ends in 0..30_usize, random in 0.0..1.0_f64, up in 30..100_000_u64) {
        let now = Instant::now();
        let mut restarts = Restarts::new(Settings::default());
        for _ in 0..ends {
            restarts.ended(now, None, random);
        }
        prop_assert_eq!(restarts.is_crash_loop(), ends >= 5);
        let fresh = Restarts::new(Settings::default()).ended(now, None, random);
        prop_assert_eq!(restarts.ended(now, Some(Duration::from_secs(up)), random), fresh);
    }

    #[test]
    fn the_clock_running_backwards_is_no_panic(offsets in vec(any::<u32>(), 0..20)) {
        let start = Instant::now();
        let mut restarts = Restarts::new(Settings::default());
        for offset in offsets {
            let next = restarts.ended(start + Duration::from_millis(offset.into()), None, 0.5);
            prop_assert!(next.after() <= 30 * SECOND);
        }
    }
}
