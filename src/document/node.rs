//! The tree that every format becomes.

use serde_json::{Map, Number};

use crate::model::problem::Span;

/// A value and its place in the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it stands, in bytes of the source; quotes and brackets are part of it. A TOML table's place is its header.
    pub span: Span,
    /// What stands there.
    pub value: Value,
}

/// What can stand in a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing: `null`, `~` or an empty value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number that reads as it is written.
    Number(Number),
    /// Text, and every scalar that a format would read differently than it looks.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A table, its fields in the order of the text, each key once.
    Table(Vec<Field>),
}

/// One key of a table with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The key, unquoted.
    pub key: String,
    /// Where the key stands, quotes included.
    pub key_span: Span,
    /// What it is set to.
    pub value: Node,
}

impl Node {
    /// The plain value, without places.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => serde_json::Value::Bool(*value),
            Value::Number(number) => serde_json::Value::Number(number.clone()),
            Value::Text(text) => serde_json::Value::String(text.clone()),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Table(fields) => serde_json::Value::Object(
                fields.iter().map(|field| (field.key.clone(), field.value.to_json())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// What it is, with an article where one belongs: `a list`, `a table`, `text`.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }

    /// The value of `key`, if this is a table that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Table(fields) => fields.iter().find(|field| field.key == key).map(|field| &field.value),
            _ => None,
        }
    }

    /// The text, if this is text.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether nothing stands here.
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// Moves this node and all below it `by` bytes on.
    pub(super) fn shift(&mut self, by: usize) {
        shift(&mut self.span, by);
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.shift(by)),
            Value::Table(fields) => fields.iter_mut().for_each(|field| {
                shift(&mut field.key_span, by);
                field.value.shift(by);
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }
}

fn shift(span: &mut Span, by: usize) {
    *span = span.start + by..span.end + by;
}
