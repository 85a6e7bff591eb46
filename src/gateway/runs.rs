//! The runs that go on, and the last that have ended: what they are found by, waited for and cancelled through.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::engine::command::Outcome;
use crate::engine::event::What;
use crate::gateway::door::Gateway;
use crate::gateway::durable::Store;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::principal::Principal;
use crate::model::suggest::did_you_mean;
use crate::runner::backend::{Backend, Carrying};
use crate::runner::bus::Bus;
use crate::runner::drive::{Begin, begin};
use crate::runner::gate::Gate;
use crate::runner::live::{Board, Handle, OpenQuestion};
use crate::runner::report::Report;
use crate::runner::shelf::Shelf;

/// How many runs that have ended can still be looked at.
const MAX_ENDED: usize = 200;

/// How much their outputs may weigh together, in bytes.
const MAX_WEIGHT: usize = 32 * 1024 * 1024;

/// Every run that can be reached.
#[derive(Default)]
pub(super) struct Runs {
    /// What runs hear events from.
    pub(super) bus: Bus,
    /// Where steps keep their results.
    pub(super) shelf: Shelf,
    /// Where runs are stored, if they are.
    pub(super) store: OnceLock<Store>,
    /// What carries them, if this process does not.
    pub(super) backend: OnceLock<Arc<dyn Backend>>,
    /// Whether the program is about to end.
    closing: CancellationToken,
    /// Whether every run that an earlier process has left was taken up.
    is_heir: AtomicBool,
    /// Held while it is found out whether a run with the same key goes on already, and until it does.
    pub(super) beginning: Mutex<()>,
    /// Guarded for one look-up.
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    live: HashMap<String, Arc<Handle>>,
    /// The last that have ended, the oldest first, with the weight of their outputs.
    ended: VecDeque<(Arc<Handle>, usize)>,
    weight: usize,
}

impl Known {
    fn end(&mut self, run_id: &str, report: &Report) {
        let Some(handle) = self.live.remove(run_id) else { return };
        let weight = match &report.outcome {
            Outcome::Completed(output) => weight(output),
            Outcome::Failed(_) | Outcome::Cancelled { .. } => 0,
        };
        self.ended.push_back((handle, weight));
        self.weight += weight;
        while self.ended.len() > MAX_ENDED || self.weight > MAX_WEIGHT {
            let Some((_, weight)) = self.ended.pop_front() else { return };
            self.weight -= weight;
        }
    }
}

impl Runs {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The board of a run that goes on.
    pub(super) fn board(&self, run_id: &str) -> Option<Arc<Board>> {
        self.known().live.get(run_id).map(|handle| Arc::clone(&handle.board))
    }

    /// The runs of `caller` that go on, the newest last.
    pub(super) fn of(&self, caller: &Principal) -> Vec<Arc<Handle>> {
        let mut all: Vec<_> =
            self.known().live.values().filter(|handle| handle.caller == caller.name).cloned().collect();
        all.sort_by(|one, other| one.run_id.cmp(&other.run_id));
        all
    }

    /// A run of `caller`, which may have ended.
    pub(super) fn find(&self, run_id: &str, caller: &Principal) -> Result<Arc<Handle>, Fault> {
        let known = self.known();
        let ended = || known.ended.iter().map(|(handle, _)| handle).find(|handle| handle.run_id == run_id);
        let found = known.live.get(run_id).or_else(ended).filter(|handle| handle.caller == caller.name);
        found.cloned().ok_or_else(|| {
            let fault = Fault::new(Kind::NotFound, code::NO_SUCH_RUN, format!("there is no run `{run_id}` of yours"));
            let ids = known.live.values().filter(|handle| handle.caller == caller.name);
            let near = did_you_mean(run_id, ids.map(|handle| handle.run_id.as_str()));
            fault.hint(near.unwrap_or_else(|| "`get_run` without a `run_id` lists those that go on".to_owned()))
        })
    }

    /// A run that goes on, whoever wants to know.
    pub(super) fn any(&self, run_id: &str) -> Option<Arc<Handle>> {
        self.known().live.get(run_id).cloned()
    }

    /// A run that goes on or has ended here, whoever wants to know.
    pub(super) fn reached(&self, run_id: &str) -> Option<Arc<Handle>> {
        let known = self.known();
        let ended = || known.ended.iter().map(|(handle, _)| handle).find(|handle| handle.run_id == run_id);
        known.live.get(run_id).or_else(ended).cloned()
    }

    /// The run of this key that goes on or has completed.
    pub(super) fn of_key(&self, key: &str) -> Option<Arc<Handle>> {
        let known = self.known();
        let has_completed = |handle: &&Arc<Handle>| handle.report().is_some_and(|report| report.failure().is_none());
        let ended = known.ended.iter().map(|(handle, _)| handle).filter(has_completed);
        known.live.values().chain(ended).find(|handle| handle.key.as_deref() == Some(key)).cloned()
    }

    /// The run that tries this one again.
    pub(super) fn retried(&self, run_id: &str) -> Option<Arc<Handle>> {
        let known = self.known();
        let ended = known.ended.iter().map(|(handle, _)| handle);
        known.live.values().chain(ended).find(|handle| handle.retry_of.as_deref() == Some(run_id)).cloned()
    }

    /// Every run that an earlier process has left is taken up.
    pub(super) fn inherit(&self) {
        self.is_heir.store(true, Ordering::Relaxed);
    }

    /// Whether what nobody goes on with is for this program to see to.
    pub(super) fn is_heir(&self) -> bool {
        self.is_heir.load(Ordering::Relaxed)
    }

    /// Whether no run begins any more.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Lets every run that is stored rest, and cancels the others. Whoever calls others is told first.
    pub(super) fn close(&self) {
        self.closing.cancel();
        let mut all: Vec<_> = self.known().live.values().cloned().collect();
        all.sort_by(|one, other| one.run_id.cmp(&other.run_id));
        for handle in all {
            handle.rest.cancel();
        }
    }
}

/// What has become of a run that somebody waits for.
pub enum Stand {
    /// It has ended.
    Ended(Arc<Report>),
    /// It waits for answers that its caller has to give by other means.
    Waiting(Vec<OpenQuestion>),
}

impl Waiter {
    /// The one who has begun the run.
    fn first(handle: Arc<Handle>) -> Self {
        Self::new(handle, true)
    }

    /// One more who waits for a run.
    pub(super) fn of(handle: Arc<Handle>) -> Self {
        Self::new(handle, false)
    }

    fn new(handle: Arc<Handle>, is_first: bool) -> Self {
        handle.waiters.fetch_add(1, Ordering::AcqRel);
        Self { handle, is_first }
    }
}

/// Waits for the end of a run. Whoever stops waiting does nothing to it.
pub(super) async fn end_of(handle: &Handle) -> Result<Arc<Report>, Fault> {
    let report = handle.ended().await;
    report.ok_or_else(|| {
        if !handle.rest.is_cancelled() {
            return Fault::new(Kind::Internal, code::INTERNAL, "the run was lost").sent();
        }
        let message = format!("the program ends; run {} goes on when it starts again", handle.run_id);
        let hint = format!("ask then with `get_run {{\"run_id\": \"{}\"}}`", handle.run_id);
        Fault::new(Kind::Unavailable, code::SHUTTING_DOWN, message).sent().hint(hint)
    })
}

/// Somebody who waits for a run. When the last is dropped before the run is over, and nobody has left it to itself, the run is
/// cancelled.
pub struct Waiter {
    handle: Arc<Handle>,
    /// Whether the run's progress is told to this one.
    is_first: bool,
}

impl Waiter {
    /// The run.
    pub fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    /// Waits for the end of the run.
    pub async fn ended(&mut self) -> Result<Arc<Report>, Fault> {
        end_of(&self.handle).await
    }

    /// Waits for the end of the run, or until it needs an answer that nobody is asked for.
    pub async fn ended_or_open(&mut self) -> Result<Stand, Fault> {
        let handle = Arc::clone(&self.handle);
        tokio::select! {
            biased;
            report = self.ended() => report.map(Stand::Ended),
            () = handle.board.has_some() => Ok(Stand::Waiting(handle.board.open())),
        }
    }

    /// Lets the run go on without anybody who waits for it.
    pub fn leave(self) -> Arc<Handle> {
        self.handle.left.cancel();
        Arc::clone(&self.handle)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let Handle { waiters, listener, left, rest, stop, .. } = &*self.handle;
        if self.is_first {
            listener.hush();
        }
        let is_last = waiters.fetch_sub(1, Ordering::AcqRel) == 1;
        // When the program ends everybody leaves, and that is no reason to cancel what another process can go on with.
        if is_last && self.handle.report().is_none() && !left.is_cancelled() && !rest.is_cancelled() {
            stop.cancel();
        }
    }
}

impl Gateway {
    /// Begins a run, which from then on goes on by itself.
    pub(super) fn launch(self: &Arc<Self>, mut what: Begin) -> Waiter {
        let held = what.held.take();
        let (going, handle) = if let Some(backend) = self.backend() {
            backend.carry(what)
        } else {
            let (going, handle) = begin(what);
            (Box::pin(going) as Carrying, handle)
        };
        let handle = Arc::new(handle);
        let waiter = Waiter::first(Arc::clone(&handle));
        let (run_id, stop) = (handle.run_id.clone(), handle.stop.clone());
        self.live.known().live.insert(run_id.clone(), handle);
        let gateway = Arc::clone(self);
        self.endings.spawn(async move {
            let report = going.await;
            drop(held);
            let Some(report) = report else {
                gateway.live.known().live.remove(&run_id);
                return;
            };
            gateway.live.known().end(&run_id, &report);
            // Otherwise whoever waits for it is told.
            if let Some(undoing) = report.undoing().filter(|_| stop.is_cancelled()) {
                tracing::warn!(run = report.run_id, workflow = report.workflow, "the caller left; {undoing}");
            }
        });
        waiter
    }

    /// The runs of `caller` that go on, the newest last.
    pub fn runs_of(&self, caller: &Principal) -> Vec<Arc<Handle>> {
        self.live.of(caller)
    }

    /// Cancelled once the program is about to end and begins no runs any more.
    pub fn closing(&self) -> CancellationToken {
        self.live.closing.clone()
    }

    /// Where results are kept.
    pub fn shelf(&self) -> Shelf {
        self.live.shelf.clone()
    }

    /// The places of tool calls of runs.
    pub fn step_places(&self) -> Arc<Gate> {
        Arc::clone(&self.steps)
    }

    /// Tells a run that something has happened; false if there is none that could hear it. A fault says why it has not heard of it
    /// where it is carried.
    pub async fn tell_run(&self, run_id: &str, what: What) -> Result<bool, Fault> {
        let handle = self.live.known().live.get(run_id).cloned();
        let Some(backend) = self.backend() else {
            return Ok(match handle {
                Some(handle) => handle.tell(what).await,
                None => false,
            });
        };
        match backend.tell(run_id, what).await {
            Ok(()) => {}
            Err(fault) if fault.code == code::NO_SUCH_RUN => return Ok(false),
            Err(fault) => return Err(fault),
        }
        if let Some(handle) = handle {
            // Whoever follows it looks soon what has come of it.
            let _ = handle.look().await;
        }
        Ok(true)
    }

    /// Ends every run, as far as it can in the time that there is.
    pub(super) fn stop_runs(&self, stop: &CancellationToken) {
        stop.cancel();
        self.live.close();
    }
}

/// About how many bytes a value takes.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(weight).sum::<usize>() + 16,
        Value::Object(members) => members.iter().map(|(key, value)| key.len() + weight(value)).sum::<usize>() + 16,
        _ => 16,
    }
}
