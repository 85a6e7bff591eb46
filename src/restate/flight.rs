//! What a run on Restate has set off and has not come back: calls, one alarm for all timers, and the inbox.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::pin::Pin;
use std::time::Duration;

use restate_sdk::context::{
    CallFuture as _, ContextClient as _, ContextSignals as _, ContextTimers as _, DurableFuture,
    DurableFuturesUnordered, InvocationHandle, RequestTarget, WorkflowContext,
};
use restate_sdk::errors::{HandlerError, TerminalError};
use restate_sdk::serde::Json;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::engine::command::{Callee, StepCall};
use crate::engine::event::{Called, Event, Failure, Timestamp, What};
use crate::model::code;
use crate::model::fault::Fault;
use crate::model::usage::Usage;
use crate::restate::client::Client;
use crate::restate::parcel::Parcel;
use crate::restate::wire::{Done, INBOX, Letter, Order, STEP, Terms};
use crate::runner::effects::now;

/// How many calls of one run are in flight at once: well below the number of futures that Restate lets a handler wait for (1000).
/// More wait.
const MOST: usize = 500;

/// An address and an attempt.
type Key = (String, u32);

type Awaited<'c> = Pin<Box<dyn DurableFuture<Output = Came> + Send + 'c>>;

/// Something that was waited for.
enum Came {
    Called(Key, Result<Json<Parcel>, TerminalError>),
    Slept(Timestamp),
    Letter(Result<Box<Letter>, TerminalError>),
}

/// What happens next to a run.
pub(super) enum Next {
    /// This.
    Event(Box<Event>),
    /// It is so late now; see [`Flight::due`].
    Late(Timestamp),
    /// Somebody has cancelled the invocation itself, with Restate's own means.
    Cancelled,
}

/// What is outstanding of a run.
pub(super) struct Flight<'c> {
    ctx: &'c WorkflowContext<'c>,
    client: &'c Client,
    terms: Terms,
    awaited: DurableFuturesUnordered<Awaited<'c>>,
    /// Those without a handle cannot be told that they are not wanted.
    calls: HashMap<Key, Option<InvocationHandle>>,
    /// Runs that were set off and are not over, the cancelled ones included: what is done after the end waits for them.
    within: HashSet<Key>,
    /// Calls whose turn has not come.
    held: VecDeque<StepCall>,
    timers: BTreeSet<(Timestamp, String)>,
    /// When Restate wakes us. A timer that is forgotten costs nothing: only a time before all of these is told to Restate.
    alarms: BTreeSet<Timestamp>,
    /// Somebody has cancelled the invocation, which is told once: to whoever awaits something at that time.
    is_cancelled: bool,
    /// Calls that cannot be made.
    refused: VecDeque<Event>,
    /// Whether anything was kept in pieces.
    pub(super) has_pieces: bool,
}

impl<'c> Flight<'c> {
    /// Nothing but the inbox.
    pub(super) fn new(ctx: &'c WorkflowContext<'c>, client: &'c Client, terms: Terms) -> Self {
        let mut flight = Self {
            ctx,
            client,
            terms,
            awaited: DurableFuturesUnordered::new(),
            calls: HashMap::new(),
            within: HashSet::new(),
            held: VecDeque::new(),
            timers: BTreeSet::new(),
            alarms: BTreeSet::new(),
            is_cancelled: false,
            refused: VecDeque::new(),
            has_pieces: false,
        };
        flight.listen();
        flight
    }

    fn listen(&mut self) {
        let ctx = self.ctx;
        let letter = ctx.signal::<Json<Letter>>(INBOX);
        self.awaited.push(Box::pin(letter.map(|letter| Came::Letter(letter.map(|Json(letter)| Box::new(letter))))));
    }

    /// Something else that was awaited has told that the invocation is cancelled; it is what happens next.
    pub(super) fn hear_of_cancellation(&mut self) {
        self.is_cancelled = true;
    }

    /// Makes calls, all of them at once as far as they may be.
    pub(super) async fn call(&mut self, calls: Vec<StepCall>) -> Result<(), HandlerError> {
        self.held.extend(calls);
        self.launch().await
    }

    /// Something of the run, ready to travel or to be kept.
    pub(super) async fn pack(&mut self, what: &(impl Serialize + Sync)) -> Result<Parcel, Fault> {
        let parcel = Parcel::pack(what, &self.terms.run, self.client).await?;
        self.has_pieces |= parcel.is_in_pieces();
        Ok(parcel)
    }

    /// What has come.
    pub(super) async fn open<T: DeserializeOwned>(&mut self, parcel: &Parcel) -> Result<T, Fault> {
        self.has_pieces |= parcel.is_in_pieces();
        parcel.open(self.client).await
    }

    async fn launch(&mut self) -> Result<(), HandlerError> {
        let ctx = self.ctx;
        let mut made = Vec::new();
        for _ in 0..self.held.len() {
            let Some(call) = self.held.pop_front() else { break };
            let must_wait = call.is_afterwards && !self.within.is_empty();
            if must_wait || self.calls.len() + made.len() >= MOST {
                self.held.push_back(call);
                continue;
            }
            let key = (call.at.clone(), call.attempt);
            if matches!(call.callee, Callee::Workflow(_)) && !call.is_afterwards && !call.is_detached {
                self.within.insert(key.clone());
            }
            let order = Order { terms: self.terms.clone(), call };
            let parcel = match self.pack(&order).await {
                Ok(parcel) => parcel,
                Err(fault) if fault.code == code::PAYLOAD_TOO_LARGE => {
                    self.within.remove(&key);
                    self.refused.push_back(refused(key, &fault));
                    continue;
                }
                Err(fault) => return Err(fault.into()),
            };
            let request = ctx.request::<Json<Parcel>, Json<Parcel>>(RequestTarget::service(STEP, "exec"), Json(parcel));
            made.push((key, request.call()));
        }
        // Restate names them all in one go; the answers come later than the names.
        for (key, call) in made {
            let mut handle = call.invocation_handle().await;
            if handle.is_err() {
                self.is_cancelled = true;
                handle = call.invocation_handle().await;
            }
            self.calls.insert(key.clone(), handle.ok());
            self.awaited.push(Box::pin(call.map(|done| Came::Called(key, done))));
        }
        Ok(())
    }

    /// A call is no longer wanted: whoever makes it hears of it at once.
    pub(super) fn cancel(&mut self, at: &str, attempt: u32) {
        self.held.retain(|call| !(call.at == at && call.attempt == attempt));
        if let Some(handle) = self.calls.remove(&(at.to_owned(), attempt)).flatten() {
            handle.cancel();
        }
    }

    /// Starts a timer.
    pub(super) fn timer(&mut self, at: String, due: Timestamp) {
        self.timers.insert((due, at));
        self.arm();
    }

    /// Stops a timer.
    pub(super) fn forget(&mut self, at: &str) {
        self.timers.retain(|(_, timer)| timer != at);
    }

    /// A timer that has gone off by `late`.
    pub(super) fn due(&mut self, late: Timestamp) -> Option<Event> {
        let due = self.timers.first().filter(|(due, _)| *due <= late).cloned();
        let Some((now, at)) = due else {
            self.arm();
            return None;
        };
        self.timers.remove(&(now, at.clone()));
        Some(Event { now, what: What::Fired { at } })
    }

    fn arm(&mut self) {
        let Some((due, _)) = self.timers.first() else { return };
        let due = *due;
        if self.alarms.first().is_some_and(|first| *first <= due) {
            return;
        }
        self.alarms.insert(due);
        // When it is replayed, the time that was told first counts.
        let sleep = self.ctx.sleep(Duration::from_millis(due.saturating_sub(now())));
        self.awaited.push(Box::pin(sleep.map(move |_| Came::Slept(due))));
    }

    /// Waits for what happens next. Never without end: a run that waits for nothing else waits for its inbox.
    pub(super) async fn next(&mut self) -> Result<Next, HandlerError> {
        loop {
            if std::mem::take(&mut self.is_cancelled) {
                return Ok(Next::Cancelled);
            }
            if let Some(refused) = self.refused.pop_front() {
                return Ok(Next::Event(Box::new(refused)));
            }
            let came = match self.awaited.next().await {
                Ok(Some((_, came))) => came,
                Ok(None) => {
                    self.listen();
                    continue;
                }
                Err(_) => return Ok(Next::Cancelled),
            };
            match came {
                Came::Slept(due) => {
                    self.alarms.remove(&due);
                    return Ok(Next::Late(due));
                }
                Came::Letter(letter) => {
                    self.listen();
                    if let Ok(letter) = letter {
                        let what = self.open(&letter.what).await?;
                        return Ok(Next::Event(Box::new(Event { now: letter.now, what })));
                    }
                }
                Came::Called(key, done) => {
                    let is_wanted = self.calls.remove(&key).is_some();
                    self.within.remove(&key);
                    self.launch().await?;
                    if is_wanted {
                        let done = match done {
                            Ok(Json(parcel)) => Some(self.open(&parcel).await?),
                            Err(_) => None,
                        };
                        return Ok(called(key, done));
                    }
                }
            }
        }
    }
}

/// A call that is too large to be made.
fn refused((at, attempt): Key, fault: &Fault) -> Event {
    let failure = Failure::new(fault.kind, fault.code, format!("the arguments cannot be told: {}", fault.message));
    let outcome = Called::Failure(Failure { hint: fault.hint.clone(), ..failure });
    Event { now: 0, what: What::Called { at, attempt, outcome, usage: Usage::default() } }
}

fn called((at, attempt): Key, done: Option<Done>) -> Next {
    match done {
        Some(Done::Happened(event)) => Next::Event(event),
        // Somebody has ended it with Restate's own means: nobody knows how far it had got.
        Some(Done::Lost | Done::Stopped) | None => {
            Next::Event(Box::new(Event { now: 0, what: What::Lost { at, attempt } }))
        }
    }
}
