//! The canonical form of a workflow file: keys in the order of the language, durations in their shortest form. Whatever else
//! the author has written stays as it is, comments and layout included.

use std::sync::Arc;
use std::time::Duration;

use crate::document::duration::{format_duration, from_millis, parse_duration};
use crate::document::fields::{Obstacle, has_aliases, order};
use crate::document::format::Format;
use crate::document::node::{Node, Value};
use crate::document::parse::parse;
use crate::document::rewrite::{Edit, Piece, rewrite};
use crate::model::problem::{Problem, Source};
use crate::workflow::vocabulary::{Kind, Shape};

/// A file in its canonical form, as far as that was possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canonical {
    /// The new text.
    pub text: String,
    /// What was left as it is: a line of the old text, and why.
    pub left: Vec<(usize, String)>,
}

/// The canonical form of `source`; a problem if it cannot be read.
pub fn canonical(source: &Arc<Source>, format: Format) -> Result<Canonical, Box<Problem>> {
    let mut whole = source.text.clone();
    if !whole.is_empty() && !whole.ends_with('\n') {
        whole.push('\n');
    }
    let source = Source::new(&source.name, whole);
    let root = parse(&source, format)?;
    let unchanged = |why: &str| Canonical { text: source.text.clone(), left: vec![(1, why.to_owned())] };
    if format == Format::Yaml && has_aliases(&root) {
        return Ok(unchanged("it uses aliases or merges, which stand for what is written elsewhere"));
    }
    let mut orders = Walk::new(&source, format, Task::Order);
    orders.table(&root, Kind::Workflow);
    let ordered = Source::new(&source.name, rewrite(&source.text, &orders.edits));
    // Moving lines must not change what the file says, whatever its author has thought of.
    let Some(moved) = parse(&ordered, format).ok().filter(|moved| moved.to_json() == root.to_json()) else {
        return Ok(unchanged("its lines cannot be moved without changing what it says"));
    };
    let mut durations = Walk::new(&ordered, format, Task::Durations);
    durations.table(&moved, Kind::Workflow);
    Ok(Canonical { text: rewrite(&ordered.text, &durations.edits), left: orders.left })
}

/// What a walk is for; the second one begins where the first has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    Order,
    Durations,
}

struct Walk<'a> {
    source: &'a Arc<Source>,
    format: Format,
    task: Task,
    edits: Vec<Edit>,
    left: Vec<(usize, String)>,
}

impl<'a> Walk<'a> {
    fn new(source: &'a Arc<Source>, format: Format, task: Task) -> Self {
        Self { source, format, task, edits: Vec::new(), left: Vec::new() }
    }

    fn table(&mut self, node: &Node, kind: Kind) {
        let Value::Table(fields) = &node.value else { return };
        if self.task == Task::Order {
            let last = kind.keys().len();
            let ranks: Vec<_> =
                fields.iter().map(|field| kind.key(&field.key).map_or(last, |(rank, _)| rank)).collect();
            match order(&self.source.text, self.format, node, &ranks) {
                Ok(edit) => self.edits.extend(edit),
                Err(why) => self.leave(node, why),
            }
        }
        for field in fields {
            if let Some((_, key)) = kind.key(&field.key) {
                self.value(&field.value, &key.shape);
            }
        }
    }

    fn leave(&mut self, node: &Node, why: Obstacle) {
        let why = match why {
            Obstacle::Comment => "its keys keep their order, because a comment stands between them",
            Obstacle::Layout => "its keys keep their order, because they do not stand one by one",
        };
        self.left.push((self.source.line_column(node.span.start).0, why.to_owned()));
    }

    fn value(&mut self, node: &Node, shape: &Shape) {
        match (shape, &node.value) {
            (Shape::Duration, _) if self.task == Task::Durations => self.duration(node),
            (Shape::Table(kind), _) => self.table(node, *kind),
            (Shape::List(item, _), Value::List(items)) => items.iter().for_each(|node| self.value(node, item)),
            (Shape::Map(value), Value::Table(fields)) => {
                for field in fields {
                    self.value(&field.value, value);
                }
            }
            (Shape::Either(shapes), _) => {
                if let Some(shape) = shapes.iter().find(|shape| fits(shape, node)) {
                    self.value(node, shape);
                }
            }
            _ => {}
        }
    }

    fn duration(&mut self, node: &Node) {
        let duration: Option<Duration> = match &node.value {
            Value::Text(text) => parse_duration(text),
            Value::Number(number) => number.as_u64().and_then(from_millis),
            _ => None,
        };
        let Some(short) = duration.map(format_duration) else { return };
        let written = self.source.text.get(node.span.clone()).unwrap_or_default();
        let quote = match (written.chars().next(), self.format) {
            (Some(quote @ ('"' | '\'')), _) => quote.to_string(),
            (_, Format::Yaml) => String::new(),
            (_, Format::Json | Format::Toml) => '"'.to_string(),
        };
        let new = format!("{quote}{short}{quote}");
        // Text over several lines is nothing that people write for a duration.
        if new != written && !written.contains('\n') {
            self.edits.push(Edit { span: node.span.clone(), pieces: vec![Piece::Text(new)] });
        }
    }
}

/// Whether a value is of the kind that a shape is for, so that the others need not be looked at.
fn fits(shape: &Shape, node: &Node) -> bool {
    match (shape, &node.value) {
        (Shape::Table(kind), Value::Table(fields)) => fields.iter().any(|field| kind.key(&field.key).is_some()),
        (Shape::Map(_), Value::Table(_))
        | (Shape::List(..), Value::List(_))
        | (Shape::Duration, Value::Text(_) | Value::Number(_)) => true,
        (Shape::Either(shapes), _) => shapes.iter().any(|shape| fits(shape, node)),
        _ => false,
    }
}
