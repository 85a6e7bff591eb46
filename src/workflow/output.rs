//! The output of a run, held against what the workflow promises.

use serde_json::Value;

use crate::workflow::definition::Workflow;
use crate::workflow::schema;

/// Everything in which the output breaks the declared schema, in words that name the fields.
pub fn check_output(workflow: &Workflow, output: &Value) -> Result<(), Vec<String>> {
    let Some(declared) = &workflow.output_schema else { return Ok(()) };
    let violations = schema::violations(declared, output, "the output");
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}
