//! What Restate calls: the endpoint of this process, and how Restate learns of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use restate_sdk::endpoint::{Endpoint, HandlerOptions, ServiceOptions};
use restate_sdk::hyper::HyperEndpoint;
use restate_sdk::service::IntoServiceDefinition as _;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::model::port::Invoke;
use crate::registry::engine::Restate;
use crate::restate::client::Client;
use crate::restate::services::{Parcels, Runs, Steps, Topics};
use crate::restate::store::OnRestate;
use crate::runner::gate::Gate;
use crate::runner::shelf::Shelf;

/// How many requests one connection carries. Few, so that Restate opens several and a balancer between us spreads the work.
const STREAMS: u32 = 16;

/// How long a step may be without a word: its own time limit ends it, not Restate.
const SILENT: Duration = Duration::from_hours(24 * 365);

/// How long a run that waits keeps its place in memory. Then it is put away until something happens.
const IDLE: Duration = Duration::from_mins(1);

/// How long it may take to put a run away.
const ABORT: Duration = Duration::from_mins(10);

/// How soon, and at most how late, what has failed because a process or a node is gone is tried again.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How often it is tried: for as long as it takes. What has stopped trying would need somebody to set it going.
const ATTEMPTS: u64 = 1_000_000_000;

/// How long to wait before Restate is told of us once more.
const AGAIN: Duration = Duration::from_secs(2);

/// What runs and steps need of this process.
pub struct Node {
    /// The one door.
    pub via: Arc<dyn Invoke>,
    /// How many tool calls may be made at once, by all runs together.
    pub places: Arc<Gate>,
    /// Where results are kept.
    pub shelf: Shelf,
    /// How long runs that have ended are kept.
    pub keep: Duration,
    /// How long what is under way may still take when the program ends.
    pub grace: Duration,
    /// Cancelled once the program is about to end.
    pub closing: CancellationToken,
}

/// What does the work that Restate wants done.
pub(super) struct Worker {
    pub(super) node: Node,
    pub(super) on: OnRestate,
    /// The calls under way.
    pub(super) calls: TaskTracker,
}

/// A bound endpoint.
pub struct Bound {
    listener: TcpListener,
    advertised: String,
    client: Client,
}

impl Bound {
    /// Binds the address that the registry names. The error says what is wrong with it.
    pub async fn bind(at: &Restate) -> Result<Self, String> {
        let cannot = |why: String| format!("cannot wait for Restate at {}: {why}", at.listen);
        let listener = TcpListener::bind(at.listen).await.map_err(|why| cannot(why.to_string()))?;
        let address: SocketAddr = listener.local_addr().map_err(|why| cannot(why.to_string()))?;
        let advertised = at.advertise.clone().unwrap_or_else(|| format!("http://{address}"));
        let client = Client::new(at).map_err(|fault| fault.to_string())?;
        Ok(Self { listener, advertised, client })
    }

    /// Does what Restate wants, until `stop`; what is under way then has a moment to come to its end.
    pub async fn serve(self, node: Node, stop: CancellationToken) {
        let grace = node.grace;
        let on = OnRestate { client: Arc::new(self.client) };
        let worker = Arc::new(Worker { node, on, calls: TaskTracker::new() });
        let endpoint = HyperEndpoint::new(endpoint(&worker));
        let registering = async {
            tokio::select! {
                () = register(&worker.on.client, &self.advertised) => {}
                () = stop.cancelled() => {}
            }
        };
        let over = CancellationToken::new();
        let ending = async {
            stop.cancelled().await;
            worker.calls.close();
            let _ = timeout(grace, worker.calls.wait()).await;
            // What waits here, runs above all, is taken up by another process as soon as Restate loses us.
            over.cancel();
        };
        tokio::join!(registering, accept(self.listener, &endpoint, &stop, &over), ending);
    }
}

/// Lets Restate in until `stop`, and breaks the connections when it is `over`.
async fn accept(listener: TcpListener, endpoint: &HyperEndpoint, stop: &CancellationToken, over: &CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "Restate cannot be let in");
                    sleep(AGAIN).await;
                    continue;
                }
            },
            Some(_) = connections.join_next() => continue,
        };
        // Without it a small answer waits for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let (endpoint, stop, over) = (endpoint.clone(), stop.clone(), over.clone());
        connections.spawn(async move {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS)
                .serve_connection(TokioIo::new(stream), endpoint);
            tokio::pin!(connection);
            tokio::select! {
                _ = &mut connection => {}
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        _ = connection => {}
                        () = over.cancelled() => {}
                    }
                }
            }
        });
    }
    // Whoever tries from now on is to find another process.
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Tells Restate of us, however long it takes: it may be started after us.
async fn register(client: &Client, advertised: &str) {
    let mut is_told = false;
    loop {
        match client.register(advertised).await {
            Ok(()) => {
                tracing::info!(advertised, "Restate knows where runs are carried");
                return;
            }
            Err(fault) if !is_told => {
                tracing::warn!("{fault}; workflows do not run until it knows of us, and servers are not affected");
                is_told = true;
            }
            Err(fault) => tracing::debug!(%fault, "Restate does not know of us yet"),
        }
        sleep(AGAIN).await;
    }
}

fn endpoint(worker: &Arc<Worker>) -> Endpoint {
    let keep = worker.node.keep;
    let common = || {
        ServiceOptions::new()
            .retry_policy_initial_interval(RETRY.0)
            .retry_policy_max_interval(RETRY.1)
            .retry_policy_exponentiation_factor(2.0)
            .retry_policy_max_attempts(ATTEMPTS)
            .abort_timeout(ABORT)
    };
    let runs = Runs(Arc::clone(worker)).into_service_definition().options(
        common()
            .inactivity_timeout(IDLE)
            .enable_lazy_state(true)
            .handler("run", HandlerOptions::new().workflow_retention(keep)),
    );
    let steps = Steps(Arc::clone(worker))
        .into_service_definition()
        .options(common().inactivity_timeout(SILENT).journal_retention(Duration::ZERO));
    let topics = Topics.into_service_definition().options(common().journal_retention(Duration::ZERO));
    let parcels =
        Parcels.into_service_definition().options(common().enable_lazy_state(true).journal_retention(Duration::ZERO));
    Endpoint::builder().bind(runs).bind(steps).bind(topics).bind(parcels).build()
}
