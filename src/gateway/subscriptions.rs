//! Which hosts want to be told of which resources.

use std::sync::Arc;

use crate::downstream::endpoint::Endpoint;
use crate::gateway::door::Gateway;

/// Resources that are watched for somebody, for as long as this lives.
#[derive(Default)]
pub struct Subscribed(Vec<(Arc<Endpoint>, String)>);

impl Drop for Subscribed {
    fn drop(&mut self) {
        for (endpoint, uri) in &self.0 {
            endpoint.unwatch(uri);
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
            let endpoint = self.pool().get(&catalog.resource(uri)?.entry.server)?;
            endpoint.watch(uri);
            Some((endpoint, uri.clone()))
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
