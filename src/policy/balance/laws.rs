//! A simulated comparison: four replicas, one of them ten times slower, and the same calls balanced in three ways.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

const REPLICAS: usize = 4;
const CALLS: usize = 20_000;

/// How calls are spread.
#[derive(Debug, Clone, Copy)]
enum Way {
    RoundRobin,
    LeastConnections,
    Ours,
}

/// A small generator of random numbers, so that each run is the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bits = u32::try_from(self.0 >> 32).expect("32 bits");
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }
}

struct Replica {
    latency: Latency,
    in_flight: u32,
    usual_ms: f64,
}

/// The latencies of all calls in milliseconds, in order, and how many calls each replica got.
fn simulate(way: Way) -> (Vec<f64>, [usize; REPLICAS]) {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let start = Instant::now();
    let at = |ms: f64| start + Duration::from_secs_f64(ms / 1_000.0);
    let mut replicas: Vec<_> = [10.0, 10.0, 10.0, 100.0]
        .map(|usual_ms| Replica { latency: Latency::default(), in_flight: 0, usual_ms })
        .into_iter()
        .collect();
    // In microseconds, so that they have an order.
    let mut ends: BinaryHeap<Reverse<(u64, usize, u64)>> = BinaryHeap::new();
    let (mut now, mut took_all, mut counts) = (0.0, Vec::new(), [0; REPLICAS]);
    for call in 0..CALLS {
        now += -5.0 * (1.0 - dice.roll()).ln();
        while let Some(Reverse((end, place, took))) = ends.peek().copied() {
            let end_ms = Duration::from_micros(end).as_secs_f64() * 1_000.0;
            if end_ms > now {
                break;
            }
            ends.pop();
            replicas[place].in_flight -= 1;
            replicas[place].latency.note(Duration::from_micros(took), at(end_ms));
        }
        let place = match way {
            Way::RoundRobin => call % REPLICAS,
            Way::LeastConnections => (0..REPLICAS)
                .min_by_key(|place| (replicas[*place].in_flight, (place + call) % REPLICAS))
                .expect("there are some"),
            Way::Ours => {
                let candidates: Vec<_> = replicas
                    .iter()
                    .map(|one| Candidate {
                        weight: 1,
                        standing: Standing::Free,
                        tier: 0,
                        latency: one.latency.seconds(at(now)),
                        in_flight: one.in_flight,
                    })
                    .collect();
                pick(&candidates, (dice.roll(), dice.roll())).expect("there are some")
            }
        };
        let took_ms = replicas[place].usual_ms * (0.8 + 0.4 * dice.roll());
        replicas[place].in_flight += 1;
        counts[place] += 1;
        took_all.push(took_ms);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some milliseconds")]
        ends.push(Reverse((((now + took_ms) * 1_000.0) as u64, place, (took_ms * 1_000.0) as u64)));
    }
    took_all.sort_by(f64::total_cmp);
    (took_all, counts)
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

#[test]
fn a_slow_replica_spoils_fewer_calls_than_in_turn_or_by_least_connections() {
    let [turn, least, ours] = [Way::RoundRobin, Way::LeastConnections, Way::Ours].map(simulate);
    let p99 = [&turn, &least, &ours].map(|(took, _)| percentile(took, 99));
    assert!(p99[0] > 100.0 && p99[1] > 80.0, "the comparison is worth nothing: {p99:?}");
    assert!(p99[2] < 15.0, "{p99:?}; calls of each replica: {:?}", ours.1);
    assert!(ours.1[3] >= 1, "a slow one is still tried now and then");
    let (quickest, slowest) = (ours.1[..3].iter().max().copied(), ours.1[..3].iter().min().copied());
    assert!(quickest < slowest.map(|count| count * 2), "those alike share the work: {:?}", ours.1);
}
