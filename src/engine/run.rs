//! A run: the fold of its events.

use std::sync::Arc;

use serde_json::Value as Json;

use crate::engine::block::BlockFrame;
use crate::engine::command::{Command, Outcome, StepCall, StepQuestion};
use crate::engine::event::{Event, Failure, Identity, Timestamp, What};
use crate::engine::frame::Kind;
use crate::engine::place::BlockPlace;
use crate::engine::scope::Scope;
use crate::engine::turn::{State, Turn};
use crate::engine::view::{Progress, StepView, Undone};
use crate::expr::value::Value;
use crate::model::usage::Usage;
use crate::workflow::definition::Workflow;

/// A run of a workflow, from its first event to its outcome.
///
/// The same events give the same commands. An event that comes twice, or too late, gives none.
#[derive(Debug)]
pub struct Run {
    workflow: Arc<Workflow>,
    state: State,
}

impl Run {
    /// A run that has not begun. `waits` and `effect` of every step must have been filled in.
    pub fn new(workflow: Arc<Workflow>) -> Self {
        Self { workflow, state: State::default() }
    }

    /// Takes in what happened and gives back what is to be done, in order.
    ///
    /// Anything before [`What::Started`] or after the run's end gives nothing to do. When a run ends, what is in flight is
    /// cancelled; if it has not completed, what it has done is then undone; the very last command is [`Command::Finish`].
    pub fn apply(&mut self, event: Event) -> Vec<Command> {
        let is_running = self.state.root.is_some() && self.state.outcome.is_none();
        let is_new = self.state.root.is_none();
        let mut turn = Turn::new(&self.workflow, &mut self.state, event.now);
        match event.what {
            What::Started { run, input, seed, flags } if is_new => {
                let scope = Scope::outermost(Value::from_json(input), identity(run, event.now))
                    .with("flags", Value::from_json(flags));
                turn.remember(scope.clone());
                let body = BlockFrame::new(BlockPlace::body(), String::new(), scope);
                turn.started(Kind::Block(body), seed);
            }
            What::Called { at, attempt, outcome, usage } if is_running => turn.called(&at, attempt, outcome, usage),
            What::Answered { at, attempt, answer } if is_running => turn.answered(&at, attempt, answer),
            What::Recalled { at, kept } if is_running => turn.recalled(&at, kept),
            What::Arrived { id, event, data } if is_running => turn.arrived(id, &event, data),
            What::Fired { at } if is_running => turn.fired(&at, event.now),
            What::Intended { at, attempt } if is_running => turn.intended(&at, attempt),
            What::Resumed if is_running => turn.resumed(),
            What::Lost { at, attempt } if is_running => turn.lost(&at, attempt),
            What::Decided { at, attempt, decision } if is_running => turn.decided(&at, attempt, decision),
            What::CancelRequested { why } if is_running && !turn.is_cleaning_up() => {
                turn.finish(Outcome::Cancelled { why });
            }
            _ => {}
        }
        turn.run()
    }

    /// Takes in what has happened under another program. Gives back what the last of it was to tell, because that program may
    /// have died before it could; whoever has heard it knows it by its address.
    pub fn replay(&mut self, history: impl IntoIterator<Item = Event>) -> Vec<Command> {
        let mut last = Vec::new();
        for event in history {
            // It is stored together with what has led to the call, and wants nothing.
            let is_intention = matches!(event.what, What::Intended { .. });
            let commands = self.apply(event);
            if !is_intention {
                last = commands;
            }
        }
        last.retain(|command| matches!(command, Command::Emit { .. }));
        last
    }

    /// The calls that a run to which this has happened makes again once another program takes it up.
    pub fn wanted_again(workflow: Arc<Workflow>, history: &[Event]) -> Vec<StepCall> {
        let mut run = Self::new(workflow);
        let _ = run.replay(history.iter().cloned());
        let now = history.last().map_or(0, |last| last.now);
        let commands = run.apply(Event { now, what: What::Resumed }).into_iter();
        commands.filter_map(|command| if let Command::Call(call) = command { Some(call) } else { None }).collect()
    }

    /// How the run ended; `None` while it has not.
    pub fn outcome(&self) -> Option<&Outcome> {
        self.state.outcome.as_ref()
    }

    /// Every step and item that has begun, in order of beginning.
    pub fn steps(&self) -> Vec<StepView> {
        self.state.rows.all().to_vec()
    }

    /// What became of undoing what the run had done, in the order of undoing. Empty while it has not failed.
    pub fn undone(&self) -> &[Undone] {
        &self.state.undone
    }

    /// The calls that were in flight when the run ended and of which nobody knows whether they were carried out.
    pub fn lost(&self) -> &[StepCall] {
        &self.state.lost
    }

    /// The questions that wait for an answer, in the order of their steps' addresses.
    pub fn questions(&self) -> Vec<StepQuestion> {
        let frames = self.state.questions.values().filter_map(|id| self.state.frames.get(*id)?.kind.as_ref());
        frames.filter_map(|kind| if let Kind::Ask(ask) = kind { Some(ask.question().clone()) } else { None }).collect()
    }

    /// The calls of which nobody knows whether they were carried out, in the order of their steps' addresses.
    pub fn doubts(&self) -> Vec<StepCall> {
        let frames = self.state.doubts.values().filter_map(|id| self.state.frames.get(*id)?.kind.as_ref());
        frames.filter_map(|kind| if let Kind::Call(call) = kind { call.sent().cloned() } else { None }).collect()
    }

    /// Whether the run waits for something that comes from outside without being called: an answer, an event, a decision.
    pub fn waits_for_others(&self) -> bool {
        !self.state.questions.is_empty() || !self.state.awaiting.is_empty() || !self.state.doubts.is_empty()
    }

    /// Whether the run has failed and what it has done is being undone.
    pub fn is_undoing(&self) -> bool {
        self.state.aftermath.is_some() || self.state.is_settling()
    }

    /// What the run has used up so far.
    pub fn usage(&self) -> Usage {
        self.state.purse.used
    }

    /// How far the run is. `total` never changes and `done` never shrinks.
    pub fn progress(&self) -> Progress {
        let longest = self.state.calls.iter().min_by_key(|(_, frame)| **frame);
        Progress {
            done: self.state.done,
            total: self.workflow.body.steps.len(),
            current: longest.map(|(at, _)| at.to_string()),
        }
    }
}

/// What makes a run of `workflow` with this input the same run if it is wanted twice, if the workflow says so.
pub fn key(workflow: &Workflow, input: &Json) -> Result<Option<String>, Box<Failure>> {
    let Some(template) = &workflow.conduct.key else { return Ok(None) };
    let scope = Scope::outermost(Value::from_json(input.clone()), Value::null());
    let key = scope.value(template, "idempotency_key", None)?.to_json();
    Ok(Some(key.as_str().map_or_else(|| key.to_string(), ToOwned::to_owned)))
}

/// What `run` is in expressions.
fn identity(run: Identity, started: Timestamp) -> Value {
    Value::from_pairs([
        ("id", Value::from_text(run.id)),
        ("caller", Value::from_text(run.caller)),
        ("started_at", Value::from_json(Json::from(started))),
    ])
}
