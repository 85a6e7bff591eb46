//! Fields that expressions take from a step's output, against the schema of what the step called.

use std::sync::Arc;

use serde_json::Value;

use crate::model::code;
use crate::model::problem::{Problem, Severity};
use crate::model::suggest;
use crate::workflow::check::scope::{Found, Scope, Visit, walk};
use crate::workflow::definition::{Step, Workflow};
use crate::workflow::schema;
use crate::workflow::site::Use;
use crate::workflow::surroundings::Surroundings;
use crate::workflow::verb::Verb;

/// Fields that cannot be there: an error if the schema rules them out, a warning if it does not mention them.
pub(super) fn check(workflow: &Workflow, surroundings: &dyn Surroundings) -> Vec<Problem> {
    let mut fields = Fields { workflow, surroundings, problems: Vec::new() };
    walk(workflow, &mut fields);
    fields.problems
}

struct Fields<'a> {
    workflow: &'a Workflow,
    surroundings: &'a dyn Surroundings,
    problems: Vec<Problem>,
}

impl<'a> Visit<'a> for Fields<'a> {
    fn step(&mut self, _: &Scope<'a>, _: &'a Step) {}

    fn reference(&mut self, scope: &Scope<'a>, _: Option<&'a Step>, site: &'a Use) {
        let (Some(id), Some(path)) = (site.step(), site.output_fields()) else { return };
        let Found::Earlier(step) = scope.find(id) else { return };
        let Some(schema) = output_schema(step, self.surroundings) else { return };
        let schema::Found::Absent { field, known, is_closed } = schema::find(&schema, path) else { return };
        if !is_closed && site.guarded {
            return;
        }
        let severity = if is_closed { Severity::Error } else { Severity::Warning };
        let message = format!("the output of `{id}` has no `{field}`, as far as its schema tells");
        let problem = Problem::error(code::UNKNOWN_ROOT, &self.workflow.source, site.span.clone(), message);
        let help = suggest::did_you_mean(&field, known.iter().map(String::as_str))
            .or_else(|| (1..=12).contains(&known.len()).then(|| format!("it has `{}`", known.join("`, `"))));
        self.problems.push(Problem { severity, ..problem.maybe_help(help) });
    }
}

/// The schema of a step's output, if nothing stands between it and the tool's result.
pub(super) fn output_schema(step: &Step, surroundings: &dyn Surroundings) -> Option<Arc<Value>> {
    if step.output.is_some() || step.each.is_some() || !step.fallback.is_empty() || !step.catch.is_empty() {
        return None;
    }
    match &step.verb {
        Verb::Tool { tool, .. } => surroundings.tool(tool)?.output_schema,
        Verb::Workflow { is_detached: true, .. } => None,
        Verb::Workflow { name, .. } => surroundings.workflow(name)?.output_schema,
        _ => None,
    }
}
