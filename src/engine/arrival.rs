//! Events from outside: a step that waits for one, and those that came before anybody waited.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::engine::event::Failure;
use crate::engine::frame::{End, FrameId, Next};
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
}

impl AwaitFrame {
    /// The wait of the step at the address `at`; `None` if it waits for no event.
    pub(super) fn new(verb: &Verb, at: &Arc<str>, scope: &Scope) -> Option<Self> {
        let Verb::Await { event, filter } = verb else { return None };
        Some(Self { at: Arc::clone(at), scope: scope.clone(), event: Arc::clone(event), filter: filter.clone() })
    }

    /// Looks whether an event that it waits for has come, the oldest first.
    pub(super) fn look(&self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        let mut place = 0;
        while let Some(arrival) = turn.state.mailbox.kept.get(place).cloned() {
            match self.takes(&arrival) {
                Ok(true) => {
                    turn.state.mailbox.kept.remove(place);
                    turn.state.awaiting.remove(&id);
                    return Next::End(End::completed(Value::from_json(arrival.data)));
                }
                Ok(false) => place += 1,
                Err(failure) => return Next::End(End::failed(failure)),
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

/// What a wait for an event that has not come fails with.
pub(super) fn missed(at: &Arc<str>, event: &str, limit: Duration) -> Failure {
    let message = format!("no event `{event}` that `{at}` waits for came within {limit:?}");
    Failure::new(Kind::Timeout, code::NO_EVENT, message)
}
