//! What a run's commands do: calls through the one door, and timers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::FutureExt as _;
use serde_json::value::to_raw_value;
use tokio::sync::OnceCell;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::engine::command::{Callee, StepCall, StepQuestion};
use crate::engine::event::{Called, Timestamp, What};
use crate::model::ask::Ask;
use crate::model::call::{Call, Reply, Target};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::limits::Limits;
use crate::model::port::Invoke;
use crate::model::principal::Principal;
use crate::model::priority::Priority;
use crate::model::usage::Usage;
use crate::policy::turns::Manner;
use crate::runner::asking;
use crate::runner::gate::{Gate, Ticket};
use crate::runner::leave::{Leave, Wish};
use crate::runner::outcome::{failure, happened};
use crate::workflow::verb::Audience;

/// From how long on a pause is a long one.
const LONG: Duration = Duration::from_secs(1);

/// What every call of a run has in common.
pub struct Through {
    /// The one door.
    pub via: Arc<dyn Invoke>,
    /// On whose behalf.
    pub principal: Principal,
    /// Through which profile its steps see what there is.
    pub profile: Option<Arc<str>>,
    /// Who answers questions of servers.
    pub ask: Option<Arc<dyn Ask>>,
    /// The run's own bounds, one level deeper than its caller's.
    pub limits: Limits,
    /// The run that has set off this one, by way of others or not; `None` if this is the first.
    pub root: Option<Arc<str>>,
    /// The run's id, which makes the calls' idempotency keys.
    pub run: String,
    /// The agents that the run is within.
    pub agents: Vec<Arc<str>>,
    /// How many tool calls may be made at once, by all runs together.
    pub places: Arc<Gate>,
    /// How urgent they are.
    pub priority: Priority,
    /// The run that this one tries again.
    pub retry_of: Option<Arc<str>>,
    /// The runs that it has set off and that are not over, the cancelled ones included.
    pub within: TaskTracker,
}

impl Through {
    /// What the calls of a run have in common that nobody has wanted but `principal`: no host to ask, and no bounds.
    pub fn new(via: Arc<dyn Invoke>, principal: Principal, run: impl Into<String>, places: Arc<Gate>) -> Self {
        Self {
            via,
            principal,
            profile: None,
            ask: None,
            limits: Limits::default(),
            root: None,
            run: run.into(),
            agents: Vec::new(),
            places,
            priority: Priority::Normal,
            retry_of: None,
            within: TaskTracker::new(),
        }
    }
}

/// A run's calls and timers in flight. Dropping it cancels them all.
pub struct Effects {
    through: Through,
    tasks: JoinSet<(Key, Came)>,
    handles: HashMap<Key, AbortHandle>,
    /// The questions that the host is being asked.
    asking: HashSet<Key>,
    /// The questions that it has ever been asked.
    asked: HashSet<Key>,
    /// What the calls wait for that are about to be made.
    leaves: HashMap<Key, Leave>,
    /// The calls whose turn has come, and that must be known to be made before they are.
    ready: HashMap<Key, Box<Departure>>,
    /// The timers that are far off and that the workflow wants.
    pauses: HashSet<Key>,
    /// Done once the runs within are over: what comes after the run's end waits for that, so that what a run within has done is undone
    /// before what was done before it.
    settled: Arc<OnceCell<()>>,
}

/// An address and an attempt; 0 for a timer.
type Key = (String, u32);

/// What came of something that the run has set off, and when; nothing if it is left to others.
pub type Happened = (Timestamp, Option<What>);

/// What a task has come to.
#[expect(clippy::large_enum_variant, reason = "nearly all are of the large one")]
enum Came {
    /// To its end.
    Happened(Happened),
    /// To its turn: a call that must not be made twice may be made.
    ToTurn(Box<Departure>),
}

/// A call that may be made.
struct Departure {
    step: StepCall,
    call: Call,
    place: Option<Ticket>,
}

impl Effects {
    /// Nothing in flight yet.
    pub fn new(through: Through) -> Self {
        Self {
            through,
            tasks: JoinSet::new(),
            handles: HashMap::new(),
            asking: HashSet::new(),
            asked: HashSet::new(),
            leaves: HashMap::new(),
            ready: HashMap::new(),
            pauses: HashSet::new(),
            settled: Arc::default(),
        }
    }

    /// Whether the call would be made at once. If not it waits already, and is made by [`Effects::call`] in its turn.
    pub fn has_leave(&mut self, step: &StepCall) -> bool {
        let leave = self.leave(step);
        let is_given = leave.is_given();
        self.leaves.insert((step.at.clone(), step.attempt), leave);
        is_given
    }

    /// Makes a call, now or in its turn. Before one is made later that must not be made twice, [`What::Intended`] happens, and it
    /// waits for [`Effects::release`].
    pub fn call(&mut self, step: StepCall) {
        let key = (step.at.clone(), step.attempt);
        let leave = self.leaves.remove(&key).unwrap_or_else(|| self.leave(&step));
        let call = self.prepare(&step);
        if leave.is_given() || !step.is_once_only() {
            let via = Arc::clone(&self.through.via);
            self.start(key, async move {
                let made = match leave.given().await {
                    Ok(place) => made(via, call, place).await,
                    Err(fault) => Err(fault),
                };
                Came::Happened(happened(step, made))
            });
            return;
        }
        self.start(key, async move {
            match leave.given().await {
                Ok(place) => Came::ToTurn(Box::new(Departure { step, call, place })),
                Err(fault) => Came::Happened(happened(step, Err(fault))),
            }
        });
    }

    /// Makes the calls whose turn has come, now that this is known of them.
    pub fn release(&mut self) {
        for (key, departure) in std::mem::take(&mut self.ready) {
            let Departure { step, call, place } = *departure;
            let via = Arc::clone(&self.through.via);
            self.start(key, async move { Came::Happened(happened(step, made(via, call, place).await)) });
        }
    }

    fn leave(&self, step: &StepCall) -> Leave {
        let Through { places, principal, priority, within, .. } = &self.through;
        let (who, priority, deadline) = (Arc::clone(&principal.name), *priority, self.limits(step).deadline);
        // What comes after the end is not turned away.
        let manner = if step.is_afterwards { Manner::Admitted } else { Manner::Patient };
        let wish = Wish { places: Arc::clone(places), who, priority, deadline, manner };
        // A sub-workflow takes no place: it would wait for places that its own steps need.
        let wish = matches!(step.callee, Callee::Tool(_)).then_some(wish);
        let after = step.is_afterwards.then(|| {
            within.close();
            (within.clone(), Arc::clone(&self.settled))
        });
        Leave::ask(wish, after)
    }

    fn limits(&self, step: &StepCall) -> Limits {
        let limits = if step.is_afterwards {
            // What bounded the run is over; the engine bounds what comes after it.
            Limits { deadline: None, ..self.through.limits }
        } else {
            self.through.limits
        };
        step.timeout.map_or(limits, |timeout| limits.within(Instant::now(), timeout))
    }

    fn prepare(&self, step: &StepCall) -> Call {
        let target = match &step.callee {
            Callee::Tool(tool) => Target::Tool(tool.clone()),
            Callee::Workflow(name) => Target::Workflow(name.to_string()),
            Callee::Model => Target::Model,
            Callee::Agent(name) => Target::Agent(name.to_string()),
        };
        let arguments = to_raw_value(&step.arguments).ok();
        let mut call = Call::new(target, arguments, self.through.principal.clone());
        if !step.is_afterwards {
            call.ask.clone_from(&self.through.ask);
        }
        call.limits = self.limits(step);
        call.is_detached = step.is_detached;
        call.priority = Some(self.through.priority);
        call.providers.clone_from(&step.providers);
        call.root = Some(self.through.root.as_ref().map_or_else(|| self.through.run.as_str().into(), Arc::clone));
        call.limits.allowance = step.allowance;
        call.agents.clone_from(&self.through.agents);
        call.profile.clone_from(&self.through.profile);
        // What is undone or checked has another address, so its key is another.
        let key = || format!("{}/{}", self.through.run, step.at);
        call.idempotency_key = Some(step.key.clone().unwrap_or_else(key).into());
        if matches!(step.callee, Callee::Workflow(_)) {
            call.parent = Some(format!("{}/{}#{}", self.through.run, step.at, step.attempt).into());
            // What comes after the end is undone by nobody, and waits for nothing of its own.
            call.held = (!step.is_afterwards).then(|| Arc::new(self.through.within.token()) as _);
            call.retry_of = self.through.retry_of.as_ref().map(|old| format!("{old}/{}", step.at).into());
        }
        call
    }

    /// Puts a question to the host that wanted the run, if it can be asked.
    pub fn ask(&mut self, workflow: &Arc<str>, question: &StepQuestion) {
        let is_for_host = question.audience == Audience::Caller;
        let Some(host) = self.through.ask.clone().filter(|host| is_for_host && asking::is_able(&**host)) else {
            return;
        };
        let key = (question.at.to_string(), question.attempt);
        let (asked, has_fields) = (asking::form(workflow, question), question.schema.is_some());
        self.asking.insert(key.clone());
        self.asked.insert(key.clone());
        self.start(key.clone(), async move {
            let answer = match host.ask(asked).await {
                Ok(answer) => asking::read(&answer, has_fields),
                Err(fault) => {
                    tracing::info!(%fault, "the host could not be asked");
                    None
                }
            };
            let (at, attempt) = key;
            Came::Happened((now(), answer.map(|answer| What::Answered { at, attempt, answer })))
        });
    }

    /// Whether the host is being asked this.
    pub fn is_asking(&self, question: &StepQuestion) -> bool {
        self.asking.contains(&(question.at.to_string(), question.attempt))
    }

    /// Whether the host has been asked this, be it that it has not answered.
    pub fn has_asked(&self, question: &StepQuestion) -> bool {
        self.asked.contains(&(question.at.to_string(), question.attempt))
    }

    /// Starts a timer.
    pub fn timer(&mut self, at: String, due: Timestamp) {
        let wait = Duration::from_millis(due.saturating_sub(now()));
        if wait >= LONG && at.ends_with("#wait") {
            self.pauses.insert((at.clone(), 0));
        }
        self.start((at.clone(), 0), async move {
            sleep(wait).await;
            // A clock that was set back must not make the timer fire before its time.
            Came::Happened((now().max(due), Some(What::Fired { at })))
        });
    }

    fn start(&mut self, key: Key, work: impl Future<Output = Came> + Send + 'static) {
        let answered = key.clone();
        let handle = self.tasks.spawn(work.map(|came| (answered, came)));
        self.handles.insert(key, handle);
    }

    /// Cancels a call, down to its server, or withdraws a question.
    pub fn cancel(&mut self, at: String, attempt: u32) {
        let key = (at, attempt);
        self.asking.remove(&key);
        self.leaves.remove(&key);
        self.ready.remove(&key);
        self.pauses.remove(&key);
        if let Some(handle) = self.handles.remove(&key) {
            handle.abort();
        }
    }

    /// Waits for the runs that were set off, the cancelled ones included: one may be undoing what it has done.
    pub async fn settled(&self) {
        self.through.within.close();
        self.through.within.wait().await;
    }

    /// Whether a call is in flight.
    pub fn is_calling(&self) -> bool {
        self.handles.keys().any(|key| key.1 > 0 && !self.asking.contains(key))
    }

    /// Whether a pause goes on that takes long.
    pub fn is_pausing(&self) -> bool {
        !self.pauses.is_empty()
    }

    /// Stops a timer.
    pub fn forget(&mut self, at: String) {
        self.cancel(at, 0);
    }

    /// The next thing that happens; `None` if nothing is in flight.
    pub async fn next(&mut self) -> Option<Happened> {
        loop {
            match self.tasks.join_next_with_id().await? {
                Ok((_, (key, Came::Happened(happened)))) => {
                    self.handles.remove(&key);
                    self.asking.remove(&key);
                    self.pauses.remove(&key);
                    return Some(happened);
                }
                Ok((task, (key, Came::ToTurn(departure)))) => {
                    // It may have been cancelled in the last moment.
                    if self.handles.get(&key).is_some_and(|handle| handle.id() == task) {
                        self.handles.remove(&key);
                        let (at, attempt) = key.clone();
                        self.ready.insert(key, departure);
                        return Some((now(), Some(What::Intended { at, attempt })));
                    }
                }
                Err(error) if error.is_cancelled() => {}
                Err(error) => {
                    tracing::error!(%error, "a step's call panicked");
                    if let Some(happened) = self.lost(error.id()) {
                        return Some(happened);
                    }
                }
            }
        }
    }

    /// What has come of something that was lost by a mistake of ours: a call may have been made, a question stays open for others.
    fn lost(&mut self, task: Id) -> Option<Happened> {
        let key = self.handles.iter().find(|(_, handle)| handle.id() == task)?.0.clone();
        self.handles.remove(&key);
        let was_asked = self.asking.remove(&key);
        let (at, attempt) = key;
        let fault = Fault::new(Kind::Internal, code::INTERNAL, "the call was lost by a mistake in the orchestrator");
        let outcome = Called::Failure(failure(&fault.sent()));
        let called = What::Called { at, attempt, outcome, usage: Usage::default() };
        Some((now(), (!was_asked).then_some(called)))
    }
}

/// Makes a call that has its place.
async fn made(via: Arc<dyn Invoke>, call: Call, place: Option<Ticket>) -> Result<Reply, Fault> {
    let reply = via.invoke(call).await;
    drop(place);
    reply
}

/// The wall clock, as events record it.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
