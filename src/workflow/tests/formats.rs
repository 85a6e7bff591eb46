//! One language in three formats, files and their bounds.

use proptest::prelude::*;

use super::{World, problems, source};
use crate::document::format::Format;
use crate::document::parse::parse;
use crate::model::problem::Problem;
use crate::workflow::authored::{MAX_STEPS, read};
use crate::workflow::check::check;
use crate::workflow::definition::{Block, Workflow};
use crate::workflow::set::load;
use crate::workflow::site::{StepSites, WorkflowSites};

const SMS: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/workflows/good/send_coached_sms.yaml"));
const DATA: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/workflows/good/data_order.yaml"));

/// The workflow without the places that its parts have in their file.
fn bare(text: &str, format: Format) -> String {
    fn clear(block: &mut Block) {
        for step in &mut block.steps {
            step.span = 0..0;
            step.sites = StepSites::default();
            step.blocks_mut().for_each(clear);
        }
    }
    let (workflow, problems) = read(&source(text), format);
    assert!(problems.is_empty(), "{}: {problems:#?}\n{text}", format.as_str());
    let mut workflow: Workflow = workflow.expect("a workflow without problems");
    workflow.source = source("");
    workflow.format = Format::Yaml;
    workflow.sites = WorkflowSites::default();
    clear(&mut workflow.body);
    // The order of fields in a schema means nothing, and TOML cannot always keep it.
    let schema = std::mem::take(&mut workflow.input_schema);
    let mut fields: Vec<_> = schema["properties"].as_object().expect("an object schema").iter().collect();
    fields.sort_by_key(|(name, _)| *name);
    format!("{workflow:#?}\n{fields:?}")
}

#[test]
fn yaml_json_and_toml_mean_the_same() {
    for yaml in [SMS, DATA] {
        let json = parse(&source(yaml), Format::Yaml).expect("valid YAML").to_json();
        let toml = toml::to_string(&json).expect("TOML can say it");
        assert_eq!(bare(yaml, Format::Yaml), bare(&json.to_string(), Format::Json));
        assert_eq!(bare(yaml, Format::Yaml), bare(&toml, Format::Toml));
    }
}

#[test]
fn problems_are_found_in_every_format_at_their_place() {
    let json = "{\n  \"name\": \"flow\",\n  \"steps\": [{ \"id\": \"a\", \"set\": \"$steps.b.output\" }]\n}";
    let toml = "name = 'flow'\n[[steps]]\nid = 'a'\nset = '$steps.b.output'\n";
    for (text, format, place) in [(json, Format::Json, (3, 35)), (toml, Format::Toml, (4, 9))] {
        let (workflow, found) = read(&source(text), format);
        assert!(workflow.is_none());
        let places: Vec<_> = found.iter().map(|problem| problem.source.line_column(problem.span.start)).collect();
        assert_eq!(places, [place], "{found:#?}");
    }
}

#[test]
fn a_file_with_too_many_steps_is_refused_once() {
    let many: Vec<_> = (0..MAX_STEPS + 5).map(|step| format!("  - {{ id: s{step}, set: 1 }}\n")).collect();
    let found = problems(&format!("name: flow\nsteps:\n{}", many.concat()));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("more than 1000 steps in one file"), "{found:#?}");
}

#[test]
fn of_two_workflows_with_one_name_the_first_counts_and_a_broken_one_hides_no_other() {
    let file = |text: &str| (source(text), Format::Yaml);
    let (set, found) = load(&[
        file("name: one\ndescription: first\nsteps: [{ id: a, set: 1 }]"),
        file("name: one\nsteps: [{ id: a, set: 1 }]"),
        file("name: broken\nsteps: 5"),
        file("name: two\nsteps: [{ id: a, set: 1 }]"),
    ]);
    assert_eq!(set.names().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(set.get("one").and_then(|workflow| workflow.description.as_deref()), Some("first"));
    let found: Vec<_> = found.iter().map(Problem::to_string).collect();
    assert_eq!(found.len(), 2, "{found:#?}");
    assert_eq!(
        found[0],
        "flow.yaml:1:7: error[MO1006]: there is a workflow `one` already, in flow.yaml:1; give it another name"
    );
    assert!(found[1].starts_with("flow.yaml:2:8: error[MO1004]: `steps` must be a list"), "{found:#?}");
}

const ORDER: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/workflows/good/fulfil_order.yaml"));

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_stands_in_a_file_its_problems_point_into_it(
        at in 0..ORDER.len(),
        length in 0..40_usize,
        put in prop::sample::select(vec!["", "$", "${", "}", "ü: ", "\n", "  ", "- ", "[", "null", "steps.x.output.y", "|\n    ", "'", "id: a"]),
    ) {
        let mut text = ORDER.to_owned();
        text.replace_range(at..(at + length).min(ORDER.len()), put);
        let (workflow, mut found) = read(&source(&text), Format::Yaml);
        prop_assert_eq!(workflow.is_none(), found.iter().any(Problem::is_error), "{:?}", found);
        found.extend(workflow.iter().flat_map(|workflow| check(workflow, &World)));
        for problem in &found {
            let spans = [Some(&problem.span), problem.patch.as_ref().map(|patch| &patch.span)];
            let related = problem.related.iter().map(|(span, _)| span);
            for span in spans.into_iter().flatten().chain(related) {
                prop_assert!(text.get(span.clone()).is_some(), "{span:?} of {problem}\n{text}");
            }
        }
    }
}
