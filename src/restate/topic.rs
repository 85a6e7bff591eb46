//! Events between runs, wherever they go on: who waits for events of a name is kept with the name.

use restate_sdk::context::{ContextClient as _, ContextReadState as _, ContextWriteState as _, ObjectContext};
use restate_sdk::errors::TerminalError;
use restate_sdk::serde::Json;

use crate::restate::wire::{INBOX, Letter, Listener, News};

/// Who waits.
const LISTENERS: &str = "listeners";

async fn listeners(ctx: &ObjectContext<'_>) -> Result<Vec<Listener>, TerminalError> {
    Ok(ctx.get::<Json<Vec<Listener>>>(LISTENERS).await?.map(Json::into_inner).unwrap_or_default())
}

/// From now on this run hears of it.
pub(super) async fn join(ctx: &ObjectContext<'_>, who: Listener) -> Result<(), TerminalError> {
    let mut all = listeners(ctx).await?;
    if !all.contains(&who) {
        all.push(who);
        ctx.set(LISTENERS, Json(all));
    }
    Ok(())
}

/// The run is over.
pub(super) async fn leave(ctx: &ObjectContext<'_>, who: Listener) -> Result<(), TerminalError> {
    let mut all = listeners(ctx).await?;
    all.retain(|other| *other != who);
    if all.is_empty() {
        ctx.clear(LISTENERS);
    } else {
        ctx.set(LISTENERS, Json(all));
    }
    Ok(())
}

/// Tells all who wait.
pub(super) async fn publish(ctx: &ObjectContext<'_>, news: News) -> Result<(), TerminalError> {
    for listener in listeners(ctx).await? {
        let letter = Letter { to: listener.invocation.clone(), now: news.now, what: news.what.clone() };
        ctx.invocation_handle(listener.invocation).signal(INBOX).resolve(Json(letter));
    }
    Ok(())
}
