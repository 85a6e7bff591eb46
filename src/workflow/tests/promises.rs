//! What a workflow promises as a tool: input, output, annotations, pictures.

use serde_json::{Value, json};

use super::{World, problems, source, steps, workflow};
use crate::document::format::Format;
use crate::model::problem::Problem;
use crate::workflow::authored::read;
use crate::workflow::check::check;
use crate::workflow::definition::Workflow;
use crate::workflow::graph;
use crate::workflow::input::accept;
use crate::workflow::output::check_output;
use crate::workflow::plan::plan;
use crate::workflow::tool::definition;

const ORDER: &str = r"
name: order
title: Order
description: Orders things.
input:
  phone: { type: string, pattern: '^\+[0-9]+$' }
  count: { type: integer, default: 1 }
  note: { type: string, optional: true }
  buyer:
    type: object
    properties: { email: { type: string }, country: { type: string, default: DE } }
    required: [email]
    additionalProperties: false
output_schema: { id: string }
steps:
  - { id: sent, tool: world.destructive, args: { to: $input.phone } }
";

fn order() -> Workflow {
    workflow(ORDER)
}

#[test]
fn defaults_are_filled_in_at_every_depth() {
    let input = accept(&order(), json!({"phone": "+1", "buyer": {"email": "a@b"}})).expect("it fits");
    assert_eq!(input, json!({"phone": "+1", "count": 1, "buyer": {"email": "a@b", "country": "DE"}}));
}

#[test]
fn every_wrong_field_is_named() {
    let input = json!({"phone": "abc", "cuont": 2, "buyer": {"emial": "a@b"}});
    let mut wrong = accept(&order(), input).expect_err("nothing fits");
    wrong.sort();
    assert_eq!(
        wrong,
        [
            r#"`phone`: "abc" does not match "^\+[0-9]+$""#,
            "missing `buyer.email`",
            "unknown field `buyer.emial`, did you mean `email`?",
            "unknown field `cuont`, did you mean `count`?",
        ]
    );
    assert_eq!(accept(&order(), json!([])).expect_err("a list"), [r#"the input: [] is not of type "object""#]);
}

#[test]
fn no_input_is_an_empty_one() {
    assert_eq!(accept(&steps(&["id: a, set: 1"]), Value::Null), Ok(json!({})));
}

#[test]
fn an_output_is_held_against_its_schema() {
    assert_eq!(check_output(&order(), &json!({"id": "x"})), Ok(()));
    assert_eq!(check_output(&order(), &json!({})), Err(vec!["missing `id`".to_owned()]));
    assert_eq!(check_output(&steps(&["id: a, set: 1"]), &json!(5)), Ok(()), "nothing was promised");
}

#[test]
fn the_tool_promises_no_more_than_its_steps_keep() {
    let tool = |workflow: &Workflow| Value::Object(definition(workflow, &plan(workflow, &World)));
    let tool_of_order = tool(&order());
    assert_eq!(tool_of_order["name"], "order");
    assert_eq!(tool_of_order["title"], "Order");
    assert_eq!(tool_of_order["inputSchema"]["required"], json!(["phone", "buyer"]));
    assert_eq!(tool_of_order["outputSchema"]["additionalProperties"], false);
    let hints = |verb: &str| tool(&steps(&[&format!("id: a, tool: world.{verb}")]))["annotations"].clone();
    assert_eq!(hints("read"), json!({"readOnlyHint": true}));
    assert_eq!(hints("idempotent"), json!({"readOnlyHint": false, "idempotentHint": true}));
    assert_eq!(hints("write"), json!({"readOnlyHint": false, "idempotentHint": false}));
    assert_eq!(hints("destructive"), json!({"readOnlyHint": false, "destructiveHint": true, "idempotentHint": false}));
}

#[test]
fn a_claim_may_weaken_but_never_strengthen() {
    let claiming = |claims: &str, tool: &str| {
        workflow(&format!("name: flow\nannotations: {claims}\nsteps:\n  - {{ id: a, tool: world.{tool} }}\n"))
    };
    let weaker = claiming("{ readOnlyHint: false, idempotentHint: false }", "read");
    assert_eq!(check(&weaker, &World), []);
    assert_eq!(definition(&weaker, &plan(&weaker, &World))["annotations"]["readOnlyHint"], false);
    let stronger = claiming("{ idempotentHint: true }", "write");
    assert_eq!(check(&stronger, &World).len(), 1);
    assert_eq!(definition(&stronger, &plan(&stronger, &World))["annotations"]["idempotentHint"], false);
}

#[test]
fn an_output_that_is_no_object_is_not_promised_to_hosts() {
    let flow =
        workflow("name: flow\noutput_schema: { type: array, items: { type: string } }\nsteps: [{ id: a, set: [] }]\n");
    assert!(flow.output_schema.is_some());
    assert_eq!(definition(&flow, &plan(&flow, &World)).get("outputSchema"), None);
}

#[test]
fn a_mermaid_label_cannot_break_out_of_its_quotes() {
    let drawn = graph::mermaid(&plan(&steps(&[r#"id: a, tool: 'world.x"]<script>#'"#]), &World));
    assert!(drawn.contains("n1[\"a: world.x#quot;]#lt;script#gt;#35;<br/>destructive\"]:::destructive"), "{drawn}");
}

#[test]
fn an_item_is_seen_only_by_what_runs_for_each_item() {
    let found = problems(
        "name: f\nsteps:\n  - { id: a, for_each: [1], as: one, when: one > 0, set: $one }\n  - { id: b, for_each: [1], steps: [{ id: c, set: $item }, { id: d, set: $index }] }\n",
    );
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("3:44: error[MO2013]: there is no `one` here"), "{found:#?}");
}

#[test]
fn a_problem_of_a_patch_marks_only_the_wrong_name() {
    let text = "name: f\nsteps:\n  - { id: contact, set: 1 }\n  - { id: b, set: $steps.contct.output }\n";
    let (_, found) = read(&source(text), Format::Yaml);
    let patch = found.iter().find_map(|problem: &Problem| problem.patch.as_ref()).expect("a patch");
    assert_eq!((&text[patch.span.clone()], patch.replacement.as_str()), ("contct", "contact"));
}
