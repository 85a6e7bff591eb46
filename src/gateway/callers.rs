//! The calls of hosts that are being worked on, and what becomes of them when the program is told to end.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::gateway::builtin::Builtin;
use crate::gateway::door::Gateway;
use crate::model::call::Target;
use crate::model::code;
use crate::model::fault::{Fault, Kind};

/// How long it may take, once the time of the calls is over, until every host has its answer.
const LAST_ANSWERS: Duration = Duration::from_millis(300);

/// The calls of hosts.
#[derive(Default)]
pub(super) struct Callers {
    present: TaskTracker,
    /// Whether who is still without an answer gets none from the server any more.
    is_late: CancellationToken,
}

/// A call of a host. It counts until this is dropped, which must not be before its answer is on its way.
pub struct Present {
    _token: TaskTrackerToken,
    is_late: CancellationToken,
}

impl Present {
    /// Waits until there is no more time for the call; the fault is what its host is told then.
    pub async fn late(&self) -> Fault {
        self.is_late.cancelled().await;
        let message = "the program ends, and the answer has not come within `shutdown_grace`";
        Fault::new(Kind::Unavailable, code::SHUTTING_DOWN, message)
            .hint("what the call changes may have happened; see the server before calling again")
            .sent()
    }
}

impl Gateway {
    /// Counts a call of a host, from the moment that it is read.
    pub fn attend(&self) -> Present {
        let Callers { present, is_late } = &self.callers;
        Present { _token: present.token(), is_late: is_late.clone() }
    }

    /// Whether a new call may begin: when the program is about to end, none but those of our own tools, which show what goes on
    /// and refuse by themselves what begins.
    pub fn takes(&self, target: &Target) -> Result<(), Fault> {
        let is_own = matches!(target, Target::Exposed(name) if Builtin::find(name).is_some());
        if is_own || !self.live.is_closing() {
            return Ok(());
        }
        Err(Fault::new(Kind::Unavailable, code::SHUTTING_DOWN, "the program is about to end and takes no new calls")
            .hint("nothing was called; try again once it has been started anew"))
    }

    /// No run begins from now on, and no call of a host. Runs that are stored come to rest, to be taken up by the next process; the
    /// others, and the calls that are under way, have the registry's `shutdown_grace` to come to their ends. Whoever is without an
    /// answer then is told so.
    pub async fn drain(&self) {
        self.live.close();
        self.endings.close();
        let Callers { present, is_late } = &self.callers;
        present.close();
        let all = futures::future::join(self.endings.wait(), present.wait());
        // Runs that take longer are cancelled, or left, when everything is closed.
        let _ = timeout(self.registry().orchestrator.shutdown_grace, all).await;
        // A run that came to rest at the last moment tells whoever waits for it where it is found.
        if timeout(LAST_ANSWERS, present.wait()).await.is_err() {
            is_late.cancel();
            if timeout(LAST_ANSWERS, present.wait()).await.is_err() {
                tracing::warn!("the program ends before every host has read that its call is given up");
            }
        }
    }
}
