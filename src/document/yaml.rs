//! YAML without its surprises: a plain scalar is a number or a boolean only if it reads exactly as it looks.
//!
//! `012`, `1.10`, `+5`, `1e3`, a 23-digit integer, `yes` and `True` stay text as written; whoever knows the wanted type
//! decides. The tree is built from the parser's events, without recursion, because its serde face guesses types and
//! needs a large stack for deep files.

mod anchor;
mod mistake;

use serde_saphyr::granit_parser::{Event, Marker, Options, Parser, ScalarStyle, Span as Place, StructureStyle, Tag};

use crate::document::duplicate;
use crate::document::fail::{Fail, MAX_DEPTH};
use crate::document::node::{Field, Node, Value};
use crate::document::number;
use crate::document::yaml::anchor::Anchors;
use crate::model::code;
use crate::model::problem::Span;

/// Reads `text`, one document; an empty one is nothing.
pub(super) fn parse(text: &str) -> Result<Node, Fail> {
    let mut options = Options::default();
    options.strict_indentation = true;
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    options.set_emit_comments(false);
    let mut builder = Builder { text, open: Vec::new(), root: None, documents: 0, anchors: Anchors::default() };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, place) = event.map_err(|error| mistake::fail(&error, text))?;
        builder.event(event, span(&place, text))?;
    }
    Ok(builder.root.unwrap_or(Node { span: 0..0, value: Value::Null }))
}

/// A collection whose end has not come yet.
struct Open {
    start: usize,
    style: StructureStyle,
    anchor: usize,
    parts: Parts,
}

enum Parts {
    List(Vec<Node>),
    Table {
        fields: Vec<Field>,
        /// What the next value belongs to; `None` if a key comes next.
        key: Option<Key>,
        /// What `<<` stands before; its fields count where the table has none of its own.
        merged: Vec<Node>,
    },
}

enum Key {
    Name(String, Span),
    Merge,
}

/// The key that merges another table into this one.
const MERGE: &str = "<<";

struct Builder<'t> {
    text: &'t str,
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    anchors: Anchors,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fail> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Fail::new(code::SYNTAX, span, "a second document begins here")
                        .help("put it into a file of its own"));
                }
            }
            Event::Scalar(written, style, anchor, tag) => {
                let is_text = refuse_tag(tag.as_deref(), &span)?;
                let is_plain = style == ScalarStyle::Plain && !is_text;
                let written = written.into_owned();
                if self.expects_key() && anchor == 0 {
                    return self.key(if is_plain && written == MERGE { Key::Merge } else { Key::Name(written, span) });
                }
                let value = if is_plain { plain(written) } else { Value::Text(written) };
                self.complete(Node { span, value }, anchor)?;
            }
            Event::SequenceStart(style, anchor, tag) => {
                refuse_tag(tag.as_deref(), &span)?;
                self.begin(&span, style, anchor, Parts::List(Vec::new()))?;
            }
            Event::MappingStart(style, anchor, tag) => {
                refuse_tag(tag.as_deref(), &span)?;
                self.begin(&span, style, anchor, Parts::Table { fields: Vec::new(), key: None, merged: Vec::new() })?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(&span)?,
            Event::Alias(id) => {
                let node = self.anchors.repeat(id, self.open.len(), &span)?;
                self.place(node)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, span: &Span, style: StructureStyle, anchor: usize, parts: Parts) -> Result<(), Fail> {
        if self.expects_key() {
            return Err(self.no_key(span.clone()));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(Fail::too_deep(span.clone()));
        }
        self.open.push(Open { start: span.start, style, anchor, parts });
        Ok(())
    }

    fn end(&mut self, span: &Span) -> Result<(), Fail> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let (value, last) = match open.parts {
            Parts::List(items) => {
                let last = items.last().map(|item| item.span.end);
                (Value::List(items), last)
            }
            Parts::Table { mut fields, merged, .. } => {
                if let Some(fail) = duplicate::find(&fields) {
                    return Err(fail);
                }
                let last = fields.last().map(|field| field.value.span.end);
                merge(&mut fields, merged)?;
                (Value::Table(fields), last)
            }
        };
        // A block collection ends with its last part; the parser says so only after the empty lines that follow.
        let end = match open.style {
            StructureStyle::Flow => span.end,
            StructureStyle::Block => last.unwrap_or(open.start),
        };
        self.complete(Node { span: open.start..end.max(open.start), value }, open.anchor)
    }

    /// Puts a finished value where it belongs and remembers it if it has an anchor (`anchor` is not 0).
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), Fail> {
        if anchor > 0 {
            self.anchors.keep(anchor, &node)?;
        }
        self.place(node)
    }

    fn place(&mut self, node: Node) -> Result<(), Fail> {
        if self.expects_key() {
            return match node.value {
                Value::Text(text) => self.key(Key::Name(text, node.span)),
                _ => Err(self.no_key(node.span)),
            };
        }
        match self.open.last_mut().map(|open| &mut open.parts) {
            None => self.root = Some(node),
            Some(Parts::List(items)) => items.push(node),
            Some(Parts::Table { fields, key, merged }) => match key.take() {
                Some(Key::Merge) => merged.push(node),
                Some(Key::Name(key, key_span)) => fields.push(Field { key, key_span, value: node }),
                None => {}
            },
        }
        Ok(())
    }

    fn expects_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { parts: Parts::Table { key: None, .. }, .. }))
    }

    fn key(&mut self, next: Key) -> Result<(), Fail> {
        if let Key::Name(_, span) = &next
            && span.is_empty()
        {
            return Err(self.no_key(span.clone()));
        }
        if let Some(Open { parts: Parts::Table { key, .. }, .. }) = self.open.last_mut() {
            *key = Some(next);
        }
        Ok(())
    }

    fn no_key(&self, span: Span) -> Fail {
        let help = mistake::template_help(self.text, span.start).unwrap_or("write or quote a name");
        Fail::new(code::SYNTAX, span, "a key must be text").help(help)
    }
}

/// Adds the fields of each of `tables` that `fields` does not have; of two tables, the first counts.
fn merge(fields: &mut Vec<Field>, tables: Vec<Node>) -> Result<(), Fail> {
    for table in tables {
        match table.value {
            Value::Table(more) => {
                for field in more {
                    if fields.iter().all(|own| own.key != field.key) {
                        fields.push(field);
                    }
                }
            }
            Value::List(more) if more.iter().all(|item| matches!(item.value, Value::Table(_))) => merge(fields, more)?,
            _ => return Err(Fail::new(code::SYNTAX, table.span, "only a table can be merged by `<<`")),
        }
    }
    Ok(())
}

/// Whether the tag says "text"; every other tag is refused.
fn refuse_tag(tag: Option<&Tag>, span: &Span) -> Result<bool, Fail> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.core_suffix() == Some("str") || tag.original() == "!" => Ok(true),
        Some(tag) => {
            let message = format!("the tag `{}` is not supported", tag.original());
            Err(Fail::new(code::SYNTAX, span.clone(), message).help("leave it out, or quote the value to make it text"))
        }
    }
}

/// What an unquoted scalar stands for.
fn plain(written: String) -> Value {
    match written.as_str() {
        "" | "~" | "null" => Value::Null,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        // JSON has to write the number the same way, or reading it would change it.
        _ => match number::parse(&written) {
            Some(number) if number.to_string() == written => Value::Number(number),
            _ => Value::Text(written),
        },
    }
}

/// The place as a range of bytes within `text`.
fn span(place: &Place, text: &str) -> Span {
    let start = offset(&place.start, text);
    let end = offset(&place.end, text).max(start);
    start..end
}

fn offset(marker: &Marker, text: &str) -> usize {
    marker.byte_offset().filter(|offset| text.is_char_boundary(*offset)).unwrap_or_else(|| {
        // The marks of errors may count characters only.
        text.char_indices().nth(marker.index()).map_or(text.len(), |(offset, _)| offset)
    })
}
