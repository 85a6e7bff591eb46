//! A table being taken apart: what was asked for, what was there, what is left over.

use crate::document::node::{Field, Node};
use crate::document::reader::Reader;
use crate::model::code;
use crate::model::problem::{Problem, Span};
use crate::model::suggest;

/// More known keys than this are not listed in a message.
const LISTED: usize = 12;

/// The fields of one table. Ask for each known key, then [`Table::finish`] reports the others.
#[derive(Debug)]
pub struct Table<'a> {
    what: String,
    span: Span,
    fields: &'a [Field],
    taken: Vec<bool>,
    asked: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// `what` names the table in messages, without backticks; empty for the document itself.
    pub(super) fn new(what: &str, span: Span, fields: &'a [Field]) -> Self {
        Self { what: what.to_owned(), span, fields, taken: vec![false; fields.len()], asked: Vec::new() }
    }

    /// The value of `key`, if the table has it and it was not taken before. An explicit `null` counts as absent.
    pub fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.asked.push(key);
        let place = self.fields.iter().position(|field| field.key == key)?;
        if std::mem::replace(&mut self.taken[place], true) {
            return None;
        }
        Some(&self.fields[place].value).filter(|node| !node.is_null())
    }

    /// The value of `key`; a problem if the table does not have it.
    pub fn require(&mut self, reader: &mut Reader, key: &'static str) -> Option<&'a Node> {
        let found = self.take(key);
        if found.is_none() {
            let whose = if self.what.is_empty() { "the file".to_owned() } else { format!("`{}`", self.what) };
            let span = self.key_span(key).unwrap_or_else(|| reader.head(&self.span));
            reader.error(code::MISSING, span, format!("{whose} needs `{key}`"));
        }
        found
    }

    /// Treats `key` as if the table did not have it, from now on.
    pub fn ignore(&mut self, key: &str) {
        for (place, _) in self.fields.iter().enumerate().filter(|(_, field)| field.key == key) {
            self.taken[place] = true;
        }
    }

    /// Where the table stands.
    pub fn span(&self) -> Span {
        self.span.clone()
    }

    /// Where `key` stands.
    pub fn key_span(&self, key: &str) -> Option<Span> {
        self.fields.iter().find(|field| field.key == key).map(|field| field.key_span.clone())
    }

    /// The path of the table itself, for messages.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The path of `key` below this table, for messages.
    pub fn path(&self, key: &str) -> String {
        if self.what.is_empty() { key.to_owned() } else { format!("{}.{key}", self.what) }
    }

    /// The fields that nobody asked for by name; from now on they count as taken.
    pub fn rest(&mut self) -> impl Iterator<Item = &'a Field> + use<'a> {
        let rest: Vec<_> =
            self.fields.iter().zip(&self.taken).filter(|(_, taken)| !**taken).map(|(field, _)| field).collect();
        self.taken.fill(true);
        rest.into_iter()
    }

    /// Reports every field that was not taken, with the key that was probably meant.
    pub fn finish(mut self, reader: &mut Reader) {
        #[cfg(test)]
        reader.asked.push((self.what.clone(), self.asked.clone()));
        let fields = self.fields;
        for field in self.rest() {
            // A key that is already there cannot be what this one was meant to be.
            let free: Vec<_> =
                self.asked.iter().copied().filter(|key| fields.iter().all(|field| field.key != **key)).collect();
            let inside = if self.what.is_empty() { String::new() } else { format!(" in `{}`", self.what) };
            let message = format!("unknown key `{}`{inside}", field.key);
            let problem = Problem::error(code::UNKNOWN_KEY, &reader.source, field.key_span.clone(), message);
            let problem = match suggest::nearest(&field.key, free.iter().copied()) {
                Some(near) => {
                    let replacement = reader.requoted(&field.key_span, near);
                    problem.help(format!("did you mean `{near}`?")).replace_with(replacement)
                }
                None => problem.maybe_help(known(&free)),
            };
            reader.problem(problem);
        }
    }
}

fn known(keys: &[&str]) -> Option<String> {
    (1..=LISTED).contains(&keys.len()).then(|| format!("known keys here: `{}`", keys.join("`, `")))
}
