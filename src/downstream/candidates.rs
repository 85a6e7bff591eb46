//! Whom a question is put to if its server does not say which request it belongs to.
//!
//! The initialize era has no word for that; over HTTP only the stream that a question comes on can tell.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::downstream::question::{Asker, Asking};
use crate::model::ask::Ask;

/// Questions of one call that come within this time count as asked at once.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A request in flight that the question may belong to.
pub struct Candidate {
    /// Its id: later requests have higher ones.
    pub id: u64,
    /// The host behind it.
    pub ask: Arc<dyn Ask>,
    /// Its open questions.
    pub asking: Arc<Asking>,
    /// Cancelled when it is over.
    pub over: CancellationToken,
}

/// Whom to ask.
pub struct Chosen {
    /// The host, and the clocks that stand still meanwhile.
    pub asker: Asker,
    over: Vec<CancellationToken>,
}

impl Chosen {
    /// Waits until nobody wants to know any more.
    pub fn moot(&self) -> impl Future<Output = ()> + use<> {
        let over = self.over.clone();
        async move {
            join_all(over.iter().map(CancellationToken::cancelled)).await;
        }
    }
}

/// The host behind all that are likely. With several hosts a question goes unanswered rather than to the wrong one.
pub fn choose(mut candidates: Vec<Candidate>) -> Option<Chosen> {
    // A call that waits for its answer hardly asks another question, unless it asks several at once.
    let may_ask = |one: &Candidate| !one.asking.is_open() || one.asking.has_just_asked(AT_ONCE);
    if candidates.iter().any(may_ask) {
        candidates.retain(may_ask);
    }
    let ask = Arc::clone(&candidates.iter().max_by_key(|one| one.id)?.ask);
    if candidates.iter().any(|one| one.ask.id() != ask.id()) {
        return None;
    }
    // It may be of any of them, so that the clocks of all stand still, and it is moot only when all are over.
    let clocks = candidates.iter().map(|one| Arc::clone(&one.asking)).collect();
    let over = candidates.into_iter().map(|one| one.over).collect();
    Some(Chosen { asker: (ask, clocks), over })
}
