//! Keeps one endpoint connected: starts it, lists it, asks after its health, and starts it again when it is lost.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::downstream::endpoint::{Endpoint, fraction};
use crate::downstream::memory::Recalled;
use crate::downstream::oauth::watch::login;
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

/// How long servers wait for a host to say what it can answer, so that they can be told.
const INTRODUCTION: Duration = Duration::from_millis(1500);

/// What all supervisors share.
#[derive(Clone)]
pub struct Surroundings {
    /// Ends our children if we are killed.
    pub watchdog: Arc<Watchdog>,
    /// What servers of the initialize era are told that hosts can answer; `None` until a host has said so.
    pub capabilities: watch::Receiver<Option<Value>>,
    /// The log level that hosts want; `None` until one has said so.
    pub level: watch::Receiver<Option<String>>,
}

impl Surroundings {
    /// Waits for a host to introduce itself, but not for long.
    async fn introduced(&self) {
        let mut capabilities = self.capabilities.clone();
        let introduced = capabilities.wait_for(Option::is_some);
        if timeout(INTRODUCTION, introduced).await.is_err() {
            tracing::debug!("no host has said what it can answer");
        }
    }

    fn capabilities(&self) -> Value {
        self.capabilities.borrow().clone().unwrap_or_else(|| json!({}))
    }
}

/// Runs until `stop`; then the server is ended.
pub async fn supervise(endpoint: Arc<Endpoint>, surroundings: Surroundings, stop: CancellationToken) {
    let mut restarts = Restarts::new(Settings::default());
    let mut era = None;
    let mut seen = Instant::now();
    let mut unseen_before = endpoint.recalled().map(Recalled::age).unwrap_or_default();
    if stop.run_until_cancelled(surroundings.introduced()).await.is_none() {
        return endpoint.enter(Phase::Stopped, None);
    }
    if endpoint.server.start == Start::Lazy && !wait_for_demand(&endpoint, &stop).await {
        return endpoint.enter(Phase::Stopped, None);
    }
    loop {
        let (fault, up) = match run_once(&endpoint, &surroundings, &mut era, &stop).await {
            End::Stopped => break,
            End::Lost(fault, up) => (fault, up),
            End::Resting => {
                (seen, unseen_before) = (Instant::now(), Duration::ZERO);
                endpoint.enter(Phase::Idle, None);
                if wait_for_demand(&endpoint, &stop).await {
                    continue;
                }
                break;
            }
        };
        let now = Instant::now();
        if up.is_some() {
            (seen, unseen_before) = (now, Duration::ZERO);
        }
        endpoint.forget(now.saturating_duration_since(seen) + unseen_before);
        let phase = match restarts.ended(now, up, fraction()) {
            Next::Retry { after } => Phase::Waiting(now + after),
            Next::CrashLoop { after } => Phase::CrashLoop(now + after),
        };
        tracing::warn!(server = %endpoint.server.name, phase = phase.as_str(), %fault, "lost");
        let needs_login = fault.code == code::AUTH_NEEDED;
        endpoint.enter(phase, Some(fault));
        let wait = phase.retry_in(now).unwrap_or_default();
        let pause = async {
            tokio::select! {
                () = sleep(wait) => {}
                () = login(&endpoint.server), if needs_login => {}
            }
        };
        if stop.run_until_cancelled(pause).await.is_none() {
            break;
        }
        if endpoint.gives_up() {
            endpoint.enter(Phase::Idle, None);
            if !wait_for_demand(&endpoint, &stop).await {
                break;
            }
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

/// Why a life of a server has ended.
enum End {
    /// We were told to stop.
    Stopped,
    /// It has failed, after it was up for so long.
    Lost(Fault, Option<Duration>),
    /// Nobody needs it now.
    Resting,
}

/// One life of the server.
async fn run_once(
    endpoint: &Arc<Endpoint>,
    surroundings: &Surroundings,
    era: &mut Option<Era>,
    stop: &CancellationToken,
) -> End {
    endpoint.enter(Phase::Starting, None);
    let limit = endpoint.server.connect_timeout;
    let capabilities = surroundings.capabilities();
    let opening = Session::open(&endpoint.server, *era, &capabilities, &endpoint.inbox, &surroundings.watchdog);
    let opening = timeout(limit, opening);
    let session = match stop.run_until_cancelled(opening).await {
        None => return End::Stopped,
        Some(Ok(Ok(session))) => Arc::new(session),
        Some(Ok(Err(fault))) => {
            *era = None;
            return End::Lost(fault, None);
        }
        Some(Err(_)) => {
            *era = None;
            return End::Lost(connect_timeout(limit), None);
        }
    };
    *era = Some(session.about().era);
    let since = Instant::now();
    endpoint.connected(&session);
    let end = loop {
        let end = tend(endpoint, &session, surroundings, stop).await;
        if !matches!(end, End::Resting) || endpoint.retire(&session) {
            break end;
        }
    };
    endpoint.session.send_replace(None);
    let why = match &end {
        End::Stopped => "mcp-orchestrator is shutting down",
        End::Lost(fault, _) => &fault.message,
        End::Resting => "nobody has used it for a while",
    };
    session.close(why).await;
    match end {
        End::Lost(fault, _) => End::Lost(fault, Some(since.elapsed())),
        end => end,
    }
}

/// Looks after a connected server; says why it must be given up, or that it is no longer needed.
async fn tend(
    endpoint: &Endpoint,
    session: &Arc<Session>,
    surroundings: &Surroundings,
    stop: &CancellationToken,
) -> End {
    let mut health = Health::new(endpoint.server.health.settings);
    let lost = async {
        let why = session.closed().await;
        Fault::new(Kind::Unavailable, code::SERVER_DOWN, why)
    };
    let first_look = Notify::new();
    let care = async {
        let mut is_listed = endpoint.relist(session).await;
        first_look.notify_one();
        let mut watched = endpoint.watched.subscribe();
        watch_resources(&mut watched, session).await;
        let mut level = surroundings.level.clone();
        set_level(&mut level, session).await;
        let mut due = endpoint.list_due(is_listed);
        loop {
            let turn = tokio::select! {
                Ok(()) = watched.changed() => {
                    watch_resources(&mut watched, session).await;
                    ControlFlow::Continue(())
                }
                Ok(()) = level.changed() => {
                    set_level(&mut level, session).await;
                    ControlFlow::Continue(())
                }
                () = endpoint.inbox.list_changed() => {
                    sleep(DEBOUNCE).await;
                    is_listed = endpoint.relist(session).await;
                    due = endpoint.list_due(is_listed);
                    ControlFlow::Continue(())
                }
                () = until(due) => {
                    is_listed = endpoint.relist(session).await;
                    due = endpoint.list_due(is_listed);
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
    // What it offers must be known before anybody can use it.
    let unneeded = async {
        first_look.notified().await;
        endpoint.unneeded().await;
    };
    tokio::select! {
        () = stop.cancelled() => End::Stopped,
        fault = lost => End::Lost(fault, None),
        fault = care => End::Lost(fault, None),
        () = unneeded => End::Resting,
    }
}

/// Waits until `due`; for ever without it.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Tells a server that logs in the old way which messages hosts want.
async fn set_level(level: &mut watch::Receiver<Option<String>>, session: &Session) {
    let wanted = level.borrow_and_update().clone();
    let Some(wanted) = wanted.filter(|_| session.about().era == Era::Legacy && session.about().can("logging")) else {
        return;
    };
    let request = Request::new("logging/setLevel").with_text("level", &wanted);
    if !matches!(timeout(INTRODUCTION, session.request(&request)).await, Ok(Ok(_))) {
        tracing::debug!("a server does not take a log level");
    }
}

async fn watch_resources(watched: &mut watch::Receiver<BTreeMap<String, usize>>, session: &Arc<Session>) {
    let uris = watched.borrow_and_update().keys().cloned().collect();
    if timeout(INTRODUCTION, session.watch(&uris)).await.is_err() {
        tracing::debug!("a server does not answer to subscriptions");
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
    // A server that does one thing at a time is silent while it works; its calls have limits of their own.
    if result.is_err() && !is_suspect && endpoint.counters().in_flight > 0 {
        return ControlFlow::Continue(());
    }
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
        // Whoever has wanted it has had no time to use it yet.
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
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
}
