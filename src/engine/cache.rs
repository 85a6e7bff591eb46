//! Results that were kept: when one stands in for doing the step, or for its failure.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use crate::engine::command::{Command, KeptAs};
use crate::engine::event::{Failure, Kept};
use crate::engine::frame::{FrameId, Next};
use crate::engine::rescue;
use crate::engine::step::{Phase, StepFrame};
use crate::engine::turn::Turn;
use crate::engine::verb;
use crate::engine::view::Origin;
use crate::expr::value::Value;
use crate::workflow::definition::Step;
use crate::workflow::modifier::Fallback;

/// Whether results of the step are kept.
fn is_kept(step: &Step) -> bool {
    step.cache.is_some() || step.fallback.iter().any(|fallback| matches!(fallback, Fallback::Cached(_)))
}

/// Under what the step's result is kept: which step of which workflow, and what it works on.
fn name(frame: &StepFrame, turn: &Turn<'_>) -> Result<KeptAs, Box<Failure>> {
    let step = frame.step(turn);
    let given = match step.cache.as_ref().and_then(|cache| cache.key.as_ref()) {
        Some(key) => frame.scope.value(key, "cache.key", Some(&frame.at))?.to_json(),
        None => verb::asked(frame, turn)?.map_or(Json::Null, |asked| asked.arguments),
    };
    let place = without_indices(&frame.at);
    let name = format!("{}\n{place}\n{}\n{given}", turn.workflow.name, verb::label(&step.verb));
    Ok(KeptAs { name, is_shared: step.cache.as_ref().is_some_and(|cache| cache.is_shared) })
}

/// `risks[3]/assess` as `risks/assess`: the items of a list share what is known.
fn without_indices(at: &str) -> String {
    at.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest)).collect()
}

/// Asks once more, as the answer is lost.
pub(super) fn resumed(frame: &StepFrame, turn: &mut Turn<'_>) -> Next {
    if let Ok(kept_as) = name(frame, turn) {
        turn.commands.push(Command::Recall { at: frame.at.to_string(), kept_as });
    }
    Next::Wait
}

/// Asks for the kept result of the step, before it is tried; false if there is no need to.
pub(super) fn look(frame: &mut StepFrame, turn: &mut Turn<'_>, id: FrameId) -> Result<bool, Box<Failure>> {
    if frame.step(turn).cache.is_none() {
        return Ok(false);
    }
    recall(frame, turn, id)?;
    frame.phase = Phase::Look;
    Ok(true)
}

/// Asks for the kept result of the step, in place of its failure.
pub(super) fn look_instead(
    frame: &mut StepFrame,
    turn: &mut Turn<'_>,
    id: FrameId,
    fallback: usize,
    failure: Box<Failure>,
) -> Result<(), Box<Failure>> {
    recall(frame, turn, id)?;
    (frame.phase, frame.failure) = (Phase::LookInstead(fallback), Some(failure));
    Ok(())
}

fn recall(frame: &StepFrame, turn: &mut Turn<'_>, id: FrameId) -> Result<(), Box<Failure>> {
    let kept_as = name(frame, turn)?;
    turn.state.recalls.insert(Arc::clone(&frame.at), id);
    turn.commands.push(Command::Recall { at: frame.at.to_string(), kept_as });
    Ok(())
}

/// A result was kept, or none: the step has it if it is young enough.
pub(super) fn recalled(frame: &mut StepFrame, turn: &mut Turn<'_>, id: FrameId, kept: Option<Kept>) -> Next {
    let age = kept.as_ref().map(|kept| Duration::from_millis(turn.now().saturating_sub(kept.since)));
    let step = frame.step(turn);
    let limit = match frame.phase {
        Phase::Look => step.cache.as_ref().map(|cache| cache.ttl),
        Phase::LookInstead(place) => match step.fallback.get(place) {
            Some(Fallback::Cached(limit)) => Some(*limit),
            _ => None,
        },
        _ => return Next::Wait,
    };
    let is_young = age.zip(limit).is_some_and(|(age, limit)| age <= limit);
    let result = kept.filter(|_| is_young).map(|kept| Value::from_json(kept.value));
    match (frame.phase, result) {
        (Phase::LookInstead(place), result) => {
            let output = result.map(|result| frame.mapped(turn, result));
            match output {
                Some(Ok(output)) => {
                    turn.note_origin(frame.row, Origin::Stale);
                    frame.completed(output)
                }
                _ => match frame.failure.take() {
                    Some(failure) => rescue::fall_back(frame, turn, id, place + 1, failure),
                    None => Next::Wait,
                },
            }
        }
        (_, Some(result)) => match frame.mapped(turn, result) {
            Ok(output) => {
                turn.note_origin(frame.row, Origin::Cache);
                frame.completed(output)
            }
            // What it makes of the result may have changed since.
            Err(_) => frame.set_out(turn, id, step),
        },
        (_, None) => frame.set_out(turn, id, step),
    }
}

/// Under what the result is to be kept of the attempt that begins now, if at all. Later the step may have changed what it was
/// asked with: what agents share.
pub(super) fn to_be_kept(frame: &StepFrame, turn: &Turn<'_>) -> Option<KeptAs> {
    // A name that cannot be computed is told where it is looked for.
    is_kept(frame.step(turn)).then(|| name(frame, turn).ok())?
}

/// Keeps the result of a step that has succeeded by itself.
pub(super) fn keep(frame: &mut StepFrame, turn: &mut Turn<'_>, result: &Value) {
    if let Some(kept_as) = frame.kept_as.take() {
        turn.commands.push(Command::Keep { kept_as, value: result.to_json() });
    }
}
