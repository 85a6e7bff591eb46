//! Sessions of hosts of the initialize era.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::gateway::door::Gateway;
use crate::server::connection::Connection;
use crate::server::host::Host;
use crate::server::notify::announce;
use crate::server::parking::Parking;
use crate::wire::outbox::{Message, Queue, queue};

/// How long a session without requests is kept.
const IDLE: Duration = Duration::from_mins(30);

/// How many sessions there may be. Beyond it, the one that has been idle for longest goes.
const MOST: usize = 1_000;

/// How many messages nobody asked for are kept for a host that does not listen.
const UNASKED: usize = 256;

/// One host's session.
pub struct Session {
    /// Answers its requests.
    pub connection: Connection,
    /// What nobody asked for, while nobody listens; guarded for one exchange.
    unasked: Mutex<Option<Queue>>,
    last_used: Mutex<Instant>,
    end: CancellationToken,
}

/// All sessions by their ids: random numbers of 122 bits.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<String, Arc<Session>>>);

impl Sessions {
    /// Opens a session of a host; gives back its id.
    pub fn open(
        &self,
        host: Host,
        gateway: &Arc<Gateway>,
        parking: &Arc<Parking>,
        tasks: &TaskTracker,
    ) -> (String, Arc<Session>) {
        let host = Arc::new(host);
        let (outbox, unasked) = queue(UNASKED);
        let end = CancellationToken::new();
        tasks.spawn(announce(Arc::clone(gateway), Arc::clone(&host), outbox, end.clone()));
        let session = Arc::new(Session {
            connection: Connection::new(Arc::clone(gateway), host, Arc::clone(parking), tasks.clone()),
            unasked: Mutex::new(Some(unasked)),
            last_used: Mutex::new(Instant::now()),
            end,
        });
        let id = Uuid::new_v4().to_string();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, session| !session.is_idle(IDLE));
        if all.len() >= MOST
            && let Some(oldest) = all.iter().min_by_key(|(_, session)| session.last_used()).map(|(id, _)| id.clone())
        {
            all.remove(&oldest);
        }
        all.insert(id.clone(), Arc::clone(&session));
        (id, session)
    }

    /// The session under `id`, if its host sees through `profile`.
    pub fn get(&self, id: &str, profile: Option<&str>) -> Option<Arc<Session>> {
        let session = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()?;
        let session = Some(session).filter(|session| session.connection.host().profile.as_deref() == profile)?;
        *session.last_used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Some(session)
    }

    /// Ends a session whose host sees through `profile`; false if there is none.
    pub fn close(&self, id: &str, profile: Option<&str>) -> bool {
        self.get(id, profile).is_some() && self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id).is_some()
    }

    /// Ends every session.
    pub fn close_all(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Session {
    fn last_used(&self) -> Instant {
        *self.last_used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing has been asked for `limit`, nothing is being worked on, and nobody listens.
    fn is_idle(&self, limit: Duration) -> bool {
        let is_listening = self.unasked.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        self.last_used().elapsed() > limit && !self.connection.is_busy() && !is_listening
    }

    /// Takes what nobody asked for; `None` if somebody listens already.
    pub fn listen(self: &Arc<Self>) -> Option<Listening> {
        let queue = self.unasked.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(Listening { queue: Some(queue), session: Arc::clone(self) })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// Somebody who listens to a session. When it leaves, what comes next is kept for the next one.
pub struct Listening {
    queue: Option<Queue>,
    session: Arc<Session>,
}

impl futures::Stream for Listening {
    type Item = Message;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        match &mut self.queue {
            Some(queue) => queue.poll_recv(cx),
            None => std::task::Poll::Ready(None),
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        *self.session.unasked.lock().unwrap_or_else(PoisonError::into_inner) = self.queue.take();
    }
}
