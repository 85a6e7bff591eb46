//! All endpoints: started together, stopped together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde_json::Value;
use tokio::sync::{broadcast, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::downstream::endpoint::Endpoint;
use crate::downstream::listing::Listing;
use crate::downstream::memory::Memory;
use crate::downstream::notice::{Inbox, Notice};
use crate::downstream::question::offered;
use crate::downstream::stdio::watchdog::Watchdog;
use crate::downstream::supervisor::{Surroundings, supervise};
use crate::model::chain::Hop;
use crate::registry::server::{Registry, Server};

/// The argument that selects the watchdog's hidden mode of the binary.
pub const WATCHDOG_MODE: &str = "__watchdog";

/// How many notices a slow listener may lag behind before it loses the oldest.
const NOTICES: usize = 256;

/// How long stopping all servers may take.
const STOP: Duration = Duration::from_millis(4500);

/// How long a server that is removed or replaced may go on with the calls that it was given before.
const DRAIN: Duration = Duration::from_secs(30);

/// How often it is looked whether they have come to an end.
const LOOK: Duration = Duration::from_millis(50);

/// The endpoints of every server of a registry.
pub struct Pool {
    us: Hop,
    endpoints: ArcSwap<Endpoints>,
    /// Changes when there are other endpoints.
    replaced: watch::Sender<()>,
    watchdog: Arc<Watchdog>,
    memory: Option<Arc<Memory>>,
    notices: broadcast::Sender<Notice>,
    capabilities: watch::Sender<Option<Value>>,
    level: watch::Sender<Option<String>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// By the names of their servers.
type Endpoints = BTreeMap<Arc<str>, Arc<Endpoint>>;

/// Tells of changes of what servers offer.
pub struct Offers {
    /// One for each endpoint.
    pub listings: Vec<watch::Receiver<Option<Arc<Listing>>>>,
    /// Changes when there are other endpoints, so that it is to be asked for anew.
    pub replaced: watch::Receiver<()>,
}

/// Endpoints that are to take the place of those that there are.
pub struct Prepared {
    endpoints: Endpoints,
    new: Vec<Arc<Endpoint>>,
}

impl Prepared {
    /// Waits until what the new servers offer is known, but no longer than `limit`.
    pub async fn settle(&self, limit: Duration) {
        settle(&self.new, limit).await;
    }
}

impl Pool {
    /// Starts supervising every server of `registry`. `program` is our own binary, which also plays the watchdog.
    /// `lineage` is what orchestrators among the servers are told about who has started them.
    /// What servers offer is recalled from `memory` and told to it.
    pub fn start(registry: &Registry, program: Option<PathBuf>, lineage: String, memory: Option<Arc<Memory>>) -> Self {
        let instance = uuid::Uuid::new_v4();
        let watchdog = Watchdog::new(program, WATCHDOG_MODE, instance.simple().to_string(), lineage);
        let pool = Self {
            us: Hop(instance.as_u64_pair().0),
            endpoints: ArcSwap::default(),
            replaced: watch::channel(()).0,
            watchdog: Arc::new(watchdog),
            memory,
            notices: broadcast::channel(NOTICES).0,
            capabilities: watch::channel(None).0,
            level: watch::channel(None).0,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let first = pool.prepare(registry);
        pool.replace(first);
        pool
    }

    /// Endpoints for `registry`: those that there are for servers that are as they were, new ones, which are started, for all
    /// others. None of them is called before it is all put in place by [`Pool::replace`].
    pub fn prepare(&self, registry: &Registry) -> Prepared {
        let old = self.endpoints.load_full();
        let mut prepared = Prepared { endpoints: BTreeMap::new(), new: Vec::new() };
        for (name, server) in registry.servers.iter().filter(|(_, server)| !server.disabled) {
            let known = old.get(name);
            let same = known.filter(|known| known.server == *server).cloned();
            let endpoint = same.unwrap_or_else(|| {
                let new = self.begin(server, known);
                prepared.new.push(Arc::clone(&new));
                new
            });
            prepared.endpoints.insert(Arc::clone(name), endpoint);
        }
        prepared
    }

    /// Begins to supervise `server`, in place of the endpoint `old`.
    fn begin(&self, server: &Arc<Server>, old: Option<&Arc<Endpoint>>) -> Arc<Endpoint> {
        let inbox = Inbox::new(Arc::clone(&server.name), self.notices.clone());
        let mut endpoint = Endpoint::new(Arc::clone(server), inbox, self.us);
        endpoint.stop = self.stop.child_token();
        if let Some(old) = old {
            // Who watches a resource watches it at whoever has the server's name.
            endpoint.watched = Arc::clone(&old.watched);
        }
        let endpoint = Arc::new(match &self.memory {
            Some(memory) => endpoint.remembering(memory),
            None => endpoint,
        });
        let surroundings = Surroundings {
            watchdog: Arc::clone(&self.watchdog),
            capabilities: self.capabilities.subscribe(),
            level: self.level.subscribe(),
        };
        self.tasks.spawn(supervise(Arc::clone(&endpoint), surroundings, endpoint.stop.clone()));
        endpoint
    }

    /// Puts endpoints in place of those that there are. Those that are left out end once the calls that they have are over,
    /// and after half a minute at the latest.
    pub fn replace(&self, prepared: Prepared) {
        let old = self.endpoints.swap(Arc::new(prepared.endpoints));
        self.replaced.send_replace(());
        let now = self.endpoints.load_full();
        for (name, endpoint) in old.iter() {
            if !now.get(name).is_some_and(|kept| Arc::ptr_eq(kept, endpoint)) {
                self.tasks.spawn(retire(Arc::clone(endpoint)));
            }
        }
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
    pub fn get(&self, server: &str) -> Option<Arc<Endpoint>> {
        self.endpoints.load().get(server).cloned()
    }

    /// Every endpoint, by name.
    pub fn iter(&self) -> impl Iterator<Item = Arc<Endpoint>> + use<> {
        self.endpoints.load().values().cloned().collect::<Vec<_>>().into_iter()
    }

    /// Every server's log messages and resource updates, from now on.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    /// What tells of changes of what servers offer, from now on.
    pub fn offers(&self) -> Offers {
        // In this order: whoever is put in place in between is told as a change.
        let replaced = self.replaced.subscribe();
        Offers { listings: self.iter().map(|endpoint| endpoint.listing.subscribe()).collect(), replaced }
    }

    /// Starts the servers that wait to be needed and of which nothing is known, and waits until each of those has been listed
    /// once or has failed to be, but no longer than `limit`.
    pub async fn settle(&self, limit: Duration) {
        settle(&self.iter().collect::<Vec<_>>(), limit).await;
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

async fn settle(endpoints: &[Arc<Endpoint>], limit: Duration) {
    let unknown: Vec<_> = endpoints.iter().filter(|endpoint| endpoint.listing().is_none()).collect();
    for endpoint in &unknown {
        endpoint.want();
    }
    let all = futures::future::join_all(unknown.iter().map(|endpoint| endpoint.settled()));
    if timeout(limit, all).await.is_err() {
        tracing::debug!("some servers are still starting");
    }
}

/// Ends an endpoint that is not called any more, once what it was called for is over.
async fn retire(endpoint: Arc<Endpoint>) {
    let over = async {
        while endpoint.counters().in_flight > 0 {
            sleep(LOOK).await;
        }
    };
    if let Some(Err(_)) = endpoint.stop.run_until_cancelled(timeout(DRAIN, over)).await {
        tracing::warn!(server = %endpoint.server.name, "is ended although calls to it are not over");
    }
    endpoint.stop.cancel();
}
