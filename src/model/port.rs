//! The one port through which everything is called.

use std::pin::Pin;
use std::sync::Arc;

use crate::model::call::{Call, Reply};
use crate::model::fault::Fault;

/// A boxed future, as ports return it.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Carries out a call. The gateway implements it; whoever needs to call something is handed it.
pub trait Invoke: Send + Sync {
    /// Carries out `call`. Dropping the future cancels the call, down to the server.
    fn invoke(self: Arc<Self>, call: Call) -> BoxFuture<Result<Reply, Fault>>;
}
