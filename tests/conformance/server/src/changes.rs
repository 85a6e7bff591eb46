//! Lists that change, and who is told.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use rmcp::Peer;
use rmcp::service::{RoleServer, SubscriptionContext};
use tokio::sync::broadcast;

/// A list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Tools,
    Prompts,
}

/// How often each list has changed, and who is told. One for all sessions.
pub(crate) struct Changes {
    tools: AtomicU64,
    prompts: AtomicU64,
    listeners: broadcast::Sender<Change>,
    /// The legacy sessions, which are told without asking.
    sessions: Mutex<Vec<Peer<RoleServer>>>,
}

impl Changes {
    pub(crate) fn new() -> Self {
        Self {
            tools: AtomicU64::new(0),
            prompts: AtomicU64::new(0),
            listeners: broadcast::channel(16).0,
            sessions: Mutex::default(),
        }
    }

    pub(crate) fn count(&self, change: Change) -> u64 {
        self.counter(change).load(Relaxed)
    }

    pub(crate) fn add_session(&self, peer: Peer<RoleServer>) {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).push(peer);
    }

    /// Changes a list, truly: a gateway that compares what it lists would say nothing of a change that is none.
    pub(crate) async fn make(&self, change: Change) {
        self.counter(change).fetch_add(1, Relaxed);
        // Fails only if nobody listens.
        let _ = self.listeners.send(change);
        let sessions = {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.retain(|session| !session.is_transport_closed());
            sessions.clone()
        };
        for session in sessions {
            // Fails only if the session has ended meanwhile.
            let _ = match change {
                Change::Tools => session.notify_tool_list_changed().await,
                Change::Prompts => session.notify_prompt_list_changed().await,
            };
        }
    }

    /// Serves one `subscriptions/listen` until the client ends it.
    pub(crate) async fn tell(&self, context: SubscriptionContext) {
        let mut changes = self.listeners.subscribe();
        loop {
            let change = tokio::select! {
                () = context.cancelled() => return,
                change = changes.recv() => change,
            };
            let sink = context.sink();
            // Fails if the client has not asked for this list, or is gone.
            let _ = match change {
                Ok(Change::Tools) => sink.notify_tool_list_changed().await,
                Ok(Change::Prompts) => sink.notify_prompt_list_changed().await,
                // Some were missed: the next is told again.
                Err(broadcast::error::RecvError::Lagged(_)) => Ok(()),
                Err(broadcast::error::RecvError::Closed) => return,
            };
        }
    }

    fn counter(&self, change: Change) -> &AtomicU64 {
        match change {
            Change::Tools => &self.tools,
            Change::Prompts => &self.prompts,
        }
    }
}
