//! Accepting connections, each with limits, until we are told to stop; then letting what is under way finish.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::gateway::door::Gateway;
use crate::server::http::endpoint::{Shared, answer_main, answer_profile};
use crate::server::http::guard::Policy;
use crate::server::http::sessions::Sessions;
use crate::server::parking::Parking;

/// How long a host may take to send its headers.
const HEADERS: Duration = Duration::from_secs(10);

/// How many connections there may be; more wait to be accepted.
const CONNECTIONS: usize = 2_048;

/// How long requests that are under way may take once we stop.
const DRAIN: Duration = Duration::from_secs(3);

/// A bound address that does not accept yet.
pub struct Bound {
    listener: TcpListener,
    policy: Policy,
}

impl Bound {
    /// Binds `address`.
    pub async fn bind(address: SocketAddr, mut policy: Policy) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        policy.hosts.push(address.ip().to_string());
        Ok(Self { listener, policy })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves hosts until `stop`. With a `profile` they see through it, and there are no endpoints of others.
    pub async fn serve(self, gateway: Arc<Gateway>, profile: Option<Arc<str>>, stop: CancellationToken) {
        // Which hosts will come is not known, so servers are told everything that can be passed on.
        let all = json!({ "elicitation": { "form": {}, "url": {} }, "sampling": { "tools": {} }, "roots": {} });
        gateway.pool().introduce(&all);
        let tasks = TaskTracker::new();
        let shared = Arc::new(Shared {
            profile,
            policy: self.policy,
            sessions: Sessions::default(),
            parking: Arc::new(Parking::new(gateway.pool().us())),
            gateway,
            tasks: tasks.clone(),
        });
        let mut router = Router::new().route("/mcp", any(answer_main));
        if shared.profile.is_none() {
            router = router.route("/mcp/p/{profile}", any(answer_profile));
        }
        let router = router.with_state(Arc::clone(&shared));
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        while let Some(Some(stream)) = stop.run_until_cancelled(accept(&self.listener)).await {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADERS);
            let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router.clone()));
            let connection = graceful.watch(connection);
            tasks.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection broke");
                }
                drop(place);
            });
        }
        if timeout(DRAIN, graceful.shutdown()).await.is_err() {
            tracing::debug!("some requests were still under way");
        }
        shared.sessions.close_all();
    }
}

/// The next connection. A failure to accept one, such as too many open files, is waited out.
async fn accept(listener: &TcpListener) -> Option<tokio::net::TcpStream> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Small answers must not wait for large ones.
                let _ = stream.set_nodelay(true);
                return Some(stream);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
}
