//! The door itself: what it stands on, and where each kind of call goes.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{OnceCell, mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::discovery::board::Board;
use crate::downstream::listing::Listing;
use crate::downstream::pool::Pool;
use crate::gateway::adopt::Wish;
use crate::gateway::agents::Places;
use crate::gateway::answers::Answers;
use crate::gateway::authoring;
use crate::gateway::batches::Batches;
use crate::gateway::callers::Callers;
use crate::gateway::capabilities::{Records, Revisions};
use crate::gateway::fitness::Fitness;
use crate::gateway::levels;
use crate::gateway::refresh::Versions;
use crate::gateway::runs::Runs;
use crate::gateway::views::Views;
use crate::llm;
use crate::model::call::{Call, Reply, Target};
use crate::model::chain::MAX_HOPS;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::limits::Limits;
use crate::model::port::{BoxFuture, Invoke};
use crate::registry::server::Registry;
use crate::runner::gate::Gate;
use crate::workflow::set::WorkflowSet;

/// How long runs that are being undone may keep the program from ending.
const GRACE: Duration = Duration::from_secs(3);

/// How many calls of runs may wait for their turn.
pub(super) const MAX_WAITING_CALLS: usize = 10_000;

/// What everything is called through.
pub struct Gateway {
    pub(super) registry: ArcSwap<Registry>,
    pub(super) workflows: ArcSwap<WorkflowSet>,
    /// Where callers may save workflows, if they may.
    pub(super) authoring: OnceLock<authoring::Place>,
    pub(super) saving: tokio::sync::Mutex<()>,
    pub(super) pool: Arc<Pool>,
    pub(super) models: ArcSwap<llm::pool::Pool>,
    pub(super) places: ArcSwap<Places>,
    pub(super) views: ArcSwap<Views>,
    pub(super) versions: watch::Sender<Versions>,
    /// What the catalog was built from; also keeps refreshes in order.
    pub(super) refreshing: Mutex<Option<Vec<Arc<Listing>>>>,
    /// Who may begin a run.
    pub(super) runs: Arc<Gate>,
    /// The runs themselves.
    pub(super) live: Runs,
    /// Who may make a call for a run.
    pub(super) steps: Arc<Gate>,
    /// What was wrong with the files, one line each.
    pub(super) problems: ArcSwap<Vec<String>>,
    /// Where somebody who wants the files to be read anew says so, if anybody listens.
    pub(super) reloads: OnceLock<mpsc::Sender<Wish>>,
    /// How much of the work goes on.
    pub(super) level: levels::Now,
    settled: OnceCell<()>,
    /// What sources of servers have said.
    pub(super) sources: OnceLock<Arc<Board>>,
    /// Whether the first answers of the sources of servers are still to come.
    searching: watch::Sender<bool>,
    pub(super) records: Records,
    pub(super) revisions: Revisions,
    /// Which workflows fit what the servers offer.
    pub(super) fitness: Fitness,
    /// Answers that serve several calls.
    pub(super) answers: Answers,
    /// Small calls that are being gathered.
    pub(super) batches: Batches,
    /// The calls of hosts.
    pub(super) callers: Callers,
    /// What goes on when its caller has left.
    pub(super) tasks: TaskTracker,
    /// The tasks that carry runs to their ends.
    pub(super) endings: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Gateway {
    /// Opens the door over servers that are being started and workflows that have been checked.
    pub fn open(
        registry: Arc<Registry>,
        workflows: Arc<WorkflowSet>,
        pool: Arc<Pool>,
        problems: Vec<String>,
    ) -> Arc<Self> {
        let gateway = Arc::new(Self {
            runs: Gate::new(registry.orchestrator.max_concurrent_runs, registry.orchestrator.max_waiting_runs),
            steps: Gate::new(registry.orchestrator.max_concurrent_steps, MAX_WAITING_CALLS),
            live: Runs::default(),
            models: ArcSwap::from_pointee(llm::pool::Pool::new(&registry.models)),
            places: ArcSwap::from_pointee(Places::of(&registry.agents)),
            level: levels::Now::of(&registry),
            registry: ArcSwap::new(registry),
            workflows: ArcSwap::new(workflows),
            authoring: OnceLock::new(),
            saving: tokio::sync::Mutex::default(),
            pool,
            views: ArcSwap::default(),
            versions: watch::channel(Versions::default()).0,
            refreshing: Mutex::default(),
            problems: ArcSwap::from_pointee(problems),
            reloads: OnceLock::new(),
            settled: OnceCell::new(),
            sources: OnceLock::new(),
            searching: watch::channel(false).0,
            records: Records::default(),
            revisions: Revisions::default(),
            fitness: Fitness::default(),
            answers: Answers::default(),
            batches: Batches::default(),
            callers: Callers::default(),
            tasks: TaskTracker::new(),
            endings: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        // Whoever watches begins before the first look, so that nothing is missed in between.
        let watching = Arc::clone(&gateway).keep_fresh(gateway.pool.offers(), gateway.stop.clone());
        gateway.refresh();
        gateway.tasks.spawn(watching);
        gateway.tasks.spawn(Arc::clone(&gateway).keep_level(gateway.stop.clone()));
        gateway
    }

    /// Whether names and questions say which server they are of.
    pub fn names_servers(&self) -> bool {
        self.registry().orchestrator.prefix
    }

    /// The servers.
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The registry.
    pub fn registry(&self) -> Arc<Registry> {
        self.registry.load_full()
    }

    /// The models.
    pub(super) fn models(&self) -> Arc<llm::pool::Pool> {
        self.models.load_full()
    }

    /// The places of the agents.
    pub(super) fn places(&self) -> Arc<Places> {
        self.places.load_full()
    }

    /// The workflows.
    pub fn workflows(&self) -> Arc<WorkflowSet> {
        self.workflows.load_full()
    }

    /// The limits of a call for the servers behind us: it has come through us.
    pub(super) fn onward(&self, limits: Limits) -> Result<Limits, Fault> {
        let hops = limits.hops.with(self.pool.us());
        hops.map(|hops| Limits { hops, ..limits }).ok_or_else(|| {
            let message = format!("the call has come through {MAX_HOPS} orchestrators already");
            Fault::new(Kind::Invalid, code::LOOP, message).hint("let hosts use the last of them directly")
        })
    }

    /// Waits, once, until every server has been listed or has failed to be, those included that are being searched for, but no
    /// longer than the registry's `settle`.
    pub async fn settle(&self) {
        let limit = self.registry().orchestrator.settle;
        let settled = || async {
            let mut searching = self.searching.subscribe();
            let found = async {
                let over = async { searching.wait_for(|is_searching| !is_searching).await.is_ok() };
                timeout(limit, over).await.is_ok()
            };
            futures::future::join(found, self.pool.settle(limit)).await;
        };
        self.settled.get_or_init(settled).await;
        self.refresh();
    }

    /// Shows in the status what sources of servers have said.
    pub fn show_sources(&self, board: Arc<Board>) {
        // Who says it twice means the same.
        let _ = self.sources.set(board);
    }

    /// Whether the first list waits for servers that are being searched for.
    pub fn set_searching(&self, is_searching: bool) {
        self.searching.send_replace(is_searching);
    }

    /// Stops every server and waits for it. Runs that are being undone have a moment to get that done.
    pub async fn close(&self) {
        self.stop_runs(&self.stop);
        self.tasks.close();
        self.endings.close();
        let grace = self.registry().orchestrator.shutdown_grace + GRACE;
        if timeout(grace, self.endings.wait()).await.is_err() {
            tracing::error!("the program ends before every failed run was undone; see what the servers have done");
        }
        self.pool.stop().await;
        self.tasks.wait().await;
        self.close_store().await;
    }
}

impl Invoke for Gateway {
    fn invoke(self: Arc<Self>, call: Call) -> BoxFuture<Result<Reply, Fault>> {
        Box::pin(async move {
            if call.limits.hops.contains(self.pool.us()) {
                let message = "the call has come back to an orchestrator that it has come through already";
                return Err(Fault::new(Kind::Invalid, code::LOOP, message)
                    .hint("remove one of the orchestrators from the registry of another"));
            }
            match call.target.clone() {
                Target::Exposed(name) => self.call_exposed(&name, call).await,
                Target::Tool(tool) => self.call_tool(&tool, call).await,
                Target::Workflow(name) => self.call_workflow(&name, call).await,
                Target::Model => self.call_model(call).await,
                Target::Agent(name) => self.call_agent(&name, call).await,
                Target::Prompt(name) => self.get_prompt(&name, call).await,
                Target::Resource(uri) => self.read_resource(&uri, call).await,
                Target::Completion => self.complete(call).await,
                Target::Task(verb, task) => self.call_task(verb, &task, call).await,
            }
        })
    }
}
