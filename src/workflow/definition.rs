//! A checked workflow: what the engine may rely on without looking again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::document::format::Format;
use crate::expr::expression::Expr;
use crate::expr::template::Template;
use crate::model::effect::Effect;
use crate::model::fault::Kind;
use crate::model::name::ToolRef;
use crate::model::problem::{Source, Span};
use crate::policy::retry::Retry;
use crate::workflow::conduct::Conduct;
use crate::workflow::delegation::{Budget, Errand, Llm, StepLimits};
use crate::workflow::site::{StepSites, WorkflowSites};

/// How long an answer or an event is waited for unless the step has a `timeout`.
pub const PATIENCE: Duration = Duration::from_hours(24);

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

/// What is to be done about a call that must not be made twice, and that may have been made before a crash.
#[derive(Debug, Clone, Default)]
pub enum InDoubt {
    /// The run waits for somebody who looks.
    #[default]
    Ask,
    /// It is made again.
    Retry,
    /// The step fails.
    Fail,
    /// This tool is called, and says what has come of the call: nothing if it was not carried out.
    Check(Verb),
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
    /// written order: branches, cases, or steps of the verb first, then those of `catch`, then `undo`.
    pub fn blocks(&self) -> impl Iterator<Item = (&str, &Block)> {
        let of_verb: Vec<(&str, &Block)> = match &self.verb {
            Verb::Parallel(branches, _) => branches.iter().map(|branch| (&*branch.name, &branch.block)).collect(),
            Verb::Switch(cases) => cases.iter().map(|case| ("", &case.block)).collect(),
            Verb::Steps(block) => vec![("", block)],
            Verb::Tool { .. }
            | Verb::Set(_)
            | Verb::Workflow { .. }
            | Verb::Fail(_)
            | Verb::Return(_)
            | Verb::Wait(_)
            | Verb::Ask(_)
            | Verb::Emit { .. }
            | Verb::Await { .. }
            | Verb::Llm(_)
            | Verb::Agent(_) => Vec::new(),
        };
        let of_catch = self.catch.iter().filter_map(|catch| match &catch.then {
            CatchBody::Steps(block) => Some(("catch", block)),
            CatchBody::Value(_) => None,
        });
        of_verb.into_iter().chain(of_catch).chain(self.undo.iter().map(|block| ("undo", block)))
    }

    /// [`Step::blocks`], to be filled in.
    pub fn blocks_mut(&mut self) -> impl Iterator<Item = &mut Block> {
        let of_verb: Vec<&mut Block> = match &mut self.verb {
            Verb::Parallel(branches, _) => branches.iter_mut().map(|branch| &mut branch.block).collect(),
            Verb::Switch(cases) => cases.iter_mut().map(|case| &mut case.block).collect(),
            Verb::Steps(block) => vec![block],
            Verb::Tool { .. }
            | Verb::Set(_)
            | Verb::Workflow { .. }
            | Verb::Fail(_)
            | Verb::Return(_)
            | Verb::Wait(_)
            | Verb::Ask(_)
            | Verb::Emit { .. }
            | Verb::Await { .. }
            | Verb::Llm(_)
            | Verb::Agent(_) => Vec::new(),
        };
        let of_catch = self.catch.iter_mut().filter_map(|catch| match &mut catch.then {
            CatchBody::Steps(block) => Some(block),
            CatchBody::Value(_) => None,
        });
        of_verb.into_iter().chain(of_catch).chain(&mut self.undo)
    }

    /// Whether it may be skipped, so that its output may be its `default` or null.
    pub fn may_be_skipped(&self) -> bool {
        self.when.is_some() || self.optional
    }
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Verb {
    /// Calls a tool.
    Tool {
        /// Which.
        tool: ToolRef,
        /// With what; an object.
        args: Template,
        /// Which servers are to do it, in order, if it is a job that several can do; with their places in the file.
        providers: Vec<(Arc<str>, Span)>,
    },
    /// Computes a value.
    Set(Template),
    /// Runs branches side by side. The output is an object by branch, null for those that did not succeed.
    Parallel(Vec<Branch>, Join),
    /// Runs the first case whose condition holds.
    Switch(Vec<Case>),
    /// Runs steps as one.
    Steps(Block),
    /// Runs another workflow.
    Workflow {
        /// Which.
        name: Arc<str>,
        /// Its input; an object.
        args: Template,
        /// Whether nobody waits for its end: the output is the id of its run.
        is_detached: bool,
    },
    /// Lets time pass.
    Wait(Wait),
    /// Asks a model.
    Llm(Box<Llm>),
    /// Gives a task to an agent.
    Agent(Box<Errand>),
    /// Asks somebody.
    Ask(Ask),
    /// Tells whoever waits for it that something has happened.
    Emit {
        /// What sort of thing.
        event: Arc<str>,
        /// What is to be known about it.
        data: Template,
    },
    /// Waits until something has happened. The output is what is known about it.
    Await {
        /// What sort of thing.
        event: Arc<str>,
        /// Only if this holds; it sees `event`.
        filter: Option<Expr>,
    },
    /// Ends in failure with this message.
    Fail(Template),
    /// Ends the whole run with this output.
    Return(Template),
}

impl Verb {
    /// Whether it calls somebody, with arguments.
    pub fn is_call(&self) -> bool {
        matches!(self, Self::Tool { .. } | Self::Workflow { .. } | Self::Llm(_) | Self::Agent(_))
    }

    /// How long it waits for others if the step does not say.
    pub fn patience(&self) -> Option<Duration> {
        matches!(self, Self::Ask(_) | Self::Await { .. }).then_some(PATIENCE)
    }
}

/// A question to somebody.
#[derive(Debug, Clone)]
pub struct Ask {
    /// The question, in words.
    pub question: Template,
    /// The JSON Schema of the answer: an object of plain fields. Without it the question is whether somebody agrees.
    pub answer: Option<Arc<Value>>,
    /// Who is to answer.
    pub audience: Audience,
}

/// Who is to answer a question.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Audience {
    /// Whoever wanted the run.
    #[default]
    Caller,
    /// Somebody of this role, who is not asked but looks for open questions.
    Role(Arc<str>),
}

/// How much time `wait` lets pass.
#[derive(Debug, Clone)]
pub enum Wait {
    /// So much: text such as `5m`, or milliseconds.
    For(Template),
    /// Until then: text as of RFC 3339, or milliseconds since the Unix epoch.
    Until(Template),
}

/// One branch of `parallel`.
#[derive(Debug, Clone)]
pub struct Branch {
    /// Its key in the output.
    pub name: Arc<str>,
    /// Its steps; the last one's output is the branch's.
    pub block: Block,
}

/// How many branches of `parallel` must succeed, and what becomes of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Join {
    /// With so many successes the step has succeeded.
    pub quorum: usize,
    /// With more failures than this it has failed.
    pub tolerates: usize,
    /// How long the branches have.
    pub within: Option<Duration>,
    /// Whether branches that still run are cancelled when the step has succeeded.
    pub cancels_rest: bool,
}

/// One case of `switch`.
#[derive(Debug, Clone)]
pub struct Case {
    /// `None` for `else`.
    pub when: Option<Expr>,
    /// Its steps.
    pub block: Block,
}

/// Repetition over a list.
#[derive(Debug, Clone)]
pub struct Each {
    /// Gives the list.
    pub over: Template,
    /// The name of the item in expressions; `item` unless given.
    pub binding: Arc<str>,
    /// How many run at once; at least 1.
    pub concurrency: usize,
    /// How many items are begun and brought to an end before any other begins; all if not given.
    pub batch: Option<usize>,
    /// What a failed item does.
    pub on_error: OnError,
    /// How many items must succeed.
    pub at_least: usize,
}

/// What a result must be.
#[derive(Debug, Clone)]
pub enum Expect {
    /// Such that this holds; it sees `result`.
    Holds(Expr),
    /// What this JSON Schema describes.
    Fits(Arc<Value>),
}

/// Repetition in time.
#[derive(Debug, Clone)]
pub struct Repeat {
    /// When it is over; without it, after `max` turns.
    pub goal: Option<Goal>,
    /// The pause between the end of a turn and the next.
    pub every: Duration,
    /// How many turns there may be; at least 1.
    pub max: u32,
}

/// When a repetition is over. The condition is looked at after each turn and sees its `result`.
#[derive(Debug, Clone)]
pub enum Goal {
    /// As soon as this holds.
    Until(Expr),
    /// As soon as this does not hold.
    While(Expr),
}

/// What a failed item of `for_each` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnError {
    /// Fails the step and cancels the other items.
    #[default]
    Fail,
    /// Leaves the item out of the output.
    Skip,
    /// Stands in the output as `{ "error": … }`.
    Collect,
}

/// How often a step is tried, and for which failures.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRetry {
    /// How often and how far apart.
    pub policy: Retry,
    /// For which failures; the transient ones if not given.
    pub on: Option<Vec<Kind>>,
}

/// For how long, and by what, the result of a step is found again.
#[derive(Debug, Clone)]
pub struct Cache {
    /// How old it may be.
    pub ttl: Duration,
    /// What it was made from; the arguments of the call if `None`.
    pub key: Option<Template>,
    /// Whether every caller may have it, and not only the one it was made for.
    pub is_shared: bool,
}

/// What is tried when a step has failed.
#[derive(Debug, Clone)]
pub enum Fallback {
    /// Another tool.
    Tool {
        /// Which.
        tool: ToolRef,
        /// With what; the step's own arguments if `None`.
        args: Option<Template>,
        /// What it may do. Filled in by the plan.
        effect: Effect,
    },
    /// A workflow.
    Workflow {
        /// Which.
        name: Arc<str>,
        /// With what; the step's own arguments if `None`.
        args: Option<Template>,
        /// What it may do. Filled in by the plan.
        effect: Effect,
    },
    /// The step's last result, unless it is older than this.
    Cached(Duration),
    /// A value instead of the result.
    Value(Template),
}

/// What is done about a failure.
#[derive(Debug, Clone)]
pub struct Catch {
    /// Which kinds; all if empty.
    pub on: Vec<Kind>,
    /// Only if this holds; it sees `error`.
    pub when: Option<Expr>,
    /// What is done.
    pub then: CatchBody,
}

/// What a [`Catch`] does.
#[derive(Debug, Clone)]
pub enum CatchBody {
    /// This is the output. It sees `error`.
    Value(Template),
    /// These steps run; the last one's output is the step's. They see `error`.
    Steps(Block),
}
