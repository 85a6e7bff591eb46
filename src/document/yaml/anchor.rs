//! What `&anchors` name and `*aliases` repeat, within bounds that an alias bomb cannot pass.

use std::collections::HashMap;

use crate::document::fail::{Fail, MAX_DEPTH};
use crate::document::node::{Node, Value};
use crate::model::code;
use crate::model::problem::Span;

/// Values that all anchors and aliases of one file may copy together.
const MAX_COPIES: usize = 50_000;

/// The anchored values so far.
#[derive(Default)]
pub(super) struct Anchors {
    kept: HashMap<usize, Kept>,
    copies: usize,
}

struct Kept {
    node: Node,
    size: usize,
    depth: usize,
}

impl Anchors {
    /// Remembers the finished value of anchor `id`.
    pub(super) fn keep(&mut self, id: usize, node: &Node) -> Result<(), Fail> {
        let (size, depth) = measure(node);
        self.spend(size, &node.span)?;
        self.kept.insert(id, Kept { node: node.clone(), size, depth });
        Ok(())
    }

    /// The value of anchor `id` once more, for an alias at `span` that stands `below` levels deep.
    pub(super) fn repeat(&mut self, id: usize, below: usize, span: &Span) -> Result<Node, Fail> {
        let Some(Kept { size, depth, .. }) = self.kept.get(&id) else {
            return Err(Fail::new(code::SYNTAX, span.clone(), "an `*alias` inside of its own `&anchor`"));
        };
        if below + depth > MAX_DEPTH {
            return Err(Fail::too_deep(span.clone()));
        }
        self.spend(*size, span)?;
        Ok(self.kept[&id].node.clone())
    }

    fn spend(&mut self, size: usize, span: &Span) -> Result<(), Fail> {
        self.copies += size;
        if self.copies <= MAX_COPIES {
            return Ok(());
        }
        Err(Fail::new(code::TOO_LARGE, span.clone(), format!("anchors and aliases copy more than {MAX_COPIES} values"))
            .help("write out what they stand for, or divide the file"))
    }
}

/// How many values `node` holds, itself included, and how many levels.
fn measure(node: &Node) -> (usize, usize) {
    let children: Vec<_> = match &node.value {
        Value::List(items) => items.iter().map(measure).collect(),
        Value::Table(fields) => fields.iter().map(|field| measure(&field.value)).collect(),
        _ => return (1, 0),
    };
    children.into_iter().fold((1, 1), |(size, depth), (more, below)| (size + more, depth.max(below + 1)))
}
