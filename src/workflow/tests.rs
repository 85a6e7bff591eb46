//! The module as a whole: a definition in, a plan and a tool out.

mod formats;
mod order;
mod promises;
mod vocabulary;

use std::sync::Arc;

use crate::document::format::Format;
use crate::model::effect::Effect;
use crate::model::name::ToolRef;
use crate::model::problem::{Problem, Source};
use crate::workflow::authored::read;
use crate::workflow::definition::Workflow;
use crate::workflow::surroundings::{Facts, Surroundings};

/// One server, `world`, whose tools are named for their effects.
struct World;

impl Surroundings for World {
    fn servers(&self) -> Vec<String> {
        vec!["world".to_owned()]
    }

    fn tools_of(&self, _: &str) -> Option<Vec<String>> {
        Some(Effect::ALL.map(|effect| effect.as_str().to_owned()).to_vec())
    }

    fn tool(&self, tool: &ToolRef) -> Option<Facts> {
        let effect = Effect::parse(&tool.tool)?;
        Some(Facts { effect, input_schema: None, output_schema: None })
    }

    fn workflows(&self) -> Vec<String> {
        Vec::new()
    }

    fn workflow(&self, _: &str) -> Option<Facts> {
        None
    }
}

fn source(text: &str) -> Arc<Source> {
    Source::new("flow.yaml", text)
}

fn problems(text: &str) -> Vec<String> {
    read(&source(text), Format::Yaml).1.iter().map(Problem::to_string).collect()
}

/// A workflow that is expected to be right.
fn workflow(text: &str) -> Workflow {
    let (workflow, problems) = read(&source(text), Format::Yaml);
    assert!(problems.is_empty(), "{problems:#?}\n{text}");
    workflow.expect("a workflow without problems")
}

/// A workflow of these steps, one line each.
fn steps(lines: &[&str]) -> Workflow {
    let steps: Vec<_> = lines.iter().map(|line| format!("  - {{ {line} }}\n")).collect();
    workflow(&format!("name: flow\nsteps:\n{}", steps.concat()))
}
