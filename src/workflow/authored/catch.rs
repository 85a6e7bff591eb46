//! What is done when a step has failed: `fallback` and `catch`.

use crate::document::node::Node;
use crate::document::table::Table;
use crate::expr::template::Template;
use crate::expr::value::Value as Constant;
use crate::model::code;
use crate::model::effect::Effect;
use crate::model::problem::Problem;
use crate::workflow::authored::author::Author;
use crate::workflow::authored::{modifier, step, verb};
use crate::workflow::modifier::{Catch, CatchBody, Fallback};
use crate::workflow::site::{CallSite, Place, StepSites, Use};

/// What an entry of `fallback` may be.
const WAYS: [&str; 4] = ["tool", "workflow", "cached", "value"];

/// `fallback`: a list of tools, workflows, kept results and values.
pub(super) fn fallback(
    author: &mut Author,
    table: &mut Table<'_>,
    inside: Place,
    sites: &mut StepSites,
) -> Vec<Fallback> {
    let what = table.path("fallback");
    let Some(items) = table.take("fallback").and_then(|node| author.reader.list(node, &what)) else {
        return Vec::new();
    };
    let mut fallbacks = Vec::new();
    for (place, item) in items.iter().enumerate() {
        fallbacks.extend(alternative(author, item, &format!("{what}[{place}]"), inside, sites));
    }
    fallbacks
}

fn alternative(author: &mut Author, node: &Node, what: &str, inside: Place, sites: &mut StepSites) -> Option<Fallback> {
    let mut table = author.reader.table(node, what)?;
    let given: Vec<_> = WAYS.into_iter().filter(|way| table.key_span(way).is_some()).collect();
    let (tool, workflow, args) = (table.take("tool"), table.take("workflow"), table.take("args"));
    let (cached, value) = (table.take("cached"), table.take("value"));
    let fallback = match (given.as_slice(), tool, workflow, cached) {
        ([one, other, ..], ..) => {
            let span = author.head(&node.span);
            author.reader.error(code::CONFLICT, span, format!("`{what}` has both `{one}` and `{other}`"));
            None
        }
        (_, Some(tool), ..) => {
            let site = verb::call_site(tool, args);
            let name = verb::tool_name(author, tool, &format!("{what}.tool"));
            let args = args.map(|node| verb::arguments(author, Some(node), what, inside, sites));
            name.map(|tool| (Fallback::Tool { tool, args, effect: Effect::Destructive }, site))
        }
        (_, _, Some(workflow), _) => {
            let site = verb::call_site(workflow, args);
            let name = verb::workflow_name(author, workflow, &format!("{what}.workflow"));
            let args = args.map(|node| verb::arguments(author, Some(node), what, inside, sites));
            name.map(|name| (Fallback::Workflow { name, args, effect: Effect::Destructive }, site))
        }
        (_, _, _, Some(cached)) => {
            let limit = author.reader.duration(cached, &format!("{what}.cached"));
            limit.map(|limit| (Fallback::Cached(limit), CallSite::default()))
        }
        (["value"], ..) => {
            Some((Fallback::Value(value_of(author, value, inside, &mut sites.uses)), CallSite::default()))
        }
        _ => {
            let span = author.head(&node.span);
            let message = format!("`{what}` needs one of `{}`", WAYS.join("`, `"));
            author.reader.error(code::MISSING, span, message);
            None
        }
    };
    table.finish(&mut author.reader);
    let (fallback, site) = fallback?;
    sites.fallback.push(site);
    Some(fallback)
}

/// `catch`: a list; the first entry that matches counts.
pub(super) fn catch(author: &mut Author, table: &mut Table<'_>, uses: &mut Vec<Use>) -> Vec<Catch> {
    let what = table.path("catch");
    let Some(items) = table.take("catch").and_then(|node| author.reader.list(node, &what)) else {
        return Vec::new();
    };
    let mut catches = Vec::new();
    for (place, item) in items.iter().enumerate() {
        catches.extend(entry(author, item, &format!("{what}[{place}]"), uses));
    }
    catches
}

fn entry(author: &mut Author, node: &Node, what: &str, uses: &mut Vec<Use>) -> Option<Catch> {
    let mut table = author.reader.table(node, what)?;
    let on = table.take("on").map(|node| modifier::kinds(author, node, &format!("{what}.on"))).unwrap_or_default();
    let when = table.take("when").and_then(|node| author.condition(node, &format!("{what}.when"), Place::Catch, uses));
    let (value_key, steps_key) = (table.key_span("value"), table.key_span("steps"));
    let (value, steps) = (table.take("value"), table.take("steps"));
    let then = match (value_key, steps_key) {
        (Some(value_key), Some(steps_key)) => {
            let message = format!("`{what}` has both a `value` and `steps`");
            let problem = Problem::error(code::CONFLICT, &author.reader.source, steps_key, message);
            author.reader.problem(problem.related(value_key, "the value").help("return the value from the last step"));
            None
        }
        (None, Some(_)) => steps.map(|node| CatchBody::Steps(step::block(author, node, &format!("{what}.steps")))),
        (Some(_), None) => Some(CatchBody::Value(value_of(author, value, Place::Catch, uses))),
        (None, None) => {
            let span = author.head(&node.span);
            author.reader.error(code::MISSING, span, format!("`{what}` needs a `value` or `steps`"));
            None
        }
    };
    table.finish(&mut author.reader);
    Some(Catch { on, when, then: then? })
}

/// The value; null if it is written as nothing.
fn value_of(author: &mut Author, node: Option<&Node>, place: Place, uses: &mut Vec<Use>) -> Template {
    node.map_or_else(|| Template::Value(Constant::null()), |node| author.template(node, place, uses))
}
