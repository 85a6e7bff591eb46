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

/// What to do about a call that came too early.
const THEN: &str = "call it then, or less often";

/// The limits of one server.
pub(super) struct Pace {
    server: Gate,
    /// By the tool's name as a request carries it: a JSON text.
    tools: BTreeMap<String, Gate>,
}

/// When a call may be made.
#[derive(Clone, Copy)]
struct Turn {
    at: Instant,
    /// By how much turns had been put off when that was said.
    put_off: Duration,
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
    /// The tool's turn comes first, so that calls of a slow tool do not use up the server's turns while they wait. If the server's
    /// turn comes later than that, the tool's next ones are put off as well: they would bunch otherwise.
    pub(super) async fn turn(&self, request: &Request, deadline: Instant) -> Result<(), Fault> {
        let caller = &request.caller;
        let Some(tool) = self.tool(request) else { return self.server.pass(caller, deadline, |_| {}).await.map(drop) };
        let mut turn = tool.pass(caller, deadline, |_| {}).await?;
        self.server.pass(caller, deadline, |later| turn = tool.put_off(caller, turn, later)).await.map(drop)
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

    /// Waits for the turn and gives it back; `waits` is told of each turn that is not now.
    ///
    /// A caller that gives up while it waits leaves its turn unused: to give it to another would break the order.
    async fn pass(&self, caller: &Arc<str>, deadline: Instant, mut waits: impl FnMut(Instant)) -> Result<Turn, Fault> {
        let _room = self.room.try_acquire().map_err(|_| {
            refusal(format!("{WAITING} calls wait for their turn already")).hint("call it from fewer places at once")
        })?;
        loop {
            let now = Instant::now();
            let mut turn = self.take(caller, now, deadline.saturating_duration_since(now))?;
            if turn.at > now {
                waits(turn.at);
            }
            loop {
                // A timer waits for the clock's next tick, even for a turn that is now.
                if turn.at > Instant::now() {
                    sleep_until(turn.at.into()).await;
                }
                let put_off = self.lock().has_put_off(caller);
                if put_off == turn.put_off {
                    break;
                }
                turn = Turn { at: turn.at + put_off.saturating_sub(turn.put_off), put_off };
                if turn.at > deadline {
                    return Err(too_late().retry_after(turn.at.saturating_duration_since(Instant::now())));
                }
            }
            // The server may have asked for more time while this call waited.
            if self.lock().stands(turn.at) {
                return Ok(turn);
            }
        }
    }

    /// Puts off the turns after `turn`, which could not be used before `later`; gives back when that turn is now.
    fn put_off(&self, caller: &Arc<str>, turn: Turn, later: Instant) -> Turn {
        let mut limiters = self.lock();
        let at = turn.at + limiters.has_put_off(caller).saturating_sub(turn.put_off);
        limiters.put_off(caller, later.saturating_duration_since(at));
        Turn { at: at.max(later), put_off: limiters.has_put_off(caller) }
    }

    fn take(&self, caller: &Arc<str>, now: Instant, patience: Duration) -> Result<Turn, Fault> {
        let mut limiters = self.lock();
        let turn = limiters.take(caller, now, patience).map_err(|wait| {
            if limiters.is_held(now) {
                let why = "has asked not to be called for a while, which is longer than the call may take";
                return refusal(why.to_owned()).retry_after(wait).hint(THEN);
            }
            too_late().retry_after(wait)
        })?;
        Ok(Turn { at: turn, put_off: limiters.has_put_off(caller) })
    }

    fn lock(&self) -> MutexGuard<'_, Limiters> {
        self.limiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn too_late() -> Fault {
    refusal("its `rate_limit` leaves no turn before the call's time is up".to_owned()).hint(THEN)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_whose_turn_is_now_does_not_wait() {
        let rate = Rate { calls: 2, per: Duration::from_mins(1), burst: 1, per_caller: false };
        let gate = Gate::new(Some(rate));
        let (caller, deadline) = (Arc::from("ada"), Instant::now() + Duration::from_mins(10));
        let began = tokio::time::Instant::now();
        for _ in 0..2 {
            gate.pass(&caller, deadline, |_| panic!("its turn is now")).await.expect("a turn");
        }
        assert_eq!(began.elapsed(), Duration::ZERO, "the clock has not ticked");
        gate.pass(&caller, deadline, |_| {}).await.expect("a turn");
        assert!(began.elapsed() >= Duration::from_secs(20), "later ones wait: {:?}", began.elapsed());
    }
}
