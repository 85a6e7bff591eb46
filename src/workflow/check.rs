//! Checks of a whole workflow: names and references by itself, then servers, tools and schemas against its surroundings.

mod arguments;
mod delegation;
mod flags;
mod flow;
mod outputs;
pub mod references;
mod scope;
mod targets;
mod types;

use crate::model::code;
use crate::model::problem::Problem;
use crate::workflow::definition::{Block, Step, Workflow};
use crate::workflow::plan::plan;
use crate::workflow::surroundings::Surroundings;
use crate::workflow::tool::{calls_anything, is_backed};

/// Everything that is wrong with a workflow here and now. What is not known yet (a server that was never reached) is not
/// wrong.
pub fn check(workflow: &Workflow, surroundings: &dyn Surroundings) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut visit = |step| {
        for call in targets::calls(step) {
            match targets::resolve(workflow, surroundings, &call) {
                Ok(facts) => problems.extend(arguments::check(workflow, &call, facts.as_ref())),
                Err(problem) => problems.push(*problem),
            }
        }
        problems.extend(delegation::check(workflow, surroundings, step));
    };
    workflow.blocks().for_each(|(_, block)| each_step(block, &mut visit));
    problems.extend(flags::check(workflow, surroundings));
    problems.extend(outputs::check(workflow, surroundings));
    problems.extend(types::check(workflow, surroundings));
    problems.extend(flow::check(workflow));
    problems.extend(annotations(workflow, surroundings));
    problems.sort_by_key(|problem| problem.span.start);
    problems
}

fn each_step<'a>(block: &'a Block, visit: &mut impl FnMut(&'a Step)) {
    for step in &block.steps {
        visit(step);
        for (_, inner) in step.blocks() {
            each_step(inner, visit);
        }
    }
}

/// Claims that go further than the steps allow.
fn annotations(workflow: &Workflow, surroundings: &dyn Surroundings) -> Vec<Problem> {
    if workflow.annotations.is_empty() {
        return Vec::new();
    }
    let effect = plan(workflow, surroundings).effect();
    let calls = calls_anything(workflow);
    let claims = workflow.annotations.iter().filter_map(|(claim, value)| Some((claim, value.as_bool()?)));
    claims
        .filter(|(claim, value)| !is_backed(claim, *value, effect, calls))
        .map(|(claim, value)| {
            let message =
                format!("`{claim}: {value}` claims more than the steps allow: together they are {}", effect.as_str());
            Problem::error(code::ANNOTATIONS, &workflow.source, workflow.sites.annotations.clone(), message)
                .help("remove the claim, or correct a step's `effect`")
        })
        .collect()
}
