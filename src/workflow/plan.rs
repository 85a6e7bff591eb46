//! The order of steps: what each may do, and what it must wait for.
//!
//! A step waits for every step that it names. Beyond that a write waits for everything written before it, and a read for
//! every write before it, unless `after` or `order: data` says otherwise. As references only point upwards, so do waits.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::effect::Effect;
use crate::model::name::ToolRef;
use crate::workflow::definition::{Block, Order, Step, Workflow};
use crate::workflow::delegation::Told;
use crate::workflow::modifier::{CatchBody, Fallback};
use crate::workflow::surroundings::Surroundings;
use crate::workflow::verb::Verb;

/// A workflow whose steps know their effect and what they wait for.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The workflow, [`Step::effect`] and [`Step::waits`] filled in.
    pub workflow: Arc<Workflow>,
}

/// Plans a workflow. A tool that is not known counts as destructive.
pub fn plan(workflow: &Workflow, surroundings: &dyn Surroundings) -> Plan {
    let mut workflow = workflow.clone();
    for block in [&mut workflow.body].into_iter().chain(&mut workflow.on_failure) {
        order_block(block, workflow.order, surroundings);
    }
    Plan { workflow: Arc::new(workflow) }
}

impl Plan {
    /// The strongest thing that a run may do, also when it fails.
    pub fn effect(&self) -> Effect {
        let of_steps = self.workflow.blocks().map(|(_, block)| strongest(block));
        of_steps.max().unwrap_or(Effect::Read).max(of_undos(&self.workflow.body))
    }

    /// The ids of the steps of the top block by level. Steps of one level never wait for each other.
    pub fn levels(&self) -> Vec<Vec<Arc<str>>> {
        let block = &self.workflow.body;
        let mut levels: Vec<Vec<Arc<str>>> = Vec::new();
        for (step, level) in block.steps.iter().zip(levels_of(block)) {
            levels.resize_with(levels.len().max(level + 1), Vec::new);
            levels[level].push(Arc::clone(&step.id));
        }
        levels
    }
}

/// The level of each step of a block: 0 if it waits for nothing, else one more than the deepest that it waits for.
pub fn levels_of(block: &Block) -> Vec<usize> {
    let mut levels: Vec<usize> = Vec::with_capacity(block.steps.len());
    for step in &block.steps {
        let level = step.waits.iter().filter_map(|&earlier| levels.get(earlier)).map(|level| level + 1).max();
        levels.push(level.unwrap_or(0));
    }
    levels
}

/// The ids that a step or a step inside it refers to. Ids do not repeat in nested blocks, so there is no confusion.
pub fn names(step: &Step) -> BTreeSet<&str> {
    let mut found: BTreeSet<&str> = step.sites.uses.iter().filter_map(|site| site.step()).collect();
    for (_, block) in step.blocks() {
        found.extend(block.steps.iter().flat_map(names));
    }
    found
}

/// Whether a step must keep its place among others: it may change something, also for other steps, it may end the run, or it
/// stands for time that has to pass, be it that of somebody who answers.
pub fn keeps_its_place(step: &Step) -> bool {
    !step.effect.is_read() || is_a_mark(step)
}

fn is_a_mark(step: &Step) -> bool {
    // What agents share is written to by each of them.
    let shares = matches!(&step.verb, Verb::Agent(errand) if matches!(errand.context, Told::Shared(_)));
    shares
        || matches!(step.verb, Verb::Fail(_) | Verb::Return(_) | Verb::Wait(_) | Verb::Ask(_) | Verb::Await { .. })
        || step.blocks().any(|(_, block)| block.steps.iter().any(is_a_mark))
}

/// The strongest thing that undoing may do. It is no part of what a step does, and its `effect` says nothing about it.
fn of_undos(block: &Block) -> Effect {
    let of_step = |step: &Step| {
        let own = step.undo.as_ref().map_or(Effect::Read, strongest);
        step.blocks().map(|(_, block)| of_undos(block)).fold(own, Effect::max)
    };
    block.steps.iter().map(of_step).max().unwrap_or(Effect::Read)
}

fn strongest(block: &Block) -> Effect {
    block.steps.iter().map(|step| step.effect).max().unwrap_or(Effect::Read)
}

fn order_block(block: &mut Block, order: Order, surroundings: &dyn Surroundings) {
    for step in &mut block.steps {
        for inner in step.blocks_mut() {
            order_block(inner, order, surroundings);
        }
        judge(step, surroundings);
    }
    let waits = waits_of(block, order);
    for (step, waits) in block.steps.iter_mut().zip(waits) {
        step.waits = waits;
    }
}

/// Fills in what a step may do: by itself, by each fallback, and at most.
fn judge(step: &mut Step, surroundings: &dyn Surroundings) {
    let of_tool = |tool: &_| surroundings.tool(tool).map_or(Effect::Destructive, |facts| facts.effect);
    let own = match &step.verb {
        Verb::Tool { tool, .. } => of_tool(tool),
        Verb::Workflow { name, .. } => surroundings.workflow(name).map_or(Effect::Destructive, |facts| facts.effect),
        Verb::Parallel(branches, _) => {
            branches.iter().map(|branch| strongest(&branch.block)).max().unwrap_or(Effect::Read)
        }
        Verb::Switch(cases) => cases.iter().map(|case| strongest(&case.block)).max().unwrap_or(Effect::Read),
        Verb::Steps(block) => strongest(block),
        Verb::Llm(llm) => {
            // A pattern may mean anything.
            let of_named = |name: &str| ToolRef::parse(name).map_or(Effect::Destructive, |tool| of_tool(&tool));
            llm.tools.iter().map(|(name, _)| of_named(name)).max().unwrap_or(Effect::Read)
        }
        Verb::Agent(errand) => surroundings.agent(&errand.agent).unwrap_or(Effect::Destructive),
        // Others may act on it.
        Verb::Emit { .. } => Effect::Write,
        Verb::Set(_) | Verb::Fail(_) | Verb::Return(_) | Verb::Wait(_) | Verb::Ask(_) | Verb::Await { .. } => {
            Effect::Read
        }
    };
    step.own_effect = step.claimed_effect.unwrap_or(own);
    let mut most = step.own_effect;
    for fallback in &mut step.fallback {
        match fallback {
            Fallback::Tool { tool, effect, .. } => {
                *effect = of_tool(tool);
                most = most.max(*effect);
            }
            Fallback::Workflow { name, effect, .. } => {
                *effect = surroundings.workflow(name).map_or(Effect::Destructive, |facts| facts.effect);
                most = most.max(*effect);
            }
            Fallback::Cached(_) | Fallback::Value(_) => {}
        }
    }
    let catches = step.catch.iter().filter_map(|catch| match &catch.then {
        CatchBody::Steps(block) => Some(strongest(block)),
        CatchBody::Value(_) => None,
    });
    step.effect = catches.fold(most, Effect::max);
}

fn waits_of(block: &Block, order: Order) -> Vec<Vec<usize>> {
    let places: HashMap<&str, usize> =
        block.steps.iter().enumerate().rev().map(|(place, step)| (&*step.id, place)).collect();
    let earlier = |id: &str, than: usize| places.get(id).copied().filter(|&place| place < than);
    let mut reach: Vec<Reach> = Vec::with_capacity(block.steps.len());
    let mut all = Vec::with_capacity(block.steps.len());
    for (place, step) in block.steps.iter().enumerate() {
        let mut wanted: BTreeSet<usize> = names(step).into_iter().filter_map(|id| earlier(id, place)).collect();
        if let Some(after) = &step.after {
            wanted.extend(after.iter().filter_map(|id| earlier(id, place)));
        } else if order == Order::Written {
            let waits_for_reads = keeps_its_place(step);
            wanted.extend((0..place).filter(|&other| waits_for_reads || keeps_its_place(&block.steps[other])));
        }
        let (waits, reached) = reduce(&wanted, &reach);
        reach.push(reached);
        all.push(waits);
    }
    all
}

/// Leaves out what is waited for anyway, because something else in `wanted` waits for it.
fn reduce(wanted: &BTreeSet<usize>, reach: &[Reach]) -> (Vec<usize>, Reach) {
    let mut reached = Reach::default();
    let mut waits = Vec::new();
    for &place in wanted.iter().rev() {
        if !reached.has(place) {
            reached.add(place, &reach[place]);
            waits.push(place);
        }
    }
    waits.reverse();
    (waits, reached)
}

/// A set of earlier steps, one bit each: with a thousand steps the plan stays a matter of milliseconds.
#[derive(Debug, Default)]
struct Reach(Vec<u64>);

impl Reach {
    fn has(&self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    /// Adds a step and all that it reaches.
    fn add(&mut self, place: usize, further: &Self) {
        self.0.resize(self.0.len().max(place / 64 + 1).max(further.0.len()), 0);
        self.0[place / 64] |= 1 << (place % 64);
        for (word, more) in self.0.iter_mut().zip(&further.0) {
            *word |= more;
        }
    }
}
