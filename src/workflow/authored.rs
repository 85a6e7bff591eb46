//! From a file to a checked workflow, with every mistake that can be seen without the servers.
//!
//! One file for each level of the language: [`read`] takes the workflow apart, `step` a step, `verb` and `modifier` the
//! parts of a step, `declaration` the shorthand of schemas, `expression` whatever holds expressions.

mod ask;
mod author;
mod cache;
mod catch;
mod declaration;
mod delegation;
mod doubt;
mod event;
mod expression;
mod header;
mod join;
mod modifier;
mod repetition;
mod step;
mod trigger;
mod undo;
mod verb;
mod wait;

use std::sync::Arc;

use crate::document::format::Format;
use crate::document::node::Node;
use crate::document::parse::parse;
use crate::document::table::Table;
use crate::model::code;
use crate::model::problem::{Problem, Source};
use crate::workflow::authored::author::Author;
pub(super) use crate::workflow::authored::declaration::is_type;
use crate::workflow::check::references;
use crate::workflow::definition::{Block, Order, Workflow};
use crate::workflow::dialect;
use crate::workflow::site::{Place, WorkflowSites};

/// Steps in one file, nested ones included.
pub const MAX_STEPS: usize = 1_000;

/// Blocks inside blocks.
pub const MAX_NESTING: usize = 16;

/// Reads a workflow. There is none if a problem is an error, and no error is hidden by another one where that can be
/// avoided.
pub fn read(source: &Arc<Source>, format: Format) -> (Option<Workflow>, Vec<Problem>) {
    let (workflow, problems) = draft(source, format);
    let is_usable = !problems.iter().any(Problem::is_error);
    (workflow.filter(|_| is_usable), problems)
}

/// Reads as much of a workflow as can be made out, so that it can be checked further although it has errors. Parts with a
/// problem are stand-ins: it must not be run.
pub fn draft(source: &Arc<Source>, format: Format) -> (Option<Workflow>, Vec<Problem>) {
    let (mut workflows, mut problems) = drafts(source, format);
    if workflows.len() > 1 {
        let message = "the file has several workflows, where one is wanted";
        problems.push(Problem::error(code::CONFLICT, source, 0..0, message));
    }
    (if workflows.is_empty() { None } else { Some(workflows.swap_remove(0)) }, problems)
}

/// [`draft`] for a file that may hold several, as other orchestrators write them.
pub fn drafts(source: &Arc<Source>, format: Format) -> (Vec<Workflow>, Vec<Problem>) {
    let root = match parse(source, format) {
        Ok(root) => root,
        Err(problem) => return (Vec::new(), vec![problem]),
    };
    let (roots, mut problems) = dialect::normalised(root, source);
    let mut workflows = Vec::new();
    for root in roots {
        let mut author = Author::new(source);
        let workflow = workflow(&mut author, &root).map(|workflow| Workflow { format, ..workflow });
        problems.append(&mut author.reader.problems);
        if let Some(workflow) = &workflow {
            problems.extend(references::check(workflow));
        }
        workflows.extend(workflow);
    }
    problems.sort_by_key(|problem| problem.span.start);
    (workflows, problems)
}

/// What each table of a file was asked for.
#[cfg(test)]
pub(super) fn asked(source: &Arc<Source>, format: Format) -> Vec<(String, Vec<&'static str>)> {
    let root = parse(source, format).expect("a file that can be read");
    let mut author = Author::new(source);
    workflow(&mut author, &root);
    author.reader.asked
}

/// As much of the workflow as can be made out; its parts may be stand-ins where there was a problem.
fn workflow(author: &mut Author, root: &Node) -> Option<Workflow> {
    let mut table = author.reader.table(root, "")?;
    let (name, name_span) = header::name(author, &mut table);
    let version = text(author, &mut table, "version");
    let title = text(author, &mut table, "title");
    let description = text(author, &mut table, "description");
    let input_schema = declaration::object(author, table.take("input"), "input");
    let output_schema = table.take("output_schema").map(|node| declaration::any(author, node, "output_schema"));
    let annotations_node = table.take("annotations");
    let annotations = annotations_node.map(|node| header::annotations(author, node)).unwrap_or_default();
    let order = table
        .take("order")
        .and_then(|node| author.reader.word(node, "order", &[("written", Order::Written), ("data", Order::Data)]));
    let timeout = table.take("timeout").and_then(|node| author.reader.duration(node, "timeout"));
    let budget = delegation::budget(author, &mut table);
    let mut uses = Vec::new();
    let conduct = header::conduct(author, &mut table, &mut uses);
    let body = steps(author, &mut table);
    let on_failure = undo::on_failure(author, &mut table);
    let output = table.take("output").map(|node| author.template(node, Place::Outside, &mut uses));
    table.finish(&mut author.reader);
    Some(Workflow {
        name,
        version,
        title,
        description,
        input_schema: Arc::new(input_schema),
        output_schema: output_schema.map(Arc::new),
        output,
        annotations,
        order: order.unwrap_or_default(),
        timeout,
        budget,
        conduct,
        body,
        on_failure,
        source: Arc::clone(&author.reader.source),
        format: Format::Yaml,
        sites: WorkflowSites {
            name: name_span,
            annotations: annotations_node.map(|node| node.span.clone()).unwrap_or_default(),
            uses,
        },
    })
}

fn text(author: &mut Author, table: &mut Table<'_>, key: &'static str) -> Option<String> {
    table.take(key).and_then(|node| author.reader.text(node, key))
}

fn steps(author: &mut Author, table: &mut Table<'_>) -> Block {
    let Some(node) = table.take("steps") else {
        let span = author.head(&table.span());
        author.reader.error(code::MISSING, span, "a workflow needs `steps`").help =
            Some("give a list of steps".to_owned());
        return Block::default();
    };
    step::block(author, node, "steps")
}
