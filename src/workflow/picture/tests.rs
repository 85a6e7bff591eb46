//! A picture is readable: nothing lies on anything else, arrows point down, text is only text.

use std::fmt::Write as _;

use crate::model::name::ToolRef;
use crate::workflow::definition::Workflow;
use crate::workflow::picture::layout::{Laid, lay};
use crate::workflow::picture::{dot, svg};
use crate::workflow::plan::{Plan, plan};
use crate::workflow::surroundings::{Facts, Surroundings};

struct Nothing;

impl Surroundings for Nothing {
    fn servers(&self) -> Vec<String> {
        Vec::new()
    }

    fn tools_of(&self, _: &str) -> Option<Vec<String>> {
        None
    }

    fn tool(&self, _: &ToolRef) -> Option<Facts> {
        None
    }

    fn workflows(&self) -> Vec<String> {
        Vec::new()
    }

    fn workflow(&self, _: &str) -> Option<Facts> {
        None
    }
}

fn planned(text: &str) -> Plan {
    let source = crate::model::problem::Source::new("f", text);
    let (workflow, problems) = crate::workflow::authored::read(&source, crate::document::format::Format::Yaml);
    assert!(problems.is_empty(), "{problems:#?}");
    let workflow: Workflow = workflow.expect("a workflow");
    plan(&workflow, &Nothing)
}

/// Thirty steps: three sources, readers of two others each, one block with branches.
fn thirty() -> Plan {
    let mut text = "name: thirty\norder: data\nsteps:\n".to_owned();
    for step in 0..29 {
        let set = match step {
            0..3 => "1".to_owned(),
            _ => format!("[$steps.s{}.output, $steps.s{}.output]", step / 2, (step * 7) % step),
        };
        let _ = writeln!(text, "  - {{ id: s{step}, set: {set} }}");
    }
    text.push_str("  - { id: last, parallel: { a: { set: $steps.s28.output }, b: [{ id: x, set: 1 }, { id: y, set: $steps.x.output }] } }\n");
    planned(&text)
}

fn assert_readable(laid: &Laid<'_>) {
    for (place, one) in laid.boxes.iter().enumerate() {
        assert!(one.x >= 0.0 && one.x + one.width <= laid.width + 0.1, "{} is outside", one.step.id);
        assert!(one.y >= 0.0 && one.y + one.height <= laid.height + 0.1, "{} is outside", one.step.id);
        for other in &laid.boxes[place + 1..] {
            let is_apart = one.x + one.width <= other.x
                || other.x + other.width <= one.x
                || one.y + one.height <= other.y
                || other.y + other.height <= one.y;
            assert!(is_apart, "{} lies on {}", one.step.id, other.step.id);
        }
        for (_, x, y, inner) in &one.parts {
            assert!(x + inner.width <= one.width && y + inner.height <= one.height, "{} is too small", one.step.id);
            assert_readable(inner);
        }
    }
    for arrow in &laid.arrows {
        assert!(arrow.points.windows(2).all(|pair| pair[0].1 <= pair[1].1), "an arrow points up");
    }
}

#[test]
fn thirty_steps_do_not_lie_on_each_other() {
    let plan = thirty();
    let laid = lay(&plan.workflow.body);
    assert_eq!(laid.boxes.len(), 30);
    assert_readable(&laid);
    assert!(laid.width < 2_500.0 && laid.height < 2_500.0, "{} x {}", laid.width, laid.height);
}

#[test]
fn a_drawing_has_every_step_and_arrow() {
    let plan = thirty();
    let picture = svg(&plan);
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    assert_eq!(picture.matches("rx=\"6\"").count(), 33, "a box for each step");
    let arrows: usize = plan.workflow.body.steps.iter().map(|step| step.waits.len()).sum();
    assert_eq!(picture.matches("marker-end").count(), arrows + 1);
    assert_eq!(dot(&plan).matches(" -> ").count(), arrows + 1);
}

#[test]
fn text_is_only_text() {
    let plan = planned("name: f\nsteps:\n  - { id: a, tool: 'x.\"<&>\\' }\n");
    let picture = svg(&plan);
    assert!(picture.contains("x.&quot;&lt;&amp;&gt;\\") && !picture.contains("\"<&>"), "{picture}");
    assert!(dot(&plan).contains(r#"x.\"<&>\\ "#), "{}", dot(&plan));
}
