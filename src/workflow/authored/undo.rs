//! What runs when a run has failed: a step's `undo`, and the workflow's `on_failure`.

use crate::document::node::{Node, Value};
use crate::document::table::Table;
use crate::model::code;
use crate::policy::retry::Retry;
use crate::workflow::authored::author::Author;
use crate::workflow::authored::step;
use crate::workflow::definition::Block;
use crate::workflow::modifier::StepRetry;
use crate::workflow::verb::Verb;

/// How often an undo is tried, unless it says otherwise: what is not undone, somebody has to undo by hand.
const ATTEMPTS: u32 = 5;

/// The key of a step that takes back what the step has done.
const UNDO: &str = "undo";

/// The key of the workflow for what is done about its failure.
const ON_FAILURE: &str = "on_failure";

/// `undo`: a step, or a list of steps.
pub(super) fn undo(author: &mut Author, table: &mut Table<'_>) -> Option<Block> {
    let what = table.path(UNDO);
    let node = table.take(UNDO)?;
    if let Some(around) = author.afterwards {
        let span = table.key_span(UNDO).unwrap_or_default();
        let message = format!("`{UNDO}` means nothing within `{around}`: nothing fails after it that could undo it");
        author.reader.error(code::UNKNOWN_KEY, span, message).help = Some("remove it".to_owned());
        return None;
    }
    Some(afterwards(author, node, UNDO, &what))
}

/// `on_failure`: a step, a list of steps, or the word `undo` for what happens anyway.
pub(super) fn on_failure(author: &mut Author, table: &mut Table<'_>) -> Option<Block> {
    let node = table.take(ON_FAILURE)?;
    match &node.value {
        Value::Table(_) | Value::List(_) => Some(afterwards(author, node, ON_FAILURE, ON_FAILURE)),
        _ if node.as_text() == Some(UNDO) => None,
        _ => {
            let span = author.head(&node.span);
            let message = format!("`{ON_FAILURE}` must be `undo`, a step or a list of steps, not {}", node.kind());
            author.reader.error(code::WRONG_VALUE, span, message).help =
                Some("for example `on_failure: { workflow: tell_somebody, args: { why: $error.message } }`".to_owned());
            None
        }
    }
}

/// The steps of `key`. Its calls are tried again if they say nothing else.
fn afterwards(author: &mut Author, node: &Node, key: &'static str, what: &str) -> Block {
    let outside = author.afterwards.replace(key);
    let mut block = match &node.value {
        Value::List(_) => step::block(author, node, what),
        _ => step::single(author, node, key, &author.head(&node.span), what),
    };
    author.afterwards = outside;
    for step in &mut block.steps {
        if matches!(step.verb, Verb::Tool { .. } | Verb::Workflow { .. }) {
            let policy = Retry { attempts: ATTEMPTS, ..Retry::default() };
            step.retry.get_or_insert(StepRetry { policy, on: None });
        }
    }
    block
}
