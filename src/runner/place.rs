//! The place of a run among those that may go on. A run that only waits lends it to others, and makes no call before it has it
//! again.

use crate::model::priority::Priority;
use crate::runner::gate::{Away, Ticket};

/// The place of a run.
#[derive(Debug)]
pub(super) enum Place {
    /// It needs none.
    Free,
    /// It has one, or will have when its turn comes.
    Ticket(Ticket),
    /// It has lent it.
    Away(Away),
}

impl Place {
    /// The place of a run that was let in. One whose turn has not come does nothing any more but come to its end.
    pub(super) fn new(ticket: Option<Ticket>) -> Self {
        ticket.filter(|ticket| !ticket.is_waiting()).map_or(Self::Free, Self::Ticket)
    }

    /// Lends it to others.
    pub(super) fn lend(&mut self) {
        *self = match std::mem::replace(self, Self::Free) {
            Self::Ticket(ticket) => ticket.lend().map_or_else(Self::Ticket, Self::Away),
            other => other,
        };
    }

    /// Whether it is there; if not it will be.
    pub(super) fn is_there(&mut self, priority: Priority) -> bool {
        if let Self::Away(away) = self {
            *self = Self::Ticket(away.back(priority));
        }
        !matches!(self, Self::Ticket(ticket) if ticket.is_waiting())
    }

    /// Waits until it is there. Never over if it is there already.
    pub(super) async fn called(&mut self) {
        match self {
            Self::Ticket(ticket) if ticket.is_waiting() => ticket.called().await,
            _ => std::future::pending().await,
        }
    }
}
