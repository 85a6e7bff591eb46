//! All endpoints: started together, stopped together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::downstream::endpoint::Endpoint;
use crate::downstream::hook::Hooks;
use crate::downstream::memory::Memory;
use crate::downstream::notice::{Inbox, Notice};
use crate::downstream::question::offered;
use crate::downstream::stdio::watchdog::Watchdog;
use crate::downstream::supervisor::{Surroundings, supervise};
use crate::model::chain::Hop;
use crate::registry::server::Registry;

/// The argument that selects the watchdog's hidden mode of the binary.
pub const WATCHDOG_MODE: &str = "__watchdog";

/// How many notices a slow listener may lag behind before it loses the oldest.
const NOTICES: usize = 256;

/// How long stopping all servers may take.
const STOP: Duration = Duration::from_millis(4500);

/// The endpoints of every server of a registry.
pub struct Pool {
    us: Hop,
    endpoints: BTreeMap<Arc<str>, Arc<Endpoint>>,
    notices: broadcast::Sender<Notice>,
    capabilities: watch::Sender<Option<Value>>,
    level: watch::Sender<Option<String>>,
    hooks: Hooks,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Pool {
    /// Starts supervising every server of `registry`. `program` is our own binary, which also plays the watchdog.
    /// `lineage` is what orchestrators among the servers are told about who has started them.
    /// What servers offer is recalled from `memory` and told to it.
    pub fn start(registry: &Registry, program: Option<PathBuf>, lineage: String, memory: Option<Arc<Memory>>) -> Self {
        let capabilities = watch::channel(None).0;
        let level = watch::channel(None).0;
        let instance = uuid::Uuid::new_v4();
        let us = Hop(instance.as_u64_pair().0);
        let watchdog = Watchdog::new(program, WATCHDOG_MODE, instance.simple().to_string(), lineage);
        let watchdog = Arc::new(watchdog);
        let (notices, _) = broadcast::channel(NOTICES);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let mut endpoints = BTreeMap::new();
        for (name, server) in registry.servers.iter().filter(|(_, server)| !server.disabled) {
            let inbox = Inbox::new(Arc::clone(name), notices.clone());
            let endpoint = Endpoint::new(Arc::clone(server), inbox, us);
            let endpoint = Arc::new(match &memory {
                Some(memory) => endpoint.remembering(memory),
                None => endpoint,
            });
            let surroundings = Surroundings {
                watchdog: Arc::clone(&watchdog),
                capabilities: capabilities.subscribe(),
                level: level.subscribe(),
            };
            tasks.spawn(supervise(Arc::clone(&endpoint), surroundings, stop.clone()));
            endpoints.insert(Arc::clone(name), endpoint);
        }
        let hooks = Hooks::new(watchdog, tasks.clone());
        Self { us, endpoints, notices, capabilities, level, hooks, tasks, stop }
    }

    /// Lets the servers start, which are told that a host with these `capabilities` is behind us. The first host counts.
    pub fn introduce(&self, capabilities: &Value) {
        self.capabilities.send_if_modified(|known| {
            let is_first = known.is_none();
            known.get_or_insert_with(|| offered(capabilities));
            is_first
        });
    }

    /// Asks every server that logs in the old way for messages of `level` and above, now and whenever it is started.
    pub fn set_log_level(&self, level: &str) {
        self.level.send_replace(Some(level.to_owned()));
    }

    /// This orchestrator, among others.
    pub fn us(&self) -> Hop {
        self.us
    }

    /// The level that [`Pool::set_log_level`] was last told.
    pub fn log_level(&self) -> Option<String> {
        self.level.borrow().clone()
    }

    /// The endpoint of `server`.
    pub fn get(&self, server: &str) -> Option<&Arc<Endpoint>> {
        self.endpoints.get(server)
    }

    /// Those who are asked for decisions.
    pub fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Every endpoint, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.endpoints.values()
    }

    /// Every server's log messages and resource updates, from now on.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    /// One receiver for each endpoint, which changes when what the server offers has changed.
    pub fn listings(&self) -> Vec<watch::Receiver<Option<Arc<crate::downstream::listing::Listing>>>> {
        self.iter().map(|endpoint| endpoint.listing.subscribe()).collect()
    }

    /// Starts the servers that wait to be needed and of which nothing is known, and waits until each of those has been listed
    /// once or has failed to be, but no longer than `limit`.
    pub async fn settle(&self, limit: Duration) {
        let unknown: Vec<_> = self.iter().filter(|endpoint| endpoint.listing().is_none()).collect();
        for endpoint in &unknown {
            endpoint.want();
        }
        let all = futures::future::join_all(unknown.iter().map(|endpoint| endpoint.settled()));
        if timeout(limit, all).await.is_err() {
            tracing::debug!("some servers are still starting");
        }
    }

    /// Ends every server, all at once.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        if timeout(STOP, self.tasks.wait()).await.is_err() {
            tracing::warn!("some servers did not end in time; the watchdog ends them");
        }
    }
}
