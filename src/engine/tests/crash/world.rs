//! A run in a world in which its program dies: what outlives it, and what objects to anything that must not be.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::json;

use crate::engine::command::{Callee, Command, StepCall};
use crate::engine::event::{Answer, Called, Decision, Event, Failure, Identity, What};
use crate::engine::run::Run;
use crate::model::code;
use crate::model::fault::Kind;
use crate::model::usage::Usage;
use crate::workflow::definition::Workflow;

/// A mistake that the program makes on purpose, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bug {
    /// It makes none.
    None,
    /// It makes a call that must not be made twice without storing first that it will.
    NoIntent,
    /// It says of everything that is to be undone that it was.
    UndoSkipped,
    /// Taken up again, it starts the timers anew that have gone off.
    TimerTwice,
    /// Taken up again, it tells nobody what it may not have told.
    Untold,
}

/// An attempt of a call.
type Attempt = (String, u32);

/// What outlives the program: the journal, the servers, and the clock.
///
/// A death takes nothing else away, so to die at a point is to go on with what the world was there: one life, copied at each of
/// its points, stands for as many lives that end early.
#[derive(Clone)]
pub(super) struct World {
    workflow: Arc<Workflow>,
    /// What was written together.
    journal: Vec<Arc<Vec<Event>>>,
    /// Up to where somebody has waited for the disk; what was written later may be lost.
    safe: usize,
    bug: Bug,
    /// Where a call has reached a server, or was said to have.
    touched: BTreeSet<String>,
    /// The steps that have told everybody of something, and those that wanted to, with the place in the journal of what has
    /// led to that.
    told: BTreeSet<String>,
    wanted: Vec<(usize, String)>,
    /// The timers that have gone off, with the place in the journal where that is written.
    fired: Vec<(usize, String, u64)>,
    arrivals: usize,
    /// How often each call that must not be made twice has reached its server, and how often it may.
    arrived: HashMap<Attempt, usize>,
    allowed: HashMap<Attempt, usize>,
    now: u64,
    chance: u64,
}

/// One program, from its start to the end of the run.
pub(super) struct Life {
    world: World,
    /// At how many points it could have died.
    points: usize,
    /// What the world was at the first of them.
    copies: Vec<World>,
    most_copies: usize,
}

/// What dies with the program.
struct Program {
    run: Run,
    calls: Vec<StepCall>,
    timers: BTreeMap<String, u64>,
    questions: Vec<(String, u32)>,
    ended: bool,
}

impl World {
    pub(super) fn new(workflow: &Arc<Workflow>, seed: u64, bug: Bug) -> Self {
        Self {
            workflow: Arc::clone(workflow),
            journal: Vec::new(),
            safe: 0,
            bug,
            touched: BTreeSet::new(),
            told: BTreeSet::new(),
            wanted: Vec::new(),
            fired: Vec::new(),
            arrivals: 0,
            arrived: HashMap::new(),
            allowed: HashMap::new(),
            now: 1_000,
            chance: seed,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.chance >> 33).unwrap_or(0) % bound.max(1)
    }

    /// The world after the death of its program. What nobody has waited for may be lost, if the disk is lazy.
    pub(super) fn bereft(mut self, is_lazy: bool) -> Self {
        if is_lazy {
            let lost = self.below(self.journal.len() - self.safe + 1);
            self.journal.truncate(self.journal.len() - lost);
        }
        self.fired.retain(|(place, ..)| *place < self.journal.len());
        self.wanted.retain(|(place, ..)| *place < self.journal.len());
        self.now += self.below(80) as u64;
        self
    }

    /// Plays a run to its end. Returns at how many points the program could have died, and what the world was at so many.
    pub(super) fn play(self, most_copies: usize) -> (usize, Vec<Self>) {
        let mut life = Life { world: self, points: 0, copies: Vec::new(), most_copies };
        life.live();
        (life.points, life.copies)
    }

    /// Whatever the run wanted everybody to know has been told.
    fn nothing_is_untold(&self) {
        for (_, at) in &self.wanted {
            assert!(self.told.contains(at), "{at} was never told");
        }
    }

    fn is_answered(&self, (place, number): &Attempt) -> bool {
        self.journal
            .iter()
            .flat_map(|batch| &**batch)
            .any(|event| matches!(&event.what, What::Called { at, attempt, .. } if at == place && attempt == number))
    }
}

impl Life {
    /// A point at which the program may die.
    fn point(&mut self) {
        self.points += 1;
        if self.copies.len() < self.most_copies {
            self.copies.push(self.world.clone());
        }
    }

    fn live(&mut self) {
        let mut program = Program {
            run: Run::new(Arc::clone(&self.world.workflow)),
            calls: Vec::new(),
            timers: BTreeMap::new(),
            questions: Vec::new(),
            ended: false,
        };
        let first = if self.world.journal.is_empty() {
            let run = Identity { id: "r1".to_owned(), caller: "tester".to_owned() };
            What::Started { run, input: json!({}), seed: 7, flags: json!({}) }
        } else {
            let history: Vec<_> = self.world.journal.iter().flat_map(|batch| batch.iter().cloned()).collect();
            for command in program.run.replay(history) {
                if self.world.bug != Bug::Untold {
                    self.carry_out(&mut program, command);
                }
                self.point();
            }
            What::Resumed
        };
        if program.run.outcome().is_some() {
            self.world.nothing_is_untold();
            return;
        }
        let is_resumed = first == What::Resumed;
        self.happens(&mut program, first);
        if is_resumed && self.world.bug == Bug::TimerTwice {
            program.timers.extend(self.world.fired.iter().map(|(_, at, due)| (at.clone(), *due)));
        }
        let mut turns = 0;
        while !program.ended {
            turns += 1;
            assert!(turns < 5_000, "the run does not end");
            self.turn(&mut program);
        }
    }

    /// The next thing happens, at random.
    fn turn(&mut self, program: &mut Program) {
        let next_timer = program.timers.iter().min_by_key(|(_, due)| **due).map(|(at, due)| (at.clone(), *due));
        self.world.now += 1;
        match next_timer {
            Some((at, due)) if program.calls.is_empty() || self.world.below(4) == 0 => {
                program.timers.remove(&at);
                self.world.now = self.world.now.max(due);
                let is_new = self.world.fired.iter().all(|(_, place, before)| (place, *before) != (&at, due));
                assert!(is_new, "the timer {at} goes off twice");
                self.world.fired.push((self.world.journal.len(), at.clone(), due));
                self.happens(program, What::Fired { at });
            }
            _ if !program.calls.is_empty() => {
                let place = self.world.below(program.calls.len());
                let call = program.calls.remove(place);
                let outcome = match self.world.below(8) {
                    0 => Called::Result(json!({ "isError": true, "content": [{ "type": "text", "text": "no" }] })),
                    1 => Called::Failure(Failure::new(Kind::Unavailable, code::SERVER_DOWN, "it is down")),
                    2 => {
                        let failure = Failure::new(Kind::Timeout, code::SERVER_DOWN, "it went away");
                        Called::Failure(Failure { was_sent: true, ..failure })
                    }
                    3 if call.at.ends_with("#check") => Called::Result(json!({ "structuredContent": {} })),
                    _ => Called::Result(json!({ "structuredContent": { "n": self.world.now } })),
                };
                let (at, attempt) = (call.at, call.attempt);
                if let (Some(asked), Called::Result(_)) = (at.strip_suffix("#check"), &outcome) {
                    // Whoever looks may be told that it has not happened.
                    *self.world.allowed.entry((asked.to_owned(), attempt)).or_insert(1) += 1;
                }
                self.happens(program, What::Called { at, attempt, outcome, usage: Usage::CALL });
            }
            _ => self.somebody_sees_to_it(program),
        }
    }

    /// Nothing happens by itself any more: somebody answers, decides, or does what the run waits for.
    fn somebody_sees_to_it(&mut self, program: &mut Program) {
        let doubts = program.run.doubts();
        match (program.questions.pop(), doubts.get(self.world.below(doubts.len()))) {
            (Some((at, attempt)), _) => {
                let answer =
                    if self.world.below(4) == 0 { Answer::Declined { why: None } } else { Answer::Given(json!({})) };
                self.happens(program, What::Answered { at, attempt, answer });
            }
            (None, Some(call)) => {
                let (at, attempt) = (call.at.clone(), call.attempt);
                let decision = match self.world.below(3) {
                    0 => Decision::ItHappened(json!({ "n": 1 })),
                    1 => Decision::Fail,
                    _ => {
                        *self.world.allowed.entry((at.clone(), attempt)).or_insert(1) += 1;
                        Decision::Retry
                    }
                };
                self.world.touched.insert(at.clone());
                self.happens(program, What::Decided { at, attempt, decision });
            }
            (None, None) => {
                assert!(program.run.waits_for_others(), "the run waits for nothing");
                self.world.arrivals += 1;
                let id = format!("n{}", self.world.arrivals);
                self.happens(program, What::Arrived { id, event: "thing".to_owned(), data: json!(1) });
            }
        }
    }

    /// Something happens: it is written, then what comes of it is done. The program may die before, between and after.
    fn happens(&mut self, program: &mut Program, what: What) {
        let mut events = VecDeque::from([what]);
        while let Some(what) = events.pop_front() {
            self.point();
            let event = Event { now: self.world.now, what };
            let commands = program.run.apply(event.clone());
            let mut batch = vec![event];
            let planted = self.world.bug == Bug::NoIntent;
            for call in commands.iter().filter_map(once_only).filter(|_| !planted) {
                let what = What::Intended { at: call.at.clone(), attempt: call.attempt };
                let intended = Event { now: self.world.now, what };
                assert_eq!(program.run.apply(intended.clone()), []);
                batch.push(intended);
            }
            let matters = |command: &Command| match command {
                Command::Call(call) => !call.effect.is_read() || call.is_afterwards,
                Command::Ask(_) | Command::Emit { .. } => true,
                _ => false,
            };
            for command in &commands {
                if let Command::Emit { at, .. } = command {
                    self.world.wanted.push((self.world.journal.len(), at.clone()));
                }
            }
            self.world.journal.push(Arc::new(batch));
            if commands.iter().any(matters) {
                self.world.safe = self.world.journal.len();
            }
            self.point();
            for command in commands {
                events.extend(self.carry_out(program, command));
                self.point();
            }
        }
    }

    fn carry_out(&mut self, program: &mut Program, command: Command) -> Option<What> {
        match command {
            Command::Call(call)
                if self.world.bug == Bug::UndoSkipped && call.at.contains('#') && call.is_afterwards =>
            {
                let outcome = Called::Result(json!({ "structuredContent": { "n": 0 } }));
                return Some(What::Called { at: call.at, attempt: call.attempt, outcome, usage: Usage::CALL });
            }
            Command::Call(call) => {
                self.world.touched.insert(call.at.clone());
                let attempt = (call.at.clone(), call.attempt);
                // Whoever looks what became of a call looks again when it is in doubt again.
                let is_done = !call.at.ends_with("#check") && self.world.is_answered(&attempt);
                assert!(!is_done, "{attempt:?} was answered, and is made again");
                if once_only(&Command::Call(call.clone())).is_some() {
                    let arrived = self.world.arrived.entry(attempt.clone()).or_default();
                    *arrived += 1;
                    let allowed = self.world.allowed.get(&attempt).copied().unwrap_or(1);
                    assert!(
                        *arrived <= allowed,
                        "{attempt:?} reached its server {arrived} times, {allowed} are allowed"
                    );
                }
                program.calls.push(call);
            }
            Command::Cancel { at, attempt } => {
                program.calls.retain(|call| (&call.at, call.attempt) != (&at, attempt));
                program.questions.retain(|question| *question != (at.clone(), attempt));
            }
            Command::Ask(question) => program.questions.push((question.at.to_string(), question.attempt)),
            Command::Timer { at, due } => {
                program.timers.insert(at, due);
            }
            Command::Forget { at } => {
                program.timers.remove(&at);
            }
            Command::Recall { at, .. } => return Some(What::Recalled { at, kept: None }),
            Command::Finish(_) => {
                assert!(program.calls.is_empty() && program.timers.is_empty(), "left behind at the end");
                for undone in program.run.undone().iter().filter(|undone| undone.failure.is_none()) {
                    let within = format!("{}#undo", undone.at);
                    let is_touched = self.world.touched.iter().any(|at| at.starts_with(&within));
                    assert!(is_touched, "{} was said to be undone, and nobody was asked to", undone.at);
                }
                self.world.nothing_is_untold();
                program.ended = true;
            }
            Command::Emit { at, .. } => _ = self.world.told.insert(at),
            Command::Keep { .. } => {}
        }
        None
    }
}

/// The call of a command, if it must not be made twice.
fn once_only(command: &Command) -> Option<&StepCall> {
    match command {
        Command::Call(call) if matches!(call.callee, Callee::Tool(_)) && !call.effect.may_repeat() => Some(call),
        _ => None,
    }
}
