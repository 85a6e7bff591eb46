//! Random workflows over a program that is killed at random moments: no run is lost, no answer that is stored is asked for
//! again, nothing that must not be done twice is, and what is in doubt is said.
//!
//! `TORTURE_KILLS` kills more often than the usual, `TORTURE_SEED` plays one world again.

pub(crate) mod chance;
mod ledger;
mod plan;
mod stored;
mod world;

use std::thread;

use self::world::{Tally, World};

/// How many programs there are at a time, and how many runs and deaths each sees.
const WORLDS: u64 = 6;
const RUNS: usize = 11;
const KILLS: usize = 26;

pub(crate) fn wanted<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn runs_outlive_a_program_that_is_killed_again_and_again() {
    let kills = wanted("TORTURE_KILLS").map_or(KILLS, |kills: usize| kills / 6 + 1);
    let runs = RUNS.max(kills / 3);
    let first = u64::from(std::process::id()) * 10;
    let only: Option<u64> = wanted("TORTURE_SEED");
    let seeds: Vec<u64> = only.map_or_else(|| (first..first + WORLDS).collect(), |seed| vec![seed]);
    let worlds: Vec<_> =
        seeds.into_iter().map(|seed| (seed, thread::spawn(move || World::new(seed).play(runs, kills)))).collect();
    let mut total = Tally::default();
    for (seed, world) in worlds {
        let tally = world.join().unwrap_or_else(|_| panic!("TORTURE_SEED={seed} plays this world again"));
        total.runs += tally.runs;
        total.kills += tally.kills;
        total.doubts += tally.doubts;
    }
    assert!(total.doubts > 0 || only.is_some(), "nothing was in doubt: {total:?}");
    assert!(total.kills > 150 || only.is_some(), "too little has happened: {total:?}");
    assert!(total.runs >= 60 || only.is_some(), "too little has happened: {total:?}");
}
