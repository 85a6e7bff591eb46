//! A connection to a server, whatever it runs over.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::downstream::greet::unusable;
use crate::downstream::http::link::{self, Link};
use crate::downstream::http::site::Site;
use crate::downstream::http::sse;
use crate::downstream::notice::Inbox;
use crate::downstream::oauth::account::Account;
use crate::downstream::place::Place;
use crate::downstream::protocol::{About, Era};
use crate::downstream::request::Request;
use crate::downstream::socket;
use crate::downstream::stdio::connect::{Stdio, connect, explained, how_it_ended};
use crate::downstream::stdio::lane::Lane;
use crate::downstream::stdio::watchdog::Watchdog;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::registry::server::{self, Address, Launch, Server, Transport};

/// How long after the end of a subscription the next one is asked for.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);

/// How long the tasks of a closed connection may take to end.
const TASKS_END: Duration = Duration::from_secs(1);

/// An open connection.
pub struct Session {
    about: About,
    wire: Wire,
    inbox: Arc<Inbox>,
    tasks: TaskTracker,
    end: CancellationToken,
    /// Guards which resources are watched.
    watched: Mutex<BTreeSet<String>>,
    /// Guards the handle of the subscription.
    listening: Mutex<Option<AbortHandle>>,
}

enum Wire {
    Stdio(Stdio),
    /// Lines that no child of ours carries: over a socket, or as the events of an HTTP server.
    Lane(Arc<Lane>, Option<Site>),
    Http(Arc<Link>),
}

impl Session {
    /// Connects to `server`, offering it `capabilities` if it is of the initialize era. Dropping the future ends whatever it has started.
    ///
    /// Whatever is told of the server comes from here, from the session's methods or from the server's standard error: there the values of
    /// its placeholders are hidden.
    pub async fn open(
        server: &Server,
        known: Option<Era>,
        capabilities: &Value,
        inbox: &Arc<Inbox>,
        watchdog: &Arc<Watchdog>,
    ) -> Result<Self, Fault> {
        inbox.secrets().learn(server.launch.texts().into_iter());
        let opened = Self::open_plainly(server, known, capabilities, inbox, watchdog).await;
        opened.map_err(|fault| inbox.secrets().hide_in(fault))
    }

    async fn open_plainly(
        server: &Server,
        known: Option<Era>,
        capabilities: &Value,
        inbox: &Arc<Inbox>,
        watchdog: &Arc<Watchdog>,
    ) -> Result<Self, Fault> {
        let tasks = TaskTracker::new();
        let end = CancellationToken::new();
        let known = server.era.map(pinned).or(known);
        let (wire, about) = match &server.launch {
            Launch::Command(command) => {
                let (stdio, about) = connect(server, command, known, capabilities, inbox, watchdog, &tasks).await?;
                (Wire::Stdio(stdio), about)
            }
            // Connecting over HTTP takes much room, which every task of a supervisor would have to have.
            Launch::Url(address) => Box::pin(join(&server.name, address, known, capabilities, inbox, &tasks)).await?,
        };
        let inbox = Arc::clone(inbox);
        let session = Self { about, wire, inbox, tasks, end, watched: Mutex::default(), listening: Mutex::default() };
        if let Err(fault) = session.check_version(server) {
            session.close("its version is not allowed").await;
            return Err(fault);
        }
        Ok(session)
    }

    /// What the server said about itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The process id of a child.
    pub fn pid(&self) -> Option<u32> {
        match &self.wire {
            Wire::Stdio(stdio) => Some(stdio.child.pid()),
            Wire::Lane(..) | Wire::Http(_) => None,
        }
    }

    /// Sends `request` and waits for its raw result. Has no time limit of its own; dropping the future cancels it.
    pub async fn request(&self, request: &Request) -> Result<Box<RawValue>, Fault> {
        let result = match &self.wire {
            Wire::Stdio(stdio) => match stdio.lane.request(request, Some(self.about.era)).await {
                Err(fault) => Err(explained(stdio, fault).await),
                result => result,
            },
            Wire::Lane(lane, _) => lane.request(request, Some(self.about.era)).await,
            Wire::Http(link) => link.request(request).await,
        };
        result.map_err(|fault| self.inbox.secrets().hide_in(fault))
    }

    /// Where headers repeat what the body says (2026-07-28, over HTTP): the connection, to be told which arguments.
    pub fn mirrors(&self) -> Option<&Link> {
        match &self.wire {
            Wire::Http(link) if self.about.era == Era::Modern => Some(link),
            _ => None,
        }
    }

    /// Asks whether the server still answers.
    pub async fn probe(&self) -> Result<(), Fault> {
        let method = match self.about.era {
            Era::Legacy => "ping",
            Era::Modern => "server/discover",
        };
        match self.request(&Request::new(method)).await {
            // Even a refusal is a sign of life.
            Err(fault) if fault.rpc.is_none() => Err(fault),
            _ => Ok(()),
        }
    }

    /// Asks an HTTP server for `path`; any status below 400 is a sign of health.
    pub async fn probe_http(&self, path: &str) -> Result<(), Fault> {
        let result = match &self.wire {
            Wire::Http(link) => link.site().probe(path).await,
            Wire::Lane(_, Some(site)) => site.probe(path).await,
            Wire::Stdio(_) | Wire::Lane(_, None) => {
                Err(Fault::new(Kind::Invalid, code::WRONG_VALUE, "it is not reached over HTTP and has no health path"))
            }
        };
        result.map_err(|fault| self.inbox.secrets().hide_in(fault))
    }

    /// Waits until the connection is lost; says why.
    pub async fn closed(&self) -> String {
        let why = match &self.wire {
            Wire::Stdio(stdio) => {
                let why = stdio.lane.closed().await;
                how_it_ended(stdio).await.unwrap_or(why)
            }
            Wire::Lane(lane, _) => lane.closed().await,
            Wire::Http(link) => link.closed().await,
        };
        self.inbox.secrets().hide(&why)
    }

    /// Closes the connection and ends the child with everything it has started; requests in flight fail with `why`.
    pub async fn close(&self, why: &str) {
        self.end.cancel();
        match &self.wire {
            Wire::Stdio(stdio) => stdio.close(why).await,
            Wire::Lane(lane, _) => lane.close(why),
            Wire::Http(link) => link.close(why),
        }
        self.tasks.close();
        if timeout(TASKS_END, self.tasks.wait()).await.is_err() {
            tracing::debug!("a closed connection still has tasks");
        }
    }

    /// Watches the resources `uris`, and no others. Failing to is no reason to give the server up.
    ///
    /// A modern server is told in one subscription, together with the list changes; an old one for each resource, and it
    /// sends list changes unasked.
    pub async fn watch(self: &Arc<Self>, uris: &BTreeSet<String>) {
        let before = std::mem::replace(&mut *self.watched.lock().unwrap_or_else(PoisonError::into_inner), uris.clone());
        if self.about.era == Era::Modern {
            self.listen(uris);
            return;
        }
        let subscribe = uris.difference(&before).map(|uri| ("resources/subscribe", uri));
        let unsubscribe = before.difference(uris).map(|uri| ("resources/unsubscribe", uri));
        for (method, uri) in subscribe.chain(unsubscribe) {
            if let Err(fault) = self.request(&Request::new(method).with_text("uri", uri)).await {
                tracing::debug!(method, uri, %fault, "a resource is not watched");
            }
        }
    }

    /// Keeps one subscription open, in place of the one before.
    fn listen(self: &Arc<Self>, uris: &BTreeSet<String>) {
        let mut filter = json!({ "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true });
        if !uris.is_empty() {
            filter["resourceSubscriptions"] = json!(uris);
        }
        let Ok(filter) = to_raw_value(&filter) else { return };
        let request = Request::new("subscriptions/listen").with("notifications", filter);
        let session = Arc::downgrade(self);
        let subscription = async move {
            // A server that grants none answers with an error; one that ends it is asked again, but not at once.
            while let Some(session) = session.upgrade() {
                match session.request(&request).await {
                    Err(fault) if fault.rpc.is_some() => return,
                    _ => {}
                }
                let inbox = Arc::clone(&session.inbox);
                drop(session);
                sleep(LISTEN_AGAIN).await;
                // Something may have changed unheard.
                inbox.hear("notifications/tools/list_changed", None);
            }
        };
        let listening = self.tasks.spawn(self.end.clone().run_until_cancelled_owned(subscription));
        let mut current = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = current.replace(listening.abort_handle()) {
            old.abort();
        }
    }

    fn check_version(&self, server: &Server) -> Result<(), Fault> {
        let Some(wanted) = &server.version else { return Ok(()) };
        let given = self.about.version.as_deref().unwrap_or("none");
        if version_of(given).is_some_and(|version| wanted.matches(&version)) {
            return Ok(());
        }
        let message = format!("its version is {given}, the registry allows {wanted}");
        Err(Fault::new(Kind::Unavailable, code::WRONG_VERSION, message)
            .hint("install an allowed version, or change `version` in the registry"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Whoever closes it properly has ended the child before.
        let why = "the connection was given up";
        match &self.wire {
            Wire::Stdio(stdio) => {
                stdio.lane.close(why);
                stdio.child.kill();
            }
            Wire::Lane(lane, _) => lane.close(why),
            Wire::Http(link) => link.close(why),
        }
    }
}

/// Connects to a server that runs already.
async fn join(
    server: &Arc<str>,
    address: &Address,
    known: Option<Era>,
    capabilities: &Value,
    inbox: &Arc<Inbox>,
    tasks: &TaskTracker,
) -> Result<(Wire, About), Fault> {
    let (url, socket) = match Place::of(address)? {
        Place::Web { url, socket } => (url, socket),
        Place::Socket(path) => {
            let (lane, about) = socket::connect(&path, known, capabilities, inbox, tasks).await?;
            return Ok((Wire::Lane(lane, None), about));
        }
    };
    let mut site = Site::new(url, socket, &address.headers)?;
    if let Some(oauth) = &address.oauth {
        site.account = Some(Account::new(server, site.url.clone(), oauth, tasks)?);
    }
    if address.transport == Some(Transport::Sse) {
        let (lane, about) = sse::connect(site.clone(), known, capabilities, inbox, tasks).await?;
        return Ok((Wire::Lane(lane, Some(site)), about));
    }
    let link = link::connect(site, known, capabilities, inbox, tasks).await?;
    let about = link.about().clone();
    Ok((Wire::Http(link), about))
}

/// A version as servers write it: `v1.4` and `2` are told from `1.4.0` and `2.0.0` by nobody.
fn version_of(text: &str) -> Option<semver::Version> {
    let text = text.trim().trim_start_matches(['v', 'V']);
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at(end);
    let missing = 2_usize.checked_sub(numbers.matches('.').count())?;
    semver::Version::parse(&format!("{numbers}{}{rest}", ".0".repeat(missing))).ok()
}

fn pinned(era: server::Era) -> Era {
    match era {
        server::Era::Legacy => Era::Legacy,
        server::Era::Modern => Era::Modern,
    }
}

/// The fault of a server that did not connect in time.
pub fn connect_timeout(limit: Duration) -> Fault {
    let message = format!("did not answer its first request within {} s", limit.as_secs_f32());
    Fault { code: code::CALL_TIMEOUT, hint: None, ..unusable(message) }
        .hint("raise its `connect_timeout`, or see `mcp-orchestrator status` for what it wrote to its standard error")
}

#[cfg(test)]
mod tests {
    use super::version_of;

    #[test]
    fn a_version_is_read_as_servers_write_it() {
        let read = |text: &str| version_of(text).map(|version| version.to_string());
        for (text, version) in [("1.2.3", "1.2.3"), ("v1.4", "1.4.0"), ("2", "2.0.0"), ("2-beta.1", "2.0.0-beta.1")] {
            assert_eq!(read(text).as_deref(), Some(version));
        }
        for text in ["", "none", "1.2.3.4", "1..2"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
