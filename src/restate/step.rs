//! One call of a run, made by whichever process Restate has picked.

use std::sync::Arc;

use restate_sdk::context::{Context, ContextSideEffects as _, ContextSignals as _, RunFuture as _};
use restate_sdk::errors::TerminalError;
use uuid::Uuid;

use crate::engine::event::{Called, Event, Failure, What};
use crate::model::code;
use crate::model::fault::Kind;
use crate::restate::serve::Node;
use crate::restate::wire::{Done, LARGEST, Order};
use crate::runner::effects::{Effects, Happened};

/// Makes the call, unless it must not be made twice and an earlier process may have made it.
///
/// What is written down before the call is made is not that it is made but by whom: whoever finds another's name there knows
/// that the other may have got as far as the server. The opposite mistake, to take a call for made that was not, costs a question.
pub(super) async fn exec(ctx: &Context<'_>, node: &Node, order: Order) -> Result<Done, TerminalError> {
    let Order { terms, call } = order;
    if call.is_once_only() {
        let mine = Uuid::new_v4().to_string();
        let me = mine.clone();
        let first = ctx.run(|| async move { Ok(me) }).name("intent").await?;
        if first != mine {
            return Ok(Done::Lost);
        }
    }
    let (at, attempt) = (call.at.clone(), call.attempt);
    let mut effects = Effects::new(terms.through(Arc::clone(&node.via), Arc::clone(&node.places)));
    effects.call(call);
    // Nobody sends this signal: it is waited for because that is how a step hears that it is cancelled.
    let happened = tokio::select! {
        biased;
        _ = ctx.signal::<()>("stop") => None,
        happened = made(&mut effects) => happened,
    };
    Ok(match happened {
        Some((now, Some(what))) => Done::Happened(Box::new(Event { now, what: bounded(what) })),
        Some((_, None)) => Done::Stopped,
        None => {
            effects.cancel(at, attempt);
            // A run within undoes what it has done before anybody else goes on undoing.
            effects.settled().await;
            Done::Stopped
        }
    })
}

/// What has happened, or that it is too large to be told.
fn bounded(what: What) -> What {
    match what {
        What::Called { at, attempt, outcome: Called::Result(result), usage } => {
            let size = serde_json::to_vec(&result).map_or(usize::MAX, |text| text.len());
            let outcome = if size > LARGEST { Called::Failure(too_large(size)) } else { Called::Result(result) };
            What::Called { at, attempt, outcome, usage }
        }
        other => other,
    }
}

fn too_large(size: usize) -> Failure {
    let message = format!("the result has {size} bytes, and on Restate no more than {LARGEST} travel");
    let failure = Failure::new(Kind::Invalid, code::PAYLOAD_TOO_LARGE, message);
    let hint = "the call was made; let the tool answer with less, or with a link to what is large".to_owned();
    Failure { hint: Some(hint), was_sent: true, ..failure }
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
