//! The program dies at every point at which it could, and at every pair of them, over plans at random, and another goes on.

mod world;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::thread;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::engine::tests::crash::world::{Bug, World};
use crate::engine::tests::laws_plans;
use crate::engine::tests::play::workflow;
use crate::workflow::definition::Workflow;

/// How many runs are played in which the program dies: as many as it can in a few seconds.
const RUNS: usize = if cfg!(debug_assertions) { 20_000 } else { 200_000 };

/// Up to how many points a plan is played with every pair of them: pairs grow with the square, and other plans tell more.
const SHORT: usize = 16;

/// How many points of a plan are played at most.
const LONG: usize = 40;

/// A plan and its text.
type Planned = (Arc<Workflow>, String);

/// Plans at random of all verbs, none twice.
fn plans() -> impl Iterator<Item = Planned> {
    let mut runner = TestRunner::deterministic();
    let (mut seen, mut count) = (BTreeSet::new(), 0);
    std::iter::from_fn(move || {
        loop {
            let mut body: Value = laws_plans::body().new_tree(&mut runner).expect("a plan").current();
            vary(&mut body, &mut count);
            if seen.insert(body.to_string()) {
                let text = json!({ "name": "random", "timeout": "5s", "steps": body }).to_string();
                return Some((workflow(&text), text));
            }
        }
    })
}

/// Puts steps in that wait for somebody, and what is to be done about calls that are in doubt.
fn vary(step: &mut Value, count: &mut usize) {
    match step {
        Value::Object(fields) => {
            if fields.get("set") == Some(&json!({ "a": 1 })) {
                *count += 1;
                let (verb, what) = [("ask", "Go on?"), ("emit", "thing"), ("await", "thing"), ("set", "a")][*count % 4];
                fields.remove("set");
                fields.insert(verb.to_owned(), json!(what));
            } else if fields.get("tool") == Some(&json!("s.post")) && fields.contains_key("id") {
                *count += 1;
                match *count % 3 {
                    0 => drop(fields.insert("check".to_owned(), json!({ "tool": "s.get" }))),
                    1 => drop(fields.insert("in_doubt".to_owned(), json!("fail"))),
                    _ => {}
                }
            }
            fields.values_mut().for_each(|value| vary(value, count));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| vary(item, count)),
        _ => {}
    }
}

/// One plan, and how it is played.
struct Played<'plan> {
    planned: &'plan Planned,
    seed: u64,
    bug: Bug,
}

impl Played<'_> {
    /// Plays a run that has seen these deaths to its end. What goes wrong is told with all that is needed to see it again.
    fn play(&self, world: World, deaths: &[usize], most_copies: usize) -> (usize, Vec<World>) {
        catch_unwind(AssertUnwindSafe(|| world.play(most_copies))).unwrap_or_else(|why| {
            let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
            panic!("{why}\nseed {}, deaths at {deaths:?}, plan {}", self.seed, self.planned.1)
        })
    }

    /// Kills the program at every point of the plan, and then the next one at every point of its life. Returns how many runs
    /// that were.
    fn enumerate(&self) -> usize {
        let world = World::new(&self.planned.0, self.seed, self.bug);
        let (points, firsts) = self.play(world, &[], LONG);
        let (mut played, seconds) = (0, if points <= SHORT { usize::MAX } else { 1 });
        for (first, world) in (1..).zip(firsts) {
            let is_lazy = (self.seed >> 7).wrapping_add(first).is_multiple_of(2);
            let first = usize::try_from(first).unwrap_or(usize::MAX);
            // All points of the second program's life count, also those while it takes the run up.
            let (_, copies) = self.play(world.bereft(is_lazy), &[first], seconds);
            for (second, world) in (1..).zip(copies) {
                self.play(world.bereft(is_lazy), &[first, second], 0);
                played += 1;
            }
            played += 1;
        }
        played
    }
}

/// Kills the program at every point of every plan, and at every pair of them, until so many runs have been played; by several
/// hands at once.
fn enumerate(runs: usize, bug: Bug) {
    let seeds = std::iter::successors(Some(348_u64), |seed| Some(seed.wrapping_mul(31).wrapping_add(7)));
    let (worlds, played) = (Mutex::new(plans().zip(seeds)), AtomicUsize::new(0));
    let hand = || {
        while played.load(Relaxed) < runs {
            let next = worlds.lock().expect("a plan can be made").next();
            let (planned, seed) = next.expect("there is always another");
            played.fetch_add(Played { planned: &planned, seed, bug }.enumerate(), Relaxed);
        }
    };
    thread::scope(|scope| {
        let hands = [(); 4].map(|()| scope.spawn(hand));
        for hand in hands {
            if let Err(why) = hand.join() {
                // The others need not look any further.
                played.store(runs, Relaxed);
                resume_unwind(why);
            }
        }
    });
}

#[test]
fn wherever_the_program_dies_every_run_ends_and_nothing_is_done_twice_that_must_not() {
    enumerate(RUNS, Bug::None);
}

#[test]
fn mistakes_that_are_made_on_purpose_are_found() {
    for bug in [Bug::NoIntent, Bug::UndoSkipped, Bug::TimerTwice, Bug::Untold] {
        let found = catch_unwind(|| enumerate(RUNS, bug));
        let why = found.expect_err(&format!("{bug:?} is not found"));
        let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
        let expected = match bug {
            Bug::NoIntent => "reached its server",
            Bug::UndoSkipped => "nobody was asked to",
            Bug::TimerTwice => "goes off twice",
            Bug::Untold => "was never told",
            Bug::None => unreachable!("it is no mistake"),
        };
        assert!(why.contains(expected) && why.contains("seed "), "{bug:?} is found as {why}");
    }
}
