//! The program dies at every point at which it could, over plans at random, and another goes on.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::engine::command::{Callee, Command, StepCall};
use crate::engine::event::{Called, Decision, Event, Failure, Identity, What};
use crate::engine::run::Run;
use crate::engine::tests::laws_plans;
use crate::engine::tests::play::workflow;
use crate::model::code;
use crate::model::fault::Kind;
use crate::model::usage::Usage;
use crate::workflow::definition::Workflow;

/// How many times the program dies at least, over all plans: as often as an optimized build can in a few seconds.
const DEATHS: usize = if cfg!(debug_assertions) { 4_000 } else { 100_000 };

/// The program has died.
struct Dead;

/// An attempt of a call.
type Attempt = (String, u32);

/// What outlives the program: the journal, the servers, and the clock.
struct World {
    workflow: Arc<Workflow>,
    /// What was written together.
    journal: Vec<Vec<Event>>,
    /// Up to where somebody has waited for the disk; what was written later may be lost.
    safe: usize,
    is_lazy: bool,
    /// How often each call that must not be made twice has reached its server, and how often it may.
    arrived: HashMap<Attempt, usize>,
    allowed: HashMap<Attempt, usize>,
    now: u64,
    chance: u64,
    /// At how many points the program could have died so far, and at which it does.
    points: usize,
    deaths: Vec<usize>,
}

/// What dies with the program.
struct Program {
    run: Run,
    calls: Vec<StepCall>,
    timers: BTreeMap<String, u64>,
    ended: bool,
}

impl World {
    fn new(workflow: &Arc<Workflow>, seed: u64, deaths: Vec<usize>, is_lazy: bool) -> Self {
        Self {
            workflow: Arc::clone(workflow),
            journal: Vec::new(),
            safe: 0,
            is_lazy,
            arrived: HashMap::new(),
            allowed: HashMap::new(),
            now: 1_000,
            chance: seed,
            points: 0,
            deaths,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.chance >> 33).unwrap_or(0) % bound.max(1)
    }

    /// A point at which the program may die.
    fn point(&mut self) -> Result<(), Dead> {
        self.points += 1;
        if self.deaths.contains(&self.points) { Err(Dead) } else { Ok(()) }
    }

    /// Plays one run, through all deaths, to its end. Returns at how many points the program could have died.
    fn play(mut self) -> usize {
        for _ in 0..=self.deaths.len() {
            if self.live().is_ok() {
                return self.points;
            }
            // What nobody has waited for may be lost.
            if self.is_lazy {
                let lost = self.below(self.journal.len() - self.safe + 1);
                self.journal.truncate(self.journal.len() - lost);
            }
            self.now += self.below(80) as u64;
        }
        panic!("the run outlives its last program");
    }

    /// One program, from its start to its death or to the end of the run.
    fn live(&mut self) -> Result<(), Dead> {
        let mut program = Program {
            run: Run::new(Arc::clone(&self.workflow)),
            calls: Vec::new(),
            timers: BTreeMap::new(),
            ended: false,
        };
        let history: Vec<Event> = self.journal.iter().flatten().cloned().collect();
        let first = if history.is_empty() {
            let run = Identity { id: "r1".to_owned(), caller: "tester".to_owned() };
            What::Started { run, input: json!({}), seed: 7, flags: json!({}) }
        } else {
            for event in history {
                let _ = program.run.apply(event);
            }
            What::Resumed
        };
        if program.run.outcome().is_some() {
            return Ok(());
        }
        self.happens(&mut program, first)?;
        let mut turns = 0;
        while !program.ended {
            turns += 1;
            assert!(turns < 5_000, "the run does not end");
            self.turn(&mut program)?;
        }
        Ok(())
    }

    /// The next thing happens, at random.
    fn turn(&mut self, program: &mut Program) -> Result<(), Dead> {
        let next_timer = program.timers.iter().min_by_key(|(_, due)| **due).map(|(at, due)| (at.clone(), *due));
        self.now += 1;
        match next_timer {
            Some((at, due)) if program.calls.is_empty() || self.below(4) == 0 => {
                program.timers.remove(&at);
                self.now = self.now.max(due);
                self.happens(program, What::Fired { at })
            }
            _ if !program.calls.is_empty() => {
                let place = self.below(program.calls.len());
                let call = program.calls.remove(place);
                let outcome = match self.below(8) {
                    0 => Called::Result(json!({ "isError": true, "content": [{ "type": "text", "text": "no" }] })),
                    1 => Called::Failure(Failure::new(Kind::Unavailable, code::SERVER_DOWN, "it is down")),
                    2 => {
                        let failure = Failure::new(Kind::Timeout, code::SERVER_DOWN, "it went away");
                        Called::Failure(Failure { was_sent: true, ..failure })
                    }
                    _ => Called::Result(json!({ "structuredContent": { "n": self.now } })),
                };
                let (at, attempt) = (call.at, call.attempt);
                self.happens(program, What::Called { at, attempt, outcome, usage: Usage::CALL })
            }
            _ => {
                let doubts = program.run.doubts();
                let call = doubts.get(self.below(doubts.len())).expect("the run waits for something");
                let (at, attempt) = (call.at.clone(), call.attempt);
                let decision = match self.below(3) {
                    0 => Decision::ItHappened(json!({ "n": 1 })),
                    1 => Decision::Fail,
                    _ => {
                        *self.allowed.entry((at.clone(), attempt)).or_insert(1) += 1;
                        Decision::Retry
                    }
                };
                self.happens(program, What::Decided { at, attempt, decision })
            }
        }
    }

    /// Something happens: it is written, then what comes of it is done. The program may die before, between and after.
    fn happens(&mut self, program: &mut Program, what: What) -> Result<(), Dead> {
        let mut events = VecDeque::from([what]);
        while let Some(what) = events.pop_front() {
            self.point()?;
            let event = Event { now: self.now, what };
            let commands = program.run.apply(event.clone());
            let mut batch = vec![event];
            for call in commands.iter().filter_map(once_only) {
                let what = What::Intended { at: call.at.clone(), attempt: call.attempt };
                let intended = Event { now: self.now, what };
                assert_eq!(program.run.apply(intended.clone()), []);
                batch.push(intended);
            }
            let matters = |command: &Command| matches!(command, Command::Call(call) if !call.effect.is_read());
            self.journal.push(batch);
            if !self.is_lazy || commands.iter().any(matters) {
                self.safe = self.journal.len();
            }
            self.point()?;
            for command in commands {
                events.extend(self.carry_out(program, command));
                self.point()?;
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, program: &mut Program, command: Command) -> Option<What> {
        match command {
            Command::Call(call) => {
                let attempt = (call.at.clone(), call.attempt);
                assert!(!self.is_answered(&attempt), "{attempt:?} was answered, and is made again");
                if once_only(&Command::Call(call.clone())).is_some() {
                    let arrived = self.arrived.entry(attempt.clone()).or_default();
                    *arrived += 1;
                    let allowed = self.allowed.get(&attempt).copied().unwrap_or(1);
                    assert!(
                        *arrived <= allowed,
                        "{attempt:?} reached its server {arrived} times, {allowed} are allowed"
                    );
                }
                program.calls.push(call);
            }
            Command::Cancel { at, attempt } => program.calls.retain(|call| (&call.at, call.attempt) != (&at, attempt)),
            Command::Timer { at, due } => {
                program.timers.insert(at, due);
            }
            Command::Forget { at } => {
                program.timers.remove(&at);
            }
            Command::Recall { at, .. } => return Some(What::Recalled { at, kept: None }),
            Command::Finish(_) => {
                assert!(program.calls.is_empty() && program.timers.is_empty(), "left behind at the end");
                program.ended = true;
            }
            Command::Ask(_) | Command::Emit { .. } | Command::Keep { .. } => {}
        }
        None
    }

    fn is_answered(&self, (place, number): &Attempt) -> bool {
        self.journal
            .iter()
            .flatten()
            .any(|event| matches!(&event.what, What::Called { at, attempt, .. } if at == place && attempt == number))
    }
}

/// The call of a command, if it must not be made twice.
fn once_only(command: &Command) -> Option<&StepCall> {
    match command {
        Command::Call(call) if matches!(call.callee, Callee::Tool(_)) && !call.effect.may_repeat() => Some(call),
        _ => None,
    }
}

/// Plans at random, none twice.
fn plans() -> impl Iterator<Item = Arc<Workflow>> {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    std::iter::from_fn(move || {
        loop {
            let body: Value = laws_plans::body().new_tree(&mut runner).expect("a plan").current();
            if seen.insert(body.to_string()) {
                let whole = json!({ "name": "random", "timeout": "5s", "steps": body });
                return Some(workflow(&whole.to_string()));
            }
        }
    })
}

#[test]
fn wherever_the_program_dies_every_run_ends_and_nothing_is_done_twice_that_must_not() {
    let (mut deaths, mut seed) = (0, 11_u64);
    for plan in plans() {
        seed = seed.wrapping_mul(31).wrapping_add(7);
        let points = World::new(&plan, seed, Vec::new(), false).play();
        for point in 1..=points.min(60) {
            // Once, then twice in a row: while it takes the run up, or soon after.
            World::new(&plan, seed, vec![point], seed.is_multiple_of(2)).play();
            World::new(&plan, seed, vec![point, point + 1 + point % 5], !seed.is_multiple_of(2)).play();
            deaths += 3;
        }
        if deaths >= DEATHS {
            return;
        }
    }
}
