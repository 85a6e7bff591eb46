//! What may be repeated, and the bounds of every wait.

use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_oneof, proptest};
use std::time::Duration;

use super::*;
use crate::model::code;
use crate::model::fault::Kind;

const SECOND: Duration = Duration::from_secs(1);

fn plain(backoff: Backoff) -> Retry {
    Retry { backoff, jitter: Jitter::None, ..Retry::default() }
}

fn timeout() -> Fault {
    Fault::new(Kind::Timeout, code::CALL_TIMEOUT, "no answer").sent()
}

fn waits(retry: Retry) -> Vec<u64> {
    (1..=7).map(|attempt| retry.delay_after(attempt, 0.0).as_secs()).collect()
}

#[test]
fn waits_grow_as_the_file_says() {
    assert_eq!(waits(plain(Backoff::Fixed)), [1, 1, 1, 1, 1, 1, 1]);
    assert_eq!(waits(plain(Backoff::Linear)), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(waits(plain(Backoff::Exponential)), [1, 2, 4, 8, 16, 30, 30]);
}

#[test]
fn full_jitter_spreads_between_nothing_and_the_whole_wait() {
    let retry = Retry::default();
    assert_eq!(retry.delay_after(3, 0.0), Duration::ZERO);
    assert_eq!(retry.delay_after(3, 0.5), 2 * SECOND);
    assert_eq!(retry.delay_after(3, f64::NAN), Duration::ZERO);
}

#[test]
fn a_read_that_timed_out_is_repeated_until_its_attempts_are_used_up() {
    let retry = plain(Backoff::Exponential);
    let decide = |attempt| retry.decide(&timeout(), Effect::Read, attempt, None, 0.0);
    assert_eq!([decide(1), decide(2), decide(3), decide(4)], [Some(SECOND), Some(2 * SECOND), None, None]);
}

#[test]
fn one_attempt_or_none_means_no_repetition() {
    for retry in [Retry::NEVER, Retry { attempts: 0, ..Retry::default() }] {
        assert_eq!(retry.decide(&timeout(), Effect::Read, 1, None, 0.0), None);
    }
}

#[test]
fn a_write_is_repeated_only_if_it_never_left_us() {
    let retry = plain(Backoff::Fixed);
    let unsent = Fault::new(Kind::Unavailable, code::SERVER_DOWN, "connection refused");
    for effect in Effect::ALL {
        assert_eq!(retry.decide(&unsent, effect, 1, None, 0.0), Some(SECOND), "{effect:?}");
        assert_eq!(retry.decide(&timeout(), effect, 1, None, 0.0).is_some(), effect.may_repeat(), "{effect:?}");
    }
}

#[test]
fn only_what_may_pass_is_repeated() {
    for kind in Kind::ALL {
        let wait = plain(Backoff::Fixed).decide(&Fault::new(kind, code::INTERNAL, "x"), Effect::Read, 1, None, 0.0);
        let expected = matches!(kind, Kind::Timeout | Kind::Unavailable | Kind::RateLimited);
        assert_eq!(wait.is_some(), expected, "{kind:?}");
    }
}

#[test]
fn the_servers_own_wish_is_honoured_beyond_our_longest_wait() {
    let asks = |seconds| {
        let fault = Fault::new(Kind::RateLimited, code::SERVER_BUSY, "slow down").retry_after(seconds * SECOND);
        plain(Backoff::Fixed).decide(&fault, Effect::Read, 1, None, 0.0)
    };
    assert_eq!(asks(90), Some(90 * SECOND));
    assert_eq!(asks(0), Some(SECOND), "our own wait still counts");
}

#[test]
fn a_wait_that_uses_up_the_time_left_is_not_begun() {
    let decide = |left| plain(Backoff::Fixed).decide(&timeout(), Effect::Read, 1, Some(left), 0.0);
    assert_eq!(decide(Duration::from_millis(1001)), Some(SECOND));
    assert_eq!(decide(SECOND), None);
    assert_eq!(
        Retry { delay: Duration::ZERO, ..plain(Backoff::Fixed) }.decide(
            &timeout(),
            Effect::Read,
            1,
            Some(Duration::ZERO),
            0.0
        ),
        None
    );
}

#[test]
fn words_and_meanings_agree() {
    for backoff in Backoff::ALL {
        assert_eq!(Backoff::parse(backoff.as_str()), Some(backoff));
    }
    for jitter in Jitter::ALL {
        assert_eq!(Jitter::parse(jitter.as_str()), Some(jitter));
    }
    assert_eq!((Backoff::parse("Fixed"), Jitter::parse("half")), (None, None));
}

fn any_duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::MAX),
        (0..100_000_u64).prop_map(Duration::from_millis),
        any::<u64>().prop_map(Duration::from_nanos),
        any::<u64>().prop_map(Duration::from_secs),
    ]
}

fn any_attempt() -> impl Strategy<Value = u32> {
    prop_oneof![0..70_u32, any::<u32>(), Just(u32::MAX)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_wait_exceeds_its_bound_and_none_shrinks(
        delay in any_duration(),
        max_delay in any_duration(),
        attempt in any_attempt(),
        random in prop_oneof![0.0..1.0_f64, any::<f64>()],
        backoff in prop_oneof![Just(Backoff::Fixed), Just(Backoff::Linear), Just(Backoff::Exponential)],
    ) {
        let plain = Retry { attempts: u32::MAX, delay, max_delay, backoff, jitter: Jitter::None };
        let spread = Retry { jitter: Jitter::Full, ..plain };
        let whole = plain.delay_after(attempt, random);
        prop_assert!(whole <= max_delay);
        prop_assert!(spread.delay_after(attempt, random) <= whole);
        prop_assert!(whole <= plain.delay_after(attempt.saturating_add(1), random));
        prop_assert!(whole >= delay.min(max_delay));
    }

    #[test]
    fn a_decision_fits_into_the_time_left(left in any_duration(), asked in any_duration(), random in 0.0..1.0_f64) {
        let fault = timeout().retry_after(asked);
        match Retry::default().decide(&fault, Effect::Read, 1, Some(left), random) {
            Some(wait) => prop_assert!(wait >= asked && wait < left),
            None => prop_assert!(left <= asked.max(SECOND)),
        }
    }
}
