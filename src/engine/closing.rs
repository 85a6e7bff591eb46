//! The end of frames: cancelled from above, or closed because they are done.

use crate::engine::command::{Command, StepQuestion};
use crate::engine::frame::{End, FrameId, Kind, Signal};
use crate::engine::turn::Turn;
use crate::engine::view::Status;
use crate::model::effect::Effect;

impl Turn<'_> {
    /// Cancels everything below the frame `id`.
    pub(super) fn cancel_children(&mut self, id: FrameId) {
        let mut stack = self.children(id);
        while let Some(id) = stack.pop() {
            stack.extend(self.children(id));
            self.cancel(id);
        }
    }

    /// Whether the frame `id` is a call that is in flight.
    pub(super) fn is_calling(&self, id: FrameId) -> bool {
        self.state.calls.values().any(|call| *call == id)
    }

    /// The strongest effect of the calls below the frame `id` that are in flight or in doubt.
    pub(super) fn in_flight(&self, id: FrameId) -> Option<Effect> {
        let calls =
            self.state.calls.values().chain(self.state.doubts.values()).filter(|call| self.is_below(**call, id));
        let frames = calls.filter_map(|call| self.state.frames.get(*call)?.kind.as_ref());
        let called = frames.filter_map(|kind| if let Kind::Call(call) = kind { Some(call.effect) } else { None });
        called.chain(self.awaited(id)).max()
    }

    /// Whether `inner` is below `outer`, or is that.
    pub(super) fn is_below(&self, inner: FrameId, outer: FrameId) -> bool {
        let mut at = Some(inner);
        while let Some(id) = at {
            if id == outer {
                return true;
            }
            at = self.state.frames.get(id).and_then(|frame| frame.parent).map(|(parent, _)| parent);
        }
        false
    }

    /// What is below a frame, so that the first slot is popped first.
    pub(super) fn children(&self, id: FrameId) -> Vec<FrameId> {
        self.state.frames.get(id).map_or_else(Vec::new, |frame| frame.children.values().rev().copied().collect())
    }

    /// Cancels one frame.
    pub(super) fn cancel(&mut self, id: FrameId) {
        self.stop_settling(id);
        let Some(mut frame) = self.state.frames.remove(id) else { return };
        self.state.awaiting.remove(&id);
        self.state.size.release(frame.stored);
        self.forget(frame.timer.take());
        match frame.kind {
            Some(Kind::Call(call)) if self.state.calls.remove(&call.in_flight_at()).is_some() => {
                self.commands.push(Command::Cancel { at: call.in_flight_at().to_string(), attempt: call.attempt });
            }
            Some(Kind::Call(call)) => {
                self.state.doubts.remove(&call.at);
            }
            Some(Kind::Ask(ask)) => {
                let StepQuestion { at, attempt, .. } = ask.question();
                if self.state.questions.remove(at).is_some() {
                    self.commands.push(Command::Cancel { at: at.to_string(), attempt: *attempt });
                }
            }
            Some(Kind::Step(step)) => {
                self.state.recalls.remove(&step.at);
                if let Some(row) = step.row {
                    self.state.rows.end(row, Status::Cancelled, None, self.state.now);
                }
            }
            _ => {}
        }
    }

    /// The frame `id` ends, once what is worth waiting for has come.
    pub(super) fn end(&mut self, id: FrameId, end: End) {
        if let Some(end) = self.settle_frame(id, end) {
            self.close(id, end);
        }
    }

    /// A frame is over: what runs below it is cancelled, and its parent is told.
    pub(super) fn close(&mut self, id: FrameId, end: End) {
        if self.running(id) > 0 {
            self.note_lost(id);
            self.cancel_children(id);
        }
        let Some(frame) = self.state.frames.remove(id) else { return };
        self.state.size.release(frame.stored);
        if let Some(Kind::Step(step)) = &frame.kind
            && let Some(row) = step.row
        {
            self.state.rows.end(row, end.status, end.error.as_deref(), self.state.now);
        }
        self.forget(frame.timer);
        if let Some((parent, slot)) = frame.parent {
            self.state.done += usize::from(self.state.root == Some(parent));
            self.tell(parent, Signal::ChildEnded(slot, end));
        } else if let Some((_, outcome)) = self.state.aftermath.take() {
            self.conclude(outcome);
        } else {
            self.finish(self.outcome(end, frame.kind.as_ref()));
        }
    }
}
