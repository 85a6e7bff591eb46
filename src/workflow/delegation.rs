//! Steps that ask a model or an agent, and how much a step or a run may use up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::expr::template::Template;
use crate::model::problem::Span;
use crate::model::usage::Allowance;
use crate::workflow::definition::{Block, Workflow};
use crate::workflow::site::CallSite;
use crate::workflow::verb::Verb;

/// A question to a model.
#[derive(Debug, Clone)]
pub struct Llm {
    /// What it is asked.
    pub prompt: Template,
    /// Where that stands in the file.
    pub site: Span,
    /// What it is told before that.
    pub system: Option<Template>,
    /// Which model, or with `providers`, what each of them is asked for.
    pub model: Option<Template>,
    /// Where the model stands in the file.
    pub model_site: Span,
    /// The models to be asked, in order, with their places.
    pub providers: Vec<(Arc<str>, Span)>,
    /// The tools that it may use, as names or patterns, with their places.
    pub tools: Vec<(Arc<str>, CallSite)>,
}

/// A task for an agent.
#[derive(Debug, Clone)]
pub struct Errand {
    /// The agent, or what it has to be good at.
    pub agent: Arc<str>,
    /// Where that stands in the file.
    pub site: Span,
    /// What is to be done.
    pub task: Template,
    /// What it is told beside the task.
    pub context: Told,
}

/// What an agent is told beside its task.
#[derive(Debug, Clone)]
pub enum Told {
    /// Nothing.
    Nothing,
    /// This.
    Given(Template),
    /// These parts of what the run's agents share, which it may also set.
    Shared(Vec<Arc<str>>),
}

/// Every name that agents of the workflow share.
pub fn shared_keys(workflow: &Workflow) -> BTreeSet<Arc<str>> {
    fn of(block: &Block, keys: &mut BTreeSet<Arc<str>>) {
        for step in &block.steps {
            if let Verb::Agent(errand) = &step.verb
                && let Told::Shared(shared) = &errand.context
            {
                keys.extend(shared.iter().cloned());
            }
            step.blocks().for_each(|(_, block)| of(block, keys));
        }
    }
    let mut keys = BTreeSet::new();
    workflow.blocks().for_each(|(_, block)| of(block, &mut keys));
    keys
}

/// How much each attempt of a step may use up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepLimits {
    /// Tokens, money and calls.
    pub allowance: Allowance,
    /// How often a model may be asked.
    pub turns: Option<u32>,
}

/// How much a run may use up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// Tokens, money and calls.
    pub allowance: Allowance,
    /// Time.
    pub time: Option<Duration>,
    /// What happens when it becomes scarce.
    pub on_exceed: OnExceed,
}

/// What happens when a budget becomes scarce.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnExceed {
    /// Nothing, until it is spent: then what would use more fails.
    #[default]
    Fail,
    /// From four fifths on, optional steps that would use more are skipped and the cheapest models are asked first.
    Degrade,
}

impl Budget {
    /// The allowance that is kept for what is not optional: a fifth of tokens and money.
    pub fn comfortable(&self) -> Allowance {
        use crate::model::usage::Cost;
        Allowance {
            tokens: self.allowance.tokens.map(|all| all - all / 5),
            cost: self.allowance.cost.map(|all| Cost::of(all.amount() * 0.8)),
            calls: None,
        }
    }
}
