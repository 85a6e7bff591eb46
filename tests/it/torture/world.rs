//! One program on one data directory, killed and started again until all of its runs have ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use mcp_orchestrator::engine::event::{Decision, What};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::chance::Chance;
use super::ledger;
use super::plan::{self, Plan};
use super::stored::{self, Kept};
use crate::support::{DEADLINE, Host, Test, eventually, fixture};

/// How many workflows there are to choose from.
const PLANS: usize = 8;

/// What has been done in all.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tally {
    pub(super) runs: usize,
    pub(super) kills: usize,
    pub(super) doubts: usize,
}

/// One world.
pub(super) struct World {
    seed: u64,
    chance: Chance,
    host: Host,
    plans: Vec<Plan>,
    data: PathBuf,
    ledger: PathBuf,
    /// The runs that we were told the ids of, and whether we have seen their ends.
    runs: BTreeMap<String, bool>,
    last: BTreeMap<String, Kept>,
    tally: Tally,
    /// How often the program has died before.
    life: usize,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let plans: Vec<_> = (0..PLANS).map(|number| plan::random(&format!("flow{number}"), &mut chance)).collect();
        let mut test = Test::new().server("ledger", fixture(["ledger"])).workflow("inner", &plan::inner());
        for (number, plan) in plans.iter().enumerate() {
            test = test.file(&format!("workflows/flow{number}.yaml"), &plan.text);
        }
        let data = test.home().join("data");
        let ledger = test.home().join("ledger.ledger");
        let test = test.flag("--data-dir").flag(&data.to_string_lossy());
        let host = test.serve();
        Self {
            seed,
            chance,
            host,
            plans,
            data,
            ledger,
            runs: BTreeMap::new(),
            last: BTreeMap::new(),
            tally: Tally::default(),
            life: 0,
        }
    }

    /// Lives until so many runs have ended and the program has died so often.
    pub(super) fn play(mut self, runs: usize, kills: usize) -> Tally {
        loop {
            // It may die before it has said a word.
            if self.tally.kills >= kills || !self.chance.once_in(8) {
                self.host.initialize();
                if self.runs.len() < runs || self.tally.kills < kills && self.chance.once_in(2) {
                    self.begin();
                }
                self.see_to_runs();
                if self.tally.kills >= kills && self.runs.len() >= runs {
                    break;
                }
            }
            let moment = self.chance.time(300);
            std::thread::park_timeout(moment);
            self.kill();
        }
        let is_over = eventually(DEADLINE * 3, || {
            self.see_to_runs();
            self.runs.values().all(|is_over| *is_over)
        });
        assert!(is_over, "{}: not all runs end: {:?}\n{}", self.seed, self.runs, self.host.stderr());
        self.host.leave();
        self.host.leaves_nothing(DEADLINE);
        self.check();
        self.tally.runs = self.last.values().filter(|kept| kept.run.opening.parent.is_none()).count();
        self.tally
    }

    fn begin(&mut self) {
        let number = self.chance.below(PLANS as u64);
        let wanted = json!({ "workflow": format!("flow{number}"), "wait": false });
        self.host.ready(&["ledger", "inner"]);
        if self.chance.once_in(5) {
            // Nobody is there any more to hear how it is called.
            self.host.send_call("run_workflow", wanted);
            return;
        }
        let begun = self.host.value("run_workflow", wanted);
        self.runs.insert(begun["run_id"].as_str().expect("a run has an id").to_owned(), false);
    }

    /// Looks at all runs that go on; answers what they ask, and decides what is in doubt.
    fn see_to_runs(&mut self) {
        let open: Vec<_> = self.runs.iter().filter(|(_, is_over)| !**is_over).map(|(run, _)| run.clone()).collect();
        for run in open {
            let report = self.look(&run);
            let status = report["status"].as_str().unwrap_or_default();
            if matches!(status, "completed" | "failed" | "undone" | "undo_failed") {
                self.runs.insert(run, true);
                continue;
            }
            assert_ne!(status, "cancelled", "{}: nobody has cancelled it: {report}", self.seed);
            self.decide(&run, &report);
            for step in report["steps"].as_array().into_iter().flatten().filter_map(|step| step["run_id"].as_str()) {
                self.runs.entry(step.to_owned()).or_default();
            }
        }
        // The work of a step is a run of its own, whose doubts are its own.
        for (run, kept) in stored::read(&self.data) {
            if kept.run.opening.parent.is_some() && !kept.run.is_over() {
                let report = self.host.call("get_run", json!({ "run_id": run }))["structuredContent"].clone();
                self.decide(&run, &report);
            } else if kept.run.opening.parent.is_none() {
                self.runs.entry(run).or_default();
            }
        }
    }

    fn look(&mut self, run: &str) -> Value {
        let result = self.host.call("get_run", json!({ "run_id": run }));
        assert!(
            result["structuredContent"]["run_id"] == *run,
            "{}: run {run} is lost: {result}\n{}",
            self.seed,
            self.host.stderr()
        );
        result["structuredContent"].clone()
    }

    fn decide(&mut self, run: &str, report: &Value) {
        for doubt in report["in_doubt"].as_array().into_iter().flatten() {
            let payload = match self.chance.below(4) {
                0 => json!("fail"),
                1 => json!("retry"),
                _ => json!({ "it_happened": { "label": doubt["arguments"]["label"] } }),
            };
            let wish = json!({ "run_id": run, "action": "decide", "step": doubt["step"], "payload": payload });
            let done = self.host.call("control_run", wish);
            let is_decided = self.doubt_is_gone(run, &doubt["step"]);
            assert!(is_decided, "{}: {} of {run} stays in doubt: {done}", self.seed, doubt["step"]);
            self.tally.doubts += 1;
        }
        if report["questions"].as_array().is_some_and(|open| !open.is_empty()) {
            let question = report["questions"][0].clone();
            self.host
                .call("answer_run", json!({ "run_id": run, "step": question["step"], "answer": true, "wait_ms": 0 }));
        }
    }

    fn doubt_is_gone(&mut self, run: &str, step: &Value) -> bool {
        let host = &mut self.host;
        eventually(DEADLINE, || {
            let report = host.call("get_run", json!({ "run_id": run }))["structuredContent"].clone();
            // One that has ended tells for good what nobody knows of.
            let is_over = report["duration_ms"].is_u64();
            is_over || report["in_doubt"].as_array().into_iter().flatten().all(|doubt| doubt["step"] != *step)
        })
    }

    /// Kills the program; what is stored then is what was stored before, and more.
    fn kill(&mut self) {
        self.host.signal(Signal::KILL);
        self.host.leaves_nothing(DEADLINE);
        self.tally.kills += 1;
        self.check();
        ledger::note_death(&self.ledger);
        self.life += 1;
        self.host.return_with(&[]);
    }

    /// Compares what is stored with what the servers were asked to do.
    fn check(&mut self) {
        let stored = stored::read(&self.data);
        let (seed, runs) = (self.seed, &self.runs);
        for run in runs.keys() {
            assert!(stored.contains_key(run), "{seed}: run {run} was begun, and is not stored\n{}", self.host.stderr());
        }
        for (run, before) in &self.last {
            let now = stored.get(run).unwrap_or_else(|| panic!("{seed}: run {run} is no longer stored"));
            assert!(now.events.starts_with(&before.events), "{seed}: the past of {run} has changed");
        }
        for (run, kept) in &stored {
            for (call, count) in kept.answers() {
                assert_eq!(count, 1, "{seed}: {call:?} of {run} was answered so often");
            }
        }
        self.check_calls(&stored);
        self.check_ends(&stored);
        self.last = stored;
    }

    fn check_calls(&self, stored: &BTreeMap<String, Kept>) {
        let seed = self.seed;
        for (key, calls) in ledger::read(&self.ledger) {
            let (run, at) = key.split_once('/').unwrap_or_else(|| panic!("{seed}: `{key}` is no key"));
            let kept = match stored.get(run) {
                Some(kept) => kept,
                // A run within a run is stored once it is about to do something that matters.
                None if calls.tool == "look" => continue,
                None => panic!("{seed}: {key} was called by a run that is not stored"),
            };
            let decisions = kept.decisions(at);
            let retries = decisions.iter().filter(|decision| ***decision == Decision::Retry).count();
            let lives: BTreeSet<_> = calls.lives.iter().collect();
            if calls.tool == "post" {
                assert!(calls.lives.len() <= 1 + retries, "{seed}: {key} was done {} times", calls.lives.len());
                assert!(kept.intentions(at) > 0, "{seed}: {key} was done before it was stored that it would be");
            } else {
                assert_eq!(lives.len(), calls.lives.len(), "{seed}: {key} was done twice in one life: {calls:?}");
            }
            let Some(before) = self.last.get(run) else { continue };
            let was_answered = before.answers().keys().any(|(place, _)| *place == at);
            assert!(
                !(was_answered && calls.lives.last().is_some_and(|last| *last >= self.life)),
                "{seed}: {key} was answered, and done again: {calls:?} in life {}",
                self.life
            );
        }
    }

    fn check_ends(&self, stored: &BTreeMap<String, Kept>) {
        let calls = ledger::read(&self.ledger);
        for (run, kept) in stored.iter().filter(|(_, kept)| kept.run.is_over()) {
            let seed = self.seed;
            let name = kept.run.opening.workflow.as_str();
            let plan = name.strip_prefix("flow").and_then(|number| self.plans.get(number.parse::<usize>().ok()?));
            let of_run = |key: &str| key.split_once('/').is_some_and(|(of, _)| of == run);
            let done: BTreeSet<_> =
                calls.iter().filter(|(key, _)| of_run(key)).map(|(_, calls)| calls.label.as_str()).collect();
            if kept.run.standing.status != "completed" {
                let undoable = plan.map(|plan| plan.undoable.as_slice()).unwrap_or_default();
                let left = undone_by(kept, undoable).into_iter().find(|label| !done.contains(label.as_str()));
                // Somebody may have said of an undo that it has happened, or is not to.
                let is_decided = kept.events.iter().any(|event| matches!(&event.what, What::Decided { .. }));
                assert!(left.is_none() || is_decided, "{seed}: {run} has failed, and nobody was asked for {left:?}");
                continue;
            }
            assert!(kept.doubts().is_empty(), "{seed}: {run} has completed, and this is in doubt: {:?}", kept.doubts());
            let Some(plan) = plan else { continue };
            let said = kept
                .events
                .iter()
                .any(|event| matches!(&event.what, What::Decided { decision: Decision::ItHappened(_), .. }));
            let missing: Vec<_> = plan.labels.iter().filter(|label| !done.contains(label.as_str())).collect();
            assert!(missing.is_empty() || said, "{seed}: {run} has completed without {missing:?}");
        }
    }
}

/// What must have been called to undo what a failed run has done, by label.
fn undone_by(kept: &Kept, undoable: &[String]) -> BTreeSet<String> {
    let steps = kept.successes().filter(|at| !at.contains('#')).filter_map(|at| {
        let id = at.rsplit('/').next().unwrap_or(at).split('[').next().unwrap_or_default();
        undoable.iter().find(|undoable| *undoable == id)
    });
    steps.map(|id| format!("{id}-back")).collect()
}
