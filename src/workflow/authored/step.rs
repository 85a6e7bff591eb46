//! A block of steps, and one step: its id, its verb, its modifiers.

use std::sync::Arc;

use crate::document::node::Node;
use crate::document::table::Table;
use crate::model::code;
use crate::model::effect::Effect;
use crate::model::name;
use crate::model::problem::{Patch, Span};
use crate::workflow::authored::author::Author;
use crate::workflow::authored::{
    MAX_NESTING, MAX_STEPS, cache, catch, delegation, doubt, modifier, repetition, undo, verb,
};
use crate::workflow::definition::{Block, Step};
use crate::workflow::site::{Place, StepSites};
use crate::workflow::verb::Verb;

/// The steps of a list.
pub(super) fn block(author: &mut Author, node: &Node, what: &str) -> Block {
    let Some(items) = author.reader.list(node, what) else { return Block::default() };
    if items.is_empty() {
        author.reader.error(code::MISSING, node.span.clone(), format!("`{what}` needs at least one step"));
    }
    if !enter(author, node) {
        return Block::default();
    }
    let mut steps = Vec::new();
    for (place, item) in items.iter().enumerate() {
        steps.extend(step(author, item, what, place));
    }
    author.depth -= 1;
    Block { steps }
}

/// A block of the one step `node`, which is named by the key that it stands under.
pub(super) fn single(author: &mut Author, node: &Node, id: &str, id_span: &Span, what: &str) -> Block {
    if !enter(author, node) {
        return Block::default();
    }
    let step = author.reader.table(node, what).and_then(|mut table| {
        if let Some(given) = table.take("id").filter(|given| given.as_text() != Some(id)) {
            let message = format!("a step that stands alone under a name has that name, `{id}`, as its id");
            author.reader.error(code::CONFLICT, given.span.clone(), message).help = Some("remove it".to_owned());
        }
        counted(author, node).then(|| parts(author, (node, table), id, id_span.clone(), what))
    });
    author.depth -= 1;
    Block { steps: step.into_iter().collect() }
}

/// Opens a block, unless it is nested too deeply.
fn enter(author: &mut Author, node: &Node) -> bool {
    if author.depth >= MAX_NESTING {
        let span = author.head(&node.span);
        let message = format!("blocks are nested more than {MAX_NESTING} deep");
        let problem = author.reader.error(code::TOO_LARGE, span, message);
        problem.help = Some("make a workflow of the inner steps and call it".to_owned());
        return false;
    }
    author.depth += 1;
    true
}

/// Counts one more step; false beyond the bound, which is reported once.
fn counted(author: &mut Author, node: &Node) -> bool {
    author.steps += 1;
    if author.steps == MAX_STEPS + 1 {
        let span = author.head(&node.span);
        let problem = author.reader.error(code::TOO_LARGE, span, format!("more than {MAX_STEPS} steps in one file"));
        problem.help = Some("divide it into workflows that call each other".to_owned());
    }
    author.steps <= MAX_STEPS
}

fn step(author: &mut Author, node: &Node, block: &str, place: usize) -> Option<Step> {
    if !counted(author, node) {
        return None;
    }
    let what = match node.get("id").and_then(Node::as_text) {
        Some(id) => format!("{block}.{id}"),
        None => format!("{block}[{place}]"),
    };
    let mut table = author.reader.table(node, &what)?;
    let (id, span) = id(author, &mut table, &what);
    Some(parts(author, (node, table), &id, span, &what))
}

/// The id and its place; an empty id if there is none that could be used.
fn id(author: &mut Author, table: &mut Table<'_>, what: &str) -> (String, Span) {
    let nowhere = author.head(&table.span());
    let Some(node) = table.require(&mut author.reader, "id") else {
        if let Some(problem) = author.reader.problems.last_mut() {
            problem.help = Some("name it, so that messages and later steps can speak of it: `id: find`".to_owned());
        }
        return (String::new(), nowhere);
    };
    let Some(id) = author.reader.text(node, &format!("{what}.id")) else { return (String::new(), nowhere) };
    if !name::is_step_id(&id) {
        bad_id(author, &id, &node.span, "a step");
    }
    (id, node.span.clone())
}

/// Reports a name that is not `[a-z][a-z0-9_]*`, with the nearest one that is.
pub(super) fn bad_id(author: &mut Author, id: &str, span: &Span, whose: &str) {
    let legal = name::nearest_step_id(id);
    let replacement = legal.as_ref().map(|legal| author.reader.requoted(span, legal));
    let message = format!("`{id}` cannot name {whose}");
    let problem = author.reader.error(code::WRONG_VALUE, span.clone(), message);
    problem.label = Some("lower-case letters, digits and `_`, a letter first".to_owned());
    problem.help = legal.map(|legal| format!("for example `{legal}`"));
    problem.patch = replacement.map(|replacement| Patch { span: span.clone(), replacement });
}

fn parts(author: &mut Author, (node, mut table): (&Node, Table<'_>), id: &str, span: Span, what: &str) -> Step {
    let mut sites = StepSites::default();
    // The item is bound before anything else is read: `when` must not take `$option` for plain text.
    let each = repetition::each(author, &mut table, what, &mut sites);
    let inside = if each.is_some() { Place::Inside } else { Place::Outside };
    let when_key = table.path("when");
    sites.when = node.get("when").map(|node| node.span.clone());
    let when = table.take("when").and_then(|node| author.condition(node, &when_key, Place::Outside, &mut sites.uses));
    let after = modifier::after(author, &mut table, &mut sites);
    let found = author.reader.problems.len();
    let verb = verb::read(author, (node, &mut table), what, inside, &mut sites);
    let is_broken = author.reader.failed_since(found);
    let timeout_key = table.path("timeout");
    let timeout = table.take("timeout").and_then(|node| author.reader.duration(node, &timeout_key));
    let timeout = timeout.or_else(|| verb.patience());
    let limits = delegation::limits(author, &mut table, (!is_broken).then_some(&verb));
    let repeat = repetition::repeat(author, &mut table, &mut sites.uses);
    let retry = modifier::retry(author, &mut table);
    let mut fallback = catch::fallback(author, &mut table, inside, &mut sites);
    let cache = cache::cache(author, &mut table, inside, &mut fallback, &mut sites);
    if !is_broken {
        cache::findable(author, &table, &verb, (cache.as_ref(), &fallback));
    }
    let catch = catch::catch(author, &mut table, &mut sites.uses);
    let optional_key = table.path("optional");
    let optional = table.take("optional").and_then(|node| author.reader.boolean(node, &optional_key)).unwrap_or(false);
    let default = table.take("default").map(|node| author.template(node, Place::Outside, &mut sites.uses));
    let expect = modifier::expect(author, &mut table, &mut sites.uses);
    let output = table.take("output").map(|node| author.template(node, Place::Output, &mut sites.uses));
    let key = table.take("idempotency_key").map(|node| author.template(node, inside, &mut sites.uses));
    let in_doubt = doubt::in_doubt(author, &mut table, inside, &mut sites);
    let undo = undo::undo(author, &mut table);
    let effect_key = table.path("effect");
    let claimed_effect = table
        .take("effect")
        .and_then(|node| author.reader.word(node, &effect_key, &Effect::ALL.map(|effect| (effect.as_str(), effect))));
    if each.is_some() {
        author.bindings.pop();
        author.bindings.pop();
    }
    if default.is_some() && when.is_none() && !optional && !matches!(verb, Verb::Ask(_)) {
        let span = table.key_span("default").unwrap_or_default();
        let problem =
            author.reader.warning(code::NO_EFFECT, span, "`default` has no effect: the step is never skipped");
        problem.help = Some("give it a `when`, or say `optional: true`".to_owned());
    }
    table.finish(&mut author.reader);
    Step {
        id: Arc::from(id),
        verb,
        when,
        after,
        each,
        repeat,
        cache,
        retry,
        timeout,
        limits,
        fallback,
        catch,
        optional,
        default,
        expect,
        output,
        in_doubt,
        key,
        undo,
        claimed_effect,
        own_effect: Effect::Destructive,
        effect: Effect::Destructive,
        waits: Vec::new(),
        span,
        sites,
    }
}
