//! How often a server and each of its tools are called: requests wait here for their turn.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::sleep_until;

use crate::downstream::request::Request;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::policy::rate::Rate;
use crate::policy::rate::limiters::Limiters;
use crate::registry::server::Server;

/// So many requests may wait for their turn at one limit; more are refused.
const WAITING: usize = 1_000;

/// A server that wants to be left alone for longer is asked again after this time.
const LONGEST_HOLD: Duration = Duration::from_hours(1);

/// The limits of one server.
pub(super) struct Pace {
    server: Gate,
    /// By the tool's name as a request carries it: a JSON text.
    tools: BTreeMap<String, Gate>,
}

/// One limit, and the room before it.
struct Gate {
    /// Guards when the next turns are; held for the length of one method.
    limiters: Mutex<Limiters>,
    room: Semaphore,
}

impl Pace {
    /// The limits that the registry has for `server`.
    pub(super) fn new(server: &Server) -> Self {
        let limited = server.tools.overrides().filter_map(|(tool, told)| Some((tool, told.rate_limit?)));
        let tools =
            limited.map(|(tool, rate)| (serde_json::Value::from(tool).to_string(), Gate::new(Some(rate)))).collect();
        Self { server: Gate::new(server.rate_limit), tools }
    }

    /// Waits until `request` may be made, but not beyond `deadline`: if that is too early, it is refused at once.
    ///
    /// The tool's turn comes first, so that calls of a slow tool do not use up the server's turns while they wait.
    pub(super) async fn turn(&self, request: &Request, deadline: Instant) -> Result<(), Fault> {
        for gate in self.tool(request).into_iter().chain([&self.server]) {
            gate.pass(&request.caller, deadline).await?;
        }
        Ok(())
    }

    /// Lets nothing through before the time that the server has named in refusing a request.
    pub(super) fn learn(&self, fault: &Fault) {
        if let (Kind::RateLimited, Some(after)) = (fault.kind, fault.retry_after) {
            let until = Instant::now() + after.min(LONGEST_HOLD);
            for gate in self.tools.values().chain([&self.server]) {
                gate.lock().hold(until);
            }
        }
    }

    fn tool(&self, request: &Request) -> Option<&Gate> {
        if self.tools.is_empty() || request.method != "tools/call" {
            return None;
        }
        let (_, name) = request.members.iter().find(|(key, _)| key == "name")?;
        self.tools.get(name.get())
    }
}

impl Gate {
    fn new(rate: Option<Rate>) -> Self {
        Self { limiters: Mutex::new(Limiters::new(rate)), room: Semaphore::new(WAITING) }
    }

    /// A caller that gives up while it waits leaves its turn unused: to give it to another would break the order.
    async fn pass(&self, caller: &Arc<str>, deadline: Instant) -> Result<(), Fault> {
        let _room = self.room.try_acquire().map_err(|_| {
            refusal(format!("{WAITING} calls wait for their turn already")).hint("call it from fewer places at once")
        })?;
        loop {
            let now = Instant::now();
            let turn = self.take(caller, now, deadline.saturating_duration_since(now))?;
            if turn > now {
                sleep_until(turn.into()).await;
            }
            // The server may have asked for more time while this call waited.
            if self.lock().stands(turn) {
                return Ok(());
            }
        }
    }

    fn take(&self, caller: &Arc<str>, now: Instant, patience: Duration) -> Result<Instant, Fault> {
        let mut limiters = self.lock();
        limiters.take(caller, now, patience).map_err(|wait| {
            let why = if limiters.is_held(now) {
                "has asked not to be called for a while, which is longer than the call may take"
            } else {
                "its `rate_limit` leaves no turn before the call's time is up"
            };
            refusal(why.to_owned()).retry_after(wait).hint("call it then, or less often")
        })
    }

    fn lock(&self) -> MutexGuard<'_, Limiters> {
        self.limiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refusal(message: String) -> Fault {
    Fault::new(Kind::RateLimited, code::RATE_LIMIT, message)
}

/// The longest that a call without a deadline of its own waits for its turn.
pub(super) fn deadline(left: Option<Duration>, timeout: Duration) -> Instant {
    let now = Instant::now();
    let patience = left.unwrap_or(timeout);
    now.checked_add(patience).unwrap_or(now)
}
