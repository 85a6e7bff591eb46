//! What carries the runs, as the registry says: this process, or Restate.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::app::run::App;
use crate::model::fault::Fault;
use crate::registry::engine::{Engine, Restate};
use crate::runner::backend::Backend;

/// Waits for the work that comes from what carries the runs.
pub struct Carrier(Inner);

#[cfg(feature = "restate")]
type Inner = (crate::restate::serve::Bound, crate::restate::serve::Node);

#[cfg(not(feature = "restate"))]
type Inner = std::convert::Infallible;

/// What carries the runs, if it is not this process. A fault says why that cannot be.
pub fn backend(engine: &Engine) -> Result<Option<Arc<dyn Backend>>, Fault> {
    match engine {
        Engine::Embedded => Ok(None),
        Engine::Restate(at) => restate(at).map(Some),
    }
}

#[cfg(feature = "restate")]
fn restate(at: &Restate) -> Result<Arc<dyn Backend>, Fault> {
    Ok(Arc::new(crate::restate::store::OnRestate::new(at)?))
}

#[cfg(not(feature = "restate"))]
fn restate(_: &Restate) -> Result<Arc<dyn Backend>, Fault> {
    use crate::model::code;
    use crate::model::fault::Kind;
    let message = "the registry says `backend = \"restate\"`, and this program was built without it";
    Err(Fault::new(Kind::Invalid, code::NO_BACKEND, message)
        .hint("install it with `--features restate`, or say `backend = \"embedded\"` under `[engine]`"))
}

impl App {
    /// Whether runs are carried elsewhere than in this process.
    pub fn is_carried_elsewhere(&self) -> bool {
        self.gateway().registry().engine != Engine::Embedded
    }

    /// Has the runs carried as the registry says. A fault says why that cannot be.
    pub fn choose_backend(&self) -> Result<(), Fault> {
        if let Some(backend) = backend(&self.gateway().registry().engine)? {
            self.gateway().carry_runs_by(backend);
        }
        Ok(())
    }

    /// Binds what the work comes through, if it comes from elsewhere.
    #[cfg(feature = "restate")]
    pub async fn bind_carrier(&self) -> Result<Option<Carrier>, String> {
        let registry = self.gateway().registry();
        let Engine::Restate(at) = &registry.engine else { return Ok(None) };
        let bound = crate::restate::serve::Bound::bind(at).await?;
        let node = crate::restate::serve::Node {
            via: Arc::clone(self.gateway()) as _,
            places: self.gateway().step_places(),
            shelf: self.gateway().shelf(),
            keep: registry.orchestrator.keep_runs,
            grace: registry.orchestrator.shutdown_grace,
            closing: self.gateway().closing(),
        };
        Ok(Some(Carrier((bound, node))))
    }

    /// Binds what the work comes through, if it comes from elsewhere.
    #[cfg(not(feature = "restate"))]
    #[expect(clippy::unused_async, reason = "the same as with the feature")]
    pub async fn bind_carrier(&self) -> Result<Option<Carrier>, String> {
        Ok(None)
    }
}

impl Carrier {
    /// Does the work that comes, until `stop`; what is under way then has the registry's `shutdown_grace` to come to its end.
    #[cfg(feature = "restate")]
    pub async fn serve(self, stop: CancellationToken) {
        let (bound, node) = self.0;
        Box::pin(bound.serve(node, stop)).await;
    }

    /// Does the work that comes; without the feature there is none.
    #[cfg(not(feature = "restate"))]
    #[expect(clippy::unused_async, reason = "the same as with the feature")]
    pub async fn serve(self, _: CancellationToken) {
        match self.0 {}
    }
}
