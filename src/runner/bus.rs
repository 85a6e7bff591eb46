//! Events within the program: what one run emits, every run that waits for it hears.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::broadcast;

use crate::engine::event::What;

/// How many events a run may be behind before it misses some.
const CAPACITY: usize = 1_024;

/// Something that has happened.
#[derive(Debug)]
struct Emitted {
    id: String,
    event: Arc<str>,
    data: Value,
}

/// Carries events to whoever listens at that moment.
#[derive(Debug, Clone)]
pub struct Bus(broadcast::Sender<Arc<Emitted>>);

impl Default for Bus {
    fn default() -> Self {
        Self(broadcast::channel(CAPACITY).0)
    }
}

impl Bus {
    /// Tells everybody; `id` tells this event from others.
    pub fn emit(&self, id: String, event: Arc<str>, data: Value) {
        // Fails only if nobody listens.
        let _ = self.0.send(Arc::new(Emitted { id, event, data }));
    }

    /// Listens for events of these names from now on.
    pub fn listen(&self, names: BTreeSet<Arc<str>>) -> Ear {
        let heard = (!names.is_empty()).then(|| self.0.subscribe());
        Ear { names, heard }
    }
}

/// Hears the events of some names.
#[derive(Debug)]
pub struct Ear {
    names: BTreeSet<Arc<str>>,
    heard: Option<broadcast::Receiver<Arc<Emitted>>>,
}

impl Ear {
    /// The next event. Never comes if there is nothing to listen for.
    pub async fn next(&mut self) -> What {
        let Some(heard) = &mut self.heard else { return std::future::pending().await };
        loop {
            match heard.recv().await {
                Ok(emitted) if self.names.contains(&emitted.event) => {
                    let Emitted { id, event, data } = &*emitted;
                    return What::Arrived { id: id.clone(), event: event.to_string(), data: data.clone() };
                }
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "a run was too busy to hear every event");
                }
                Err(broadcast::error::RecvError::Closed) => return std::future::pending().await,
            }
        }
    }
}
