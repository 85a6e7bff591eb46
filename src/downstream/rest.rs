//! Stopping a server that nobody needs for now; it is started again on demand.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use crate::downstream::endpoint::Endpoint;
use crate::downstream::session::Session;

/// How long is waited until it is looked again whether a server that could not be stopped can be.
const AGAIN: Duration = Duration::from_millis(500);

impl Endpoint {
    /// Lets the server be stopped as soon as nothing is in flight.
    pub(super) fn release(&self) {
        self.rest.notify_one();
    }

    /// Waits until nobody has used any instance of the server for its `idle_ttl`, or until it is released.
    pub(super) async fn unneeded(&self) {
        let idle = async {
            let Some(ttl) = self.server.idle_ttl else { return std::future::pending().await };
            loop {
                let used = *self.used.lock().unwrap_or_else(PoisonError::into_inner);
                let due = used.checked_add(ttl);
                let Some(due) = due else { return std::future::pending().await };
                if Instant::now() >= due && self.is_idle() {
                    return;
                }
                sleep_until(due.max(Instant::now() + AGAIN.min(ttl)).into()).await;
            }
        };
        let released = async {
            self.rest.notified().await;
            while !self.is_idle() {
                tokio::time::sleep(AGAIN / 10).await;
            }
        };
        tokio::select! {
            () = idle => {}
            () = released => {}
        }
    }

    /// Whether nothing is in flight and no host waits to be told of its resources.
    fn is_idle(&self) -> bool {
        self.in_flight() == 0 && self.watched.borrow().is_empty()
    }

    /// Takes the session away from requests to come. A request that has taken it at the last moment gets its way: then the
    /// server is not to be stopped.
    pub(super) fn retire(&self, session: &Arc<Session>) -> bool {
        self.is_wanted.store(false, Ordering::SeqCst);
        self.session.send_replace(None);
        if self.is_idle() {
            return true;
        }
        self.is_wanted.store(true, Ordering::SeqCst);
        self.session.send_replace(Some(Arc::clone(session)));
        false
    }
}
