//! Steps that never run, and conditions that never decide anything.

use std::sync::Arc;

use serde_json::Value;

use crate::expr::expression::Expr;
use crate::expr::scope::Lookup;
use crate::model::code;
use crate::model::problem::{Patch, Problem, Span};
use crate::model::suggest;
use crate::workflow::check::each_step;
use crate::workflow::definition::{Block, Order, Step, Workflow};
use crate::workflow::schema;
use crate::workflow::verb::Verb;

/// Advice about what has no effect where it stands.
pub(super) fn check(workflow: &Workflow) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (_, block) in workflow.blocks() {
        unreachable(workflow, block, &mut problems);
        each_step(block, &mut |step: &Step| {
            step.blocks().for_each(|(_, inner)| unreachable(workflow, inner, &mut problems));
            if let (Some(when), Some(span)) = (&step.when, &step.sites.when) {
                problems.extend(constant(workflow, when, span).or_else(|| impossible(workflow, when, span)));
            }
        });
    }
    problems.extend(contradiction(workflow));
    problems
}

/// The first step after one that always ends the block.
fn unreachable(workflow: &Workflow, block: &Block, problems: &mut Vec<Problem>) {
    if workflow.order == Order::Data {
        return;
    }
    let always_ends = |step: &Step| {
        let is_end = matches!(step.verb, Verb::Fail(_) | Verb::Return(_));
        let is_caught = step.optional || !step.catch.is_empty() || !step.fallback.is_empty();
        is_end && step.when.is_none() && step.each.is_none() && !is_caught
    };
    let Some(end) = block.steps.iter().position(always_ends) else { return };
    let Some(after) = block.steps.get(end + 1).filter(|step| step.after.is_none()) else { return };
    let last = &block.steps[end];
    let message = format!("`{}` is never reached: `{}` always ends before it", after.id, last.id);
    let problem = Problem::warning(code::NO_EFFECT, &workflow.source, after.span.clone(), message);
    problems.push(
        problem
            .related(last.span.clone(), "it ends here")
            .help(format!("give `{}` a `when`, or remove what stands below it", last.id)),
    );
}

/// A condition that refers to nothing.
fn constant(workflow: &Workflow, when: &Expr, span: &Span) -> Option<Problem> {
    if !when.references().is_empty() {
        return None;
    }
    let nothing: Arc<dyn Lookup> = Arc::new(Nothing);
    let message = if when.test(&nothing).ok()? {
        "this condition always holds, so it decides nothing"
    } else {
        "this condition never holds, so the step never runs"
    };
    let problem = Problem::warning(code::NO_EFFECT, &workflow.source, span.clone(), message);
    Some(problem.help("refer to something, for example `input.name`, or remove it"))
}

/// A comparison of an input with a word that the input cannot be.
fn impossible(workflow: &Workflow, when: &Expr, span: &Span) -> Option<Problem> {
    let (left, right) = when.source().split_once("==")?;
    let fields: Vec<String> = left.trim().strip_prefix("input.")?.split('.').map(str::to_owned).collect();
    let quote = right.trim().chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let word = right.trim().strip_prefix(quote)?.strip_suffix(quote).filter(|word| !word.contains(quote))?;
    let known = schema::at(&workflow.input_schema, &fields)?.get("enum")?.as_array()?;
    if known.iter().any(|one| one == word) {
        return None;
    }
    let known: Vec<&str> = known.iter().filter_map(Value::as_str).collect();
    let message = format!("this never holds: `input.{}` is never `{word}`", fields.join("."));
    let problem = Problem::warning(code::NO_EFFECT, &workflow.source, span.clone(), message);
    let near = suggest::nearest(word, known.iter().copied());
    let written = workflow.source.text.get(span.clone())?;
    let patch = near
        .zip(written.rfind(word))
        .map(|(near, at)| Patch { span: span.start + at..span.start + at + word.len(), replacement: near.to_owned() });
    let help =
        near.map_or_else(|| format!("it is one of `{}`", known.join("`, `")), |near| format!("did you mean `{near}`?"));
    Some(Problem { patch, ..problem.help(help) })
}

/// Annotations of which one makes another meaningless.
fn contradiction(workflow: &Workflow) -> Option<Problem> {
    let is = |hint: &str, value: bool| workflow.annotations.get(hint).and_then(Value::as_bool) == Some(value);
    if !is("readOnlyHint", true) {
        return None;
    }
    let other =
        [("destructiveHint", true), ("idempotentHint", false)].into_iter().find(|(hint, value)| is(hint, *value))?;
    let message = format!("`{}: {}` contradicts `readOnlyHint: true`", other.0, other.1);
    let problem = Problem::warning(code::NO_EFFECT, &workflow.source, workflow.sites.annotations.clone(), message);
    Some(problem.help("what changes nothing destroys nothing and can be repeated: remove one of the two"))
}

/// What a condition that refers to nothing sees.
#[derive(Debug)]
struct Nothing;

impl Lookup for Nothing {
    fn get(&self, _: &str) -> Option<crate::expr::value::Value> {
        None
    }

    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}
