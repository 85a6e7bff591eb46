//! Small calls that are gathered for a moment, to be made as one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{Shared, WeakShared};
use serde_json::value::RawValue;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::model::fault::Fault;
use crate::model::port::BoxFuture;

/// What came of the items of a batch, each in its place; none for an item that was not answered.
pub(super) type Parts = Vec<Option<Box<RawValue>>>;

/// What came of a batch; none if each of its calls is to be made by itself.
pub(super) type Outcome = Result<Option<Arc<Parts>>, Fault>;

/// A batch that is waited for. It is cancelled when the last who waits leaves.
type Flight = Shared<BoxFuture<Outcome>>;

/// A batch that may still grow, which does not keep itself waited for.
type Growing = (Arc<Items>, WeakShared<BoxFuture<Outcome>>);

/// The batches that may still grow, by what their items have in common; guarded for one look-up.
#[derive(Default)]
pub(super) struct Batches(Mutex<HashMap<String, Growing>>);

/// The items of one batch, without repetitions.
#[derive(Default)]
pub(super) struct Items {
    /// None when no more are taken; guarded for one look.
    open: Mutex<Option<Vec<String>>>,
    is_full: Notify,
}

impl Items {
    /// The place of `item`; `None` if it comes too late.
    fn add(&self, item: &str, max: usize) -> Option<usize> {
        let mut open = lock(&self.open);
        let items = open.as_mut()?;
        if let Some(place) = items.iter().position(|known| known == item) {
            return Some(place);
        }
        if items.len() >= max {
            return None;
        }
        items.push(item.to_owned());
        if items.len() == max {
            self.is_full.notify_one();
        }
        Some(items.len() - 1)
    }

    /// Gathers for as long as `window`, or until there is no more room; gives back what there is then.
    pub(super) async fn gather(&self, window: Duration) -> Vec<String> {
        // Whether time has run out or the room makes no difference.
        let _ = timeout(window, self.is_full.notified()).await;
        lock(&self.open).take().unwrap_or_default()
    }
}

impl Batches {
    /// Adds `item` to the batch for `key` that may still grow, or to one that is begun with it. No batch has more than `max`.
    pub(super) fn enter(
        &self,
        key: String,
        item: &str,
        max: usize,
        begin: impl FnOnce(Arc<Items>) -> BoxFuture<Outcome>,
    ) -> (Place<'_>, usize) {
        let mut batches = lock(&self.0);
        if let Some((items, flight)) = batches.get(&key)
            && let Some(flight) = flight.upgrade()
            && let Some(place) = items.add(item, max)
        {
            return (Place { batches: self, key, flight: Some(flight) }, place);
        }
        let items = Arc::new(Items { open: Mutex::new(Some(vec![item.to_owned()])), is_full: Notify::new() });
        let flight = begin(Arc::clone(&items)).shared();
        if let Some(weak) = flight.downgrade() {
            batches.insert(key.clone(), (items, weak));
        }
        (Place { batches: self, key, flight: Some(flight) }, 0)
    }
}

/// A place in a batch, for as long as somebody waits for it.
pub(super) struct Place<'a> {
    batches: &'a Batches,
    key: String,
    flight: Option<Flight>,
}

impl Place<'_> {
    /// Waits for what comes of the batch.
    pub(super) async fn outcome(&self) -> Outcome {
        match self.flight.clone() {
            Some(flight) => flight.await,
            None => Ok(None),
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // The batch itself ends outside of the lock, as it may have to tell its server.
        drop(self.flight.take());
        let mut batches = lock(&self.batches.0);
        if batches.get(&self.key).is_some_and(|(_, flight)| flight.upgrade().is_none()) {
            batches.remove(&self.key);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
