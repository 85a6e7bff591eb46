//! References that stand as whole arguments, against the types that the called tool wants.

use std::sync::Arc;

use serde_json::Value;

use crate::expr::template::Template;
use crate::model::code;
use crate::model::problem::Problem;
use crate::workflow::check::outputs::output_schema;
use crate::workflow::check::scope::{Found, Scope, Visit, walk};
use crate::workflow::check::targets::{Called, Target, calls, resolve};
use crate::workflow::definition::{Step, Workflow};
use crate::workflow::schema;
use crate::workflow::site::Use;
use crate::workflow::surroundings::Surroundings;

/// Arguments that can only be of a type that their tool refuses.
pub(super) fn check(workflow: &Workflow, surroundings: &dyn Surroundings) -> Vec<Problem> {
    let mut types = Types { workflow, surroundings, problems: Vec::new() };
    walk(workflow, &mut types);
    types.problems
}

struct Types<'a> {
    workflow: &'a Workflow,
    surroundings: &'a dyn Surroundings,
    problems: Vec<Problem>,
}

impl<'a> Visit<'a> for Types<'a> {
    fn step(&mut self, scope: &Scope<'a>, step: &'a Step) {
        for call in calls(step) {
            self.call(scope, &call);
        }
    }

    fn reference(&mut self, _: &Scope<'a>, _: Option<&'a Step>, _: &'a Use) {}
}

impl<'a> Types<'a> {
    fn call(&mut self, scope: &Scope<'a>, call: &Called<'_>) {
        let Template::Table(_) = call.args else { return };
        let Ok(Some(facts)) = resolve(self.workflow, self.surroundings, call) else { return };
        let Some(wanted) = facts.input_schema else { return };
        for site in &call.args_site.arguments {
            let Some(path) = self.workflow.source.text.get(site.value.clone()).and_then(whole_reference) else {
                continue;
            };
            let Some(schema) = self.schema_of(scope, &path) else { continue };
            let (Some(given), Some(taken)) =
                (types(&schema), schema::at(&wanted, std::slice::from_ref(&site.name)).and_then(types))
            else {
                continue;
            };
            if given.iter().any(|given| taken.iter().any(|taken| may_be(given, taken))) {
                continue;
            }
            let whose = match call.target {
                Target::Tool(tool) => format!("`{tool}`"),
                Target::Workflow(name) => format!("workflow `{name}`"),
            };
            let message = format!(
                "argument `{}` of {whose} must be {}, and `{}` is {}",
                site.name,
                taken.join(" or "),
                path.join("."),
                given.join(" or "),
            );
            let problem = Problem::error(code::WRONG_VALUE, &self.workflow.source, site.value.clone(), message);
            self.problems.push(problem.maybe_help(conversion(&path, &taken)));
        }
    }

    /// The schema of what a path leads to.
    fn schema_of(&self, scope: &Scope<'a>, path: &[String]) -> Option<Value> {
        match path {
            [root, fields @ ..] if root == "input" => schema::at(&self.workflow.input_schema, fields).cloned(),
            [root, id, part, fields @ ..] if root == "steps" && matches!(part.as_str(), "output" | "result") => {
                let Found::Earlier(step) = scope.find(id) else { return None };
                // The output of a step that is skipped is of another type.
                let whole: Arc<Value> = output_schema(step, self.surroundings).filter(|_| !step.may_be_skipped())?;
                schema::at(&whole, fields).cloned()
            }
            _ => None,
        }
    }
}

/// The path of a value that is one plain reference, as `$input.name`.
fn whole_reference(written: &str) -> Option<Vec<String>> {
    let path = written.trim_matches(['"', '\'']).strip_prefix('$')?;
    let is_plain =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let parts: Vec<String> = path.split('.').map(str::to_owned).collect();
    parts.iter().all(|part| is_plain(part)).then_some(parts)
}

/// The types that a schema names.
fn types(schema: &Value) -> Option<Vec<&str>> {
    match schema.get("type")? {
        Value::String(one) => Some(vec![one]),
        Value::Array(many) => many.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

fn may_be(given: &str, taken: &str) -> bool {
    given == taken || matches!((given, taken), ("integer", "number") | ("number", "integer"))
}

fn conversion(path: &[String], taken: &[&str]) -> Option<String> {
    let filter = match taken {
        ["string"] => "string",
        ["integer"] => "int",
        ["number"] => "float",
        _ => return None,
    };
    Some(format!("convert it: `${{{}|{filter}}}`", path.join(".")))
}
