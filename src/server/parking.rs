//! Calls of modern hosts that wait for answers: an old server's call stays open while its host fetches them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::model::chain::Hop;
use crate::server::conversation::Conversation;

/// How long a call waits for its host to come back.
const PATIENCE: Duration = Duration::from_mins(10);

/// How many calls may wait. Beyond it the next one is given up at once.
const CAPACITY: usize = 80;

/// The calls that wait, by their `requestState`: a random number of 122 bits that is good for one use.
pub struct Parking {
    /// What our `requestState` begins with; what does not is a server's own, which may be an orchestrator as well.
    prefix: String,
    parked: Mutex<HashMap<String, Parked>>,
}

/// A call that waits, and whose it is.
struct Parked {
    conversation: Conversation,
    owner: String,
}

impl Parking {
    /// Nothing waits yet at the orchestrator that is `us`.
    pub fn new(us: Hop) -> Self {
        Self { prefix: format!("mo1.{:016x}.", us.0), parked: Mutex::default() }
    }

    /// Whether `state` is one of ours, if perhaps an old one.
    pub fn is_ours(&self, state: &str) -> bool {
        state.starts_with(&self.prefix)
    }

    /// Lets `conversation` wait for `owner`; gives back its `requestState`, or the conversation if there is no room.
    pub fn park(
        self: &Arc<Self>,
        conversation: Conversation,
        owner: &str,
        tasks: &TaskTracker,
    ) -> Result<String, Box<Conversation>> {
        let state = format!("{}{}", self.prefix, Uuid::new_v4().simple());
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        if parked.len() >= CAPACITY {
            return Err(Box::new(conversation));
        }
        parked.insert(state.clone(), Parked { conversation, owner: owner.to_owned() });
        drop(parked);
        let (parking, expired) = (Arc::downgrade(self), state.clone());
        tasks.spawn(async move {
            sleep(PATIENCE).await;
            if let Some(parking) = parking.upgrade() {
                // Dropping the conversation cancels its call.
                parking.parked.lock().unwrap_or_else(PoisonError::into_inner).remove(&expired);
            }
        });
        Ok(state)
    }

    /// The conversation under `state`, if it waits and is `owner`'s.
    pub fn resume(&self, state: &str, owner: &str) -> Option<Conversation> {
        let mut parked = self.parked.lock().unwrap_or_else(PoisonError::into_inner);
        if parked.get(state)?.owner != owner {
            return None;
        }
        parked.remove(state).map(|parked| parked.conversation)
    }
}
