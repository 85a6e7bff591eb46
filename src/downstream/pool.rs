//! All endpoints: started together, stopped together.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::downstream::endpoint::Endpoint;
use crate::downstream::fleet::{Fleet, Replica};
use crate::downstream::hook::Hooks;
use crate::downstream::listing::Listing;
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

/// How long a server that is removed or replaced may go on with the calls that it was given before.
const DRAIN: Duration = Duration::from_secs(30);

/// How much longer than the first one new servers may take to be listed with it.
const STRAGGLERS: Duration = Duration::from_secs(1);

/// How often it is looked whether they have come to an end.
const LOOK: Duration = Duration::from_millis(50);

/// Every server of a registry.
pub struct Pool {
    us: Hop,
    fleets: ArcSwap<Fleets>,
    /// Changes when there are other servers.
    replaced: watch::Sender<()>,
    watchdog: Arc<Watchdog>,
    memory: Option<Arc<Memory>>,
    notices: broadcast::Sender<Notice>,
    capabilities: watch::Sender<Option<Value>>,
    level: watch::Sender<Option<String>>,
    hooks: Hooks,
    /// How many fleets there have been.
    begun: AtomicU64,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// By the names of their servers.
type Fleets = BTreeMap<Arc<str>, Arc<Fleet>>;

/// Tells of changes of what servers offer.
pub struct Offers {
    /// One for each endpoint.
    pub listings: Vec<watch::Receiver<Option<Arc<Listing>>>>,
    /// Changes when there are other endpoints, so that it is to be asked for anew.
    pub replaced: watch::Receiver<()>,
}

/// Servers that are to take the place of those that there are.
pub struct Prepared {
    fleets: Fleets,
    /// Those that take the place of another of their name.
    successors: Vec<Arc<Fleet>>,
    newcomers: Vec<Arc<Fleet>>,
}

impl Prepared {
    /// Waits until what the new servers offer is known, but no longer than `limit`. Once it is known of one, those that take nobody's
    /// place hold the others up no longer than a moment.
    pub async fn settle(&self, limit: Duration) {
        let newcomers = async {
            let mut coming: FuturesUnordered<_> = self.newcomers.iter().map(listed).collect();
            while coming.next().await == Some(false) {}
            // There may be none left.
            let _ = timeout(STRAGGLERS, coming.count()).await;
        };
        let all = futures::future::join(join_all(self.successors.iter().map(listed)), newcomers);
        if timeout(limit, all).await.is_err() {
            tracing::debug!("some servers are still starting");
        }
    }
}

impl Pool {
    /// Starts supervising every server of `registry`. `program` is our own binary, which also plays the watchdog.
    /// `lineage` is what orchestrators among the servers are told about who has started them.
    /// What servers offer is recalled from `memory` and told to it.
    pub fn start(registry: &Registry, program: Option<PathBuf>, lineage: String, memory: Option<Arc<Memory>>) -> Self {
        let instance = uuid::Uuid::new_v4();
        let watchdog = Watchdog::new(program, WATCHDOG_MODE, instance.simple().to_string(), lineage);
        let (watchdog, tasks) = (Arc::new(watchdog), TaskTracker::new());
        let pool = Self {
            us: Hop(instance.as_u64_pair().0),
            fleets: ArcSwap::default(),
            replaced: watch::channel(()).0,
            hooks: Hooks::new(Arc::clone(&watchdog), tasks.clone()),
            watchdog,
            memory,
            notices: broadcast::channel(NOTICES).0,
            capabilities: watch::channel(None).0,
            level: watch::channel(None).0,
            begun: AtomicU64::new(0),
            tasks,
            stop: CancellationToken::new(),
        };
        let first = pool.prepare(registry);
        pool.replace(first);
        pool
    }

    /// Servers for `registry`: those that there are for entries that are as they were, new ones, which are started, for all
    /// others. None of them is called before it is all put in place by [`Pool::replace`].
    pub fn prepare(&self, registry: &Registry) -> Prepared {
        let old = self.fleets.load_full();
        let mut prepared = Prepared { fleets: BTreeMap::new(), successors: Vec::new(), newcomers: Vec::new() };
        for (name, server) in registry.servers.iter().filter(|(_, server)| !server.disabled) {
            let known = old.get(name);
            let same = known.filter(|known| known.server == *server).cloned();
            let fleet = same.unwrap_or_else(|| {
                let new = self.begin(server, known);
                let those = if known.is_some() { &mut prepared.successors } else { &mut prepared.newcomers };
                those.push(Arc::clone(&new));
                new
            });
            prepared.fleets.insert(Arc::clone(name), fleet);
        }
        prepared
    }

    /// Begins to supervise `server`, in place of `old`.
    fn begin(&self, server: &Arc<Server>, old: Option<&Arc<Fleet>>) -> Arc<Fleet> {
        let (pace, used) = (Arc::new(Pace::new(server)), Arc::new(Mutex::new(Instant::now())));
        let stop = self.stop.child_token();
        let mut replicas = Vec::new();
        for (place, (one, tier, weight)) in instances(server).into_iter().enumerate() {
            let inbox = Inbox::new(Arc::clone(&server.name), self.notices.clone());
            let mut endpoint = Endpoint::new(one, inbox, self.us, place, (Arc::clone(&pace), Arc::clone(&used)));
            if let Some(old) = old.and_then(|old| old.at(place)) {
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
            self.tasks.spawn(supervise(Arc::clone(&endpoint), surroundings, stop.clone()));
            replicas.push(Replica { endpoint, tier, weight });
        }
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let fleet = Arc::new(Fleet::new(Arc::clone(server), replicas, stop.clone(), number));
        if server.replicas.is_elastic() {
            self.tasks.spawn(scale(Arc::clone(&fleet), stop));
        }
        fleet
    }

    /// Puts servers in place of those that there are. Those that are left out end once the calls that they have are over,
    /// and after half a minute at the latest.
    pub fn replace(&self, prepared: Prepared) {
        let old = self.fleets.swap(Arc::new(prepared.fleets));
        self.replaced.send_replace(());
        let now = self.fleets.load_full();
        for (name, fleet) in old.iter() {
            if !now.get(name).is_some_and(|kept| Arc::ptr_eq(kept, fleet)) {
                self.tasks.spawn(retire(Arc::clone(fleet)));
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

    /// The server `name`.
    pub fn get(&self, name: &str) -> Option<Arc<Fleet>> {
        self.fleets.load().get(name).cloned()
    }

    /// Those who are asked for decisions.
    pub fn hooks(&self) -> &Hooks {
        &self.hooks
    }

    /// Every server, by name.
    pub fn iter(&self) -> impl Iterator<Item = Arc<Fleet>> + use<> {
        self.fleets.load().values().cloned().collect::<Vec<_>>().into_iter()
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

    /// What tells of changes of what servers offer, from now on.
    pub fn offers(&self) -> Offers {
        // In this order: whoever is put in place in between is told as a change.
        let replaced = self.replaced.subscribe();
        let all: Vec<_> = self.iter().collect();
        let endpoints = all.iter().flat_map(|fleet| fleet.endpoints());
        Offers { listings: endpoints.map(|endpoint| endpoint.listing.subscribe()).collect(), replaced }
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

async fn settle(fleets: &[Arc<Fleet>], limit: Duration) {
    if timeout(limit, join_all(fleets.iter().map(listed))).await.is_err() {
        tracing::debug!("some servers are still starting");
    }
}

/// Starts a server if nothing is known of it, and waits until it has been listed or has failed to be; whether it has been.
async fn listed(fleet: &Arc<Fleet>) -> bool {
    if fleet.listing().is_none() {
        fleet.want();
        fleet.settled().await;
    }
    fleet.listing().is_some()
}

/// Ends a server that is not called any more, once what it was called for is over.
async fn retire(fleet: Arc<Fleet>) {
    let over = async {
        while fleet.endpoints().any(|endpoint| endpoint.is_used()) {
            sleep(LOOK).await;
        }
    };
    if let Some(Err(_)) = fleet.stop.run_until_cancelled(timeout(DRAIN, over)).await {
        tracing::warn!(server = %fleet.server.name, "is ended although calls to it are not over");
    }
    fleet.stop.cancel();
}

/// The entries of all instances of `server`, each with its tier and its weight. Those beyond its minimum are started when they are needed.
fn instances(server: &Arc<Server>) -> Vec<(Arc<Server>, u32, u32)> {
    let replicas = &server.replicas;
    let alike = (0..replicas.max - replicas.others.len()).map(|place| {
        if place < replicas.min {
            return (Arc::clone(server), 0, replicas.weight);
        }
        (Arc::new(Server { start: Start::Lazy, ..Server::clone(server) }), 0, replicas.weight)
    });
    let others = replicas.others.iter().map(|other| {
        (Arc::new(Server { launch: other.launch.clone(), ..Server::clone(server) }), other.tier, other.weight)
    });
    alike.chain(others).collect()
}
