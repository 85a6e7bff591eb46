//! A second request for an answer that is late; the first answer counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use crate::downstream::endpoint::{Endpoint, Terms};
use crate::downstream::question::Asking;
use crate::downstream::request::Request;
use crate::model::call::Reply;
use crate::model::fault::Fault;

impl Endpoint {
    /// After how long `request` is made a second time; `None` if it must not be.
    pub(super) fn hedge(&self, request: &Request, terms: Terms) -> Option<Duration> {
        if !self.server.tools.hedges() || !terms.effect.is_read() || request.method != "tools/call" {
            return None;
        }
        // Answers to questions, and tasks, are for one request only.
        let is_plain = request.members.iter().all(|(key, _)| matches!(key.as_ref(), "name" | "arguments"));
        let tool = request.text("name").filter(|_| is_plain)?;
        self.server.tools.get(&tool)?.hedge
    }

    /// Makes `request`, and after that time once more, if that is not one too many. Whichever comes too
    /// late is cancelled.
    pub(super) async fn hedged(&self, request: &Request, terms: Terms, after: Duration) -> Result<Reply, Fault> {
        let was_sent = AtomicBool::new(false);
        let mut first = std::pin::pin!(self.repeated(request, terms, &was_sent));
        tokio::select! {
            result = &mut first => return result,
            () = sleep(after) => {}
        }
        // One that still waits for its turn would only wait behind itself.
        if !was_sent.load(Ordering::Relaxed) || request.asking.is_open() || !self.may_repeat() {
            return first.await;
        }
        // Nobody is told twice of the progress, or asked the same twice.
        let again = Request { progress: None, ask: None, asking: Arc::new(Asking::default()), ..request.clone() };
        let was_sent = AtomicBool::new(false);
        let mut second = std::pin::pin!(self.repeated(&again, terms, &was_sent));
        // A failure that may pass is left to the other; any other word of the server is an answer.
        let is_late = |result: &Result<Reply, Fault>| result.as_ref().is_err_and(Fault::is_retryable);
        tokio::select! {
            result = &mut first => if is_late(&result) { second.await.or(result) } else { result },
            result = &mut second => if is_late(&result) { first.await } else { result },
        }
    }
}
