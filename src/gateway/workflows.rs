//! Running workflows: as tools of their own, as steps of others, and by `run_workflow`.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use crate::engine::event::Failure;
use crate::gateway::admission::priority;
use crate::gateway::door::Gateway;
use crate::gateway::durable::TakenUp;
use crate::gateway::keys::{Key, input_of, key_of};
use crate::gateway::reply;
use crate::gateway::runs::{Stand, Waiter, end_of};
use crate::model::ask::within;
use crate::model::call::{Call, Reply};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::limits::{Limits, MAX_DEPTH};
use crate::model::port::Invoke;
use crate::model::suggest::did_you_mean;
use crate::model::usage::Allowance;
use crate::registry::flag::decide;
use crate::runner::drive::{Begin, Watch, new_id};
use crate::runner::effects::Through;
use crate::runner::gate::Ticket;
use crate::runner::report::Report;
use crate::workflow::definition::Workflow;
use crate::workflow::delegation::Budget;
use crate::workflow::input::accept;
use crate::workflow::plan::{Plan, plan};

/// How much later than the run the time of its calls is up: the run ends first and says so, which cancels them.
const LATER: Duration = Duration::from_millis(250);

/// What a run begins with, as its caller wants it.
pub(super) struct Wanted {
    pub(super) limits: Limits,
    pub(super) input: Value,
    pub(super) key: Option<Key>,
}

impl Gateway {
    /// A workflow as the tool that hosts see.
    pub(super) async fn run_as_tool(self: Arc<Self>, name: &str, call: Call) -> Result<Reply, Fault> {
        let (workflow, call) = self.registered(name, call)?;
        let input = parse_input(call.arguments.as_deref())?;
        let mut waiter = self.begin(&workflow, input, call, None).await?;
        match waiter.ended_or_open().await? {
            Stand::Ended(report) => Ok(reply::output(&report)),
            Stand::Waiting(questions) => Ok(reply::waiting(&waiter.leave(), &questions, true)),
        }
    }

    /// A workflow as a step of another.
    pub(super) async fn call_workflow(self: Arc<Self>, name: &str, call: Call) -> Result<Reply, Fault> {
        let (workflow, call) = self.registered(name, call)?;
        let input = parse_input(call.arguments.as_deref())?;
        if call.is_detached {
            // What bounds its caller does not bound it, and its questions are its own.
            let limits = Limits { deadline: None, ..call.limits };
            let call = Call { limits, root: None, ask: None, progress: None, held: None, ..call };
            let handle = self.begin(&workflow, input, call, None).await?.leave();
            return Ok(reply::begun(&handle, handle.look().await.as_ref()));
        }
        // Where runs are carried elsewhere, whoever waits for this one may be lost and found again in another process: it goes on, and
        // is cancelled by a word to it.
        let is_own = self.backend().is_some() && call.parent.is_some();
        let mut waiter = self.begin(&workflow, input, call, None).await?;
        let report = if is_own { end_of(&waiter.leave()).await? } else { waiter.ended().await? };
        match report.failure() {
            Some(failure) => Err(inner_fault(&report, &failure)),
            None => Ok(reply::inner(&report)),
        }
    }

    /// The workflow `name` and the call of it: what is registered may use more than its caller sees.
    pub(super) fn registered(&self, name: &str, call: Call) -> Result<(Arc<Workflow>, Call), Fault> {
        // Who acts for somebody may use a workflow that is hidden by its name alone.
        let may_use = || call.is_delegated && self.usable_by(&call).has_own(name);
        let workflow = self.workflow(name, call.profile.as_deref().filter(|_| !may_use()))?;
        if let Some(fault) = self.fitness.fault(&workflow) {
            return Err(fault);
        }
        Ok((workflow, Call { profile: None, ..call }))
    }

    /// The workflow `name` as seen through `profile`, or a fault that names the nearest.
    pub fn workflow(&self, name: &str, profile: Option<&str>) -> Result<Arc<Workflow>, Fault> {
        let is_shown = |name: &str| self.shows_workflow(profile, name);
        self.workflows().get(name).filter(|_| is_shown(name)).cloned().ok_or_else(|| {
            let fault = Fault::new(Kind::NotFound, code::NO_SUCH_WORKFLOW, format!("there is no workflow `{name}`"));
            match did_you_mean(name, self.workflows().names().map(AsRef::as_ref).filter(|name| is_shown(name))) {
                Some(near) => fault.hint(near),
                None => fault.hint("`list_workflows` shows which there are"),
            }
        })
    }

    /// Begins a run of `workflow`. A fault means that it never began.
    pub async fn begin(
        self: Arc<Self>,
        workflow: &Workflow,
        input: Value,
        call: Call,
        watcher: Option<Arc<dyn Watch>>,
    ) -> Result<Waiter, Fault> {
        let wanted = self.wanted(workflow, input, &call)?;
        match self.backend().cloned() {
            Some(backend) => self.begin_beyond(&backend, workflow, wanted, call, watcher).await,
            None => self.begin_here(workflow, wanted, call, watcher),
        }
    }

    /// What a run of `workflow` would begin with, if it may.
    fn wanted(&self, workflow: &Workflow, input: Value, call: &Call) -> Result<Wanted, Fault> {
        self.keeps_workflow(&workflow.name, call)?;
        let limits = deeper(workflow, call.limits)?;
        self.still_open()?;
        let input = accept(workflow, input).map_err(|why| bad_input(workflow, &why))?;
        let key = key_of(workflow, &input, call)?;
        Ok(Wanted { limits, input, key })
    }

    fn begin_here(
        self: Arc<Self>,
        workflow: &Workflow,
        wanted: Wanted,
        mut call: Call,
        watcher: Option<Arc<dyn Watch>>,
    ) -> Result<Waiter, Fault> {
        let Wanted { limits, input, key } = &wanted;
        let _beginning = key.is_some().then(|| self.live.beginning.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(key) = key
            && let Some(joined) = self.joined(key, workflow, input)?
        {
            return Ok(joined);
        }
        let known = self.stored_for(&call, key.as_ref().map(|key| key.text.as_str()))?;
        let (taken_up, ticket) = if let Some(found) = known {
            if let Some(key) = key {
                key.check(workflow, input, &found.run, (&found.plan.workflow.name, input_of(&found.history)))?;
            }
            (found, None)
        } else {
            let ticket = self.admit(workflow, &call, *limits)?;
            let plan = self.planned(workflow, *limits);
            (TakenUp::new(plan, new_id()), ticket)
        };
        let (retry_of, done) = self.taken_over(&call, &taken_up.history);
        call.retry_of = retry_of;
        let begin = self.prepared(taken_up, wanted, call, ticket)?;
        Ok(self.launch(Begin { watcher, done, ..begin }))
    }

    /// All that a run begins with.
    pub(super) fn prepared(
        self: &Arc<Self>,
        TakenUp { plan, run, history, missed }: TakenUp,
        Wanted { limits, input, key }: Wanted,
        call: Call,
        ticket: Option<Ticket>,
    ) -> Result<Begin, Fault> {
        let key = key.map(|key| key.text);
        let parts = TaskTracker::new();
        self.take_up_within((&run, &plan.workflow, &history), &parts);
        let record = self.record(&plan, &call, (&run, key.as_deref()), history.len())?;
        let priority = priority(&plan.workflow, &call);
        // Where runs are carried elsewhere, whoever follows the root looks by itself what the runs within ask.
        let root = call.root.as_deref().filter(|_| self.backend().is_none());
        let board = root.and_then(|root| self.live.board(root)).unwrap_or_default();
        let caller = Arc::clone(&call.principal.name);
        let through = Through {
            via: Arc::clone(self) as Arc<dyn Invoke>,
            principal: call.principal,
            profile: call.profile,
            ask: call.ask.map(within),
            limits: Limits { deadline: limits.deadline.map(|deadline| deadline + LATER), ..limits },
            root: call.root,
            run,
            agents: call.agents,
            places: Arc::clone(&self.steps),
            priority,
            retry_of: call.retry_of,
            within: parts,
        };
        let flags = decide(&self.registry().flags, &caller);
        Ok(Begin {
            flags,
            progress: call.progress,
            board,
            bus: self.live.bus.clone(),
            shelf: self.live.shelf.clone(),
            key,
            history,
            missed,
            ticket,
            grace: self.registry().orchestrator.shutdown_grace,
            held: call.held,
            ..Begin::new(plan, input, through, record)
        })
    }

    /// The plan of a run that has so much left to it.
    pub(super) fn planned(&self, workflow: &Workflow, limits: Limits) -> Plan {
        let mut plan = plan(workflow, &self.known());
        // What is left to the caller bounds the run as its own limit does.
        let planned = Arc::make_mut(&mut plan.workflow);
        planned.timeout = limits.left(Instant::now()).map(rounded);
        if limits.allowance != Allowance::default() {
            let own = planned.budget.unwrap_or_default();
            planned.budget = Some(Budget { allowance: own.allowance.and(limits.allowance), ..own });
        }
        plan
    }
}

/// The limits of a run, one level deeper than its caller's.
fn deeper(workflow: &Workflow, limits: Limits) -> Result<Limits, Fault> {
    if limits.depth >= MAX_DEPTH {
        let message = format!("workflows call each other more than {MAX_DEPTH} levels deep");
        return Err(Fault::new(Kind::Invalid, code::TOO_DEEP, message).target(workflow.name.as_ref()));
    }
    let deeper = Limits { depth: limits.depth + 1, ..limits };
    let now = Instant::now();
    let limits = workflow.longest().map_or(deeper, |timeout| deeper.within(now, timeout));
    if limits.left(now).is_some_and(|left| left.is_zero()) {
        let fault = Fault::new(Kind::Timeout, code::RUN_TIMEOUT, "the caller's time is up; nothing was run");
        return Err(fault.target(workflow.name.as_ref()));
    }
    Ok(limits)
}

/// Whole milliseconds, so that people can read them; at least one.
fn rounded(limit: Duration) -> Duration {
    Duration::from_millis(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1))
}

/// The arguments of a workflow tool.
pub(super) fn parse_input(arguments: Option<&RawValue>) -> Result<Value, Fault> {
    let Some(arguments) = arguments else { return Ok(json!({})) };
    serde_json::from_str(arguments.get())
        .map_err(|error| Fault::new(Kind::Invalid, code::BAD_REQUEST, format!("the arguments cannot be read: {error}")))
}

/// The failure of a run as that of the step that started it: of the same kind, so that the same catches apply.
fn inner_fault(report: &Report, failure: &Failure) -> Fault {
    let kind = Kind::parse(&failure.kind).unwrap_or(Kind::Internal);
    let code = code::ALL.iter().map(|(code, _)| *code).find(|code| code.as_str() == failure.code);
    let at = failure.step.as_ref().map_or_else(String::new, |step| format!(" at step `{step}`"));
    let message = format!("{} {}{at}: {}", report.workflow, report.status(), failure.sentence());
    let fault = Fault::new(kind, code.unwrap_or(code::STEP_FAILED), message).target(&report.workflow);
    Fault { hint: failure.hint.clone(), was_sent: failure.was_sent, ..fault }.spent(report.usage)
}

fn bad_input(workflow: &Workflow, why: &[String]) -> Fault {
    Fault::new(Kind::Invalid, code::BAD_INPUT, format!("the input does not fit: {}", why.join("; ")))
        .target(workflow.name.as_ref())
        .hint("correct the input; nothing was run")
}
