//! How much a run can be: the most calls that it makes, and the longest time that it takes, as far as the file tells.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::document::duration::format_duration;
use crate::expr::template::Template;
use crate::workflow::definition::{Block, Step};
use crate::workflow::modifier::{CatchBody, Expect, Fallback};
use crate::workflow::plan::Plan;
use crate::workflow::verb::{Verb, Wait};

/// The bounds of a run that does not fail; undoing has bounds of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bounds {
    /// The most calls of tools and workflows that it makes, retries and fallbacks included; `None` if that depends on the input.
    pub calls: Option<u64>,
    /// The longest time; `None` if some step has no limit.
    pub time: Option<Duration>,
    /// The steps that keep `calls` or `time` from being known.
    pub open: Vec<Arc<str>>,
}

/// The bounds of what is planned.
pub fn bounds(plan: &Plan) -> Bounds {
    let (workflow, budget) = (&plan.workflow, plan.workflow.budget.unwrap_or_default());
    let (mut countless, mut timeless) = (Vec::new(), Vec::new());
    let calls = calls_of(&workflow.body, &mut countless).into_iter().chain(budget.allowance.calls).min();
    let time = time_of(&workflow.body, &mut timeless).into_iter().chain(workflow.longest()).chain(budget.time).min();
    // Whatever a step leaves open, a limit of the whole closes.
    let of_calls = countless.into_iter().filter(|_| calls.is_none());
    let of_time = timeless.into_iter().filter(|_| time.is_none());
    let open: BTreeSet<_> = of_calls.chain(of_time).collect();
    Bounds { calls, time, open: open.into_iter().collect() }
}

impl Bounds {
    /// It in one line.
    pub fn to_text(&self) -> String {
        let calls = self.calls.map_or_else(
            || "as many calls as the input asks for".to_owned(),
            |calls| format!("at most {calls} call{}", if calls == 1 { "" } else { "s" }),
        );
        let time = self.time.map_or_else(
            || "no limit of time".to_owned(),
            |time| format!("at most {} by its own limits", format_duration(time)),
        );
        let open = if self.open.is_empty() { String::new() } else { format!(" (because of {})", self.open.join(", ")) };
        format!("bounds: {calls}, {time}{open}")
    }

    /// It for programs; the time in milliseconds.
    pub fn to_json(&self) -> Value {
        json!({
            "calls": self.calls,
            "milliseconds": self.time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            "open": self.open,
        })
    }
}

/// The calls of a block; nothing if they cannot be counted, with the step that is to blame.
fn calls_of(block: &Block, open: &mut Vec<Arc<str>>) -> Option<u64> {
    let counts: Vec<_> = block.steps.iter().map(|step| calls_of_step(step, open)).collect();
    counts.into_iter().try_fold(0_u64, |sum, count| Some(sum.saturating_add(count?)))
}

fn calls_of_step(step: &Step, open: &mut Vec<Arc<str>>) -> Option<u64> {
    let mut many = |blocks: Vec<&Block>, adds: bool| {
        let counts: Option<Vec<u64>> = blocks.into_iter().map(|block| calls_of(block, open)).collect();
        let add = |sum: u64, count| sum.saturating_add(count);
        counts.map(|counts| counts.into_iter().fold(0, if adds { add } else { u64::max }))
    };
    let once = match &step.verb {
        Verb::Tool { .. } | Verb::Workflow { .. } => Some(1),
        // What a model or an agent calls depends on what it thinks, unless it may call nothing.
        // An answer that does not fit is asked for once more.
        Verb::Llm(llm) if llm.tools.is_empty() => {
            Some(if matches!(step.expect, Some(Expect::Fits(_))) { 2 } else { 1 })
        }
        Verb::Llm(_) | Verb::Agent(_) => step.limits.allowance.calls,
        Verb::Parallel(..) | Verb::Steps(_) => many(within(&step.verb), true),
        Verb::Switch(_) => many(within(&step.verb), false),
        Verb::Set(_)
        | Verb::Wait(_)
        | Verb::Ask(_)
        | Verb::Emit { .. }
        | Verb::Await { .. }
        | Verb::Fail(_)
        | Verb::Return(_) => Some(0),
    };
    let Some(once) = once else {
        if step.blocks().next().is_none() {
            open.push(Arc::clone(&step.id));
        }
        return None;
    };
    let catches = step.catch.iter().filter_map(|catch| match &catch.then {
        CatchBody::Steps(block) => Some(block),
        CatchBody::Value(_) => None,
    });
    let caught = many(catches.collect(), false)?;
    let fallbacks = step
        .fallback
        .iter()
        .filter(|fallback| matches!(fallback, Fallback::Tool { .. } | Fallback::Workflow { .. }))
        .count();
    let turns = step.repeat.as_ref().map_or(1, |repeat| u64::from(repeat.max));
    let tried = once.saturating_mul(attempts(step)).saturating_mul(turns);
    let each = tried.saturating_add(u64::try_from(fallbacks).unwrap_or(u64::MAX)).saturating_add(caught);
    match items(step) {
        Some(items) => Some(each.saturating_mul(items)),
        None if each == 0 => Some(0),
        None => {
            open.push(Arc::clone(&step.id));
            None
        }
    }
}

fn within(verb: &Verb) -> Vec<&Block> {
    verb.blocks().into_iter().map(|(_, block)| block).collect()
}

fn attempts(step: &Step) -> u64 {
    step.retry.as_ref().map_or(1, |retry| u64::from(retry.policy.attempts))
}

/// How many items a step runs for; nothing if the list is only known at run time.
fn items(step: &Step) -> Option<u64> {
    match step.each.as_ref().map(|each| &each.over) {
        None => Some(1),
        Some(Template::List(items)) => u64::try_from(items.len()).ok(),
        Some(over) => over.as_literal()?.as_array().and_then(|items| u64::try_from(items.len()).ok()),
    }
}

/// The longest way through a block.
fn time_of(block: &Block, open: &mut Vec<Arc<str>>) -> Option<Duration> {
    let mut ends: Vec<Option<Duration>> = Vec::with_capacity(block.steps.len());
    for step in &block.steps {
        let own = time_of_step(step, open);
        let starts: Option<Vec<Duration>> =
            step.waits.iter().map(|&earlier| ends.get(earlier).copied().flatten()).collect();
        let start = starts.map(|starts| starts.into_iter().max().unwrap_or_default());
        ends.push(start.zip(own).and_then(|(start, own)| start.checked_add(own)));
    }
    let ends: Option<Vec<Duration>> = ends.into_iter().collect();
    ends.map(|ends| ends.into_iter().max().unwrap_or_default())
}

fn time_of_step(step: &Step, open: &mut Vec<Arc<str>>) -> Option<Duration> {
    let mut inside = Vec::new();
    let mut longest = || {
        let blocks = within(&step.verb).into_iter();
        let times: Option<Vec<Duration>> = blocks.map(|block| time_of(block, &mut inside)).collect();
        times.map(|times| times.into_iter().max().unwrap_or_default())
    };
    let verb = match &step.verb {
        Verb::Parallel(_, join) => longest().or(join.within),
        Verb::Switch(_) | Verb::Steps(_) => longest(),
        Verb::Set(_) | Verb::Emit { .. } | Verb::Fail(_) | Verb::Return(_) => Some(Duration::ZERO),
        Verb::Wait(Wait::For(template)) => {
            let literal = template.as_literal();
            let millis = literal.as_ref().and_then(Value::as_u64).map(Duration::from_millis);
            millis.or_else(|| crate::document::duration::parse_duration(literal?.as_str()?))
        }
        Verb::Tool { .. }
        | Verb::Workflow { .. }
        | Verb::Llm(_)
        | Verb::Agent(_)
        | Verb::Ask(_)
        | Verb::Await { .. }
        | Verb::Wait(Wait::Until(_)) => None,
    };
    let attempt = match (verb, step.timeout) {
        (Some(verb), Some(limit)) => Some(verb.min(limit)),
        (verb, limit) => verb.or(limit),
    };
    // Fallbacks and catches come on top, without a limit of their own.
    let is_open_ended =
        step.fallback.iter().any(|fallback| matches!(fallback, Fallback::Tool { .. } | Fallback::Workflow { .. }))
            || step.catch.iter().any(|catch| matches!(catch.then, CatchBody::Steps(_)));
    let whole = attempt.filter(|_| !is_open_ended).and_then(|attempt| {
        // A server may ask for any pause before the next attempt.
        let tried = Some(attempt).filter(|_| attempts(step) <= 1)?;
        let turns = match &step.repeat {
            None => tried,
            Some(repeat) => tried.checked_add(repeat.every)?.checked_mul(repeat.max)?,
        };
        let rounds = rounds(step)?;
        turns.checked_mul(u32::try_from(rounds).ok()?)
    });
    if whole.is_none() {
        if inside.is_empty() { open.push(Arc::clone(&step.id)) } else { open.append(&mut inside) }
    }
    whole
}

/// How many items of a step run one after the other at most.
fn rounds(step: &Step) -> Option<u64> {
    let items = items(step)?;
    let Some(each) = &step.each else { return Some(items) };
    let at_once = u64::try_from(each.concurrency.max(1)).ok()?;
    let batch = each.batch.and_then(|batch| u64::try_from(batch.max(1)).ok()).unwrap_or_else(|| items.max(1));
    Some((items / batch) * batch.div_ceil(at_once) + (items % batch).div_ceil(at_once))
}

#[cfg(test)]
mod tests;
