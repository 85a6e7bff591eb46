//! What carries runs to their ends and keeps them, if it is not this process.
//!
//! Without one, a run is carried by [`crate::runner::drive`] and stored in the journal. With one, the same handle leads to a run
//! that goes on elsewhere: whoever holds it notices no difference.

use std::sync::Arc;

use crate::engine::event::{Event, What};
use crate::journal::entry::Stored;
use crate::model::fault::Fault;
use crate::model::port::BoxFuture;
use crate::runner::drive::Begin;
use crate::runner::live::Handle;
use crate::runner::report::Report;

/// Carries a run to its end. Without a report the run goes on by itself, but nobody here follows it any more.
pub type Carrying = BoxFuture<Option<Arc<Report>>>;

/// Carries runs to their ends and keeps them.
pub trait Backend: Send + Sync {
    /// Begins a run, or follows it if its opening is stored already or there is a run of this id.
    fn carry(&self, begin: Begin) -> (Carrying, Handle);

    /// The run of this id, whoever has begun it; `None` if there is none.
    fn run(&self, run: &str) -> BoxFuture<Result<Option<Stored>, Fault>>;

    /// What has happened to a run.
    fn events(&self, run: &str) -> BoxFuture<Result<Vec<Event>, Fault>>;

    /// Tells a run that something has happened; [`crate::model::code::NO_SUCH_RUN`] if there is none, or it has ended.
    fn tell(&self, run: &str, what: What) -> BoxFuture<Result<(), Fault>>;

    /// The runs of a caller that have not ended, whoever has begun them; the newest last, and of many the newest.
    fn open(&self, caller: &str) -> BoxFuture<Result<Vec<Stored>, Fault>>;

    /// The last runs, the newest first.
    fn last(&self, count: u32) -> BoxFuture<Result<Vec<Stored>, Fault>>;
}
