//! The input of a run: defaults filled in, then checked.

use serde_json::{Map, Value};

use crate::workflow::definition::Workflow;
use crate::workflow::schema;

/// The input with its defaults, or everything that is wrong with it in words that name the fields. No input at all
/// (`null`) counts as one without fields.
pub fn accept(workflow: &Workflow, input: Value) -> Result<Value, Vec<String>> {
    let mut input = if input.is_null() { Value::Object(Map::new()) } else { input };
    schema::fill_defaults(&workflow.input_schema, &mut input);
    let violations = schema::violations(&workflow.input_schema, &input, "the input");
    if violations.is_empty() { Ok(input) } else { Err(violations) }
}
