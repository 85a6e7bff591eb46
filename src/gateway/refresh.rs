//! Building the next catalog when what some server offers has changed.

use std::sync::{Arc, PoisonError};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::catalog::snapshot::{Catalog, Contribution};
use crate::downstream::pool::Offers;
use crate::gateway::door::Gateway;
use crate::model::entry::Kind;

/// Counts the changes of each list that hosts see.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Versions {
    /// `tools/list`.
    pub tools: u64,
    /// `prompts/list`.
    pub prompts: u64,
    /// `resources/list` and `resources/templates/list`.
    pub resources: u64,
}

impl Gateway {
    /// Changes when a list that hosts see has changed.
    pub fn versions(&self) -> watch::Receiver<Versions> {
        self.versions.subscribe()
    }

    /// Rebuilds the catalog although no server offers anything else than before: what we offer ourselves has changed.
    pub(super) fn rebuild(&self) {
        *self.refreshing.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.refresh();
    }

    /// Rebuilds the catalog from what every server was last heard to offer.
    pub fn refresh(&self) {
        let mut built_from = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        let listings: Vec<_> =
            self.pool.iter().filter_map(|endpoint| Some((Arc::clone(&endpoint.server), endpoint.listing()?))).collect();
        let now: Vec<_> = listings.iter().map(|(_, listing)| Arc::clone(listing)).collect();
        let is_same =
            |built: &Vec<Arc<_>>| built.len() == now.len() && built.iter().zip(&now).all(|(a, b)| Arc::ptr_eq(a, b));
        if built_from.as_ref().is_some_and(is_same) {
            return;
        }
        *built_from = Some(now);
        let contributions =
            listings.iter().map(|(server, listing)| Contribution { server, entries: &listing.entries }).collect();
        let servers = Arc::new(Catalog::build(contributions, self.own_names(), self.registry().orchestrator.prefix));
        self.judge(&servers);
        let next = servers.with_own(self.own_tools(Arc::clone(&servers)));
        let old = self.catalog();
        for line in next.left_out().difference(old.left_out()) {
            tracing::warn!("left out: {line}");
        }
        let differs = |kind| !next.is_same(&old, kind);
        let tools = differs(Kind::Tool);
        let prompts = differs(Kind::Prompt);
        let resources = differs(Kind::Resource) || differs(Kind::Template);
        self.views.store(Arc::new(self.views_of(next)));
        self.versions.send_if_modified(|versions| {
            versions.tools += u64::from(tools);
            versions.prompts += u64::from(prompts);
            versions.resources += u64::from(resources);
            tools || prompts || resources
        });
    }

    /// Refreshes whenever some server's listing changes, until `stop`.
    pub(super) async fn keep_fresh(self: Arc<Self>, mut offers: Offers, stop: CancellationToken) {
        let next = |mut listing: watch::Receiver<_>| async move {
            let result = listing.changed().await;
            result.is_ok().then_some(listing)
        };
        loop {
            let mut changes: FuturesUnordered<_> = std::mem::take(&mut offers.listings).into_iter().map(next).collect();
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    Some(heard) = changes.next() => if let Some(listing) = heard {
                        self.refresh();
                        changes.push(next(listing));
                    },
                    replaced = offers.replaced.changed() => match replaced {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                }
            }
            offers = self.pool.offers();
            // One of the new servers may have been listed before it was listened to.
            self.refresh();
        }
    }
}
