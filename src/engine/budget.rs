//! How much a run has used up, and whether it can afford another call.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::engine::command::{Callee, Command, StepCall};
use crate::engine::event::{Called, Failure, Timestamp};
use crate::engine::frame::{FrameId, Kind, Signal};
use crate::engine::turn::Turn;
use crate::model::code;
use crate::model::fault;
use crate::model::usage::{Allowance, Usage};
use crate::workflow::delegation::{Budget, OnExceed};

/// The timer of the time that a run may use up.
pub(super) const TIMER: &str = "#budget";

/// What a run has used up.
#[derive(Debug, Default)]
pub(super) struct Purse {
    /// Everything so far.
    pub(super) used: Usage,
    /// Whether the time is up.
    is_late: bool,
}

impl Turn<'_> {
    /// Starts the clock of the budget, if it has one.
    pub(super) fn start_budget(&mut self, root: FrameId) {
        if let Some(time) = self.workflow.budget.and_then(|budget| budget.time) {
            self.start_own_timer(root, TIMER.into(), time);
        }
    }

    /// `call` with what it may use up, or why it cannot be made. What comes after the run's failure is not counted against
    /// what bounded the run.
    pub(super) fn afford(&self, call: StepCall, is_optional: bool) -> Result<StepCall, Box<Failure>> {
        let Some(budget) = self.workflow.budget.filter(|_| !self.is_cleaning_up()) else { return Ok(call) };
        let used = self.state.purse.used;
        let in_flight = u64::try_from(self.state.calls.len()).unwrap_or(u64::MAX);
        // Of calls it is known what those in flight will use.
        let counted = Usage { calls: used.calls.saturating_add(in_flight), ..used };
        let left = budget.allowance.less(counted);
        let spent = if self.state.purse.is_late { Some("time") } else { left.spent() };
        if let Some(what) = spent {
            return Err(self.spent(what, &budget));
        }
        let scarce = budget.on_exceed == OnExceed::Degrade && budget.comfortable().less(used).spent().is_some();
        if scarce && is_optional {
            let mut failure = self.spent("comfort", &budget);
            "the budget is four fifths spent, and the step is optional".clone_into(&mut failure.message);
            return Err(failure);
        }
        let mut call = StepCall { allowance: call.allowance.and(left), ..call };
        if scarce && matches!(call.callee, Callee::Model | Callee::Agent(_)) {
            call.arguments["thrifty"] = json!(true);
        }
        Ok(call)
    }

    /// Counts what a call has used up.
    pub(super) fn pay(&mut self, usage: Usage) {
        self.state.purse.used += usage;
    }

    /// The time of the budget is up: what is in flight fails, and nothing else is called. Each failure can be caught.
    pub(super) fn out_of_time(&mut self) {
        self.state.purse.is_late = true;
        let Some(budget) = self.workflow.budget else { return };
        let mut calls: Vec<(Arc<str>, FrameId)> = self.state.calls.drain().collect();
        calls.sort_by_key(|(_, id)| *id);
        for (at, id) in calls {
            let frame = self.state.frames.get(id).and_then(|frame| frame.kind.as_ref());
            let Some(Kind::Call(call)) = frame else { continue };
            self.commands.push(Command::Cancel { at: at.to_string(), attempt: call.attempt });
            let mut failure = Failure { was_sent: true, ..*self.spent("time", &budget) };
            if !call.effect.may_repeat() {
                // It may have happened all the same, and must not happen again by another way.
                fault::Kind::InDoubt.as_str().clone_into(&mut failure.kind);
            }
            self.tell(id, Signal::Answered(Called::Failure(failure).into()));
        }
    }

    fn spent(&self, what: &str, budget: &Budget) -> Box<Failure> {
        let used = self.state.purse.used;
        let message = format!("nothing is left of the run's {what}; used: {used}");
        let failure = Failure::new(fault::Kind::Budget, code::BUDGET_SPENT, message)
            .hint("raise the workflow's `budget`, or catch `budget` to go on without");
        Failure { data: json!({ "used": used, "budget": told(budget) }), ..failure }.into()
    }
}

/// A budget as expressions see it.
fn told(budget: &Budget) -> Json {
    let Allowance { tokens, cost, calls } = budget.allowance;
    let time = budget.time.map(|time| Timestamp::try_from(time.as_millis()).unwrap_or(u64::MAX));
    json!({ "tokens": tokens, "cost": cost, "calls": calls, "time": time })
}
