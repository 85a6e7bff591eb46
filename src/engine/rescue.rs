//! What is done about a step that has failed: `fallback` in order, then `catch`, then `optional` and its `default`.

use std::sync::Arc;

use crate::engine::block::BlockFrame;
use crate::engine::cache;
use crate::engine::command::{Callee, Outcome};
use crate::engine::event::Failure;
use crate::engine::frame::{End, FrameId, Kind, Next};
use crate::engine::place::Door;
use crate::engine::scope::Scope;
use crate::engine::step::{Phase, StepFrame};
use crate::engine::turn::Turn;
use crate::engine::verb;
use crate::engine::view::Origin;
use crate::expr::value::Value;
use crate::model::code;
use crate::model::fault;
use crate::workflow::definition::Step;
use crate::workflow::modifier::{Catch, CatchBody, Fallback};
use crate::workflow::verb::Verb;

/// Tries the fallbacks from the one at `first` on.
pub(super) fn fall_back(
    frame: &mut StepFrame,
    turn: &mut Turn<'_>,
    id: FrameId,
    first: usize,
    mut failure: Box<Failure>,
) -> Next {
    let step = frame.step(turn);
    // What may have happened already must not happen a second time by another way.
    let is_doubtful = failure.kind() == fault::Kind::InDoubt && !step.effect.may_repeat();
    for (index, fallback) in step.fallback.iter().enumerate().skip(first) {
        let (callee, args, effect) = match fallback {
            Fallback::Value(value) => match frame.scope.value(value, "fallback", Some(&frame.at)) {
                Ok(value) => {
                    frame.failure = Some(failure);
                    turn.note_origin(frame.row, Origin::Fallback);
                    return frame.completed(value);
                }
                Err(next) => {
                    failure = next;
                    continue;
                }
            },
            Fallback::Cached(_) => match cache::look_instead(frame, turn, id, index, failure.clone()) {
                Ok(()) => return Next::Wait,
                Err(next) => {
                    failure = next;
                    continue;
                }
            },
            Fallback::Tool { tool, args, effect } => (Callee::Tool(tool.clone()), args.as_ref(), *effect),
            Fallback::Workflow { name, args, effect } => (Callee::Workflow(Arc::clone(name)), args.as_ref(), *effect),
        };
        if is_doubtful {
            continue;
        }
        match verb::arguments(args.or_else(|| verb::arguments_of(&step.verb)), &frame.scope, &frame.at) {
            Ok(arguments) => {
                (frame.phase, frame.failure) = (Phase::Fallback(index), Some(failure));
                let number = match frame.begin_attempt(turn, id) {
                    Ok(number) => number,
                    Err(bound) => return Next::Finish(Outcome::Failed(bound.at(&frame.at)).into()),
                };
                let call = verb::call(frame, step, (callee, effect), arguments, number);
                turn.spawn(id, 0, Kind::Call(call));
                return Next::Wait;
            }
            Err(next) => failure = next,
        }
    }
    catch(frame, turn, id, failure)
}

/// Does what the first matching `catch` says.
pub(super) fn catch(frame: &mut StepFrame, turn: &mut Turn<'_>, id: FrameId, failure: Box<Failure>) -> Next {
    let step = frame.step(turn);
    if step.catch.is_empty() {
        return give_up(frame, turn, failure);
    }
    let scope = frame.scope.with("error", failure.to_value());
    let (clause, then) = match matching(&step.catch, &failure, &scope, &frame.at) {
        Ok(Some((clause, catch))) => (clause, &catch.then),
        Ok(None) => return give_up(frame, turn, failure),
        Err(failure) => return give_up(frame, turn, failure),
    };
    match then {
        CatchBody::Value(value) => match scope.value(value, "catch", Some(&frame.at)) {
            Ok(value) => {
                frame.failure = Some(failure);
                frame.completed(value)
            }
            Err(failure) => give_up(frame, turn, failure),
        },
        CatchBody::Steps(_) => {
            (frame.phase, frame.failure) = (Phase::Catch, Some(failure));
            let prefix = format!("{}/catch/", frame.at);
            let block = BlockFrame::new(frame.place.enter(Door::Catch(clause)), prefix, scope);
            turn.spawn(id, 0, Kind::Block(block));
            Next::Wait
        }
    }
}

/// Nothing caught the failure: an optional step is skipped, any other fails.
pub(super) fn give_up(frame: &mut StepFrame, turn: &Turn<'_>, failure: Box<Failure>) -> Next {
    let step = frame.step(turn);
    // A default answer counts if nobody has answered, but not for somebody who has said no.
    let is_unanswered = matches!(step.verb, Verb::Ask(_)) && failure.code == code::NOT_ANSWERED.as_str();
    let stands_in = is_unanswered && step.default.is_some();
    if !step.optional && !stands_in {
        return Next::End(End { attempts: frame.attempts, ..End::failed(failure.at(&frame.at)) });
    }
    frame.failure = Some(failure);
    skip(frame, step)
}

/// The step is skipped and has its default.
pub(super) fn skip(frame: &mut StepFrame, step: &Step) -> Next {
    let default = match &step.default {
        Some(template) => frame.scope.value(template, "default", Some(&frame.at)),
        None => Ok(Value::null()),
    };
    let end = default.map_or_else(End::failed, End::skipped);
    let error = end.error.or_else(|| frame.failure.take());
    Next::End(End { error, attempts: frame.attempts, ..end })
}

/// The first clause that takes the failure.
fn matching<'run>(
    clauses: &'run [Catch],
    failure: &Failure,
    scope: &Scope,
    at: &Arc<str>,
) -> Result<Option<(usize, &'run Catch)>, Box<Failure>> {
    for (index, catch) in clauses.iter().enumerate() {
        let takes_kind = catch.on.is_empty() || catch.on.contains(&failure.kind());
        if takes_kind && catch.when.as_ref().map_or(Ok(true), |when| scope.holds(when, "when", at))? {
            return Ok(Some((index, catch)));
        }
    }
    Ok(None)
}
