//! Bounds are what the file says, and are not known where it says nothing.

use std::sync::Arc;

use super::{Bounds, bounds};
use crate::document::format::Format;
use crate::model::name::ToolRef;
use crate::model::problem::Source;
use crate::workflow::authored::read;
use crate::workflow::plan::plan;
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

fn of(text: &str) -> Bounds {
    let (workflow, problems) = read(&Source::new("f", format!("name: f\n{text}")), Format::Yaml);
    assert!(problems.is_empty(), "{problems:#?}");
    bounds(&plan(&workflow.expect("a workflow"), &Nothing))
}

#[test]
fn calls_count_attempts_items_turns_and_fallbacks() {
    let text = "steps:
  - { id: a, tool: x.y, retry: 3, fallback: [{ tool: x.z }, { value: 1 }] }
  - { id: b, for_each: [1, 2, 3], tool: x.y }
  - { id: c, tool: x.y, repeat: { max: 5 } }
  - { id: d, switch: [{ when: 'true', steps: [{ id: e, tool: x.y }, { id: f, tool: x.y }] }, { else: [{ id: g, tool: x.y }] }] }
  - { id: h, for_each: $steps.a.output, set: $item }
";
    assert_eq!(of(text).calls, Some(4 + 3 + 5 + 2));
    let open = of("steps: [{ id: a, for_each: $input.all, tool: x.y }]\ninput: { all: array }\n");
    assert_eq!((open.calls, open.open), (None, vec![Arc::from("a")]));
}

#[test]
fn time_is_that_of_the_longest_way() {
    let text = "order: data
steps:
  - { id: a, tool: x.y, timeout: 10s }
  - { id: b, tool: x.y, timeout: 1m, after: [] }
  - { id: c, for_each: [1, 2, 3], concurrency: 2, tool: x.y, timeout: 20s, after: [a] }
  - { id: d, wait: 5s, after: [c] }
";
    assert_eq!(of(text).to_text(), "bounds: at most 5 calls, at most 1m by its own limits");
    assert_eq!(of(&text.replace("1m", "1s")).time.map(|time| time.as_secs()), Some(10 + 40 + 5));
    let open = of(&text.replace(", timeout: 10s", ""));
    assert_eq!(open.to_text(), "bounds: at most 5 calls, no limit of time (because of a)");
    assert_eq!(of("timeout: 2m\nsteps: [{ id: a, tool: x.y }]\n").time.map(|time| time.as_secs()), Some(120));
}
