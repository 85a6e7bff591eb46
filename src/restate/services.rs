//! The services as Restate sees them; what they do stands in the modules that they name.
#![expect(clippy::unused_async, reason = "a handler is asynchronous, whether it waits for something or not")]

use std::sync::Arc;

use restate_sdk::context::{Context, ContextClient as _, ContextWriteState as _, ObjectContext, WorkflowContext};
use restate_sdk::errors::HandlerError;
use restate_sdk::serde::Json;

use crate::restate::parcel::{Parcel, Piece};
use crate::restate::serve::Worker;
use crate::restate::wire::{Ended, INBOX, Letter, Listener, News};
use crate::restate::{drive, parcel, step, topic};

/// Carries runs.
pub(super) struct Runs(pub(super) Arc<Worker>);

/// Makes calls.
pub(super) struct Steps(pub(super) Arc<Worker>);

/// Spreads events.
pub(super) struct Topics;

/// Keeps what is too large for a message.
pub(super) struct Parcels;

#[restate_sdk::workflow(name = "OrchestratorRun")]
impl Runs {
    #[handler]
    async fn run(&self, ctx: WorkflowContext<'_>, start: Json<Parcel>) -> Result<Json<Ended>, HandlerError> {
        Ok(Json(drive::drive(&ctx, &self.0, start.into_inner()).await?))
    }
}

#[restate_sdk::service(name = "OrchestratorStep")]
impl Steps {
    #[handler]
    async fn exec(&self, ctx: Context<'_>, order: Json<Parcel>) -> Result<Json<Parcel>, HandlerError> {
        Ok(Json(step::exec(&ctx, &self.0, &order.into_inner()).await?))
    }

    /// Tells a run that something has happened.
    #[handler]
    async fn tell(&self, ctx: Context<'_>, letter: Json<Letter>) -> Result<(), HandlerError> {
        let letter = letter.into_inner();
        ctx.invocation_handle(letter.to.clone()).signal(INBOX).resolve(Json(letter));
        Ok(())
    }
}

#[restate_sdk::object(name = "OrchestratorTopic")]
impl Topics {
    #[handler]
    async fn join(&self, ctx: ObjectContext<'_>, who: Json<Listener>) -> Result<(), HandlerError> {
        Ok(topic::join(&ctx, who.into_inner()).await?)
    }

    #[handler]
    async fn leave(&self, ctx: ObjectContext<'_>, who: Json<Listener>) -> Result<(), HandlerError> {
        Ok(topic::leave(&ctx, who.into_inner()).await?)
    }

    #[handler]
    async fn publish(&self, ctx: ObjectContext<'_>, news: Json<News>) -> Result<(), HandlerError> {
        Ok(topic::publish(&ctx, news.into_inner()).await?)
    }
}

#[restate_sdk::object(name = "OrchestratorParcel")]
impl Parcels {
    #[handler]
    async fn put(&self, ctx: ObjectContext<'_>, piece: Json<Piece>) -> Result<(), HandlerError> {
        parcel::keep(&ctx, piece.into_inner());
        Ok(())
    }

    /// The run that all of it is of is not kept any more.
    #[handler]
    async fn forget(&self, ctx: ObjectContext<'_>) -> Result<(), HandlerError> {
        ctx.clear_all();
        Ok(())
    }
}
