//! What a plan has found out about a workflow's steps, written down, so that a run that is taken up again goes by the same plan
//! whatever the servers say of their tools by then.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::document::format::Format;
use crate::model::effect::Effect;
use crate::model::problem::{Problem, Source};
use crate::model::usage::Allowance;
use crate::workflow::authored::drafts;
use crate::workflow::definition::{Block, Step, Workflow};
use crate::workflow::delegation::Budget;
use crate::workflow::modifier::Fallback;

/// The plan of a workflow, without the workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pin {
    /// The longest the run may take, in milliseconds.
    timeout: Option<u64>,
    /// How much it may use up.
    #[serde(default)]
    allowance: Option<Allowance>,
    /// The steps, each before those inside it.
    steps: Vec<StepPin>,
}

/// The plan of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct StepPin {
    id: String,
    own: String,
    most: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    waits: Vec<usize>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fallback: Vec<String>,
}

impl Pin {
    /// The plan of a workflow that has been planned.
    pub fn of(workflow: &Workflow) -> Self {
        let mut steps = Vec::new();
        workflow.blocks().for_each(|(_, block)| note(block, &mut steps));
        let timeout = workflow.timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        Self { timeout, allowance: workflow.budget.map(|budget| budget.allowance), steps }
    }

    /// Plans the same workflow in the same way; false if it is another.
    pub fn apply(&self, workflow: &mut Workflow) -> bool {
        workflow.timeout = self.timeout.map(Duration::from_millis);
        if let Some(allowance) = self.allowance {
            workflow.budget = Some(Budget { allowance, ..workflow.budget.unwrap_or_default() });
        }
        let mut pins = self.steps.iter();
        let mut blocks = [&mut workflow.body].into_iter().chain(&mut workflow.on_failure);
        blocks.all(|block| follow(block, &mut pins)) && pins.next().is_none()
    }
}

/// The workflow `name` of a definition that was planned before, planned as it was; else why that cannot be.
pub fn replan(name: &str, definition: &str, format: &str, plan: &Value) -> Result<Workflow, String> {
    let format = Format::parse(format).ok_or("its definition is in no language that is known here")?;
    let (workflows, problems) = drafts(&Source::new(format!("{name} of a run"), definition), format);
    let is_right = !problems.iter().any(Problem::is_error);
    // A file of another orchestrator may hold several.
    let workflow = workflows.into_iter().find(|workflow| *workflow.name == *name);
    let mut workflow = workflow.filter(|_| is_right).ok_or("its definition is not right for this version")?;
    let pin: Pin = serde_json::from_value(plan.clone()).map_err(|why| why.to_string())?;
    if pin.apply(&mut workflow) { Ok(workflow) } else { Err("its plan is not that of its definition".to_owned()) }
}

fn note(block: &Block, pins: &mut Vec<StepPin>) {
    for step in &block.steps {
        pins.push(StepPin {
            id: step.id.to_string(),
            own: step.own_effect.as_str().to_owned(),
            most: step.effect.as_str().to_owned(),
            waits: step.waits.clone(),
            fallback: step.fallback.iter().map(|fallback| effect_of(fallback).as_str().to_owned()).collect(),
        });
        step.blocks().for_each(|(_, block)| note(block, pins));
    }
}

fn follow<'a>(block: &mut Block, pins: &mut impl Iterator<Item = &'a StepPin>) -> bool {
    block.steps.iter_mut().all(|step| {
        let Some(pin) = pins.next().filter(|pin| *pin.id == *step.id) else { return false };
        fill(step, pin).is_some() && step.blocks_mut().collect::<Vec<_>>().into_iter().all(|block| follow(block, pins))
    })
}

fn fill(step: &mut Step, pin: &StepPin) -> Option<()> {
    step.own_effect = Effect::parse(&pin.own)?;
    step.effect = Effect::parse(&pin.most)?;
    step.waits.clone_from(&pin.waits);
    for (fallback, word) in step.fallback.iter_mut().zip(&pin.fallback) {
        if let Fallback::Tool { effect, .. } | Fallback::Workflow { effect, .. } = fallback {
            *effect = Effect::parse(word)?;
        }
    }
    Some(())
}

fn effect_of(fallback: &Fallback) -> Effect {
    match fallback {
        Fallback::Tool { effect, .. } | Fallback::Workflow { effect, .. } => *effect,
        Fallback::Cached(_) | Fallback::Value(_) => Effect::Read,
    }
}
