//! What a run's commands do: calls through the one door, and timers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::FutureExt as _;
use serde::Deserialize as _;
use serde_json::Value;
use serde_json::value::to_raw_value;
use tokio::sync::OnceCell;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::engine::command::{Callee, StepCall, StepQuestion};
use crate::engine::event::{Called, Failure, Timestamp, What};
use crate::model::ask::Ask;
use crate::model::call::{Call, Target};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::limits::Limits;
use crate::model::port::Invoke;
use crate::model::principal::Principal;
use crate::model::priority::Priority;
use crate::model::usage::{USAGE_KEY, Usage};
use crate::policy::turns::{Manner, Refusal};
use crate::runner::asking;
use crate::runner::gate::{Gate, Ticket};
use crate::workflow::definition::Audience;

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
}

/// A run's calls and timers in flight. Dropping it cancels them all.
pub struct Effects {
    through: Through,
    tasks: JoinSet<(Key, Happened)>,
    handles: HashMap<Key, AbortHandle>,
    /// The questions that the host is being asked.
    asking: HashSet<Key>,
    /// The timers that are far off and that the workflow wants.
    pauses: HashSet<Key>,
    /// The runs that were set off and are not over, the cancelled ones included.
    within: TaskTracker,
    /// Done once they are over: what comes after the run's end waits for that, so that what a run within has done is undone
    /// before what was done before it.
    settled: Arc<OnceCell<()>>,
}

/// An address and an attempt; 0 for a timer.
type Key = (String, u32);

/// What came of something that the run has set off, and when; nothing if it is left to others.
pub type Happened = (Timestamp, Option<What>);

impl Effects {
    /// Nothing in flight yet.
    pub fn new(through: Through) -> Self {
        Self {
            through,
            tasks: JoinSet::new(),
            handles: HashMap::new(),
            asking: HashSet::new(),
            pauses: HashSet::new(),
            within: TaskTracker::new(),
            settled: Arc::default(),
        }
    }

    /// Makes a call.
    pub fn call(&mut self, step: StepCall) {
        let key = (step.at.clone(), step.attempt);
        let call = self.prepare(&step);
        let via = Arc::clone(&self.through.via);
        // A sub-workflow takes no place: it would wait for places that its own steps need.
        let place = matches!(step.callee, Callee::Tool(_)).then(|| self.place(&call)).transpose();
        let (within, settled) = (self.within.clone(), Arc::clone(&self.settled));
        if step.is_afterwards {
            within.close();
        }
        self.start(key, async move {
            let invoked = async {
                if step.is_afterwards {
                    settled.get_or_init(|| within.wait()).await;
                }
                let mut place = place.map_err(|refusal| too_many(&refusal))?;
                if let Some(place) = &mut place {
                    place.called().await;
                }
                via.invoke(call).await
            };
            let (outcome, usage) = match invoked.await {
                Ok(reply) => {
                    let outcome = read_result(reply.body.get());
                    let usage = used(&outcome, &step.callee);
                    (outcome, usage)
                }
                Err(fault) => (Called::Failure(failure(&fault)), spent(&fault, &step.callee)),
            };
            (now(), Some(What::Called { at: step.at, attempt: step.attempt, outcome, usage }))
        });
    }

    /// A place among the calls of all runs, now or later.
    fn place(&self, call: &Call) -> Result<Ticket, Refusal> {
        let Through { places, principal, priority, .. } = &self.through;
        places.ask(&principal.name, *priority, call.limits.deadline, Manner::Patient)
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
        let limits = if step.is_afterwards {
            // What bounded the run is over; the engine bounds what comes after it.
            Limits { deadline: None, ..self.through.limits }
        } else {
            call.ask.clone_from(&self.through.ask);
            self.through.limits
        };
        call.limits = step.timeout.map_or(limits, |timeout| limits.within(Instant::now(), timeout));
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
            call.held = (!step.is_afterwards).then(|| Arc::new(self.within.token()) as _);
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
        let asked = asking::form(workflow, question);
        self.asking.insert(key.clone());
        self.start(key.clone(), async move {
            let answer = match host.ask(asked).await {
                Ok(answer) => asking::read(&answer),
                Err(fault) => {
                    tracing::info!(%fault, "the host could not be asked");
                    None
                }
            };
            let (at, attempt) = key;
            (now(), answer.map(|answer| What::Answered { at, attempt, answer }))
        });
    }

    /// Whether the host is being asked this.
    pub fn is_asking(&self, question: &StepQuestion) -> bool {
        self.asking.contains(&(question.at.to_string(), question.attempt))
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
            (now().max(due), Some(What::Fired { at }))
        });
    }

    fn start(&mut self, key: Key, work: impl Future<Output = Happened> + Send + 'static) {
        let answered = key.clone();
        let handle = self.tasks.spawn(work.map(|happened| (answered, happened)));
        self.handles.insert(key, handle);
    }

    /// Cancels a call, down to its server, or withdraws a question.
    pub fn cancel(&mut self, at: String, attempt: u32) {
        let key = (at, attempt);
        self.asking.remove(&key);
        self.pauses.remove(&key);
        if let Some(handle) = self.handles.remove(&key) {
            handle.abort();
        }
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
            match self.tasks.join_next().await? {
                Ok((key, happened)) => {
                    self.handles.remove(&key);
                    self.asking.remove(&key);
                    self.pauses.remove(&key);
                    return Some(happened);
                }
                Err(error) if error.is_cancelled() => {}
                Err(error) => tracing::error!(%error, "a step's call panicked"),
            }
        }
    }
}

/// More calls wait for a place than may.
fn too_many(refusal: &Refusal) -> Fault {
    let (Refusal::Full { waiting, retry_after: after } | Refusal::TooLate { waiting, expected: after }) = refusal;
    Fault::new(Kind::RateLimited, code::TOO_MANY_CALLS, format!("{waiting} calls of runs wait for their turn already"))
        .retry_after(*after)
        .hint("raise `max_concurrent_steps` in the registry, or let loops run fewer items at once by `concurrency`")
}

fn read_result(body: &str) -> Called {
    match serde_json::from_str::<Value>(body) {
        Ok(result) => Called::Result(result),
        Err(error) => {
            let fault = Fault::new(Kind::Internal, code::BAD_ANSWER, format!("the result cannot be read: {error}"));
            Called::Failure(failure(&fault))
        }
    }
}

/// What a call has used up, as its result says: a call itself, if it says nothing. A workflow is no call, its steps are.
fn used(outcome: &Called, callee: &Callee) -> Usage {
    let Called::Result(result) = outcome else { return Usage::CALL };
    let told = result.get("_meta").and_then(|meta| meta.get(USAGE_KEY));
    let told = told.and_then(|usage| Usage::deserialize(usage).ok()).unwrap_or_default();
    let least = u64::from(!matches!(callee, Callee::Workflow(_)));
    Usage { calls: told.calls.max(least), ..told }
}

/// What a call has used up that has failed.
fn spent(fault: &Fault, callee: &Callee) -> Usage {
    let least = u64::from(fault.was_sent && !matches!(callee, Callee::Workflow(_)));
    let told = fault.spent.as_deref().copied().unwrap_or_default();
    Usage { calls: told.calls.max(least), ..told }
}

/// A fault as a run stores it.
fn failure(fault: &Fault) -> Failure {
    Failure {
        kind: fault.kind.as_str().to_owned(),
        code: fault.code.as_str().to_owned(),
        message: fault.message.clone(),
        step: None,
        server: fault.server.clone(),
        target: fault.target.clone(),
        hint: fault.hint.clone(),
        retry_after: fault.retry_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        was_sent: fault.was_sent,
        data: fault
            .rpc
            .as_ref()
            .and_then(|rpc| serde_json::from_str(rpc.data.as_ref()?.get()).ok())
            .unwrap_or_default(),
    }
}

/// The wall clock, as events record it.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
