//! One request at a server of several instances: at the best of them, and at the next for as long as nothing can happen twice.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::downstream::endpoint::{Endpoint, Terms};
use crate::downstream::fleet::{Fleet, Wish};
use crate::downstream::request::Request;
use crate::gateway::door::Gateway;
use crate::gateway::rounds::ANSWERS;
use crate::gateway::trail::Trail;
use crate::model::call::{Call, Reply};
use crate::model::code;
use crate::model::effect::Effect;
use crate::model::fault::{Fault, Kind};

impl Gateway {
    /// Makes `request`, which `caller` has sent, at the best instance of `fleet`. Each but the last is asked once only, as
    /// the next one can be asked at once. The reply says who was asked in vain, those of `trail` included.
    pub(super) async fn converse_any(
        &self,
        fleet: &Arc<Fleet>,
        request: Request,
        terms: Terms,
        caller: u64,
        trail: &mut Trail,
    ) -> Result<Reply, Fault> {
        if let Some(only) = fleet.only() {
            let result = self.converse(only, request, terms).await;
            return result.map(|reply| trail.onto(reply, &fleet.server.name));
        }
        let goes_on = request.members.iter().any(|(key, _)| ANSWERS.contains(&key.as_ref()));
        let wish = Wish { caller, effect: terms.effect, goes_on };
        let mut tried = Vec::new();
        loop {
            let picked = fleet.pick(wish, &tried).and_then(|place| Some((place, fleet.at(place)?)));
            let Some((place, endpoint)) = picked else {
                return Err(
                    Fault::new(Kind::Unavailable, code::SERVER_DOWN, "has no instance").server(&*fleet.server.name)
                );
            };
            tried.push(place);
            let is_last = tried.len() == fleet.endpoints().len();
            let terms = Terms { may_wait: is_last && terms.may_wait, ..terms };
            let result = self.converse(endpoint, request.clone(), terms).await;
            fleet.note(place, &result);
            match result {
                Ok(reply) => {
                    if leaves_something(&reply) {
                        fleet.keep(caller, place);
                    }
                    return Ok(trail.onto(reply, &named(endpoint)));
                }
                Err(fault) if !is_last && is_safe(&fault, terms.effect) => {
                    tracing::debug!(replica = named(endpoint), %fault, "asking another instance");
                    trail.failed(named(endpoint), &fault);
                }
                Err(fault) => return Err(fault),
            }
        }
    }
}

/// Whether somebody else may be asked: nothing can have happened, or what happened may happen twice.
pub(super) fn is_safe(fault: &Fault, effect: Effect) -> bool {
    fault.is_retryable() && (effect.may_repeat() || !fault.was_sent)
}

/// Whether the caller will come back to the same instance: for the answers to a question, or for a task.
fn leaves_something(reply: &Reply) -> bool {
    let text = reply.body.get();
    text.contains("\"input_required\"") || text.contains("\"taskId\"")
}

/// What an instance is called.
pub(super) fn named(endpoint: &Endpoint) -> String {
    format!("{}#{}", endpoint.server.name, endpoint.place + 1)
}

/// Tells one caller from another.
pub(super) fn caller(call: &Call) -> u64 {
    call.ask.as_ref().map_or_else(
        || {
            let mut hasher = DefaultHasher::new();
            call.principal.name.hash(&mut hasher);
            hasher.finish()
        },
        |ask| ask.id(),
    )
}
