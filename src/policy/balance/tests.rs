//! Who is picked, and what of a latency is remembered.

use proptest::prelude::*;

use super::*;

fn candidate(standing: Standing, tier: u32, latency_ms: u32, in_flight: u32) -> Candidate {
    Candidate { standing, tier, weight: 1, latency: Some(f64::from(latency_ms) / 1_000.0), in_flight }
}

fn any_standing() -> impl Strategy<Value = Standing> {
    prop_oneof![
        Just(Standing::Free),
        Just(Standing::Busy),
        Just(Standing::Doubtful),
        Just(Standing::Coming),
        Just(Standing::Down)
    ]
}

fn any_candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let one = (any_standing(), 0u32..3, proptest::option::of(0u32..2_000), 0u32..20);
    let one = one.prop_map(|(standing, tier, latency, in_flight)| Candidate {
        latency: latency.map(|ms| f64::from(ms) / 1_000.0),
        ..candidate(standing, tier, 0, in_flight)
    });
    proptest::collection::vec(one, 0..9)
}

#[test]
fn of_two_the_quick_and_idle_one_is_called() {
    let free = |latency, in_flight| candidate(Standing::Free, 0, latency, in_flight);
    for chance in [(0.0, 0.0), (0.99, 0.0)] {
        assert_eq!(pick(&[free(10, 0), free(100, 0)], chance), Some(0));
        assert_eq!(pick(&[free(10, 12), free(100, 0)], chance), Some(1), "twelve wait there");
    }
}

#[test]
fn a_farther_tier_is_used_only_while_the_nearer_one_cannot_take_more() {
    let near = candidate(Standing::Free, 0, 500, 7);
    let far = candidate(Standing::Free, 1, 5, 0);
    assert_eq!(pick(&[far, near], (0.0, 0.0)), Some(1));
    assert_eq!(pick(&[far, Candidate { standing: Standing::Busy, ..near }], (0.0, 0.0)), Some(0));
}

#[test]
fn where_weights_differ_calls_are_shared_out_by_them() {
    let weighing = |weight, standing| Candidate { weight, ..candidate(standing, 0, 10 * weight, weight) };
    let share = |all: &[Candidate]| {
        let mut calls = vec![0; all.len()];
        for at in 0..1_000 {
            calls[pick(all, (f64::from(at) / 1_000.0, 0.5)).expect("some")] += 1;
        }
        calls
    };
    let all = [3, 0, 7].map(|weight| weighing(weight, Standing::Free));
    assert_eq!(share(&all), [300, 1, 699]);
    let all = [weighing(3, Standing::Free), weighing(1, Standing::Free), weighing(90, Standing::Busy)];
    assert_eq!(share(&all), [750, 250, 0], "one that cannot take calls now has no share");
    assert_eq!(share(&[weighing(0, Standing::Free), weighing(5, Standing::Down)]), [1_000, 0]);
}

#[test]
fn one_that_nobody_has_called_yet_does_not_draw_every_call() {
    let new = Candidate { latency: None, ..candidate(Standing::Free, 0, 0, 2) };
    let old = candidate(Standing::Free, 0, 20, 1);
    assert_eq!(pick(&[new, old], (0.0, 0.0)), Some(1));
}

#[test]
fn a_peak_counts_at_once_and_is_forgotten_slowly() {
    let start = Instant::now();
    let mut latency = Latency::default();
    assert_eq!(latency.seconds(start), None);
    latency.note(Duration::from_millis(10), start);
    latency.note(Duration::from_secs(1), start);
    assert_eq!(latency.seconds(start), Some(1.0));
    latency.note(Duration::from_millis(10), start + Duration::from_millis(1));
    assert!(latency.seconds(start + Duration::from_millis(1)).is_some_and(|now| now > 0.99));
    assert!(latency.seconds(start + MEMORY * 5).is_some_and(|later| later < 0.01), "it is worth another try");
}

proptest! {
    #[test]
    fn nobody_is_called_while_a_better_one_can_be(all in any_candidates(), a in 0.0..1.0f64, b in 0.0..1.0f64) {
        let picked = pick(&all, (a, b));
        prop_assert_eq!(picked.is_none(), all.is_empty());
        if let Some(picked) = picked {
            let rank = |one: &Candidate| (one.standing, one.tier);
            prop_assert!(all.iter().all(|other| rank(&all[picked]) <= rank(other)));
        }
    }

    #[test]
    fn of_those_alike_the_costliest_is_called_only_if_all_cost_the_same(
        loads in proptest::collection::vec(0u32..50, 2..9), a in 0.0..1.0f64, b in 0.0..1.0f64,
    ) {
        let all: Vec<_> = loads.iter().map(|load| candidate(Standing::Free, 0, 20, *load)).collect();
        let picked = pick(&all, (a, b)).expect("there are some");
        let most = loads.iter().max().expect("there are some");
        let costliest = loads.iter().filter(|load| *load == most).count();
        prop_assert!(loads[picked] < *most || costliest > 1);
    }

    #[test]
    fn a_latency_is_never_above_the_slowest_call(calls in proptest::collection::vec((0u64..5_000, 0u64..3_000), 1..40)) {
        let mut now = Instant::now();
        let mut latency = Latency::default();
        for (took, pause) in &calls {
            latency.note(Duration::from_millis(*took), now);
            now += Duration::from_millis(*pause);
            let slowest = calls.iter().map(|(took, _)| Duration::from_millis(*took).as_secs_f64()).fold(0.0, f64::max);
            prop_assert!(latency.seconds(now).is_some_and(|seconds| (0.0..=slowest).contains(&seconds)));
        }
    }
}
