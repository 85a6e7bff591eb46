//! Other spellings of workflows, read as ours: those of orchestrators whose files users already have.
//!
//! It works on trees, before anything is checked, and moves values with their places, so that problems still point into the file.
//! What was read as something else is told once for each spelling.

mod header;
mod naming;
mod step;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::document::node::{Field, Node, Value};
use crate::model::code;
use crate::model::problem::{Problem, Source, Span};

/// The workflows of a file as trees of our own language, and what was read as something else.
pub fn normalised(root: Node, source: &Arc<Source>) -> (Vec<Node>, Vec<Problem>) {
    let mut reading = Reading { source, told: BTreeSet::new(), notes: Vec::new(), count: 0 };
    let workflows = header::workflows(root, &mut reading);
    (workflows, reading.notes)
}

/// What has been told so far.
struct Reading<'a> {
    source: &'a Arc<Source>,
    told: BTreeSet<String>,
    notes: Vec<Problem>,
    /// How much was read as something else, told or not.
    count: usize,
}

impl Reading<'_> {
    /// Tells, the first time, that `theirs` is read as `ours`.
    fn note(&mut self, span: &Span, theirs: &str, ours: &str) {
        self.count += 1;
        if self.told.insert(format!("{theirs}\n{ours}")) {
            let message = format!("{theirs} is read as {ours}");
            self.notes.push(Problem::warning(code::OTHER_SPELLING, self.source, span.clone(), message));
        }
    }

    /// Tells, the first time, that `theirs` has no meaning here, and why.
    fn leave_out(&mut self, span: &Span, theirs: &str, why: &str) {
        self.count += 1;
        if self.told.insert(format!("{theirs}\n")) {
            let message = format!("{theirs} is left out: {why}");
            self.notes.push(Problem::warning(code::OTHER_SPELLING, self.source, span.clone(), message));
        }
    }
}

/// The fields of a table, to be taken out one by one.
struct Fields(Vec<Field>);

impl Fields {
    fn has(&self, key: &str) -> bool {
        self.0.iter().any(|field| field.key == key)
    }

    fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|field| field.key == key).map(|field| &field.value)
    }

    fn take(&mut self, key: &str) -> Option<Field> {
        let place = self.0.iter().position(|field| field.key == key)?;
        Some(self.0.remove(place))
    }

    /// Takes out the first of `keys` that is there.
    fn take_one(&mut self, keys: &[&str]) -> Option<Field> {
        keys.iter().find_map(|key| self.take(key))
    }

    fn put(&mut self, key: &str, key_span: Span, value: Node) {
        self.0.push(Field { key: key.to_owned(), key_span, value });
    }

    /// Renames the first of `keys` to `ours`, unless that is there already.
    fn rename(&mut self, keys: &[&str], ours: &str, reading: &mut Reading<'_>) {
        if self.has(ours) {
            return;
        }
        if let Some(field) = self.take_one(keys) {
            reading.note(&field.key_span, &format!("`{}`", field.key), &format!("`{ours}`"));
            self.put(ours, field.key_span, field.value);
        }
    }

    fn into_node(self, span: Span) -> Node {
        Node { span, value: Value::Table(self.0) }
    }
}

/// The fields of a table; the node itself if it is none.
fn fields(node: Node) -> Result<(Span, Fields), Node> {
    match node.value {
        Value::Table(fields) => Ok((node.span, Fields(fields))),
        value => Err(Node { span: node.span, value }),
    }
}

fn text(span: &Span, text: impl Into<String>) -> Node {
    Node { span: span.clone(), value: Value::Text(text.into()) }
}

fn list(span: &Span, items: Vec<Node>) -> Node {
    Node { span: span.clone(), value: Value::List(items) }
}

fn table(span: &Span, fields: Vec<(&str, Span, Node)>) -> Node {
    let fields = fields.into_iter().map(|(key, key_span, value)| Field { key: key.to_owned(), key_span, value });
    Node { span: span.clone(), value: Value::Table(fields.collect()) }
}

/// Every text below a node, changed.
fn each_text(node: &mut Node, change: &mut impl FnMut(&mut String)) {
    match &mut node.value {
        Value::Text(text) => change(text),
        Value::List(items) => items.iter_mut().for_each(|item| each_text(item, change)),
        Value::Table(fields) => fields.iter_mut().for_each(|field| each_text(&mut field.value, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests;
