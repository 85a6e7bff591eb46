//! What servers tell us without being asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::value::RawValue;
use tokio::sync::{Notify, broadcast};

use crate::downstream::secrets::Secrets;
use crate::downstream::stdio::tail::Tail;

/// A notification that concerns hosts: a log message or an updated resource.
#[derive(Debug, Clone)]
pub struct Notice {
    /// The server.
    pub server: Arc<str>,
    /// The notification's method.
    pub method: Arc<str>,
    /// Its parameters, unread.
    pub params: Option<Arc<RawValue>>,
}

/// Where one server's notifications arrive. A burst of list changes is one change; log messages beyond what listeners
/// keep up with are dropped.
#[derive(Debug)]
pub struct Inbox {
    server: Arc<str>,
    notices: broadcast::Sender<Notice>,
    changed: AtomicBool,
    /// How often something that was heard of the server has changed.
    changes: AtomicU64,
    wake: Notify,
    /// What its process wrote to standard error, also after it has died.
    tail: Arc<Tail>,
    /// What must not be told of it.
    secrets: Arc<Secrets>,
}

impl Inbox {
    /// The inbox of `server`.
    pub fn new(server: Arc<str>, notices: broadcast::Sender<Notice>) -> Self {
        let secrets = Arc::default();
        Self {
            server,
            notices,
            changed: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            wake: Notify::new(),
            tail: Arc::new(Tail::hiding(&secrets)),
            secrets,
        }
    }

    /// The server whose inbox this is.
    pub fn server(&self) -> Arc<str> {
        Arc::clone(&self.server)
    }

    /// What its process has written to standard error lately.
    pub fn tail(&self) -> &Arc<Tail> {
        &self.tail
    }

    /// What must not be told of it.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// How often its lists or resources have changed, as far as it tells.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Notes that its lists or resources have changed.
    pub fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes in one notification.
    pub fn hear(&self, method: &str, params: Option<&RawValue>) {
        if method.ends_with("/list_changed") || method.ends_with("/updated") {
            self.note_change();
        }
        match method {
            "notifications/tools/list_changed"
            | "notifications/prompts/list_changed"
            | "notifications/resources/list_changed" => {
                self.changed.store(true, Ordering::Release);
                self.wake.notify_one();
            }
            "notifications/message" | "notifications/resources/updated" => {
                let params = params.map(|params| Arc::from(params.to_owned()));
                // Fails only while no host listens.
                let _ = self.notices.send(Notice { server: Arc::clone(&self.server), method: method.into(), params });
            }
            _ => tracing::debug!(server = %self.server, method, "ignored a notification"),
        }
    }

    /// Waits until a list has changed since the last call.
    pub async fn list_changed(&self) {
        while !self.changed.swap(false, Ordering::AcqRel) {
            self.wake.notified().await;
        }
    }
}
