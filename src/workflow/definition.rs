//! A checked workflow: what the engine may rely on without looking again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::document::format::Format;
use crate::expr::expression::Expr;
use crate::expr::template::Template;
use crate::model::effect::Effect;
use crate::model::problem::{Source, Span};
use crate::workflow::conduct::Conduct;
use crate::workflow::delegation::{Budget, StepLimits};
use crate::workflow::modifier::{Cache, Catch, CatchBody, Each, Expect, Fallback, InDoubt, Repeat, StepRetry};
use crate::workflow::site::{StepSites, WorkflowSites};
use crate::workflow::verb::Verb;

/// A workflow whose every name, reference and schema has been checked as far as that is possible without its servers.
#[derive(Debug, Clone)]
pub struct Workflow {
    /// Its name, which is the name of its tool.
    pub name: Arc<str>,
    /// Its version as written.
    pub version: Option<String>,
    /// A short human name.
    pub title: Option<String>,
    /// What it is for; becomes the tool's description.
    pub description: Option<String>,
    /// The JSON Schema (2020-12) of its input: always an object schema.
    pub input_schema: Arc<Value>,
    /// The JSON Schema of its output, if it declares one.
    pub output_schema: Option<Arc<Value>>,
    /// How the output is made; without it, the last step's output is the workflow's.
    pub output: Option<Template>,
    /// Claims about the tool that may only be weaker than what the steps allow.
    pub annotations: Map<String, Value>,
    /// Whether written order counts.
    pub order: Order,
    /// The longest a run may take.
    pub timeout: Option<Duration>,
    /// How much a run may use up.
    pub budget: Option<Budget>,
    /// How it is to be run as a whole.
    pub conduct: Conduct,
    /// The steps.
    pub body: Block,
    /// What runs once a run has failed and what it had done has been undone. It sees `error`.
    pub on_failure: Option<Block>,
    /// The file it was read from.
    pub source: Arc<Source>,
    /// The language of that file.
    pub format: Format,
    /// Where its parts stand in that file.
    pub sites: WorkflowSites,
}

/// Whether steps keep their written order beyond what their references demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// A write waits for everything before it, a read for every write before it.
    #[default]
    Written,
    /// Only references count (`order: data`).
    Data,
}

/// Steps that see each other and are ordered among themselves.
#[derive(Debug, Clone, Default)]
pub struct Block {
    /// In written order.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name within its block.
    pub id: Arc<str>,
    /// What it does.
    pub verb: Verb,
    /// Runs only if this holds.
    pub when: Option<Expr>,
    /// The steps of the same block that it waits for instead of the written order.
    pub after: Option<Vec<Arc<str>>>,
    /// Once for each item of a list.
    pub each: Option<Each>,
    /// Again and again until something holds; each turn with its own retries.
    pub repeat: Option<Repeat>,
    /// For how long its result stands in for doing it again.
    pub cache: Option<Cache>,
    /// How often it is tried.
    pub retry: Option<StepRetry>,
    /// The longest one attempt may take.
    pub timeout: Option<Duration>,
    /// How much one attempt may use up.
    pub limits: StepLimits,
    /// What is tried, in order, when every attempt has failed.
    pub fallback: Vec<Fallback>,
    /// What is done about a failure; the first that matches counts.
    pub catch: Vec<Catch>,
    /// A failure that nothing caught skips the step instead of failing the block.
    pub optional: bool,
    /// The output of a step that is skipped; null without it.
    pub default: Option<Template>,
    /// What the result must be for the step to have succeeded.
    pub expect: Option<Expect>,
    /// Makes the output from `result`.
    pub output: Option<Template>,
    /// What is to be done about a call of which nobody knows, after a crash, whether it was carried out.
    pub in_doubt: InDoubt,
    /// Makes a call that is repeated the same call, for servers that honour it; the run and the step's address if not given.
    pub key: Option<Template>,
    /// Takes back what the step has done, should the run fail later. It sees `result`.
    pub undo: Option<Block>,
    /// Overrides what the tool's annotations say.
    pub claimed_effect: Option<Effect>,
    /// What one attempt may do, without fallbacks and catches. Filled in by the plan.
    pub own_effect: Effect,
    /// What the step may do at most, with everything in it. Filled in by the plan.
    pub effect: Effect,
    /// The indices of the steps of the same block that must be over before this one starts. Filled in by the plan.
    pub waits: Vec<usize>,
    /// Where its `id` stands in the file.
    pub span: Span,
    /// Where its other parts stand, and what its expressions refer to.
    pub sites: StepSites,
}

impl Workflow {
    /// The blocks at the top, each with the part of the workflow that it is (empty for its steps).
    pub fn blocks(&self) -> impl Iterator<Item = (&str, &Block)> {
        [("", &self.body)].into_iter().chain(self.on_failure.iter().map(|block| ("on_failure", block)))
    }

    /// The longest that a run may take from when it was wanted.
    pub fn longest(&self) -> Option<Duration> {
        self.timeout.into_iter().chain(self.conduct.deadline).min()
    }

    /// The events that its steps wait for.
    pub fn awaited(&self) -> BTreeSet<Arc<str>> {
        fn within(block: &Block, found: &mut BTreeSet<Arc<str>>) {
            for step in &block.steps {
                if let Verb::Await { event, .. } = &step.verb {
                    found.insert(Arc::clone(event));
                }
                step.blocks().for_each(|(_, block)| within(block, found));
            }
        }
        let mut found = BTreeSet::new();
        self.blocks().for_each(|(_, block)| within(block, &mut found));
        found
    }

    /// Whether a run that fails has anything to do before it is over.
    pub fn cleans_up(&self) -> bool {
        fn undoes(block: &Block) -> bool {
            block.steps.iter().any(|step| step.undo.is_some() || step.blocks().any(|(_, block)| undoes(block)))
        }
        self.on_failure.is_some() || undoes(&self.body)
    }
}

impl Step {
    /// The blocks inside this step, each with the part of its address below the step's own (empty for none), in
    /// written order: those of the verb first, then those of `catch`, then `undo`.
    pub fn blocks(&self) -> impl Iterator<Item = (&str, &Block)> {
        let of_catch = self.catch.iter().filter_map(|catch| match &catch.then {
            CatchBody::Steps(block) => Some(("catch", block)),
            CatchBody::Value(_) => None,
        });
        self.verb.blocks().into_iter().chain(of_catch).chain(self.undo.iter().map(|block| ("undo", block)))
    }

    /// [`Step::blocks`], to be filled in.
    pub fn blocks_mut(&mut self) -> impl Iterator<Item = &mut Block> {
        let of_catch = self.catch.iter_mut().filter_map(|catch| match &mut catch.then {
            CatchBody::Steps(block) => Some(block),
            CatchBody::Value(_) => None,
        });
        self.verb.blocks_mut().into_iter().chain(of_catch).chain(&mut self.undo)
    }

    /// Whether it may be skipped, so that its output may be its `default` or null.
    pub fn may_be_skipped(&self) -> bool {
        self.when.is_some() || self.optional
    }
}
