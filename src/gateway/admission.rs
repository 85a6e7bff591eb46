//! Which runs may begin now, which wait for their turn, and which are refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::document::duration::format_duration;
use crate::gateway::door::Gateway;
use crate::model::call::Call;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::limits::Limits;
use crate::model::priority::Priority;
use crate::policy::turns::{Manner, Refusal};
use crate::runner::gate::Ticket;
use crate::workflow::definition::Workflow;

/// How urgent a call of `workflow` is: as its caller says, else as the workflow says.
pub(super) fn priority(workflow: &Workflow, call: &Call) -> Priority {
    call.priority.unwrap_or(workflow.conduct.priority)
}

impl Gateway {
    /// Whether runs still begin at all.
    pub(super) fn still_open(&self) -> Result<(), Fault> {
        if !self.live.is_closing() {
            return Ok(());
        }
        Err(Fault::new(Kind::Unavailable, code::SHUTTING_DOWN, "the program is about to end and begins no runs")
            .hint("try again once it has been started anew; runs that are stored go on then"))
    }

    /// A place among the runs, now or later; the runs that a run starts and waits for do not count again.
    pub(super) fn admit(&self, workflow: &Workflow, call: &Call, limits: Limits) -> Result<Option<Ticket>, Fault> {
        self.still_open()?;
        if limits.depth > 1 && !call.is_detached {
            return Ok(None);
        }
        let asked = self.runs.ask(&call.principal.name, priority(workflow, call), limits.deadline, Manner::Prompt);
        asked.map(Some).map_err(|refusal| self.refused(workflow, refusal, limits.deadline))
    }

    /// The place of a run that was let in by an earlier process: at once, unless it waited then.
    pub(super) fn admit_again(&self, caller: &Arc<str>, priority: Priority, was_waiting: bool) -> Option<Ticket> {
        if was_waiting {
            return self.runs.ask(caller, priority, None, Manner::Admitted).ok();
        }
        Some(self.runs.insist(caller))
    }

    fn refused(&self, workflow: &Workflow, refusal: Refusal, deadline: Option<Instant>) -> Fault {
        let most = self.registry().orchestrator.max_concurrent_runs;
        match refusal {
            Refusal::Full { waiting, retry_after } => {
                let message = format!("{most} runs go on, as many as may, and {waiting} wait for their turn");
                Fault::new(Kind::RateLimited, code::TOO_MANY_RUNS, message)
                    .retry_after(retry_after)
                    .hint("try again then, or raise `max_concurrent_runs` or `max_waiting_runs` in the registry")
            }
            Refusal::TooLate { waiting, expected } => {
                let left = deadline.map_or(Duration::ZERO, |end| end.saturating_duration_since(Instant::now()));
                let message = format!(
                    "{most} runs go on and {waiting} wait: its turn would come in about {}, but it is of no use after {}",
                    format_duration(whole(expected)),
                    format_duration(whole(left)),
                );
                Fault::new(Kind::Timeout, code::TOO_LATE, message)
                    .hint("nothing was run; give it more time, or a higher `priority` if it is more urgent than others")
            }
        }
        .target(workflow.name.as_ref())
    }
}

/// To a tenth of a second, for people.
fn whole(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis() / 100 * 100).unwrap_or(u64::MAX).max(100))
}
