//! How large a run may grow.

use crate::engine::event::Failure;

/// How many steps and items may begin in a run, counting each further attempt.
const MAX_ACTIVATIONS: usize = 100_000;

/// How much the outputs that a run keeps may weigh together, in bytes.
const MAX_STORED: usize = 64 * 1024 * 1024;

/// How large a run has grown.
#[derive(Debug, Default)]
pub(super) struct Size {
    activations: usize,
    stored: usize,
}

impl Size {
    /// Counts one more activation.
    pub(super) fn activate(&mut self) -> Result<(), Box<Failure>> {
        self.activations += 1;
        if self.activations <= MAX_ACTIVATIONS {
            return Ok(());
        }
        let message = format!("the run has begun more than {MAX_ACTIVATIONS} steps, counting items and attempts");
        Err(Failure::too_large(message).hint("give it a smaller list, or split it into several runs").into())
    }

    /// Counts an output that is kept.
    pub(super) fn keep(&mut self, weight: usize) -> Result<(), Box<Failure>> {
        self.stored = self.stored.saturating_add(weight);
        if self.stored <= MAX_STORED {
            return Ok(());
        }
        let message = format!("the outputs of the run's steps exceed {} MiB", MAX_STORED >> 20);
        Err(Failure::too_large(message).hint("keep only what is needed of large results, with `output`").into())
    }

    /// Counts outputs that are no longer kept.
    pub(super) fn release(&mut self, weight: usize) {
        self.stored = self.stored.saturating_sub(weight);
    }
}
