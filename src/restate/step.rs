//! One call of a run, made by whichever process Restate has picked.

use std::sync::Arc;
use std::time::Duration;

use restate_sdk::context::{Context, ContextAwakeables as _, ContextSideEffects as _, RunFuture as _};
use restate_sdk::errors::HandlerError;
use restate_sdk::serde::Json;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::engine::command::{Callee, StepCall};
use crate::engine::event::{Called, Event, Failure, What};
use crate::model::code;
use crate::model::fault::Fault;
use crate::restate::client::Waited;
use crate::restate::parcel::Parcel;
use crate::restate::serve::Worker;
use crate::restate::wire::{Done, Order, Terms};
use crate::runner::backend::Backend as _;
use crate::runner::drive::{id_of, is_for_the_next};
use crate::runner::effects::{Effects, Happened};

/// How long to wait before a run within is told once more that it is not wanted.
const PAUSE: Duration = Duration::from_millis(200);

/// Makes the call, unless it must not be made twice and an earlier process may have made it.
///
/// What becomes of it comes back by way of Restate, which keeps the first answer: whatever happens to this process after that, those
/// that replay the step find the same. A step that is cancelled hears of it where it waits for that answer, and drops the call.
pub(super) async fn exec(ctx: &Context<'_>, worker: &Worker, order: &Parcel) -> Result<Parcel, HandlerError> {
    let _under_way = worker.calls.token();
    let Order { terms, call } = order.open(&worker.on.client).await?;
    let run = terms.run.clone();
    let mine = Uuid::new_v4().to_string();
    let mut first = mine.clone();
    if call.is_once_only() {
        // Whoever finds another's name here knows that the other may have got as far as the server. The opposite mistake, to take
        // a call for made that was not, costs a question.
        let me = mine.clone();
        first = ctx.run(|| async move { Ok(me) }).name("intent").await?;
    }
    let (id, answer) = ctx.awakeable::<Json<Parcel>>();
    let (at, attempt) = (call.at.clone(), call.attempt);
    let inner = run_within(&terms, &call);
    let node = &worker.node;
    let mut effects = Effects::new(terms.through(Arc::clone(&node.via), Arc::clone(&node.places)));
    let made = async {
        let done = if first == mine { make(&mut effects, call).await } else { Done::Lost };
        if node.closing.is_cancelled() && is_left(&done) {
            return;
        }
        worker.on.client.answer(&id, &packed(worker, &run, done).await).await;
        // The answer itself ends this.
        std::future::pending::<()>().await;
    };
    let answered = tokio::select! {
        biased;
        answered = answer => answered,
        // Restate tries it again with another process.
        () = made => return Err("the program ends before the step has".into()),
    };
    if let Ok(Json(done)) = answered {
        return Ok(done);
    }
    effects.cancel(at, attempt);
    // A run within undoes what it has done before anybody else goes on undoing.
    if let Some(inner) = inner {
        withdraw(worker, &inner, &effects).await;
    }
    effects.settled().await;
    Ok(Parcel::whole(&Done::Stopped)?)
}

/// What has become of a call, ready to be told.
async fn packed(worker: &Worker, run: &str, mut done: Done) -> Parcel {
    loop {
        match Parcel::pack(&done, run, &worker.on.client).await {
            Ok(parcel) => return parcel,
            Err(fault) if fault.code == code::PAYLOAD_TOO_LARGE => done = refused(done, &fault),
            Err(fault) => {
                tracing::warn!("{fault}; a step cannot be answered yet");
                sleep(PAUSE).await;
            }
        }
    }
}

/// A result that is too large to be told is a failure.
fn refused(done: Done, fault: &Fault) -> Done {
    let Done::Happened(event) = done else { return Done::Stopped };
    let Event { now, what: What::Called { at, attempt, usage, .. } } = *event else { return Done::Stopped };
    let failure = Failure::new(fault.kind, fault.code, format!("the result cannot be told: {}", fault.message));
    let hint = "the call was made; let the tool answer with less, or with a link to what is large".to_owned();
    let outcome = Called::Failure(Failure { hint: Some(hint), was_sent: true, ..failure });
    Done::Happened(Box::new(Event { now, what: What::Called { at, attempt, outcome, usage } }))
}

/// Whether what has become of a call is no answer, as it may come of our end.
fn is_left(done: &Done) -> bool {
    match done {
        Done::Happened(event) => is_for_the_next(event),
        Done::Lost => false,
        Done::Stopped => true,
    }
}

/// The run that is the work of a call.
fn run_within(terms: &Terms, call: &StepCall) -> Option<String> {
    let is_waited_for = matches!(call.callee, Callee::Workflow(_)) && !call.is_detached;
    is_waited_for.then(|| id_of(&format!("{}/{}#{}", terms.run, call.at, call.attempt)))
}

/// Cancels a run that this step has begun, here or in an earlier process, and waits for its end.
async fn withdraw(worker: &Worker, run: &str, effects: &Effects) {
    let why = || What::CancelRequested { why: "the run that it is part of wants it no more".to_owned() };
    while let Err(fault) = worker.on.tell(run, why()).await {
        // None has begun, unless it is just being begun here.
        if timeout(PAUSE, effects.settled()).await.is_ok() && fault.code == code::NO_SUCH_RUN {
            return;
        }
        tracing::debug!(run, %fault, "a run within cannot be cancelled yet");
        sleep(PAUSE).await;
    }
    while let Ok(Waited::GoesOn) | Err(_) = worker.on.client.ended(run).await {
        sleep(PAUSE).await;
    }
}

async fn make(effects: &mut Effects, call: StepCall) -> Done {
    effects.call(call);
    match made(effects).await {
        Some((now, Some(what))) => Done::Happened(Box::new(Event { now, what })),
        Some((_, None)) | None => Done::Stopped,
    }
}

/// What comes of the only call. That it is about to be made is written down already.
async fn made(effects: &mut Effects) -> Option<Happened> {
    loop {
        match effects.next().await {
            Some((_, Some(What::Intended { .. }))) => effects.release(),
            other => return other,
        }
    }
}
