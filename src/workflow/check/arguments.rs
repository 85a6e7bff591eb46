//! Written-out arguments against the schema of what is called.

use serde_json::{Map, Value, json};

use crate::expr::template::Template;
use crate::model::code;
use crate::model::problem::Problem;
use crate::model::suggest;
use crate::workflow::check::targets::{Called, Target};
use crate::workflow::definition::Workflow;
use crate::workflow::schema;
use crate::workflow::surroundings::Facts;

/// Missing, unknown and wrong arguments. Arguments that are one expression cannot be looked at.
pub(super) fn check(workflow: &Workflow, call: &Called<'_>, facts: Option<&Facts>) -> Vec<Problem> {
    let (Some(schema), Template::Table(args)) = (facts.and_then(|facts| facts.input_schema.as_deref()), call.args)
    else {
        return Vec::new();
    };
    let mut problems: Vec<_> = missing(workflow, call, schema, args).into_iter().collect();
    for (name, value) in args {
        problems.extend(unknown(workflow, call, schema, name));
        problems.extend(contradiction(workflow, call, schema, name, value));
    }
    problems
}

fn title(call: &Called<'_>) -> String {
    match call.target {
        Target::Tool(tool) => format!("`{tool}`"),
        Target::Workflow(name) => format!("workflow `{name}`"),
    }
}

/// One problem that names every required argument that is not given.
fn missing(workflow: &Workflow, call: &Called<'_>, schema: &Value, args: &[(String, Template)]) -> Option<Problem> {
    let required = schema.get("required")?.as_array()?.iter().filter_map(Value::as_str);
    let absent: Vec<_> = required.filter(|name| args.iter().all(|(given, _)| given != name)).collect();
    if absent.is_empty() {
        return None;
    }
    let plural = if absent.len() == 1 { "argument" } else { "arguments" };
    let message = format!("{} needs the {plural} `{}`", title(call), absent.join("`, `"));
    let problem = Problem::error(code::MISSING_ARGUMENT, &workflow.source, call.target_site.target.clone(), message);
    Some(problem.help(format!("add `{}: …` to `args`", absent[0])))
}

fn unknown(workflow: &Workflow, call: &Called<'_>, schema: &Value, name: &str) -> Option<Problem> {
    let schema::Found::Absent { known, is_closed: true, .. } = schema::find(schema, &[name.to_owned()]) else {
        return None;
    };
    let site = call.args_site.arguments.iter().find(|site| site.name == name);
    let span = site.map_or_else(|| call.target_site.target.clone(), |site| site.key.clone());
    let problem =
        Problem::error(code::UNKNOWN_KEY, &workflow.source, span, format!("{} has no argument `{name}`", title(call)));
    Some(match suggest::nearest(name, known.iter().map(String::as_str)) {
        Some(near) => {
            let problem = problem.help(format!("did you mean `{near}`?"));
            if site.is_some() { problem.replace_with(near) } else { problem }
        }
        None => problem.help(format!("it has `{}`", known.join("`, `"))),
    })
}

/// A constant that the schema of its argument refuses.
fn contradiction(
    workflow: &Workflow,
    call: &Called<'_>,
    schema: &Value,
    name: &str,
    value: &Template,
) -> Option<Problem> {
    let property = schema.get("properties")?.get(name)?;
    let constant = value.as_literal()?;
    let validator = schema::compile(&alone(schema, property)).ok()?;
    let error = validator.validate(&constant).err()?;
    let site = call.args_site.arguments.iter().find(|site| site.name == name);
    let span = site.map_or_else(|| call.target_site.target.clone(), |site| site.value.clone());
    let message = format!("argument `{name}` of {}: {error}", title(call));
    let wants_text = property.get("type") == Some(&json!("string")) && !constant.is_string();
    let help = (wants_text && (constant.is_number() || constant.is_boolean())).then(|| "quote it".to_owned());
    Some(Problem::error(code::WRONG_VALUE, &workflow.source, span, message).maybe_help(help))
}

/// One property's schema, with the definitions of the whole that it may refer to.
fn alone(schema: &Value, property: &Value) -> Value {
    let mut alone = Map::new();
    for key in ["$schema", "$defs", "definitions"] {
        if let Some(definitions) = schema.get(key) {
            alone.insert(key.to_owned(), definitions.clone());
        }
    }
    alone.insert("allOf".to_owned(), json!([property]));
    Value::Object(alone)
}
