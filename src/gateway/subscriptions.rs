//! Which hosts want to be told of which resources.

use std::sync::Arc;

use crate::downstream::fleet::Fleet;
use crate::gateway::door::Gateway;

/// Resources that are watched for somebody, for as long as this lives.
#[derive(Default)]
pub struct Subscribed(Vec<(Arc<Fleet>, String)>);

impl Drop for Subscribed {
    fn drop(&mut self) {
        for (fleet, uri) in &self.0 {
            fleet.unwatch(uri);
        }
    }
}

impl Gateway {
    /// Watches the resources `uris` at their servers. Those that are not seen through `profile` are left out.
    pub async fn subscribe(&self, uris: &[String], profile: Option<&str>) -> Subscribed {
        if uris.iter().any(|uri| self.seen(profile).resource(uri).is_none()) {
            self.settle().await;
        }
        let catalog = self.seen(profile);
        let owned = |uri: &String| {
            let fleet = self.pool().get(&catalog.resource(uri)?.entry.server)?;
            fleet.watch(uri);
            Some((fleet, uri.clone()))
        };
        Subscribed(uris.iter().filter_map(owned).collect())
    }
}

impl Subscribed {
    /// Whether anything is watched.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
