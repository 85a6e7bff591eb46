//! Making a request again: as often as its policy wants, and no more often than the server can bear.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::downstream::endpoint::{Endpoint, PATIENCE, Terms, fraction};
use crate::downstream::request::Request;
use crate::model::call::Reply;
use crate::model::code;
use crate::model::fault::{Fault, Kind};

impl Endpoint {
    /// Makes `request` as often as the retry policy wants and the budget of all repetitions allows. `was_sent` becomes true
    /// when it has reached the server.
    pub(super) async fn repeated(
        &self,
        request: &Request,
        terms: Terms,
        was_sent: &AtomicBool,
    ) -> Result<Reply, Fault> {
        let mut attempt = 1;
        loop {
            was_sent.store(false, Ordering::Relaxed);
            let fault = match self.attempt(request, terms, was_sent).await {
                Ok(reply) => return Ok(reply),
                Err(fault) => fault,
            };
            if !terms.may_wait {
                return Err(fault);
            }
            let left = terms.limits.left(Instant::now());
            let wait = self.server.retry.decide(&fault, terms.effect, attempt, left, fraction());
            let Some(wait) = wait.filter(|wait| self.is_worth(*wait, &fault)) else { return Err(fault) };
            // What has not come to the server is no load on it.
            if was_sent.load(Ordering::Relaxed) && !self.may_repeat() {
                let hint = "it was not tried again, as too many calls of this server fail";
                return Err(if fault.hint.is_none() { fault.hint(hint) } else { fault });
            }
            tracing::debug!(server = %self.server.name, attempt, %fault, "trying again");
            sleep(wait).await;
            attempt += 1;
        }
    }

    /// Whether one more request than calls is not too many; it is counted then.
    pub(super) fn may_repeat(&self) -> bool {
        let may_repeat = self.lock_budget().take(Instant::now());
        self.repetitions.fetch_add(u64::from(may_repeat), Ordering::Relaxed);
        may_repeat
    }

    /// Whether a caller is better served by waiting than by being told when to come again.
    fn is_worth(&self, wait: Duration, fault: &Fault) -> bool {
        if fault.code == code::RATE_LIMIT {
            // Our own limit has weighed this already.
            return false;
        }
        let is_near = fault.kind == Kind::RateLimited || fault.retry_after.is_none_or(|after| after <= PATIENCE);
        is_near && wait <= self.server.retry.max_delay.max(PATIENCE)
    }
}
