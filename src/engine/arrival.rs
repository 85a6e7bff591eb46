//! Events from outside: a step that waits for one, and those that came before anybody waited.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::engine::event::Failure;
use crate::engine::frame::{End, FrameId, Kind as FrameKind, Next};
use crate::engine::scope::Scope;
use crate::engine::turn::Turn;
use crate::expr::expression::Expr;
use crate::expr::value::Value;
use crate::model::code;
use crate::model::fault::Kind;
use crate::workflow::verb::Verb;

/// How many events a run keeps that nobody has waited for yet. The oldest give way.
const MAX_KEPT: usize = 100;

/// How many ids of events are remembered, so that one that comes twice counts once.
const MAX_SEEN: usize = 1_000;

/// Something that has happened outside of the run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Arrival {
    /// What sort of thing.
    pub(super) event: Arc<str>,
    /// What is known about it.
    pub(super) data: Json,
}

/// The events that a run has not used yet.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    kept: VecDeque<Arrival>,
    seen: VecDeque<String>,
}

impl Mailbox {
    /// Takes in an event; false if it has come before.
    pub(super) fn add(&mut self, id: String, arrival: Arrival) -> bool {
        if self.seen.contains(&id) {
            return false;
        }
        self.seen.push_back(id);
        self.kept.push_back(arrival);
        if self.seen.len() > MAX_SEEN {
            self.seen.pop_front();
        }
        if self.kept.len() > MAX_KEPT {
            self.kept.pop_front();
        }
        true
    }
}

/// A step that waits for an event.
#[derive(Debug)]
pub(super) struct AwaitFrame {
    at: Arc<str>,
    scope: Scope,
    event: Arc<str>,
    filter: Option<Expr>,
    /// Why the last event that it could not be told of whether it is meant was not.
    misfit: Option<Box<Failure>>,
}

impl AwaitFrame {
    /// The wait of the step at the address `at`; `None` if it waits for no event.
    pub(super) fn new(verb: &Verb, at: &Arc<str>, scope: &Scope) -> Option<Self> {
        let Verb::Await { event, filter } = verb else { return None };
        Some(Self {
            at: Arc::clone(at),
            scope: scope.clone(),
            event: Arc::clone(event),
            filter: filter.clone(),
            misfit: None,
        })
    }

    /// Looks whether an event that it waits for has come, the oldest first. One that `where` fails over is another: whoever emits it
    /// must not be able to fail those who wait.
    pub(super) fn look(&mut self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        let mut place = 0;
        while let Some(arrival) = turn.state.mailbox.kept.get(place).cloned() {
            match self.takes(&arrival) {
                Ok(true) => {
                    turn.state.mailbox.kept.remove(place);
                    turn.state.awaiting.remove(&id);
                    return Next::End(End::completed(Value::from_json(arrival.data)));
                }
                Ok(false) => place += 1,
                Err(failure) => {
                    self.misfit = Some(failure);
                    place += 1;
                }
            }
        }
        turn.state.awaiting.insert(id);
        Next::Wait
    }

    fn takes(&self, arrival: &Arrival) -> Result<bool, Box<Failure>> {
        if arrival.event != self.event {
            return Ok(false);
        }
        let Some(filter) = &self.filter else { return Ok(true) };
        let event = Value::from_json(json!({ "name": &*arrival.event, "data": arrival.data }));
        self.scope.with("event", event).holds(filter, "where", &self.at)
    }
}

/// What the wait of the frame `id` for an event fails with that has not come.
pub(super) fn missed(turn: &Turn<'_>, id: FrameId, (at, event): (&Arc<str>, &str), limit: Duration) -> Failure {
    let wait = turn.children(id).pop().and_then(|wait| turn.state.frames.get(wait)?.kind.as_ref());
    let misfit = if let Some(FrameKind::Await(wait)) = wait { wait.misfit.as_ref() } else { None };
    let other =
        misfit.map(|why| format!("; of one that came it could not be told whether it is meant: {}", why.message));
    let message =
        format!("no event `{event}` that `{at}` waits for came within {limit:?}{}", other.unwrap_or_default());
    Failure::new(Kind::Timeout, code::NO_EVENT, message)
}
