//! How a run ends: with its output, or with a failure and what has to be done about that.

use crate::engine::aftermath::{self, Aftermath, Deed};
use crate::engine::bounds::Size;
use crate::engine::budget;
use crate::engine::command::{Command, Outcome};
use crate::engine::event::Failure;
use crate::engine::frame::{End, FrameId, Kind, Signal};
use crate::engine::scope::Scope;
use crate::engine::turn::Turn;
use crate::engine::view::{Status, Undone};
use crate::model::code;
use crate::model::fault;
use crate::workflow::definition::Workflow;
use crate::workflow::output::check_output;

impl Turn<'_> {
    /// The outcome of a run whose body has ended.
    pub(super) fn outcome(&self, end: End, body: Option<&Kind>) -> Outcome {
        let output = end.into_result().and_then(|last| match (&self.workflow.output, body) {
            (Some(template), Some(Kind::Block(body))) => {
                let (root, shared) = self.shared();
                body.scope().with(root, shared).value(template, "output", None)
            }
            _ => Ok(last),
        });
        match output {
            Ok(output) => Outcome::Completed(output.to_json()),
            Err(failure) => Outcome::Failed(*failure),
        }
    }

    /// The frame `id` ends the run. The steps that it is inside of end as the run does.
    pub(super) fn finish_from(&mut self, id: FrameId, outcome: Outcome) {
        let (status, error) = match &outcome {
            Outcome::Completed(_) => (Status::Completed, None),
            Outcome::Failed(failure) => (Status::Failed, Some(failure)),
            Outcome::Cancelled { .. } => (Status::Cancelled, None),
        };
        let mut inside = Some(id);
        while let Some(frame) = inside.and_then(|id| self.state.frames.get_mut(id)) {
            if let Some(Kind::Step(step)) = &mut frame.kind
                && let Some(row) = step.row.take()
            {
                self.state.rows.end(row, status, error, self.state.now);
            }
            inside = frame.parent.map(|(parent, _)| parent);
        }
        self.finish(outcome);
    }

    /// Ends the run, or if it is in its aftermath already, that.
    pub(super) fn finish(&mut self, outcome: Outcome) {
        let mut outcome = held_to_promise(self.workflow, outcome);
        self.waiting.clear();
        self.fresh.clear();
        self.forget(Some(budget::TIMER.into()));
        if let Some((id, ended)) = self.state.aftermath.take() {
            self.abandon(id, &outcome);
            return self.conclude(ended);
        }
        let Some(root) = self.state.root else { return self.conclude(outcome) };
        // Whoever runs this again must know that something may have been done.
        let in_flight = self.in_flight(root);
        if let Outcome::Failed(failure) = &mut outcome {
            failure.was_sent |= in_flight.is_some_and(|effect| !effect.may_repeat());
        }
        if outcome.failure().is_none() {
            self.note_lost(root);
            self.cancel_children(root);
            self.cancel(root);
            return self.conclude(outcome);
        }
        if let Some(outcome) = self.settle_run(root, outcome) {
            self.conclude_or_clean_up(outcome);
        }
    }

    /// Nothing of the body is left: what it has done is undone if it has failed.
    pub(super) fn conclude_or_clean_up(&mut self, outcome: Outcome) {
        match outcome.failure().filter(|_| !self.state.deeds.is_empty() || self.workflow.on_failure.is_some()) {
            Some(failure) => self.clean_up(&failure, outcome),
            None => self.conclude(outcome),
        }
    }

    /// Begins the aftermath. It has bounds of its own: those of the run may be what has ended it.
    fn clean_up(&mut self, failure: &Failure, outcome: Outcome) {
        self.state.size = Size::default();
        let Some(scope) = self.state.scope.take() else { return self.conclude(outcome) };
        let frame = Aftermath::new(scope.with("error", failure.to_value()));
        let id = self.state.frames.add(None, Kind::Aftermath(frame));
        self.state.aftermath = Some((id, outcome));
        self.start_timer(id, "#undo".into(), aftermath::TIME);
        self.tell(id, Signal::Start);
    }

    /// Ends the aftermath early: whatever is not undone stays as it is, and says why.
    fn abandon(&mut self, id: FrameId, why: &Outcome) {
        self.cancel_children(id);
        let Some(frame) = self.state.frames.remove(id) else { return };
        self.forget(frame.timer);
        let current = match frame.kind {
            Some(Kind::Aftermath(aftermath)) => aftermath.into_unfinished(),
            _ => None,
        };
        let left = std::mem::take(&mut self.state.deeds).into_iter().rev();
        let left = current.into_iter().chain(left);
        self.state.undone.extend(left.map(|deed| deed.undone(why.failure().map(Box::new))));
    }

    pub(super) fn conclude(&mut self, outcome: Outcome) {
        self.commands.push(Command::Finish(outcome.clone()));
        self.state.outcome = Some(outcome);
    }

    /// Whether the run has failed and what it has done is being undone.
    pub(super) fn is_cleaning_up(&self) -> bool {
        self.state.aftermath.is_some() || self.state.is_settling()
    }

    /// Notes what the workflow sees before its first step.
    pub(super) fn remember(&mut self, scope: Scope) {
        self.state.scope = Some(scope);
    }

    /// Notes something that can be undone.
    pub(super) fn done(&mut self, deed: Deed) -> Result<(), Box<Failure>> {
        let weight = deed.result.weight();
        self.state.deeds.push(deed);
        self.state.size.keep(weight)
    }

    /// Takes out what was done last and can be undone.
    pub(super) fn last_deed(&mut self) -> Option<Deed> {
        self.state.deeds.pop()
    }

    /// Notes what became of undoing something.
    pub(super) fn undone(&mut self, undone: Undone) {
        self.state.undone.push(undone);
    }
}

/// Fails a run whose output is not what its workflow promises, so that it is undone like any other failed run.
fn held_to_promise(workflow: &Workflow, outcome: Outcome) -> Outcome {
    let Outcome::Completed(output) = outcome else { return outcome };
    match check_output(workflow, &output) {
        Ok(()) => Outcome::Completed(output),
        Err(why) => {
            let message = format!("the output does not fit `output_schema`: {}", why.join("; "));
            let failure = Failure::new(fault::Kind::Invalid, code::BAD_OUTPUT, message);
            Outcome::Failed(Failure { data: output, ..failure })
        }
    }
}
