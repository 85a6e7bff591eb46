//! Keeps one endpoint connected: starts it, lists it, asks after its health, and starts it again when it is lost.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::downstream::endpoint::{Endpoint, fraction};
use crate::downstream::listing::list;
use crate::downstream::protocol::Era;
use crate::downstream::request::Request;
use crate::downstream::session::{Session, connect_timeout};
use crate::downstream::state::Phase;
use crate::downstream::stdio::watchdog::Watchdog;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::policy::health::{Health, Verdict};
use crate::policy::restart::{Next, Restarts, Settings};
use crate::registry::server::{Probe, Start};

/// A burst of list changes is taken together within this time.
const DEBOUNCE: Duration = Duration::from_millis(75);

/// Runs until `stop`; then the server is ended.
pub async fn supervise(endpoint: Arc<Endpoint>, watchdog: Arc<Watchdog>, stop: CancellationToken) {
    let mut restarts = Restarts::new(Settings::default());
    let mut era = None;
    if endpoint.server.start == Start::Lazy && !wait_for_demand(&endpoint, &stop).await {
        return endpoint.enter(Phase::Stopped, None);
    }
    loop {
        let cycle = run_once(&endpoint, &watchdog, &mut era, &stop);
        let Some((fault, up)) = cycle.await else { break };
        let now = Instant::now();
        let phase = match restarts.ended(now, up, fraction()) {
            Next::Retry { after } => Phase::Waiting(now + after),
            Next::CrashLoop { after } => Phase::CrashLoop(now + after),
        };
        tracing::warn!(server = %endpoint.server.name, phase = phase.as_str(), %fault, "lost");
        endpoint.enter(phase, Some(fault));
        let wait = phase.retry_in(now).unwrap_or_default();
        if stop.run_until_cancelled(sleep(wait)).await.is_none() {
            break;
        }
    }
    endpoint.enter(Phase::Stopped, None);
}

async fn wait_for_demand(endpoint: &Endpoint, stop: &CancellationToken) -> bool {
    let demand = async {
        while !endpoint.is_wanted.load(Ordering::Acquire) {
            endpoint.demand.notified().await;
        }
    };
    stop.run_until_cancelled(demand).await.is_some()
}

/// One life of the server: why it ended and how long it was up; `None` if we were told to stop.
async fn run_once(
    endpoint: &Arc<Endpoint>,
    watchdog: &Arc<Watchdog>,
    era: &mut Option<Era>,
    stop: &CancellationToken,
) -> Option<(Fault, Option<Duration>)> {
    endpoint.enter(Phase::Starting, None);
    let limit = endpoint.server.connect_timeout;
    let opening = timeout(limit, Session::open(&endpoint.server, *era, &endpoint.inbox, watchdog));
    let session = match stop.run_until_cancelled(opening).await? {
        Ok(Ok(session)) => Arc::new(session),
        Ok(Err(fault)) => {
            *era = None;
            return Some((fault, None));
        }
        Err(_) => return Some((connect_timeout(limit), None)),
    };
    *era = Some(session.about().era);
    let since = Instant::now();
    endpoint.connected(&session);
    let why = tend(endpoint, &session, stop).await;
    endpoint.session.send_replace(None);
    session.close(why.as_ref().map_or("mcp-orchestrator is shutting down", |fault| &fault.message)).await;
    why.map(|fault| (fault, Some(since.elapsed())))
}

/// Looks after a connected server; says why it must be given up, or `None` if we were told to stop.
async fn tend(endpoint: &Endpoint, session: &Session, stop: &CancellationToken) -> Option<Fault> {
    let mut health = Health::new(endpoint.server.health.settings);
    let lost = async {
        let why = session.closed().await;
        Fault::new(Kind::Unavailable, code::SERVER_DOWN, why)
    };
    let care = async {
        relist(endpoint, session).await;
        loop {
            let turn = tokio::select! {
                () = endpoint.inbox.list_changed() => {
                    sleep(DEBOUNCE).await;
                    relist(endpoint, session).await;
                    ControlFlow::Continue(())
                }
                () = endpoint.suspicion.notified() => examine(endpoint, session, &mut health, true).await,
                () = sleep_until(health.next_probe(Instant::now()).into()) => {
                    examine(endpoint, session, &mut health, false).await
                }
            };
            if let ControlFlow::Break(fault) = turn {
                return fault;
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => None,
        fault = lost => Some(fault),
        fault = care => Some(fault),
    }
}

async fn relist(endpoint: &Endpoint, session: &Session) {
    let limit = endpoint.server.connect_timeout;
    match timeout(limit, list(session, &endpoint.server)).await {
        Ok(Ok(listing)) => {
            endpoint.listing.send_if_modified(|current| {
                let is_new = current.as_deref() != Some(&listing);
                if is_new {
                    *current = Some(Arc::new(listing));
                }
                is_new
            });
            endpoint.listed(None);
        }
        Ok(Err(fault)) => endpoint.listed(Some(fault)),
        Err(_) => {
            let message = format!("did not list what it offers within {} s", limit.as_secs_f32());
            endpoint.listed(Some(Fault::new(Kind::Timeout, code::CALL_TIMEOUT, message)));
        }
    }
}

/// Asks whether the server lives. After a request that ran into its limit, one more silence is enough to give it up.
async fn examine(endpoint: &Endpoint, session: &Session, health: &mut Health, is_suspect: bool) -> ControlFlow<Fault> {
    let settings = endpoint.server.health.settings;
    let now = Instant::now();
    let recent = *endpoint.last_answer.lock().unwrap_or_else(PoisonError::into_inner);
    if !is_suspect && recent.is_some_and(|at| now.saturating_duration_since(at) < settings.every) {
        health.record(true, now);
        return ControlFlow::Continue(());
    }
    let result = timeout(settings.timeout, probe(endpoint, session)).await;
    let is_alive = matches!(result, Ok(Ok(())));
    health.record(is_alive, Instant::now());
    if is_alive || !(is_suspect || health.verdict() == Verdict::Unhealthy) {
        return ControlFlow::Continue(());
    }
    let why = match result {
        Ok(Err(fault)) => fault.message,
        _ => format!("no answer within {} s", settings.timeout.as_secs_f32()),
    };
    ControlFlow::Break(Fault::new(Kind::Unavailable, code::SERVER_DOWN, format!("failed its health check: {why}")))
}

async fn probe(endpoint: &Endpoint, session: &Session) -> Result<(), Fault> {
    match &endpoint.server.health.probe {
        Probe::Auto => session.probe().await,
        Probe::None => Ok(()),
        Probe::Tool(tool) => {
            let arguments =
                serde_json::value::RawValue::from_string("{}".to_owned()).expect("a constant of valid JSON");
            let request = Request::new("tools/call").with_text("name", tool).with("arguments", arguments);
            session.request(&request).await.map(drop)
        }
        Probe::Http(path) => session.probe_http(path).await,
    }
}

impl Endpoint {
    fn enter(&self, phase: Phase, fault: Option<Fault>) {
        self.state.send_modify(|state| {
            state.phase = phase;
            state.since = Instant::now();
            state.pid = None;
            if phase == Phase::Starting {
                state.starts += 1;
            }
            // The last reason stays in view while the server is being started again. What was sent to find it out was
            // nobody's call.
            state.fault = fault.map(|fault| Fault { was_sent: false, ..fault }).or_else(|| state.fault.take());
        });
    }

    fn connected(&self, session: &Arc<Session>) {
        // What opened the breaker was the old connection.
        self.lock_breaker().reset();
        self.session.send_replace(Some(Arc::clone(session)));
        self.state.send_modify(|state| {
            state.phase = Phase::Ready;
            state.since = Instant::now();
            state.about = Some(session.about().clone());
            state.pid = session.pid();
            state.fault = None;
        });
        tracing::info!(server = %self.server.name, era = session.about().era.as_str(), "connected");
    }

    fn listed(&self, fault: Option<Fault>) {
        if let Some(fault) = &fault {
            tracing::warn!(server = %self.server.name, %fault, "cannot be listed");
        }
        self.state.send_modify(|state| state.fault = fault.map(|fault| Fault { was_sent: false, ..fault }));
    }
}
