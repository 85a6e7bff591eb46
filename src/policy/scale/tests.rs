//! How many instances are to run under which load.

use proptest::prelude::*;

use super::*;

const SETTINGS: Settings = Settings { min: 1, max: 4, warm: 0, places: 8, down_after: Duration::from_secs(30) };

const LOOK: Duration = Duration::from_millis(100);

fn seen(arrived: u64, in_flight: u32) -> Seen {
    Seen { arrived, in_flight, latency: Some(0.1) }
}

#[test]
fn calls_that_wait_for_a_place_start_as_many_instances_as_they_need_at_once() {
    let mut scaler = Scaler::new(SETTINGS);
    let now = Instant::now();
    assert_eq!(scaler.decide(seen(0, 0), now), 1);
    assert_eq!(scaler.decide(seen(0, 8), now + LOOK), 1, "nobody waits");
    assert_eq!(scaler.decide(seen(0, 20), now + LOOK * 2), 3);
    assert_eq!(scaler.decide(seen(0, 99), now + LOOK * 3), 4, "never more than allowed");
}

#[test]
fn a_rate_that_grows_starts_instances_before_anybody_waits() {
    let mut scaler = Scaler::new(SETTINGS);
    let start = Instant::now();
    let (mut arrived, mut first) = (0, None);
    for look in 0..100u32 {
        // From 0 to 100 calls a second within ten seconds, each of which takes 100 ms: 10 places are needed in the end.
        arrived += u64::from(look / 10);
        let in_flight = look / 10;
        let wanted = scaler.decide(seen(arrived, in_flight), start + LOOK * look);
        if wanted > 1 {
            first.get_or_insert(in_flight);
        }
    }
    assert!(first.is_some_and(|in_flight| in_flight < 8), "{first:?}: only when all places were taken");
}

#[test]
fn instances_are_stopped_one_by_one_after_a_while_without_need() {
    let mut scaler = Scaler::new(SETTINGS);
    let start = Instant::now();
    scaler.decide(seen(0, 32), start);
    let at = |seconds| start + Duration::from_secs(seconds);
    assert_eq!(scaler.decide(seen(0, 0), at(1)), 4);
    assert_eq!(scaler.decide(seen(0, 0), at(30)), 4, "not yet");
    assert_eq!(scaler.decide(seen(0, 0), at(31)), 3);
    assert_eq!(scaler.decide(seen(0, 32), at(32)), 4, "needed again");
    assert_eq!(scaler.decide(seen(0, 0), at(61)), 4, "the wait begins anew");
    let last = (62..200).map(|second| scaler.decide(seen(0, 0), at(second))).last();
    assert_eq!(last, Some(1));
}

#[test]
fn a_load_that_swings_around_a_limit_does_not_start_and_stop_instances() {
    let mut scaler = Scaler::new(SETTINGS);
    let start = Instant::now();
    let mut changes = 0;
    let mut before = 1;
    for second in 0..300u32 {
        let wanted =
            scaler.decide(seen(0, if second % 2 == 0 { 7 } else { 9 }), start + Duration::from_secs(second.into()));
        changes += u32::from(wanted != before);
        before = wanted;
    }
    assert_eq!(changes, 1);
}

#[test]
fn warm_instances_come_on_top() {
    let mut scaler = Scaler::new(Settings { warm: 1, ..SETTINGS });
    let now = Instant::now();
    assert_eq!(scaler.decide(seen(0, 0), now), 1, "the one that has nothing to do is warm");
    assert_eq!(scaler.decide(seen(0, 1), now), 2);
    assert_eq!(scaler.decide(seen(0, 9), now), 3);
}

proptest! {
    #[test]
    fn the_bounds_are_kept(
        min in 1usize..5, more in 0usize..5, warm in 0usize..5,
        looks in proptest::collection::vec((0u64..50_000, 0u32..10_000, 0u64..20_000), 0..60),
    ) {
        let settings = Settings { min, max: min + more, warm, places: 4, down_after: Duration::from_secs(1) };
        let mut scaler = Scaler::new(settings);
        let (mut now, mut arrived) = (Instant::now(), 0);
        for (calls, in_flight, pause) in looks {
            now += Duration::from_millis(pause);
            arrived += calls;
            let wanted = scaler.decide(seen(arrived, in_flight), now);
            prop_assert!((min..=min + more).contains(&wanted));
        }
    }
}
