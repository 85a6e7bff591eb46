//! The running program: servers behind, one door, and an orderly end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::app::carrier::Carrier;
use crate::app::files::place;
use crate::app::load::Loaded;
use crate::app::reload::Watched;
use crate::discovery::search::Searches;
use crate::downstream::memory::Memory;
use crate::downstream::pool::Pool;
use crate::gateway::door::Gateway;
use crate::journal::retention::Retention;
use crate::journal::writer::Journal;
use crate::model::fault::Fault;
use crate::runner::effects::now;
use crate::server::http::serve::Bound;
use crate::server::stdio;

/// Patterns of workflow files, each with the folder that it starts at.
type Patterns = Vec<(PathBuf, String)>;

/// The running program.
pub struct App {
    gateway: Arc<Gateway>,
    searches: Searches,
    /// Through which its hosts and operators see; everything if `None`.
    profile: Option<Arc<str>>,
    /// Where workflow files are looked for.
    patterns: Arc<ArcSwap<Patterns>>,
    /// Set when somebody wants the files to be read anew.
    hang_up: Notify,
}

impl App {
    /// Starts the servers and opens the door, as [`App::start_with`] does, without a memory.
    pub fn start(loaded: Loaded, program: Option<PathBuf>, profile: Option<&str>) -> Self {
        Self::start_with(loaded, program, profile, None)
    }

    /// Starts the servers and opens the door. What servers offer is recalled from `memory` and told to it. `program` is our own
    /// binary, which also plays the watchdog; hosts and operators see through `profile`.
    pub fn start_with(loaded: Loaded, program: Option<PathBuf>, profile: Option<&str>, memory: Option<Memory>) -> Self {
        let problems = loaded.problems.iter().map(ToString::to_string).collect();
        let memory = memory.map(Arc::new);
        let pool = Arc::new(Pool::start(&loaded.registry, program, loaded.lineage, memory));
        let searches = Searches::new(Arc::clone(&pool));
        let gateway = Gateway::open(Arc::new(loaded.registry), Arc::new(loaded.workflows), pool, problems);
        gateway.show_sources(Arc::clone(searches.board()));
        let patterns = Arc::new(ArcSwap::from_pointee(loaded.patterns));
        Self { gateway, searches, profile: profile.map(Arc::from), patterns, hang_up: Notify::new() }
    }

    /// Stores runs in `folder`, as the registry says. An error says why they are not.
    pub fn store_runs(&self, folder: &Path) -> Result<(), String> {
        let settings = &self.gateway.registry().orchestrator;
        let retention = Retention { age: settings.keep_runs, count: settings.keep_runs_count };
        let journal = Journal::open(folder, retention, now()).map_err(|why| why.to_string())?;
        if let Some(aside) = &journal.aside {
            tracing::error!("the journal was broken; it was put aside as {}, and a new one begun", aside.display());
        }
        self.gateway.store_runs(Arc::new(journal))
    }

    /// The profile through which hosts and operators see.
    pub fn profile(&self) -> Option<&Arc<str>> {
        self.profile.as_ref()
    }

    /// Lets the servers start without a host behind us: an operator answers no questions.
    #[must_use]
    pub fn without_host(self) -> Self {
        self.gateway.pool().introduce(&serde_json::Value::Null);
        self
    }

    /// Lets hosts save workflows where the first pattern that can finds them; the error says that there is none.
    pub fn allow_authoring(&self) -> Result<(), String> {
        if self.patterns.load().is_empty() {
            return Err(
                "no folder of workflows is named, neither by `workflows` of the registry nor by --workflows".to_owned()
            );
        }
        let patterns = Arc::clone(&self.patterns);
        let first = move |name: &str| patterns.load().iter().find_map(|(base, pattern)| place(base, pattern, name));
        self.gateway.allow_authoring(Box::new(first));
        Ok(())
    }

    /// From now on workflow files are looked for by these.
    pub(super) fn look_by(&self, patterns: Patterns) {
        self.patterns.store(Arc::new(patterns));
    }

    /// Has the files read anew, if they are watched.
    pub fn reload(&self) {
        self.hang_up.notify_one();
    }

    /// Waits until somebody wants the files to be read anew.
    pub(super) async fn hung_up(&self) {
        self.hang_up.notified().await;
    }

    /// Asks the sources of servers.
    pub(super) fn searches(&self) -> &Searches {
        &self.searches
    }

    /// The one door.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Serves hosts until `stop`, or until a required server cannot be started: that is the error. With `is_stdio` the end of
    /// the host at our standard streams is the end of it all. `watched` are the files that are read anew when they change.
    pub async fn serve(
        &self,
        is_stdio: bool,
        http: Option<Bound>,
        carrier: Option<Carrier>,
        watched: Watched,
        stop: CancellationToken,
    ) -> Result<(), Fault> {
        let end = stop.child_token();
        let wishes = self.wishes();
        self.begin_search(&watched);
        let over_stdio = async {
            if is_stdio {
                stdio::serve(Arc::clone(&self.gateway), self.profile.clone(), end.clone()).await;
                end.cancel();
            }
        };
        let over_http = async {
            if let Some(bound) = http {
                bound.serve(Arc::clone(&self.gateway), self.profile.clone(), end.clone()).await;
            }
        };
        let carrying = async {
            if let Some(carrier) = carrier {
                let closing = self.gateway.closing();
                let over = end.child_token();
                let until_over = async {
                    tokio::select! {
                        () = closing.cancelled() => over.cancel(),
                        () = end.cancelled() => {}
                    }
                };
                tokio::join!(carrier.serve(over.clone()), until_over);
            }
        };
        let served = async { tokio::join!(over_stdio, over_http, carrying) };
        tokio::select! {
            _ = served => Ok(()),
            fault = self.required() => Err(fault),
            () = self.keep_current(watched, wishes) => Ok(()),
        }
    }

    /// Waits for a required server to fail its start; for ever if none does.
    async fn required(&self) -> Fault {
        for endpoint in self.gateway.pool().iter().filter(|endpoint| endpoint.server.required) {
            endpoint.want();
            endpoint.settled().await;
            let state = endpoint.state();
            if let Some(fault) = state.fault {
                return fault.server(endpoint.server.name.as_ref());
            }
        }
        std::future::pending().await
    }

    /// Ends every server. Takes at most about five seconds, three more if runs are being undone, and the registry's
    /// `shutdown_grace` if calls of runs are in flight.
    pub async fn close(self) {
        let grace = self.gateway.registry().orchestrator.shutdown_grace;
        let close = async {
            self.searches.stop().await;
            self.gateway.close().await;
        };
        if timeout(grace + Duration::from_secs(9), close).await.is_err() {
            tracing::warn!("not everything ended in time");
        }
    }
}
