//! Stopping a server that nobody needs for now; it is started again on demand.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::sleep_until;

use crate::downstream::endpoint::Endpoint;
use crate::downstream::session::Session;

/// How long is waited until it is looked again whether a server that could not be stopped can be.
const AGAIN: Duration = Duration::from_millis(500);

/// Keeps a server from being stopped for as long as it lives.
pub struct Held<'a>(&'a Endpoint);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        *self.0.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.held.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Endpoint {
    /// Has the server go on until a conversation with it is over: between its requests, while a task is worked on or somebody is
    /// asked, nothing is in flight.
    pub fn hold(&self) -> Held<'_> {
        self.held.fetch_add(1, Ordering::SeqCst);
        Held(self)
    }

    /// Whether somebody is in the middle of something with it.
    pub(super) fn is_used(&self) -> bool {
        self.in_flight() > 0 || self.held.load(Ordering::SeqCst) > 0
    }

    /// Lets the server be stopped as soon as nobody uses it, unless somebody wants it before.
    pub(super) fn release(&self) {
        self.released.send_replace(true);
    }

    /// Whether the server, which is down, was released and need not be started again until somebody wants it.
    pub(super) fn gives_up(&self) -> bool {
        let is_released = || *self.released.borrow();
        if !is_released() {
            return false;
        }
        self.is_wanted.store(false, Ordering::SeqCst);
        // Somebody may have come at the last moment, who waits for it to be started.
        if self.is_idle() && is_released() {
            return true;
        }
        self.is_wanted.store(true, Ordering::SeqCst);
        false
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
            let mut released = self.released.subscribe();
            // Fails only if the endpoint is gone.
            while released.wait_for(|is_released| *is_released).await.is_ok() && !self.is_idle() {
                tokio::time::sleep(AGAIN / 10).await;
            }
        };
        tokio::select! {
            () = idle => {}
            () = released => {}
        }
    }

    /// Whether nobody uses it and no host waits to be told of its resources.
    fn is_idle(&self) -> bool {
        !self.is_used() && self.watched.borrow().is_empty()
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
