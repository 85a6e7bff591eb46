//! Sees when somebody logs in, so that a server is not left alone for longer than that.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::downstream::oauth::account::Account;
use crate::downstream::oauth::faults::refused;
use crate::downstream::place::Place;
use crate::model::fault::Fault;
use crate::registry::server::{Launch, Server};

/// How often a login is looked for; one look costs a few microseconds.
const LOOK: Duration = Duration::from_millis(250);

impl Account {
    /// That at `server`, if the registry says that the program is to be authorized there.
    pub fn at(server: &Server) -> Option<Result<Arc<Self>, Fault>> {
        let Launch::Url(address) = &server.launch else { return None };
        let oauth = address.oauth.as_ref()?;
        Some(Place::of(address).and_then(|place| match place {
            Place::Web { url, .. } => Self::new(&server.name, url, oauth, &TaskTracker::new()),
            Place::Socket(_) => Err(refused("nobody is authorized over a socket")),
        }))
    }
}

/// Waits until somebody has logged in at `server`; for ever if nobody can.
pub async fn login(server: &Server) {
    let Some(Ok(account)) = Account::at(server) else { return std::future::pending().await };
    let before = account.vault.stamp();
    while account.vault.stamp() == before {
        sleep(LOOK).await;
    }
}
