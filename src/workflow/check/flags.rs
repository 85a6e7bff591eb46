//! Flags that expressions name, and whether there are such.

use crate::model::code;
use crate::model::problem::Problem;
use crate::model::suggest;
use crate::workflow::check::scope::{Scope, Visit, walk};
use crate::workflow::definition::{Step, Workflow};
use crate::workflow::site::Use;
use crate::workflow::surroundings::Surroundings;

/// Flags that the registry does not have.
pub(super) fn check(workflow: &Workflow, surroundings: &dyn Surroundings) -> Vec<Problem> {
    let Some(known) = surroundings.flags() else { return Vec::new() };
    let mut names = Names { workflow, known, problems: Vec::new() };
    walk(workflow, &mut names);
    names.problems
}

struct Names<'a> {
    workflow: &'a Workflow,
    known: Vec<String>,
    problems: Vec<Problem>,
}

impl<'a> Visit<'a> for Names<'a> {
    fn step(&mut self, _: &Scope<'a>, _: &'a Step) {}

    fn reference(&mut self, _: &Scope<'a>, _: Option<&'a Step>, site: &'a Use) {
        let [root, name, ..] = site.path.as_slice() else { return };
        if root != "flags" || self.known.contains(name) {
            return;
        }
        let problem =
            Problem::error(code::UNKNOWN_ROOT, &self.workflow.source, site.span.clone(), format!("no flag `{name}`"));
        self.problems.push(match suggest::nearest(name, self.known.iter().map(String::as_str)) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(format!("add it to the registry: `[flags]`, `{name} = true`")),
        });
    }
}
