//! All endpoints: started together, stopped together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::downstream::endpoint::Endpoint;
use crate::downstream::fleet::Fleet;
use crate::downstream::hook::Hooks;
use crate::downstream::memory::Memory;
use crate::downstream::notice::{Inbox, Notice};
use crate::downstream::pace::Pace;
use crate::downstream::question::offered;
use crate::downstream::scaling::scale;
use crate::downstream::stdio::watchdog::Watchdog;
use crate::downstream::supervisor::{Surroundings, supervise};
use crate::model::chain::Hop;
use crate::registry::server::{Registry, Server, Start};

/// The argument that selects the watchdog's hidden mode of the binary.
pub const WATCHDOG_MODE: &str = "__watchdog";

/// Who speaks where we do ourselves; no server can be called so.
pub const OURSELVES: &str = "mcp-orchestrator/levels";

/// How many notices a slow listener may lag behind before it loses the oldest.
const NOTICES: usize = 256;

/// How long stopping all servers may take.
const STOP: Duration = Duration::from_millis(4500);

/// Every server of a registry.
pub struct Pool {
    us: Hop,
    fleets: BTreeMap<Arc<str>, Arc<Fleet>>,
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
    pub fn start(registry: &Registry, program: Option<PathBuf>, lineage: String, memory: Option<&Arc<Memory>>) -> Self {
        let capabilities = watch::channel(None).0;
        let level = watch::channel(None).0;
        let instance = uuid::Uuid::new_v4();
        let us = Hop(instance.as_u64_pair().0);
        let watchdog = Watchdog::new(program, WATCHDOG_MODE, instance.simple().to_string(), lineage);
        let watchdog = Arc::new(watchdog);
        let (notices, _) = broadcast::channel(NOTICES);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let mut fleets = BTreeMap::new();
        for (name, server) in registry.servers.iter().filter(|(_, server)| !server.disabled) {
            let (pace, used) = (Arc::new(Pace::new(server)), Arc::new(Mutex::new(Instant::now())));
            let mut endpoints = Vec::new();
            for (place, (one, tier)) in instances(server).into_iter().enumerate() {
                let inbox = Inbox::new(Arc::clone(name), notices.clone());
                let endpoint = Endpoint::new(one, inbox, us, place, (Arc::clone(&pace), Arc::clone(&used)));
                let endpoint = Arc::new(match memory {
                    Some(memory) => endpoint.remembering(memory),
                    None => endpoint,
                });
                let surroundings = Surroundings {
                    watchdog: Arc::clone(&watchdog),
                    capabilities: capabilities.subscribe(),
                    level: level.subscribe(),
                };
                tasks.spawn(supervise(Arc::clone(&endpoint), surroundings, stop.clone()));
                endpoints.push((endpoint, tier));
            }
            let fleet = Arc::new(Fleet::new(Arc::clone(server), endpoints));
            if server.replicas.is_elastic() {
                tasks.spawn(scale(Arc::clone(&fleet), stop.clone()));
            }
            fleets.insert(Arc::clone(name), fleet);
        }
        let hooks = Hooks::new(watchdog, tasks.clone());
        Self { us, fleets, notices, capabilities, level, hooks, tasks, stop }
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

    /// The server `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<Fleet>> {
        self.fleets.get(name)
    }

    /// Those who are asked for decisions.
    pub fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Every server, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Fleet>> {
        self.fleets.values()
    }

    /// Every server's log messages and resource updates, from now on.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    /// Tells hosts a line of our own, as a log message of `level`.
    pub fn say(&self, level: &str, line: &str) {
        let params = json!({ "level": level, "data": line });
        let notice = Notice {
            server: OURSELVES.into(),
            method: "notifications/message".into(),
            params: to_raw_value(&params).ok().map(Arc::from),
        };
        // Fails only while no host listens.
        let _ = self.notices.send(notice);
    }

    /// One receiver for each endpoint, which changes when what the server offers has changed.
    pub fn listings(&self) -> Vec<watch::Receiver<Option<Arc<crate::downstream::listing::Listing>>>> {
        self.iter().flat_map(|fleet| fleet.endpoints()).map(|endpoint| endpoint.listing.subscribe()).collect()
    }

    /// Starts the servers that wait to be needed and of which nothing is known, and waits until each of those has been listed
    /// once or has failed to be, but no longer than `limit`.
    pub async fn settle(&self, limit: Duration) {
        let unknown: Vec<_> = self.iter().filter(|fleet| fleet.listing().is_none()).collect();
        for fleet in &unknown {
            fleet.want();
        }
        let all = futures::future::join_all(unknown.iter().map(|fleet| fleet.settled()));
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

/// The entries of all instances of `server`, each with its tier. Those beyond its minimum are started when they are needed.
fn instances(server: &Arc<Server>) -> Vec<(Arc<Server>, u32)> {
    let replicas = &server.replicas;
    let alike = (0..replicas.max - replicas.others.len()).map(|place| {
        if place < replicas.min {
            return (Arc::clone(server), 0);
        }
        (Arc::new(Server { start: Start::Lazy, ..Server::clone(server) }), 0)
    });
    let others = replicas
        .others
        .iter()
        .map(|other| (Arc::new(Server { launch: other.launch.clone(), ..Server::clone(server) }), other.tier));
    alike.chain(others).collect()
}
