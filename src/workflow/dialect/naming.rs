//! What steps are called in other files, and what they are called here.

use std::collections::{BTreeMap, BTreeSet};

use crate::document::node::{Node, Value};
use crate::model::name::{is_step_id, nearest_step_id};
use crate::model::problem::Span;
use crate::workflow::authored::MAX_STEPS;
use crate::workflow::dialect::{Fields, Reading, each_text, text};

/// What the steps of a list are called here.
#[derive(Default)]
pub(super) struct Names {
    /// In their order; empty where there is no name to be found.
    given: Vec<String>,
    /// By what is written, for the names that cannot stand here as they are written.
    renamed: BTreeMap<String, String>,
    /// The length of the longest of them, in bytes.
    longest: usize,
}

impl Names {
    /// The names of steps as they are written, and for a step without one that of its tool.
    pub(super) fn of(steps: Option<&Node>) -> Self {
        let Some(Value::List(items)) = steps.map(|node| &node.value) else { return Self::default() };
        // More than that are refused.
        let items = &items[..items.len().min(MAX_STEPS)];
        let mut names = Self::default();
        let mut taken = BTreeSet::new();
        let written: Vec<_> = items.iter().map(|item| first_text(item, &["id", "name"])).collect();
        for written in written.iter().flatten() {
            let name = here(written);
            if name != **written {
                names.longest = names.longest.max(written.len());
                names.renamed.insert((*written).to_owned(), name.clone());
            }
            taken.insert(name);
        }
        let mut numbers = BTreeMap::new();
        for (item, written) in items.iter().zip(written) {
            let name = match (written, first_text(item, &["tool", "action"])) {
                (Some(written), _) => here(written),
                (None, Some(tool)) => unused(&here(tool), &mut taken, &mut numbers),
                (None, None) => String::new(),
            };
            names.given.push(name);
        }
        names
    }

    /// Gives a step, the one at `place`, the name that it has here, and those of others wherever it names them.
    pub(super) fn apply(&self, step: &mut Fields, place: usize, span: &Span, reading: &mut Reading<'_>) {
        let name = self.given.get(place).filter(|name| !name.is_empty());
        match (step.get("id").map(|id| (id.span.clone(), id.as_text())), name) {
            (Some((span, Some(written))), Some(name)) if written != name => {
                reading.note(&span, &format!("the name `{written}`"), &format!("`{name}`"));
                let id = text(&span, name.clone());
                step.0.iter_mut().filter(|field| field.key == "id").for_each(|field| field.value = id.clone());
            }
            (None, Some(name)) if step.has("tool") => {
                let at = span.start..span.start;
                reading.note(span, "a step without a name", "one with the name of its tool");
                step.put("id", at.clone(), text(&at, name.clone()));
            }
            _ => {}
        }
        if self.renamed.is_empty() {
            return;
        }
        for field in step.0.iter_mut().filter(|field| field.key != "id" && field.key != "tool") {
            let is_name = field.key == "after";
            each_text(&mut field.value, &mut |text| match self.renamed.get(text).filter(|_| is_name) {
                Some(name) => name.clone_into(text),
                None => self.rewrite(text),
            });
        }
    }

    /// `steps.NAME.` with the names of here.
    fn rewrite(&self, text: &mut String) {
        const ROOT: &str = "steps.";
        let mut rest = text.as_str();
        let mut rewritten = String::new();
        while let Some((before, after)) = rest.split_once(ROOT) {
            rewritten.push_str(before);
            rewritten.push_str(ROOT);
            rest = after;
            // A name may have dots of its own.
            let dots = after.match_indices('.').map(|(at, _)| at).take_while(|at| *at <= self.longest);
            let found = dots.filter_map(|at| Some((at, self.renamed.get(&after[..at])?))).last();
            if let Some((at, name)) = found {
                rewritten.push_str(name);
                rest = &after[at..];
            }
        }
        if !rewritten.is_empty() {
            rewritten.push_str(rest);
            *text = rewritten;
        }
    }
}

fn first_text<'a>(item: &'a Node, keys: &[&str]) -> Option<&'a str> {
    keys.iter().find_map(|key| item.get(key)?.as_text())
}

/// A name as it can stand here, or as it is written if nothing like it can.
fn here(written: &str) -> String {
    let near = || nearest_step_id(written).unwrap_or_else(|| written.to_owned());
    if is_step_id(written) { written.to_owned() } else { near() }
}

/// `name`, with a number if it is taken.
fn unused(name: &str, taken: &mut BTreeSet<String>, numbers: &mut BTreeMap<String, usize>) -> String {
    let number = numbers.entry(name.to_owned()).or_insert(1);
    let mut unused = name.to_owned();
    while !taken.insert(unused.clone()) {
        *number += 1;
        unused = format!("{name}_{number}");
    }
    unused
}
