//! The program dies at every point at which it could, and at every pair of them, over plans at random, and another goes on.

mod world;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::engine::tests::crash::world::{Bug, World};
use crate::engine::tests::laws_plans;
use crate::engine::tests::play::workflow;
use crate::workflow::definition::Workflow;

/// How many runs are played in which the program dies: as many as it can in a few seconds.
const RUNS: usize = if cfg!(debug_assertions) { 6_000 } else { 100_000 };

/// Up to how many points a plan is played with every pair of them: pairs grow with the square, and other plans tell more.
const SHORT: usize = 20;

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

/// Plays one run; what goes wrong is told with all that is needed to see it again.
fn play((plan, text): &Planned, seed: u64, deaths: &[usize], is_lazy: bool, bug: Bug) -> usize {
    let world = World::new(plan, seed, deaths.to_vec(), is_lazy, bug);
    catch_unwind(AssertUnwindSafe(|| world.play())).unwrap_or_else(|why| {
        let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
        panic!("{why}\nseed {seed}, deaths at {deaths:?}, lazy: {is_lazy}, plan {text}")
    })
}

/// Kills the program at every point of every plan, and at every pair of them, until so many runs have been played.
fn enumerate(runs: usize, bug: Bug) {
    let (mut played, mut seed) = (0, 11_u64);
    for plan in plans() {
        seed = seed.wrapping_mul(31).wrapping_add(7);
        let points = play(&plan, seed, &[], false, bug);
        for first in 1..=points.min(LONG) {
            let is_lazy = (seed >> 7).wrapping_add(first as u64).is_multiple_of(2);
            // All points of the second program's life count, also those while it takes the run up.
            let all = play(&plan, seed, &[first], is_lazy, bug);
            let seconds = if points <= SHORT { all } else { first + 1 };
            for second in first + 1..=seconds {
                play(&plan, seed, &[first, second], is_lazy, bug);
                played += 1;
            }
            played += 1;
        }
        if played >= runs {
            return;
        }
    }
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
