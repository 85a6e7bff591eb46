//! Leaves a model alone that keeps failing, so that the next one is asked without delay.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::llm::chat::Answer;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::policy::breaker::{Breaker, Outcome, Permit, Settings, outcome_of};

/// A breaker before one model.
pub struct Gate {
    /// Held for the length of one method.
    breaker: Mutex<Breaker>,
}

/// A question that was let through; gives its place back even if it is dropped.
pub struct Admitted<'a> {
    gate: &'a Gate,
    permit: Option<Permit>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { breaker: Mutex::new(Breaker::new(Settings::default())) }
    }
}

impl Gate {
    /// Lets a question through, unless the model has failed too often.
    pub fn admit(&self) -> Result<Admitted<'_>, Fault> {
        let admission = self.lock().admit(Instant::now());
        admission.map(|permit| Admitted { gate: self, permit: Some(permit) }).map_err(|after| {
            Fault::new(Kind::Unavailable, code::BREAKER_OPEN, "the model is not asked after repeated failures")
                .retry_after(after)
                .hint("give it a `fallback` in the registry")
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted<'_> {
    /// Notes what came of the question.
    pub fn record(mut self, answer: &Result<Answer, Fault>) {
        let outcome = match answer {
            Ok(_) => Outcome::Success,
            Err(fault) => outcome_of(&Err(fault.clone())),
        };
        self.settle(outcome);
    }

    fn settle(&mut self, outcome: Outcome) {
        if let Some(permit) = self.permit.take() {
            self.gate.lock().record(permit, outcome, Instant::now());
        }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.settle(Outcome::Neutral);
    }
}
