//! Runs that are part of others, and that a program that has died has left open: the step that began one may be over, so that
//! nobody would call for it again.

use std::any::Any;
use std::collections::HashSet;
use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::engine::event::Event;
use crate::engine::run::Run;
use crate::gateway::door::Gateway;
use crate::journal::entry::Stored;
use crate::workflow::definition::Workflow;

/// For what a stored run is taken up.
pub(super) enum Purpose {
    /// To go on.
    GoOn,
    /// To be cancelled, so that what it has done is undone. What is held is dropped when it is over.
    End(Option<Arc<dyn Any + Send + Sync>>),
}

impl Purpose {
    /// That of a run whose step does not wait for it any more.
    pub(super) fn without_caller(stored: &Stored, held: Option<Arc<dyn Any + Send + Sync>>) -> Self {
        if stored.opening.terms["detached"] == true { Self::GoOn } else { Self::End(held) }
    }
}

impl Gateway {
    /// Takes up what is left of the runs that are part of `run`, to which this has happened, but for those that it calls for
    /// again itself: a step that is over does not.
    pub(super) fn take_up_within(
        self: &Arc<Self>,
        (run, workflow, history): (&str, &Arc<Workflow>, &[Event]),
        within: &TaskTracker,
    ) {
        let Some(store) = self.store().filter(|_| !history.is_empty()) else { return };
        let mut open = match store.read(|reader| reader.children(run)) {
            Ok(all) => all,
            Err(fault) => return tracing::error!("{fault}"),
        };
        open.retain(|child| !child.is_over() && self.live.any(&child.opening.run).is_none());
        if open.is_empty() {
            return;
        }
        let calls = Run::wanted_again(Arc::clone(workflow), history).into_iter();
        let wanted: HashSet<_> = calls.map(|call| format!("{run}/{}#{}", call.at, call.attempt)).collect();
        for child in open.iter().filter(|child| child.opening.parent.as_ref().is_none_or(|at| !wanted.contains(at))) {
            let purpose = Purpose::without_caller(child, Some(Arc::new(within.token())));
            match self.resume(store, child, purpose) {
                Ok(waiter) => drop(waiter.leave()),
                Err(fault) => tracing::error!("{fault}"),
            }
        }
    }
}
