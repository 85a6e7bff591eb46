//! Calls of a host: carried out through the door, answered in the form of the host's era, cancelled when it leaves.

use std::future::pending;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt as _;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::downstream::protocol::{Era, HOP_KEYS, LOG_LEVEL_KEY};
use crate::gateway::callers::Present;
use crate::model::ask::Ask;
use crate::model::call::{Call, Progress, Target};
use crate::model::chain::{CHAIN_KEY, hear};
use crate::model::limits::Limits;
use crate::model::port::{BoxFuture, Invoke as _};
use crate::server::answer;
use crate::server::ask::{AsResult, Directly};
use crate::server::connection::{Connection, Request, post, text};
use crate::server::conversation::{Conversation, Next, Worked, lost, owner};
use crate::server::host::Refusal;
use crate::server::overheard::Overheard;
use crate::server::progress::Reporter;
use crate::wire::object::Object;
use crate::wire::outbox::{Message, Outbox};

/// How many questions of one call may wait to be put.
const MAX_QUESTIONS: usize = 16;

/// The parameters of a request, read at their top level.
#[derive(Default)]
pub(super) struct Params<'a>(Object<'a>);

impl<'a> Params<'a> {
    /// Reads what can be read; the rest is as if it were not there.
    pub(super) fn of(params: Option<&'a RawValue>) -> Self {
        Self(params.and_then(Object::parse).unwrap_or_default())
    }

    /// The member `key`; `null` counts as absent.
    pub(super) fn get(&self, key: &str) -> Option<&RawValue> {
        self.0.get(key).filter(|value| value.get() != "null")
    }

    /// The members that are passed on as they are.
    fn others(&self) -> Vec<(String, Box<RawValue>)> {
        self.0
            .iter()
            .filter(|(key, _)| !READ.contains(key))
            .map(|(key, raw)| (key.to_owned(), raw.to_owned()))
            .collect()
    }
}

/// The members of a call's params that are not simply passed on.
const READ: [&str; 4] = ["name", "uri", "arguments", "_meta"];

impl Connection {
    /// Carries out a call, or goes on with one that has asked its host something.
    pub(super) fn call(&self, request: Request, read: &Params<'_>, params: Option<&RawValue>, target: Option<Target>) {
        let Some(target) = target else {
            let refusal = Refusal::new(-32602, format!("the parameters of {} are wrong", request.method));
            return self.refusal(&request.id, &refusal, &request.outlet);
        };
        // It counts before it is asked whether it may begin: whoever ends the program waits for all that may.
        let present = self.gateway.attend();
        // The params of some requests are their arguments, as a whole.
        let is_whole = matches!(target, Target::Completion | Target::Task(..));
        let arguments = if is_whole { params } else { read.get("arguments") };
        let meta = read.get("_meta");
        let state = text(read.get("requestState")).filter(|state| self.parking.is_ours(state));
        let whom = || {
            let whose = (request.sender.principal.name.as_ref(), self.host.profile.as_deref());
            owner(whose, &request.method, &target.to_string(), arguments)
        };
        // An old host does not come back to a call, and large arguments take a while.
        let owner = if request.sender.era == Era::Modern || state.is_some() { whom() } else { String::new() };
        let token = meta.and_then(Object::parse).and_then(|meta| meta.get("progressToken").map(ToOwned::to_owned));
        let overheard = self.overheard(&request, meta, &target);
        let conversation = if let Some(state) = state {
            if let Some(mut conversation) = self.parking.resume(&state, &owner) {
                conversation.progress().redirect(token.as_deref(), request.outlet.clone());
                conversation.answer(read.get("inputResponses"));
                conversation
            } else {
                let refusal =
                    Refusal::new(-32602, "requestState is unknown, has expired, or belongs to another request");
                return self.refusal(&request.id, &refusal, &request.outlet);
            }
        } else {
            if let Err(fault) = self.gateway.takes(&target) {
                return self.post(
                    answer::outcome(&request.id, &request.method, Err(fault), request.sender.era),
                    &request.outlet,
                );
            }
            let mut call = Call::new(target, arguments.map(ToOwned::to_owned), request.sender.principal.clone());
            call.meta = self.passed_on(meta, request.sender.era);
            call.profile.clone_from(&self.host.profile);
            call.limits = heard(meta);
            call.extra = if is_whole { Vec::new() } else { read.others() };
            self.begin(call, &request, token.as_deref())
        };
        self.follow(request, conversation, owner, overheard, present);
    }

    /// Starts a call; its questions are put in the way of the host's era.
    fn begin(&self, mut call: Call, request: &Request, token: Option<&RawValue>) -> Conversation {
        let progress = Arc::new(Reporter::new(token, request.outlet.clone()));
        // Without a token nobody listens, and servers need not tell.
        call.progress = token.map(|_| Arc::clone(&progress) as Arc<dyn Progress>);
        let (questions, asked) = mpsc::channel(MAX_QUESTIONS);
        let (capabilities, is_named) = (Arc::clone(&request.sender.capabilities), self.gateway.names_servers());
        call.ask = Some(match request.sender.era {
            Era::Legacy => Arc::new(Directly {
                host: self.host.id,
                capabilities,
                asked: Arc::clone(&self.asked),
                outlet: request.outlet.clone(),
                is_named,
            }) as Arc<dyn Ask>,
            Era::Modern => {
                // Requests stand for themselves; what they have in common is who makes them.
                let mut hasher = DefaultHasher::new();
                request.sender.principal.name.hash(&mut hasher);
                Arc::new(AsResult { host: hasher.finish(), capabilities, questions, is_named })
            }
        });
        let (gateway, places) = (Arc::clone(&self.gateway), Arc::clone(&self.places));
        let work = async move {
            let place = places.acquire_owned().await.ok();
            (gateway.invoke(call).await, place)
        };
        let lost = || (Err(lost()), None);
        let working: BoxFuture<Worked> = match request.sender.era {
            // Nobody leaves before it is over: it needs no task of its own, which would cost a wake-up.
            Era::Legacy => {
                Box::pin(AssertUnwindSafe(work).catch_unwind().map(move |done| done.unwrap_or_else(|_| lost())))
            }
            Era::Modern => {
                let working = AbortOnDropHandle::new(self.tasks.spawn(work));
                Box::pin(working.map(move |done| done.unwrap_or_else(|_| lost())))
            }
        };
        Conversation::new(working, asked, progress)
    }

    /// The caller's `_meta` without what belongs to this hop. A modern server is asked for the log messages that an old host
    /// wants.
    fn passed_on(&self, meta: Option<&RawValue>, era: Era) -> Option<Box<RawValue>> {
        let mut meta = meta.and_then(Object::parse).unwrap_or_default();
        meta.retain(|key| !HOP_KEYS.contains(&key));
        if era == Era::Legacy {
            meta.set(LOG_LEVEL_KEY, &self.host.level());
        }
        (!meta.is_empty()).then(|| meta.to_raw())
    }

    /// What servers log during a request that asks for it.
    fn overheard(&self, request: &Request, meta: Option<&RawValue>, target: &Target) -> Option<Overheard> {
        let meta = meta.filter(|_| request.sender.era == Era::Modern).and_then(Object::parse)?;
        let level = text(meta.get(LOG_LEVEL_KEY))?;
        Overheard::new(&self.gateway, self.host.profile.as_ref(), &level, target)
    }

    /// Answers the request with what comes next of the conversation.
    fn follow(
        &self,
        request: Request,
        conversation: Conversation,
        owner: String,
        mut overheard: Option<Overheard>,
        present: Present,
    ) {
        let (parking, tasks) = (Arc::clone(&self.parking), self.tasks.clone());
        let Request { id, method, sender, outlet } = request;
        let answered = id.clone();
        self.spawn(&id, async move {
            let next = tokio::select! {
                next = conversation.next() => next,
                () = tell(overheard.as_mut(), &outlet) => return,
                // Whoever closes the stream of a modern request has cancelled it.
                () = outlet.closed(), if sender.era == Era::Modern => return,
                fault = present.late() => Next::Over(Err(fault), None),
            };
            for line in overheard.as_mut().map(Overheard::rest).into_iter().flatten() {
                post(&outlet, line).await;
            }
            let (line, place) = match next {
                Next::Over(result, place) => (answer::outcome(&answered, &method, result, sender.era), place),
                Next::Ask(conversation) => {
                    // The open questions are written down before the conversation is out of hand.
                    let mut shown = conversation.result("");
                    let line = match parking.park(*conversation, &owner, &tasks) {
                        Ok(state) => {
                            shown["requestState"] = state.into();
                            answer::result(&answered, &shown, Era::Modern)
                        }
                        Err(_) => {
                            answer::error(&answered, 5104, "too many calls wait for answers of their hosts", None)
                        }
                    };
                    (line, None)
                }
            };
            post(&outlet, line).await;
            drop((place, present));
        });
    }
}

/// Tells the host what servers log, until it is gone; for ever if it does not want to know.
async fn tell(overheard: Option<&mut Overheard>, outlet: &Outbox) {
    let Some(overheard) = overheard else { return pending().await };
    while outlet.send(Message::from(overheard.next().await)).await.is_ok() {}
}

/// The limits that an orchestrator before us has set.
pub(super) fn heard(meta: Option<&RawValue>) -> Limits {
    let meta = meta.filter(|meta| meta.get().contains(CHAIN_KEY)).and_then(Object::parse);
    let told = meta.as_ref().and_then(|meta| meta.get(CHAIN_KEY));
    told.map_or_else(Limits::default, |told| hear(told.get(), Instant::now()))
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;

    use super::*;

    #[test]
    fn what_is_not_read_is_passed_on() {
        let params =
            to_raw_value(&serde_json::json!({ "name": "x", "_meta": {}, "task": { "ttl": 1 }, "requestState": "s" }));
        let kept: Vec<_> = Params::of(Some(&params.expect("JSON"))).others().into_iter().map(|(key, _)| key).collect();
        assert_eq!(kept, ["task", "requestState"]);
    }
}
