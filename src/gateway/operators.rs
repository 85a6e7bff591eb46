//! What operators want of runs, from another process: read from the journal and carried out here.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::engine::event::What;
use crate::gateway::control::{AnswerArguments, answer, chosen};
use crate::gateway::door::Gateway;
use crate::journal::mail::{Letter, Wish};
use crate::journal::reader::Reader;
use crate::model::code;
use crate::model::fault::{Fault, Kind};

/// How often is looked for what operators want.
const MAIL: Duration = Duration::from_millis(200);

impl Gateway {
    /// Carries out what operators have written to the journal of this run, or of any, until `stop`.
    pub(super) async fn read_mail(self: Arc<Self>, only: Option<String>, stop: CancellationToken) {
        while self.store().is_some() {
            self.deliver_mail(only.as_deref()).await;
            if timeout(MAIL, stop.cancelled()).await.is_ok() {
                return;
            }
        }
    }

    /// Carries out what operators have written so far of this run, or of any.
    pub async fn deliver_mail(self: &Arc<Self>, only: Option<&str>) {
        let Some(store) = self.store() else { return };
        let letters = store.read(Reader::unseen).unwrap_or_default();
        for letter in letters.iter().filter(|letter| only.is_none_or(|only| letter.run == only)) {
            // What an earlier process has left is for one that takes it up: it may have to be undone.
            if only.is_none() && !self.live.is_heir() && self.live.any(&letter.run).is_none() {
                continue;
            }
            if self.is_resting(&letter.run).await {
                continue;
            }
            let answer = match self.grant(letter).await {
                Ok(()) => String::new(),
                Err(fault) => fault.to_string(),
            };
            if let Err(fault) = store.read(|reader| reader.answer(letter.id, &answer)) {
                tracing::warn!(%fault, "an operator cannot be answered");
            }
        }
    }

    /// Whether a run hears nothing any more and has not ended: what is wanted of it is left to the next process.
    async fn is_resting(&self, run: &str) -> bool {
        let Some(handle) = self.live.any(run) else { return false };
        handle.look().await.is_none() && handle.report().is_none()
    }

    async fn grant(self: &Arc<Self>, letter: &Letter) -> Result<(), Fault> {
        if let Wish::Retry { does_again } = letter.wish {
            let stored = self.stored_any(&letter.run)?;
            drop(self.retry(&stored, does_again)?.leave());
            return Ok(());
        }
        if let Wish::Level { level } = &letter.wish {
            return self.put_level(level);
        }
        let Some(handle) = self.live.any(&letter.run) else {
            if letter.wish == Wish::Cancel {
                return self.bury(&letter.run).await;
            }
            let message = format!("run `{}` does not go on here", letter.run);
            return Err(Fault::new(Kind::NotFound, code::NO_SUCH_RUN, message));
        };
        match letter.wish.clone() {
            Wish::Cancel => {
                let why = "an operator cancelled it".to_owned();
                handle.tell(What::CancelRequested { why }).await;
            }
            Wish::Answer { step, answer: given } => {
                let decline = given.is_none();
                let given = AnswerArguments {
                    run_id: letter.run.clone(),
                    step,
                    answer: given,
                    decline,
                    reason: None,
                    wait_ms: None,
                };
                let question = chosen(&handle.board.open(), &given)?;
                let answer = answer(&question, &given)?;
                let (at, attempt) = (question.question.at.to_string(), question.question.attempt);
                self.tell_run(&question.run_id, What::Answered { at, attempt, answer }).await?;
                if let Some(asker) = self.live.any(&question.run_id) {
                    // Once it has looked up, the question is gone.
                    let _ = asker.look().await;
                }
            }
            Wish::Signal { event, data } => {
                let id = format!("mail/{}", letter.id);
                if !handle.tell(What::Arrived { id, event, data }).await {
                    return Err(Fault::new(Kind::Invalid, code::BAD_REQUEST, "the run has ended and hears no signals"));
                }
            }
            Wish::Retry { .. } | Wish::Level { .. } => {}
            Wish::Decide { step, payload } => self.decide(&handle, step.as_deref(), payload).await?,
        }
        Ok(())
    }
}
