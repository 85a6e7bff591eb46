//! What a run has done that another run of the same workflow need not do again.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::engine::call::is_error;
use crate::engine::command::{Callee, Command, StepCall};
use crate::engine::doubt::{CHECK, found, is_nothing};
use crate::engine::event::{Called, Decision, Event, What};
use crate::engine::run::Run;
use crate::workflow::definition::Workflow;

/// A call that has succeeded and still stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Done {
    callee: Callee,
    arguments: Value,
    result: Value,
}

/// The calls of a run that have succeeded and were not undone, by address, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Retrace {
    done: HashMap<String, VecDeque<Done>>,
    /// The addresses of calls that must not be made twice and of which nobody knows whether they were carried out.
    pub doubts: BTreeSet<String>,
}

impl Retrace {
    /// What the run has done to which this has happened.
    pub fn of(workflow: Arc<Workflow>, history: &[Event]) -> Self {
        let mut run = Run::new(workflow);
        let mut sent: HashMap<(String, u32), StepCall> = HashMap::new();
        let mut intended = BTreeSet::new();
        let mut retrace = Self::default();
        for event in history {
            match &event.what {
                What::Intended { at, attempt } => _ = intended.insert((at.clone(), *attempt)),
                What::Called { at, attempt, outcome, .. } => {
                    intended.remove(&(at.clone(), *attempt));
                    let key = (at.clone(), *attempt);
                    let call = sent.remove(&key);
                    // Another may still say what became of it.
                    if let (Some(call), Called::Failure(failure)) = (&call, outcome)
                        && failure.leaves_doubt(call.effect)
                    {
                        sent.insert(key, call.clone());
                    }
                    retrace.note(call, outcome);
                }
                _ => {}
            }
            if let Some((call, became)) = cleared_up(&event.what) {
                intended.remove(&call);
                retrace.doubts.remove(&call.0);
                if let Some(became) = became {
                    retrace.note(sent.remove(&call), &Called::Result(became));
                }
            }
            for command in run.apply(event.clone()) {
                if let Command::Call(call) = command {
                    sent.insert((call.at.clone(), call.attempt), call);
                }
            }
        }
        retrace.doubts.extend(intended.into_iter().map(|(at, _)| at));
        for undone in run.undone().iter().filter(|undone| undone.failure.is_none()) {
            let within = format!("{}/", undone.at);
            retrace.done.retain(|at, _| **at != *undone.at && !at.starts_with(&within));
        }
        retrace
    }

    /// Takes note of what came of a call.
    fn note(&mut self, call: Option<StepCall>, outcome: &Called) {
        // What was done to undo or to check something is no work of the workflow.
        let Some(call) = call.filter(|call| !call.at.contains('#')) else { return };
        match outcome {
            Called::Result(result) if !is_error(result) => {
                let StepCall { at, callee, arguments, .. } = call;
                self.done.entry(at).or_default().push_back(Done { callee, arguments, result: result.clone() });
            }
            Called::Failure(failure) if failure.leaves_doubt(call.effect) => _ = self.doubts.insert(call.at),
            _ => {}
        }
    }

    /// Forgets what the other run has taken over already, if `other` is what that one has done.
    pub fn forget(&mut self, other: &Self) {
        for (at, done) in &other.done {
            if let Some(own) = self.done.get_mut(at) {
                own.drain(..done.len().min(own.len()));
            }
        }
    }

    /// Whether `call` need not be made.
    pub fn knows(&self, call: &StepCall) -> bool {
        let first = self.done.get(&call.at).and_then(VecDeque::front);
        first.is_some_and(|done| done.callee == call.callee && done.arguments == call.arguments)
    }

    /// The result of `call` if it need not be made. Once one of a step's calls is another one, none of the later are known.
    pub fn take(&mut self, call: &StepCall) -> Option<Value> {
        if !self.knows(call) {
            self.done.remove(&call.at);
            return None;
        }
        self.done.get_mut(&call.at)?.pop_front().map(|done| done.result)
    }
}

/// Of which call it is known by this what became of it, although its answer is lost: its result, or `None` if it was not
/// carried out.
fn cleared_up(what: &What) -> Option<((String, u32), Option<Value>)> {
    match what {
        What::Called { at, attempt, outcome, .. } => {
            let (asked, found) = (at.strip_suffix(CHECK)?, found(outcome.clone())?);
            let result =
                if let (false, Called::Result(result)) = (is_nothing(&found), outcome) { Some(result) } else { None };
            Some(((asked.to_owned(), *attempt), result.cloned()))
        }
        What::Decided { at, attempt, decision } => {
            let result = match decision {
                Decision::ItHappened(output) => Some(json!({ "structuredContent": output })),
                Decision::Retry => None,
                // Nobody knows more than before.
                Decision::Fail => return None,
            };
            Some(((at.clone(), *attempt), result))
        }
        _ => None,
    }
}
