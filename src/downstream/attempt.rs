//! One attempt at a request: its turn, the breaker, a place, the session, and the time that all of it may take.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;
use tokio::time::sleep;

use crate::downstream::endpoint::{Endpoint, PATIENCE, Terms};
use crate::downstream::pace;
use crate::downstream::request::Request;
use crate::downstream::session::Session;
use crate::downstream::state::Phase;
use crate::model::call::Reply;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::policy::breaker::{Outcome, Permit, State as BreakerState, outcome_of};
use crate::wire::mirror::MISMATCH;

impl Endpoint {
    /// Makes `request` once. `was_sent` becomes true when it has reached the server.
    pub(super) async fn attempt(&self, request: &Request, terms: Terms, was_sent: &AtomicBool) -> Result<Reply, Fault> {
        if self.breaker().0 == BreakerState::Open {
            // Who is refused anyway must neither wait for a turn nor use one up.
            self.admit().map(drop)?;
        }
        self.pace.turn(request, pace::deadline(terms.limits.left(Instant::now()), terms.timeout)).await?;
        let limit = terms.limits.left(Instant::now()).map_or(terms.timeout, |left| left.min(terms.timeout));
        if limit.is_zero() {
            return Err(Fault::new(Kind::Timeout, code::CALL_TIMEOUT, "the caller's time is up; nothing was sent"));
        }
        let is_impatient = limit < terms.timeout;
        let admitted = self.admit()?;
        let began = Instant::now();
        let work = async {
            let _place = self.place().await?;
            let session = self.session(terms.may_wait).await?;
            was_sent.store(true, Ordering::Relaxed);
            self.send(&session, request).await.map(Reply::new)
        };
        // The limit stands still while somebody is asked.
        let result = tokio::select! {
            result = work => result,
            () = request.asking.idle_for(terms.timeout) => {
                Err(self.timed_out(terms.timeout, was_sent.load(Ordering::Relaxed), is_impatient))
            }
            // The caller's own deadline stands still for nobody.
            () = sleep(limit), if is_impatient => Err(self.timed_out(limit, was_sent.load(Ordering::Relaxed), true)),
        };
        self.note_latency(began, request, &result);
        if result.is_ok() {
            *self.last_answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        if let Err(fault) = &result {
            self.pace.learn(fault);
        }
        // A caller who is less patient than the server's own limit says nothing about the server.
        let is_timeout = result.as_ref().is_err_and(|fault| fault.kind == Kind::Timeout);
        admitted.record(if is_impatient && is_timeout { Outcome::Neutral } else { outcome_of(&result) });
        result
    }

    /// Sends `request`. A modern server over HTTP whose tool wants other headers than we know has not looked at it yet: it is
    /// listed anew, and the request is sent once more (2026-07-28, basic/transports).
    async fn send(&self, session: &Session, request: &Request) -> Result<Box<RawValue>, Fault> {
        let is_stale = |fault: &Fault| fault.rpc.as_ref().is_some_and(|rpc| rpc.code == MISMATCH);
        match session.request(request).await {
            Err(fault) if is_stale(&fault) && session.mirrors().is_some() && request.method == "tools/call" => {
                if self.relist(session).await { session.request(request).await } else { Err(fault) }
            }
            result => result,
        }
    }

    fn timed_out(&self, limit: Duration, was_sent: bool, is_impatient: bool) -> Fault {
        let seconds = limit.as_secs_f32();
        if !was_sent {
            return match self.state.borrow().phase {
                Phase::Starting | Phase::Idle => {
                    Fault::new(Kind::Timeout, code::SERVER_STARTING, format!("is still starting after {seconds} s"))
                }
                _ => Fault::new(Kind::Timeout, code::SERVER_BUSY, format!("had no place free within {seconds} s"))
                    .hint("try again later, or raise its `concurrency` in the registry"),
            };
        }
        if !is_impatient {
            self.suspicion.notify_one();
        }
        Fault::new(Kind::Timeout, code::CALL_TIMEOUT, format!("did not answer within {seconds} s"))
            .sent()
            .hint("raise its `timeout` in the registry if the tool needs longer")
    }

    fn admit(&self) -> Result<Admitted<'_>, Fault> {
        let admission = self.lock_breaker().admit(Instant::now());
        admission.map(|permit| Admitted { endpoint: self, permit: Some(permit) }).map_err(|after| {
            let why =
                self.state.borrow().fault.as_ref().map_or_else(String::new, |fault| format!(": {}", fault.message));
            Fault::new(Kind::Unavailable, code::BREAKER_OPEN, format!("is not called after repeated failures{why}"))
                .retry_after(after)
                .hint("`orchestrator_status` says more")
        })
    }

    async fn place(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Fault> {
        self.bulkhead
            .acquire()
            .await
            .map_err(|_| Fault::new(Kind::Unavailable, code::SHUTTING_DOWN, "is being stopped"))
    }

    /// The session, once there is one. A dead server is reported at once unless it is about to be tried again and the
    /// caller `may_wait`.
    async fn session(&self, may_wait: bool) -> Result<Arc<Session>, Fault> {
        self.want();
        let mut session = self.session.subscribe();
        let mut state = self.state.subscribe();
        loop {
            if let Some(session) = session.borrow_and_update().clone() {
                return Ok(session);
            }
            let (phase, fault) = {
                let state = state.borrow_and_update();
                (state.phase, state.fault.clone())
            };
            let retry_in = phase.retry_in(Instant::now());
            let is_lost = !may_wait && fault.is_some() && phase != Phase::Ready;
            if phase == Phase::Stopped || is_lost || retry_in.is_some_and(|wait| wait > PATIENCE) {
                return Err(down(phase, fault, retry_in));
            }
            tokio::select! {
                changed = session.changed() => changed,
                changed = state.changed() => changed,
            }
            .map_err(|_| down(Phase::Stopped, None, None))?;
        }
    }

    /// A quick refusal says nothing about how long the work takes, nor does a call in which somebody was asked.
    fn note_latency(&self, began: Instant, request: &Request, result: &Result<Reply, Fault>) {
        let is_telling = result.as_ref().map_or_else(|fault| fault.kind == Kind::Timeout, |_| true);
        if is_telling && !request.asking.has_asked() && !request.method.starts_with("tasks/") {
            let now = Instant::now();
            let took = now.saturating_duration_since(began);
            self.latency.lock().unwrap_or_else(PoisonError::into_inner).note(took, now);
        }
    }
}

/// A call that the breaker let through; gives its place back even if the call is dropped.
struct Admitted<'a> {
    endpoint: &'a Endpoint,
    permit: Option<Permit>,
}

impl Admitted<'_> {
    fn record(mut self, outcome: Outcome) {
        self.settle(outcome);
    }

    fn settle(&mut self, outcome: Outcome) {
        if let Some(permit) = self.permit.take() {
            self.endpoint.lock_breaker().record(permit, outcome, Instant::now());
        }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.settle(Outcome::Neutral);
    }
}

/// Counts a request as in flight for as long as it lives.
pub(super) struct Counted<'a>(pub(super) &'a Endpoint);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        *self.0.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

fn down(phase: Phase, fault: Option<Fault>, retry_in: Option<Duration>) -> Fault {
    let code = match phase {
        Phase::CrashLoop(_) => code::CRASH_LOOP,
        Phase::Stopped => code::SHUTTING_DOWN,
        _ => code::SERVER_DOWN,
    };
    let mut fault = fault.unwrap_or_else(|| Fault::new(Kind::Unavailable, code, "is not running"));
    fault.was_sent = false;
    fault.retry_after = retry_in;
    if phase != Phase::Stopped && fault.code == code::SERVER_DOWN {
        fault.code = code;
    }
    fault
}
