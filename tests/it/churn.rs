//! Servers that are killed, called and replaced again and again, that have started others and ignore `SIGTERM`: none of them
//! survives, and the program holds in the end what it held in the beginning.
//!
//! `CHURN_CYCLES` plays more cycles than the usual, `CHURN_SEED` the same ones again. With a thousand or more, what the
//! program holds must be the same within 5 %.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::support::processes::{self, Held};
use crate::support::{Host, Test, eventually, fixture};
use crate::torture::chance::Chance;
use crate::torture::wanted;

/// How many servers there are. Every second one ignores `SIGTERM`.
const SERVERS: usize = 6;

/// How often one of them is killed, called and replaced.
const CYCLES: usize = 36;

/// How long what was ended may take to be gone, with the threads that were busy with it.
const GONE: Duration = Duration::from_secs(15);

struct Churn {
    host: Host,
    chance: Chance,
    /// How often each server was replaced.
    generations: [usize; SERVERS],
    /// The slowest call of a server that had just been killed.
    slowest: Duration,
}

fn name(place: usize) -> String {
    format!("server{place}")
}

impl Churn {
    fn new(seed: u64) -> Self {
        let server = |test: Test, place: usize| {
            let launch =
                if place.is_multiple_of(2) { fixture(["healthy"]) } else { fixture(["healthy", "--stubborn"]) };
            test.server(&name(place), launch.env(&format!("GENERATION_{place}"), "0"))
        };
        let mut host = (0..SERVERS).fold(Test::new(), server).start();
        host.ready(&(0..SERVERS).map(name).collect::<Vec<_>>().iter().map(String::as_str).collect::<Vec<_>>());
        Self { host, chance: Chance::new(seed), generations: [0; SERVERS], slowest: Duration::ZERO }
    }

    /// Kills some servers in the middle of their work, calls every one, and replaces some; says how many were killed or replaced.
    fn round(&mut self) -> usize {
        let victims: Vec<_> = (0..SERVERS).filter(|_| !self.chance.once_in(3)).collect();
        let mut lost = Vec::new();
        for place in &victims {
            for own_session in [false, true] {
                self.host.value(&format!("{}__spawn_grandchild", name(*place)), json!({ "own_session": own_session }));
            }
            if self.chance.once_in(2) {
                let calls = self.host.record(&name(*place), "calls").len();
                lost.push(self.host.send_call(&format!("{}__hang", name(*place)), json!({})));
                self.host.await_record(&name(*place), "calls", calls + 1);
            }
            processes::signal(self.host.pid(&name(*place)), Signal::KILL);
        }
        let began = Instant::now();
        let calls: Vec<_> = (0..SERVERS)
            .map(|place| self.host.send_call(&format!("{}__echo", name(place)), json!({ "n": place })))
            .collect();
        for (place, call) in calls.into_iter().enumerate() {
            let answer = self.host.answer(call);
            assert_eq!(answer["result"]["structuredContent"]["n"], place, "{answer}\n{}", self.host.stderr());
        }
        self.slowest = self.slowest.max(began.elapsed());
        for call in lost {
            assert_eq!(self.host.answer(call)["result"]["isError"], true, "a call was lost with its server");
        }
        // Whoever was killed is replaced before it is killed for the third time, which would be a crash loop.
        let replaced: Vec<_> = (0..SERVERS).filter(|place| victims.contains(place) || self.chance.once_in(4)).collect();
        self.replace(&replaced);
        replaced.len()
    }

    /// Replaces the servers by ones with another environment.
    fn replace(&mut self, places: &[usize]) {
        let path = self.host.home().join("registry.toml");
        let mut text = fs::read_to_string(&path).expect("the registry");
        for place in places {
            let entry = |generation| format!("GENERATION_{place} = \"{generation}\"");
            let generation = &mut self.generations[*place];
            text = text.replace(&entry(*generation), &entry(*generation + 1));
            *generation += 1;
        }
        fs::write(path, text).expect("the registry");
        self.host.value("reload_config", json!({}));
    }

    /// What the program holds once nothing of the past is left: ourselves, the watchdog and the servers as they are.
    fn rest(&mut self, descriptors: u64, threads: u64) -> Held {
        let is_quiet = eventually(GONE, || {
            let held = self.host.held();
            self.host.processes_left().len() == SERVERS + 2
                && held.descriptors <= descriptors
                && held.threads <= threads
        });
        let held = self.host.held();
        assert!(is_quiet, "{held:?}, at first {descriptors} and {threads}: {:#?}", self.host.processes_left());
        held
    }
}

#[test]
fn servers_that_are_killed_and_replaced_again_and_again_leave_nothing_behind() {
    let cycles = wanted("CHURN_CYCLES").unwrap_or(CYCLES);
    let seed = wanted("CHURN_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let began = Instant::now();
    let mut churn = Churn::new(seed);
    let mut done = 0;
    while done < cycles / 5 {
        done += churn.round();
    }
    churn.replace(&(0..SERVERS).collect::<Vec<_>>());
    let first = churn.rest(u64::MAX, u64::MAX);
    while done < cycles {
        done += churn.round();
    }
    churn.replace(&(0..SERVERS).collect::<Vec<_>>());
    let last = churn.rest(first.descriptors, first.threads);
    let took = began.elapsed();
    // What comes of a few cycles is noise: caches fill, and the allocator keeps what it once had.
    let percent = if cycles < 1_000 { 130 } else { 105 };
    assert!(last.memory * 100 <= first.memory * percent, "CHURN_SEED={seed}: {first:?}, then {last:?}");
    if cycles != CYCLES {
        let report = format!("{done} cycles in {took:.0?}: {first:?}, then {last:?}; slowest {:?}", churn.slowest);
        fs::write(std::env::temp_dir().join("churn.txt"), report).expect("a report");
    }
    churn.host.leave();
    assert!(churn.host.ended(Duration::from_secs(10)).is_some_and(|status| status.success()));
    churn.host.leaves_nothing(Duration::from_secs(5));
}
