//! What an expression sees from where it stands: the walk through a workflow that every check of references shares.

use crate::expr::expression::Expr;
use crate::workflow::definition::{Block, Step, Workflow};
use crate::workflow::modifier::CatchBody;
use crate::workflow::site::{Place, Use};
use crate::workflow::verb::Verb;

/// Everything around one step.
pub(super) struct Scope<'a> {
    /// The blocks that are open, outermost first.
    pub(super) frames: Vec<Frame<'a>>,
    /// The names that enclosing `for_each`es bind.
    bindings: Vec<&'a str>,
    /// How many blocks that see `error` are open.
    catches: usize,
    /// How many blocks that see `result` are open.
    undos: usize,
    /// The conditions that hold here.
    guards: Vec<&'a Expr>,
}

/// One open block.
pub(super) struct Frame<'a> {
    /// Its steps.
    pub(super) block: &'a Block,
    /// The place of the step that is being looked at, or that holds it.
    pub(super) at: usize,
}

/// What a reference to a step finds.
pub(super) enum Found<'a> {
    /// A step that is over by then.
    Earlier(&'a Step),
    /// The step itself.
    Itself,
    /// A step that holds this one, and is not over before it.
    Around(&'a Step),
    /// A step further down.
    Later(&'a Step),
    /// A step inside another one, which is given.
    Hidden(&'a Step),
    /// Nothing.
    Nothing,
}

/// Looks at the steps and references of a workflow, in written order.
pub(super) trait Visit<'a> {
    /// A step, before its references and the steps inside it.
    fn step(&mut self, scope: &Scope<'a>, step: &'a Step);
    /// A reference of `owner`, or of the workflow's output if there is none.
    fn reference(&mut self, scope: &Scope<'a>, owner: Option<&'a Step>, site: &'a Use);
}

/// Shows the whole workflow to `visitor`.
pub(super) fn walk<'a>(workflow: &'a Workflow, visitor: &mut impl Visit<'a>) {
    let mut scope = Scope { frames: Vec::new(), bindings: Vec::new(), catches: 0, undos: 0, guards: Vec::new() };
    block(&mut scope, &workflow.body, visitor);
    scope.frames.push(Frame { block: &workflow.body, at: workflow.body.steps.len() });
    for site in &workflow.sites.uses {
        visitor.reference(&scope, None, site);
    }
    scope.frames.clear();
    if let Some(on_failure) = &workflow.on_failure {
        scope.catches += 1;
        block(&mut scope, on_failure, visitor);
    }
}

fn block<'a>(scope: &mut Scope<'a>, block: &'a Block, visitor: &mut impl Visit<'a>) {
    scope.frames.push(Frame { block, at: 0 });
    for (at, one) in block.steps.iter().enumerate() {
        if let Some(frame) = scope.frames.last_mut() {
            frame.at = at;
        }
        step(scope, one, visitor);
    }
    scope.frames.pop();
}

fn step<'a>(scope: &mut Scope<'a>, step: &'a Step, visitor: &mut impl Visit<'a>) {
    let (bindings, guards) = (scope.bindings.len(), scope.guards.len());
    visitor.step(scope, step);
    scope.guards.extend(&step.when);
    for site in &step.sites.uses {
        visitor.reference(scope, Some(step), site);
    }
    if let Some(each) = &step.each {
        scope.bindings.extend([&*each.binding, "index"]);
    }
    match &step.verb {
        Verb::Switch(cases) => {
            for case in cases {
                guarded(scope, case.when.as_ref(), &case.block, visitor);
            }
        }
        verb => verb.blocks().into_iter().for_each(|(_, inner)| block(scope, inner, visitor)),
    }
    scope.catches += 1;
    for catch in &step.catch {
        if let CatchBody::Steps(inner) = &catch.then {
            guarded(scope, catch.when.as_ref(), inner, visitor);
        }
    }
    scope.catches -= 1;
    scope.undos += 1;
    step.undo.iter().for_each(|undo| block(scope, undo, visitor));
    scope.undos -= 1;
    scope.bindings.truncate(bindings);
    scope.guards.truncate(guards);
}

fn guarded<'a>(scope: &mut Scope<'a>, guard: Option<&'a Expr>, inner: &'a Block, visitor: &mut impl Visit<'a>) {
    scope.guards.extend(guard);
    block(scope, inner, visitor);
    if guard.is_some() {
        scope.guards.pop();
    }
}

impl<'a> Scope<'a> {
    /// What `steps.id` means here.
    pub(super) fn find(&self, id: &str) -> Found<'a> {
        for (depth, frame) in self.frames.iter().enumerate().rev() {
            let Some(place) = frame.block.steps.iter().position(|step| *step.id == *id) else { continue };
            let step = &frame.block.steps[place];
            let is_innermost = depth + 1 == self.frames.len();
            return match place.cmp(&frame.at) {
                std::cmp::Ordering::Less => Found::Earlier(step),
                std::cmp::Ordering::Equal if is_innermost => Found::Itself,
                std::cmp::Ordering::Equal => Found::Around(step),
                std::cmp::Ordering::Greater => Found::Later(step),
            };
        }
        let holders = self.frames.iter().rev().flat_map(|frame| &frame.block.steps);
        holders.into_iter().find(|holder| holds(holder, id)).map_or(Found::Nothing, Found::Hidden)
    }

    /// Whether this stands somewhere inside `holder`.
    pub(super) fn is_within(&self, holder: &Step) -> bool {
        let outer = self.frames.split_last().map_or(&[][..], |(_, outer)| outer);
        outer.iter().filter_map(|frame| frame.block.steps.get(frame.at)).any(|step| std::ptr::eq(step, holder))
    }

    /// The ids that may be referred to here.
    pub(super) fn visible(&self) -> impl Iterator<Item = &'a str> {
        self.frames.iter().flat_map(|frame| frame.block.steps.iter().take(frame.at)).map(|step| &*step.id)
    }

    /// Whether `root` is the item or the index of a `for_each` here.
    pub(super) fn binds(&self, owner: Option<&Step>, place: Place, root: &str) -> bool {
        let own = owner.and_then(|step| step.each.as_ref()).filter(|_| place != Place::Outside);
        own.is_some_and(|each| *each.binding == *root || root == "index") || self.bindings.contains(&root)
    }

    /// The names that [`Scope::binds`] knows.
    pub(super) fn bound(&self, owner: Option<&'a Step>, place: Place) -> Vec<&'a str> {
        let own = owner.and_then(|step| step.each.as_ref()).filter(|_| place != Place::Outside);
        own.map(|each| &*each.binding).into_iter().chain(self.bindings.iter().copied()).collect()
    }

    /// Whether there is a failure to speak of.
    pub(super) fn has_error(&self, place: Place) -> bool {
        place == Place::Catch || self.catches > 0
    }

    /// Whether there is a result to speak of.
    pub(super) fn has_result(&self, place: Place) -> bool {
        place == Place::Output || self.undos > 0
    }

    /// Whether a condition that holds here makes sure that `step` was not skipped, or looks whether it was.
    pub(super) fn is_guarded_against(&self, step: &Step) -> bool {
        let same = |guard: &Expr| {
            !step.optional && step.when.as_ref().is_some_and(|when| when.source().trim() == guard.source().trim())
        };
        let looks = |guard: &Expr| {
            guard.references().iter().any(|reference| match reference.path.as_slice() {
                [root, id, part] => {
                    root == "steps"
                        && **id == *step.id
                        && matches!(part.as_str(), "output" | "result" | "status" | "error")
                }
                _ => false,
            })
        };
        self.guards.iter().any(|guard| same(guard) || looks(guard))
    }
}

/// Whether a step of this id stands anywhere inside `holder`.
fn holds(holder: &Step, id: &str) -> bool {
    holder.blocks().any(|(_, block)| block.steps.iter().any(|step| *step.id == *id || holds(step, id)))
}
