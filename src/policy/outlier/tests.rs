//! Who is left alone, and for how long.

use proptest::prelude::*;

use super::*;

/// So many replicas, each of which has answered so often.
fn seasoned(count: usize, now: Instant) -> Outliers {
    let mut outliers = Outliers::new(count);
    for place in 0..count {
        (0..10).for_each(|_| _ = outliers.note(place, true, now));
    }
    outliers
}

#[test]
fn the_one_that_fails_where_others_do_not_is_left_alone_for_a_while_and_then_longer() {
    let now = Instant::now();
    let mut outliers = seasoned(3, now);
    let fails = (0..5).position(|_| outliers.note(1, false, now));
    assert_eq!(fails, Some(1), "two failures in a row are enough, one is not");
    assert!(outliers.is_ejected(1, now) && !outliers.is_ejected(0, now));
    let later = now + FIRST;
    assert!(!outliers.is_ejected(1, later), "it has another chance");
    (0..10).for_each(|_| _ = outliers.note(1, false, later));
    assert!(outliers.is_ejected(1, later + FIRST), "which it has not taken");
}

#[test]
fn when_all_fail_alike_nobody_is_left_alone() {
    let now = Instant::now();
    let mut outliers = seasoned(4, now);
    for _ in 0..20 {
        for place in 0..4 {
            assert!(!outliers.note(place, false, now));
        }
    }
}

#[test]
fn one_that_was_started_anew_begins_anew() {
    let now = Instant::now();
    let mut outliers = seasoned(2, now);
    (0..10).for_each(|_| _ = outliers.note(0, false, now));
    assert!(outliers.is_ejected(0, now));
    outliers.forget(0);
    assert!(!outliers.is_ejected(0, now));
}

proptest! {
    #[test]
    fn never_more_than_half_are_left_alone(
        count in 1usize..8, calls in proptest::collection::vec((0usize..8, any::<bool>(), 0u64..3_000), 0..300),
    ) {
        let mut now = Instant::now();
        let mut outliers = Outliers::new(count);
        for (place, is_success, pause) in calls {
            now += Duration::from_millis(pause);
            outliers.note(place, is_success, now);
            let ejected = (0..count).filter(|place| outliers.is_ejected(*place, now)).count();
            prop_assert!(ejected <= count / 2);
        }
    }
}
