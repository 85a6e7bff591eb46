//! Log messages for a modern host, which gets them only with a request that asks for them, and only during it.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::downstream::notice::Notice;
use crate::gateway::door::Gateway;
use crate::model::call::Target;
use crate::server::host::rank;
use crate::server::notify::line;

/// What servers log while a request is worked on.
pub(super) struct Overheard {
    gateway: Arc<Gateway>,
    profile: Option<Arc<str>>,
    notices: Receiver<Notice>,
    /// The mildest level that is wanted.
    level: u8,
    /// The one server that works on the request, if there can be only one.
    server: Option<Arc<str>>,
}

impl Overheard {
    /// Listens from now on for messages of `level` and above; `None` if there is no such level.
    pub(super) fn new(
        gateway: &Arc<Gateway>,
        profile: Option<&Arc<str>>,
        level: &str,
        target: &Target,
    ) -> Option<Self> {
        let rank_wanted = rank(level)?;
        // A server of the initialize era has one level for all requests.
        if gateway.pool().log_level().is_none_or(|known| rank(&known).is_some_and(|known| rank_wanted < known)) {
            gateway.pool().set_log_level(level);
        }
        let seen = gateway.seen(profile.map(AsRef::as_ref));
        let entry = match target {
            Target::Exposed(name) => seen.tool(name),
            Target::Prompt(name) => seen.prompt(name),
            Target::Resource(uri) => seen.resource(uri),
            Target::Tool(_)
            | Target::Workflow(_)
            | Target::Model
            | Target::Agent(_)
            | Target::Completion
            | Target::Task(..) => None,
        };
        Some(Self {
            gateway: Arc::clone(gateway),
            profile: profile.cloned(),
            notices: gateway.pool().notices(),
            level: rank_wanted,
            server: entry.map(|offer| Arc::clone(&offer.entry.server)),
        })
    }

    /// The next message, as a line. Never ends.
    pub(super) async fn next(&mut self) -> String {
        loop {
            match self.notices.recv().await {
                Ok(notice) => {
                    if let Some(line) = self.line(&notice) {
                        return line;
                    }
                }
                Err(RecvError::Lagged(lost)) => tracing::debug!(lost, "log messages of servers were dropped"),
                Err(RecvError::Closed) => pending().await,
            }
        }
    }

    /// What was logged and has not been told yet.
    pub(super) fn rest(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.notices.try_recv() {
                Ok(notice) => lines.extend(self.line(&notice)),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return lines,
            }
        }
    }

    fn line(&self, notice: &Notice) -> Option<String> {
        let is_of_request = self.server.as_ref().is_none_or(|server| *server == notice.server);
        let is_shown = self.gateway.shows_server(self.profile.as_deref(), &notice.server);
        if notice.method.as_ref() != "notifications/message" || !is_of_request || !is_shown {
            return None;
        }
        line(notice, |level| rank(level).is_some_and(|rank| rank >= self.level))
    }
}
