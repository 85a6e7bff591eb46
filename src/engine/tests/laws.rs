//! What holds for every run, whatever its plan, its answers and their order. `play` objects to the rest.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::engine::command::{Command, Outcome, StepCall};
use crate::engine::event::{Called, What};
use crate::engine::run::Run;
use crate::engine::tests::graph::Graph;
use crate::engine::tests::laws_plans;
use crate::engine::tests::play::{Play, workflow};
use crate::model::fault::Kind;
use crate::workflow::definition::Workflow;

/// Numbers that follow from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound.max(1)
    }
}

/// How the world around a run behaves.
#[derive(Clone, Copy)]
enum World {
    /// Timers go off on time.
    Punctual,
    /// Timers may go off late.
    Late,
    /// And somebody may cancel the run.
    Fickle,
}

/// Plays a run to its end; `heed` is asked after each event.
fn play(workflow: &Arc<Workflow>, seed: u64, world: World, mut heed: impl FnMut(&Play)) -> Play {
    let mut chance = Chance(seed);
    let mut play = Play::begin(workflow, json!({}), seed);
    heed(&play);
    let mut turns = 0;
    while play.run.outcome().is_none() {
        turns += 1;
        assert!(turns < 20_000, "the run does not end");
        assert!(!play.calls.is_empty() || !play.timers.is_empty(), "the run waits for nothing");
        if matches!(world, World::Fickle) && chance.below(12) == 0 {
            play.happens(What::CancelRequested { why: "chance".to_owned() });
        } else if play.calls.is_empty() || chance.below(4) == 0 && !play.timers.is_empty() {
            let (_, due) = play.next_timer().expect("something is left");
            play.pass(due.saturating_sub(play.now));
        } else {
            match world {
                World::Punctual => play.pass(1),
                World::Late | World::Fickle => play.now += 1,
            }
            let Some(at) = play.calls.get(chance.below(play.calls.len())).map(|call| call.at.clone()) else { continue };
            match chance.below(8) {
                0 => play.refuse(&at, "no"),
                1 => play.fail(&at, Kind::Unavailable),
                2 => play.lose(&at, Kind::Timeout),
                3 => play.lose(&at, Kind::Internal),
                _ => play.answer(&at, json!({ "n": turns })),
            };
        }
        heed(&play);
    }
    play
}

fn planned(body: &Value, order: &str) -> Arc<Workflow> {
    let on_failure = json!({ "tool": "s.put_note", "args": { "why": "$error.kind" }, "timeout": "1s" });
    let mut whole =
        json!({ "name": "random", "order": order, "timeout": "5s", "on_failure": on_failure, "steps": body });
    // Some are short of money.
    if body.to_string().len().is_multiple_of(3) {
        whole["budget"] = json!({ "calls": 5, "time": "150ms", "on_exceed": "degrade" });
    }
    workflow(&whole.to_string())
}

/// The calls that have succeeded, in that order.
fn succeeded(played: &Play) -> impl Iterator<Item = &StepCall> {
    played.events.iter().filter_map(|event| match &event.what {
        What::Called { at, attempt, outcome: Called::Result(result), .. } if result.get("isError").is_none() => {
            played.ever.get(&(at.clone(), *attempt))
        }
        _ => None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_run_ends_and_leaves_nothing_behind(body in laws_plans::body(), data in any::<bool>(), seed in any::<u64>()) {
        let workflow = planned(&body, if data { "data" } else { "written" });
        let played = play(&workflow, seed, World::Fickle, |_| {});
        prop_assert!(played.run.steps().iter().all(|row| row.status.as_str() != "running" && row.ended.is_some()));
        let progress = played.run.progress();
        prop_assert!(progress.done <= progress.total && progress.current.is_none());
        let completed = matches!(played.run.outcome(), Some(Outcome::Completed(_)));
        prop_assert_eq!(completed, progress.done == progress.total && played.run.steps().iter().all(|row| row.status.as_str() != "failed" || row.at.contains(['/', '['])));
    }

    #[test]
    fn exactly_what_was_done_is_undone_the_last_first_and_after_everything_else(body in laws_plans::body(), seed in any::<u64>()) {
        let workflow = planned(&body, "data");
        let played = play(&workflow, seed, World::Fickle, |play| {
            if play.calls.iter().any(|call| call.is_afterwards) {
                let first = play.calls[0].at.rsplit_once('#').map(|(step, _)| step.to_owned());
                assert!(play.calls.iter().all(|call| call.is_afterwards && call.at.rsplit_once('#').map(|(step, _)| step.to_owned()) == first), "{:?}", play.waiting());
            }
        });
        let done: Vec<_> = succeeded(&played).filter(|call| call.arguments["undoable"] == true).map(|call| call.at.clone()).collect();
        // What has no call of its own is undone in its place, too, but only calls are known here.
        let undone: Vec<_> = played.run.undone().iter().map(|undone| undone.at.to_string()).filter(|at| done.contains(at)).collect();
        let expected: Vec<_> = match played.run.outcome() {
            Some(Outcome::Completed(_)) => Vec::new(),
            _ => done.iter().rev().cloned().collect(),
        };
        prop_assert_eq!(undone, expected);
    }

    #[test]
    fn what_has_succeeded_is_not_done_again(body in laws_plans::body(), seed in any::<u64>()) {
        let workflow = planned(&body, "data");
        let played = play(&workflow, seed, World::Late, |_| {});
        for call in succeeded(&played).filter(|call| !call.at.contains(['/', '#'])) {
            // Inside a block that is tried again it would be.
            prop_assert!(!played.ever.contains_key(&(call.at.clone(), call.attempt + 1)), "{} was done again", call.at);
        }
    }

    #[test]
    fn no_call_is_made_before_its_time(body in laws_plans::body(), data in any::<bool>(), seed in any::<u64>()) {
        let workflow = planned(&body, if data { "data" } else { "written" });
        let graph = Graph::of(&workflow);
        let mut known: Vec<(String, u32)> = Vec::new();
        play(&workflow, seed, World::Late, |play| {
            let rows = play.run.steps();
            let rows: HashMap<&str, &_> = rows.iter().map(|row| (&*row.at, row)).collect();
            for call in &play.calls {
                if !known.contains(&(call.at.clone(), call.attempt)) {
                    known.push((call.at.clone(), call.attempt));
                    graph.check_waits(&call.at, &rows);
                }
            }
        });
    }

    #[test]
    fn writes_of_one_block_are_never_in_flight_together(body in laws_plans::body(), seed in any::<u64>()) {
        let body = without_after(body);
        let workflow = planned(&body, "written");
        let graph = Graph::of(&workflow);
        play(&workflow, seed, World::Late, |play| graph.check_writes(&play.waiting()));
    }

    #[test]
    fn the_same_events_give_the_same_commands(body in laws_plans::body(), seed in any::<u64>()) {
        let workflow = planned(&body, "written");
        let played = play(&workflow, seed, World::Fickle, |_| {});
        let fold = || {
            let mut run = Run::new(Arc::clone(&workflow));
            let commands: Vec<Vec<Command>> = played.events.iter().cloned().map(|event| run.apply(event)).collect();
            (commands, run.steps())
        };
        prop_assert_eq!(fold(), fold());
        prop_assert_eq!(fold().1, played.run.steps());
        let last = fold().0.concat().pop();
        prop_assert_eq!(last, played.run.outcome().cloned().map(Command::Finish));
    }

    #[test]
    fn old_events_change_nothing(body in laws_plans::body(), seed in any::<u64>()) {
        let workflow = planned(&body, "written");
        let played = play(&workflow, seed, World::Punctual, |_| {});
        let mut run = Run::new(Arc::clone(&workflow));
        for (place, event) in played.events.iter().enumerate() {
            run.apply(event.clone());
            let before = run.steps();
            for old in &played.events[..place] {
                prop_assert_eq!(run.apply(old.clone()), []);
            }
            prop_assert_eq!(run.steps(), before);
        }
        prop_assert_eq!(run.outcome(), played.run.outcome());
    }
}

/// The same steps, none of them freed from the written order.
fn without_after(mut body: Value) -> Value {
    match &mut body {
        Value::Object(fields) => {
            fields.remove("after");
            fields.values_mut().for_each(|value| *value = without_after(value.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_after(item.take())),
        _ => {}
    }
    body
}
