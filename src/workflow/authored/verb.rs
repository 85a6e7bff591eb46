//! What a step does: exactly one verb, and the keys that belong to it.

use std::sync::Arc;

use crate::document::node::{Node, Value};
use crate::document::table::Table;
use crate::expr::template::Template;
use crate::expr::value::Value as Constant;
use crate::model::code;
use crate::model::name::{self, ToolRef};
use crate::model::problem::{Problem, Span};
use crate::model::suggest;
use crate::workflow::authored::author::Author;
use crate::workflow::authored::{ask, delegation, event, join, step, wait};
use crate::workflow::definition::Block;
use crate::workflow::site::{ArgumentSite, CallSite, Place, StepSites};
use crate::workflow::verb::{Branch, Case, Verb};

const VERBS: [&str; 14] = [
    "tool", "set", "llm", "agent", "parallel", "switch", "steps", "workflow", "ask", "emit", "await", "wait", "fail",
    "return",
];

/// Keys that belong to one verb, and to which.
const BESIDE: [(&str, &str); 5] =
    [("detach", "workflow"), ("answer", "ask"), ("to", "ask"), ("data", "emit"), ("where", "await")];

/// The step's verb, or a stand-in if there was a problem.
pub(super) fn read(
    author: &mut Author,
    (node, table): (&Node, &mut Table<'_>),
    what: &str,
    inside: Place,
    sites: &mut StepSites,
) -> Verb {
    let present: Vec<(&'static str, Span)> =
        VERBS.iter().filter_map(|verb| Some((*verb, table.key_span(verb)?))).collect();
    let nodes: Vec<_> = VERBS.iter().map(|verb| (*verb, table.take(verb))).collect();
    let [(verb, key), others @ ..] = present.as_slice() else {
        none(author, node, what);
        table.take("args");
        table.take("join");
        return stand_in();
    };
    if !others.is_empty() {
        several(author, what, (verb, key), others);
    }
    let args = table.take("args");
    if let Some(args) = args.filter(|_| !matches!(*verb, "tool" | "workflow")) {
        let span = table.key_span("args").unwrap_or_else(|| args.span.clone());
        author.reader.error(code::UNKNOWN_KEY, span, format!("`args` means nothing beside `{verb}`"));
    }
    if let Some(around) = author.afterwards.filter(|_| *verb == "return") {
        let message = format!("`return` means nothing within `{around}`: the run has failed already");
        author.reader.error(code::VERB, key.clone(), message).help =
            Some("to give a value in place of a failure, `catch` it".to_owned());
    }
    if *verb != "parallel" {
        join::refuse(author, table, verb);
    }
    for (key, _) in BESIDE.iter().filter(|(_, owner)| owner != verb) {
        let Some(span) = table.key_span(key) else { continue };
        table.take(key);
        author.reader.error(code::UNKNOWN_KEY, span, format!("`{key}` means nothing beside `{verb}`"));
    }
    delegation::refuse(author, table, verb);
    let node = nodes.iter().find(|(name, _)| name == verb).and_then(|(_, node)| *node);
    let value = |author: &mut Author, sites: &mut StepSites| {
        node.map_or_else(|| Template::Value(Constant::null()), |node| author.template(node, inside, &mut sites.uses))
    };
    match (*verb, node) {
        ("set", _) => Verb::Set(value(author, sites)),
        ("fail", _) => Verb::Fail(value(author, sites)),
        ("return", _) => Verb::Return(value(author, sites)),
        (_, None) => {
            author.reader.error(code::MISSING, key.clone(), format!("`{verb}` needs a value"));
            stand_in()
        }
        ("tool", Some(node)) => {
            let providers = delegation::providers(author, table);
            tool(author, (node, args), providers, what, inside, sites)
        }
        ("workflow", Some(node)) => workflow(author, (node, args), table, what, inside, sites),
        ("llm", Some(node)) => Verb::Llm(delegation::llm(author, node, table, inside, sites).into()),
        ("agent", Some(node)) => {
            let errand = delegation::agent(author, node, table, what, inside, sites);
            errand.map_or_else(stand_in, |errand| Verb::Agent(errand.into()))
        }
        ("wait", Some(node)) => wait::read(author, node, what, inside, sites).map_or_else(stand_in, Verb::Wait),
        ("ask", Some(node)) => Verb::Ask(ask::read(author, node, table, inside, sites)),
        ("emit", Some(node)) => event::emit(author, node, table, inside, sites).unwrap_or_else(stand_in),
        ("await", Some(node)) => event::wait(author, node, table, sites).unwrap_or_else(stand_in),
        ("parallel", Some(node)) => {
            let branches = parallel(author, node, what);
            let join = join::read(author, table, branches.len());
            Verb::Parallel(branches, join)
        }
        ("switch", Some(node)) => Verb::Switch(switch(author, node, what, inside, sites)),
        (_, Some(node)) => Verb::Steps(step::block(author, node, &format!("{what}.steps"))),
    }
}

/// What a broken step does, so that others may still refer to it.
fn stand_in() -> Verb {
    Verb::Set(Template::Value(Constant::null()))
}

/// No verb. Silent if a key is reported as unknown with a verb for a suggestion.
fn none(author: &mut Author, node: &Node, what: &str) {
    let Value::Table(fields) = &node.value else { return };
    let keys = || fields.iter().map(|field| field.key.as_str());
    if keys().any(|key| suggest::nearest(key, VERBS).is_some()) {
        return;
    }
    let help = if node.get("args").is_some() {
        "name the tool: `tool: server.tool`".to_owned()
    } else {
        format!("give one of `{}`", VERBS.join("`, `"))
    };
    let span = author.head(&node.span);
    author.reader.error(code::VERB, span, format!("`{what}` does nothing: it has no verb")).help = Some(help);
}

fn several(author: &mut Author, what: &str, first: (&str, &Span), others: &[(&'static str, Span)]) {
    for (verb, span) in others {
        let message = format!("`{what}` has two verbs, `{}` and `{verb}`", first.0);
        let problem = Problem::error(code::VERB, &author.reader.source, span.clone(), message);
        author
            .reader
            .problem(problem.label("the second").related(first.1.clone(), "the first").help("make two steps of it"));
    }
}

fn tool(
    author: &mut Author,
    (node, args): (&Node, Option<&Node>),
    providers: Vec<(Arc<str>, Span)>,
    what: &str,
    inside: Place,
    sites: &mut StepSites,
) -> Verb {
    sites.call = call_site(node, args);
    let tool = tool_name(author, node, &format!("{what}.tool"));
    let args = arguments(author, args, what, inside, sites);
    tool.map_or_else(stand_in, |tool| Verb::Tool { tool, args, providers })
}

fn workflow(
    author: &mut Author,
    (node, args): (&Node, Option<&Node>),
    table: &mut Table<'_>,
    what: &str,
    inside: Place,
    sites: &mut StepSites,
) -> Verb {
    sites.call = call_site(node, args);
    let name = workflow_name(author, node, &format!("{what}.workflow"));
    let args = arguments(author, args, what, inside, sites);
    let key = table.path("detach");
    let is_detached = table.take("detach").and_then(|node| author.reader.boolean(node, &key)).unwrap_or_default();
    name.map_or_else(stand_in, |name| Verb::Workflow { name, args, is_detached })
}

/// The name of a workflow.
pub(super) fn workflow_name(author: &mut Author, node: &Node, what: &str) -> Option<Arc<str>> {
    let name = author.reader.text(node, what)?;
    if !name::is_workflow_name(&name) {
        let message = format!("`{name}` is no workflow's name");
        author.reader.error(code::WRONG_VALUE, node.span.clone(), message);
    }
    Some(Arc::from(name))
}

/// The tool's `server.tool`.
pub(super) fn tool_name(author: &mut Author, node: &Node, what: &str) -> Option<ToolRef> {
    let text = author.reader.text(node, what)?;
    let tool = ToolRef::parse(&text);
    if tool.is_none() {
        let problem = author.reader.error(
            code::WRONG_VALUE,
            node.span.clone(),
            format!("`{text}` is not of the form `server.tool`"),
        );
        problem.help = Some("name the server, too, for example `github.create_issue`".to_owned());
    }
    tool
}

/// The arguments; an empty table without any.
pub(super) fn arguments(
    author: &mut Author,
    node: Option<&Node>,
    what: &str,
    inside: Place,
    sites: &mut StepSites,
) -> Template {
    let Some(node) = node else { return Template::Table(Vec::new()) };
    let template = author.template(node, inside, &mut sites.uses);
    let may_be_an_object = match &node.value {
        Value::Table(_) => true,
        Value::Text(_) => matches!(template, Template::Text(_)),
        _ => false,
    };
    if !may_be_an_object && !author.has_problem_in(&node.span) {
        let message = format!("`{what}.args` must be a table, not {}", node.kind());
        let span = author.head(&node.span);
        author.reader.error(code::WRONG_VALUE, span, message).help =
            Some("name each argument: `args: { name: value }`".to_owned());
    }
    template
}

/// Where a call's target and arguments stand.
pub(super) fn call_site(target: &Node, args: Option<&Node>) -> CallSite {
    let arguments = match args.map(|node| &node.value) {
        Some(Value::Table(fields)) => fields
            .iter()
            .map(|field| ArgumentSite {
                name: field.key.clone(),
                key: field.key_span.clone(),
                value: field.value.span.clone(),
            })
            .collect(),
        _ => Vec::new(),
    };
    CallSite { target: target.span.clone(), arguments }
}

fn parallel(author: &mut Author, node: &Node, what: &str) -> Vec<Branch> {
    let what = format!("{what}.parallel");
    let Some(mut table) = author.reader.table(node, &what) else {
        if let Some(problem) = author.reader.problems.last_mut() {
            problem.help = Some("name each branch: `parallel: { one: …, other: … }`".to_owned());
        }
        return Vec::new();
    };
    let mut branches = Vec::new();
    for field in table.rest() {
        let path = format!("{what}.{}", field.key);
        if !name::is_step_id(&field.key) {
            step::bad_id(author, &field.key, &field.key_span, "a branch");
        }
        let block = match &field.value.value {
            Value::List(_) => step::block(author, &field.value, &path),
            _ => step::single(author, &field.value, &field.key, &field.key_span, &path),
        };
        branches.push(Branch { name: Arc::from(field.key.as_str()), block });
    }
    if branches.is_empty() {
        author.reader.error(code::MISSING, node.span.clone(), format!("`{what}` needs at least one branch"));
    }
    branches
}

fn switch(author: &mut Author, node: &Node, what: &str, inside: Place, sites: &mut StepSites) -> Vec<Case> {
    let what = format!("{what}.switch");
    let Some(items) = author.reader.list(node, &what) else { return Vec::new() };
    if items.is_empty() {
        author.reader.error(code::MISSING, node.span.clone(), format!("`{what}` needs at least one case"));
    }
    let mut cases = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let what = format!("{what}[{place}]");
        cases.extend(case(author, item, &what, inside, sites));
        if item.get("else").is_some() && place + 1 < items.len() {
            let span = author.head(&item.span);
            author.reader.error(code::CONFLICT, span, "`else` must be the last case").help =
                Some("the cases below it are never reached".to_owned());
        }
    }
    cases
}

fn case(author: &mut Author, node: &Node, what: &str, inside: Place, sites: &mut StepSites) -> Option<Case> {
    let mut table = author.reader.table(node, what)?;
    let case = if let Some(otherwise) = table.take("else") {
        Case { when: None, block: step::block(author, otherwise, &format!("{what}.else")) }
    } else {
        let condition = table.require(&mut author.reader, "when");
        let when = condition.and_then(|node| author.condition(node, &format!("{what}.when"), inside, &mut sites.uses));
        let steps = table.require(&mut author.reader, "steps");
        let block = steps.map(|node| step::block(author, node, &format!("{what}.steps")));
        Case { when, block: block.unwrap_or_else(Block::default) }
    };
    table.finish(&mut author.reader);
    Some(case)
}
