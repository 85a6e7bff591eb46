//! Asking a connected server anew what it offers.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::downstream::endpoint::Endpoint;
use crate::downstream::listing::list;
use crate::downstream::session::Session;
use crate::model::code;
use crate::model::fault::{Fault, Kind};

/// How often at most a server is listed whose lists are good for a short time only.
const LEAST: Duration = Duration::from_secs(10);

/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_secs(5);

impl Endpoint {
    /// Lists the server anew; false if that failed, so that it is to be tried again.
    pub(super) async fn relist(&self, session: &Session) -> bool {
        let limit = self.server.connect_timeout;
        match timeout(limit, list(session, &self.server, self.us)).await {
            Ok(Ok(listing)) => {
                if let Some(memory) = &self.memory {
                    memory.keep(&self.server, session.about(), &listing).await;
                }
                let is_new = self.listing.send_if_modified(|current| {
                    let is_new = current.as_deref() != Some(&listing);
                    if is_new {
                        *current = Some(Arc::new(listing));
                    }
                    is_new
                });
                if is_new {
                    self.inbox.note_change();
                }
                *self.listed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                self.listed(None);
                return true;
            }
            Ok(Err(fault)) => self.listed(Some(fault)),
            Err(_) => {
                let message = format!("did not list what it offers within {} s", limit.as_secs_f32());
                self.listed(Some(Fault::new(Kind::Timeout, code::CALL_TIMEOUT, message)));
            }
        }
        false
    }

    /// When to list it again unasked: when its word on its lists has run out, or soon if they could not be had.
    pub(super) fn list_due(&self, is_listed: bool) -> Option<Instant> {
        let wait = if is_listed {
            self.freshness().map(|freshness| freshness.ttl).filter(|ttl| !ttl.is_zero())?.max(LEAST)
        } else {
            AGAIN
        };
        Some(Instant::now() + wait)
    }

    /// Takes back what it offers once it has not been seen for longer than that is remembered.
    pub(super) fn forget(&self, unseen: Duration) {
        let is_over = self.memory.as_ref().is_some_and(|memory| unseen > memory.age());
        if is_over && self.listing.send_replace(None).is_some() {
            tracing::warn!(server = %self.server.name, "has been gone for so long that nothing of it is listed any more");
        }
    }

    fn listed(&self, fault: Option<Fault>) {
        if let Some(fault) = &fault {
            tracing::warn!(server = %self.server.name, %fault, "cannot be listed");
        }
        self.state.send_modify(|state| state.fault = fault.map(|fault| Fault { was_sent: false, ..fault }));
    }
}
