//! What a call waits for before it is made: a place among the calls of all runs, and what comes after a run's end also for the
//! runs within to be over.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::priority::Priority;
use crate::policy::turns::{Manner, Refusal};
use crate::runner::gate::{Gate, Ticket};

/// Who wants a place, and how.
#[derive(Debug)]
pub(super) struct Wish {
    pub(super) places: Arc<Gate>,
    pub(super) who: Arc<str>,
    pub(super) priority: Priority,
    pub(super) deadline: Option<Instant>,
    pub(super) manner: Manner,
}

impl Wish {
    fn ask(&self) -> Result<Ticket, Refusal> {
        self.places.ask(&self.who, self.priority, self.deadline, self.manner)
    }
}

/// The runs within, and what is done once they are over.
pub(super) type Within = (TaskTracker, Arc<OnceCell<()>>);

/// A call's wait until it may be made.
#[derive(Debug)]
pub(super) struct Leave {
    /// `None` if the call takes no place.
    wish: Option<Wish>,
    /// What has to be over first, if that is not over yet.
    after: Option<Within>,
    /// What was said to the wish, once it was uttered.
    asked: Option<Result<Ticket, Refusal>>,
}

impl Leave {
    /// Begins to wait. The place is asked for at once, unless the runs within need places before.
    pub(super) fn ask(wish: Option<Wish>, after: Option<Within>) -> Self {
        let after = after.filter(|(within, _)| !within.is_empty());
        let asked = wish.as_ref().filter(|_| after.is_none()).map(Wish::ask);
        Self { wish, after, asked }
    }

    /// Whether the call may be made at once.
    pub(super) fn is_given(&self) -> bool {
        let has_place = self.asked.as_ref().is_none_or(|asked| matches!(asked, Ok(place) if !place.is_waiting()));
        self.after.is_none() && has_place
    }

    /// Waits until the call may be made; gives back its place, which it keeps until it is over.
    pub(super) async fn given(self) -> Result<Option<Ticket>, Fault> {
        if let Some((within, settled)) = &self.after {
            settled.get_or_init(|| within.wait()).await;
        }
        let asked = self.asked.or_else(|| self.wish.as_ref().map(Wish::ask));
        let mut place = asked.transpose().map_err(|refusal| too_many(&refusal))?;
        if let Some(place) = &mut place {
            place.called().await;
        }
        Ok(place)
    }
}

/// More calls wait for a place than may.
fn too_many(refusal: &Refusal) -> Fault {
    let (Refusal::Full { waiting, retry_after: after } | Refusal::TooLate { waiting, expected: after }) = refusal;
    Fault::new(Kind::RateLimited, code::TOO_MANY_CALLS, format!("{waiting} calls of runs wait for their turn already"))
        .retry_after(*after)
        .hint("raise `max_concurrent_steps` in the registry, or let loops run fewer items at once by `concurrency`")
}
