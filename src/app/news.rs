//! Noticing that sources have found other servers than before.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::discovery::board::Heard;
use crate::discovery::search::Searches;

/// How long it must be quiet before what was found is taken over.
const QUIET: Duration = Duration::from_millis(100);

/// How long quiet is waited for at most.
const UNREST: Duration = Duration::from_secs(1);

/// What sources have said, as far as it has been taken over.
pub(super) struct News<'a> {
    searches: &'a Searches,
    heard: watch::Receiver<Heard>,
    /// How many changes have been taken over.
    taken: u64,
    /// Whether the first answers are still to be taken over: together, so that hosts are told once.
    awaits_first: bool,
}

impl<'a> News<'a> {
    /// Nothing has been taken over yet.
    pub(super) fn of(searches: &'a Searches) -> Self {
        let is_empty = searches.board().is_empty();
        Self { searches, heard: searches.board().heard(), taken: 0, awaits_first: !is_empty }
    }

    /// Waits until there is something to be taken over.
    pub(super) async fn changed(&mut self) {
        if self.awaits_first {
            self.searches.complete().await;
            return;
        }
        let taken = self.taken;
        if self.heard.wait_for(|heard| heard.changes != taken).await.is_err() {
            return std::future::pending().await;
        }
        let quiet = async { while let Ok(Ok(())) = timeout(QUIET, self.heard.changed()).await {} };
        // Sources that never rest are listened to in between.
        let _ = timeout(UNREST, quiet).await;
    }

    /// Everything that is known now is about to be taken over.
    pub(super) fn take(&mut self) {
        self.awaits_first = false;
        self.taken = self.heard.borrow_and_update().changes;
    }
}
