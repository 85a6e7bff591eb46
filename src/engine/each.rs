//! Runs a step for each item of a list, so many at once, and gathers the outputs in the order of the items.

use std::fmt::Display;
use std::sync::Arc;

use crate::engine::command::Outcome;
use crate::engine::event::Failure;
use crate::engine::frame::{End, FrameId, Kind, Next};
use crate::engine::place::StepPlace;
use crate::engine::scope::Scope;
use crate::engine::step::StepFrame;
use crate::engine::turn::Turn;
use crate::expr::value::Value;
use crate::model::code;
use crate::model::fault;
use crate::workflow::modifier::{Each, OnError};

/// How many items a list may have.
pub(super) const MAX_ITEMS: usize = 10_000;

/// A `for_each` that runs.
#[derive(Debug)]
pub(super) struct EachFrame {
    place: StepPlace,
    at: Arc<str>,
    scope: Scope,
    binding: Arc<str>,
    concurrency: usize,
    /// How many items are over before the next ones begin.
    batch: usize,
    on_error: OnError,
    at_least: usize,
    /// How many items have failed.
    failed: usize,
    items: Vec<Value>,
    /// By item; `None` for one that is not over or left out.
    outputs: Vec<Option<Value>>,
    /// The first item that has not been started.
    next: usize,
}

/// The list that a `for_each` runs over, or why it cannot.
pub(super) fn items(each: &Each, scope: &Scope, at: &str) -> Result<Vec<Value>, Box<Failure>> {
    let value = scope.value(&each.over, "for_each", Some(at))?;
    let Some(items) = value.as_list() else {
        let message = format!("`for_each` of step `{at}` needs a list, but was given {}", value.kind());
        let failure = Failure::new(fault::Kind::Invalid, code::NOT_A_LIST, message)
            .hint("if there may be none, give a default, for instance `${… | default([])}`");
        return Err(failure.at(at).into());
    };
    if items.len() <= MAX_ITEMS {
        return Ok(items);
    }
    let message = format!("`for_each` of step `{at}` was given {} items, more than {MAX_ITEMS}", items.len());
    Err(Failure::too_large(message).hint("split the list, or run the workflow once for each part").at(at).into())
}

impl EachFrame {
    /// The step at `place` for each of `items`.
    pub(super) fn new(each: &Each, place: StepPlace, at: Arc<str>, scope: Scope, items: Vec<Value>) -> Self {
        Self {
            place,
            at,
            scope,
            binding: Arc::clone(&each.binding),
            concurrency: each.concurrency.max(1),
            batch: each.batch.unwrap_or(usize::MAX),
            on_error: each.on_error,
            at_least: each.at_least,
            failed: 0,
            outputs: vec![None; items.len()],
            items,
            next: 0,
        }
    }

    pub(super) fn start(&mut self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        if self.items.len() < self.at_least {
            let message = format!("there are {} items, but {} must succeed", self.items.len(), self.at_least);
            return Next::End(End::failed(Failure::new(fault::Kind::Invalid, code::TOO_FEW, message).at(&self.at)));
        }
        self.advance(turn, id)
    }

    pub(super) fn child_ended(&mut self, turn: &mut Turn<'_>, id: FrameId, index: usize, end: End) -> Next {
        let output = match end.into_result() {
            Ok(output) => Some(output),
            Err(failure) => {
                self.failed += 1;
                if self.on_error == OnError::Fail {
                    return Next::End(End::failed(failure));
                }
                let left = self.items.len() - self.failed;
                if left < self.at_least {
                    return Next::End(End::failed(failure.too_few("items", (left, self.items.len()), self.at_least)));
                }
                (self.on_error == OnError::Collect).then(|| Value::from_pairs([("error", failure.to_value())]))
            }
        };
        if let Some(output) = &output
            && let Err(failure) = turn.keep(id, output)
        {
            return Next::Finish(Outcome::Failed(failure.at(address(&self.at, index))).into());
        }
        self.outputs[index] = output;
        self.advance(turn, id)
    }

    /// Whether one more item may start while so many run. The first of a batch waits for all before it.
    fn may_start(&self, running: usize) -> bool {
        running == 0 || running < self.concurrency && !self.next.is_multiple_of(self.batch)
    }

    fn advance(&mut self, turn: &mut Turn<'_>, id: FrameId) -> Next {
        while self.next < self.items.len() && self.may_start(turn.running(id)) {
            let index = self.next;
            self.next += 1;
            let item = std::mem::replace(&mut self.items[index], Value::null());
            let scope = self
                .scope
                .with("index", Value::from_json(serde_json::Value::from(index)))
                .with(Arc::clone(&self.binding), item);
            let step = StepFrame::item(self.place.clone(), address(&self.at, index).into(), scope);
            turn.spawn(id, index, Kind::Step(step));
        }
        if turn.running(id) > 0 {
            return Next::Wait;
        }
        let outputs = std::mem::take(&mut self.outputs);
        Next::End(End::completed(Value::from_list(outputs.into_iter().flatten().collect())))
    }
}

fn address(step: impl Display, index: usize) -> String {
    format!("{step}[{index}]")
}
