//! Takes a tree apart and collects every problem on the way.
//!
//! Each method takes what it expects or records why it cannot and returns nothing, so a caller goes on with the rest.
//! `what` is the path that messages name, such as `servers.github.timeout`, without backticks.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::document::duration::{format_duration, from_millis, meant_duration, parse_duration};
use crate::document::node::{Node, Value};
use crate::document::size::{parse_size, show_size};
use crate::document::table::Table;
use crate::model::code;
use crate::model::code::Code;
use crate::model::problem::{Patch, Problem, Source, Span};
use crate::model::suggest;

/// Longer text is not repeated in a message, in bytes.
const SHOWN: usize = 40;

/// Reads one source; what is wrong with it gathers in `problems`, in the order of finding.
#[derive(Debug)]
pub struct Reader {
    /// The text that all spans point into.
    pub source: Arc<Source>,
    /// What was found so far.
    pub problems: Vec<Problem>,
    /// Each table that was taken apart, with the keys that it was asked for: what the vocabulary is held against.
    #[cfg(test)]
    pub asked: Vec<(String, Vec<&'static str>)>,
}

impl Reader {
    /// A reader that has found nothing yet.
    pub fn new(source: &Arc<Source>) -> Self {
        Self {
            source: Arc::clone(source),
            problems: Vec::new(),
            #[cfg(test)]
            asked: Vec::new(),
        }
    }

    /// Records a problem.
    pub fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Records an error; the result may be refined (`help`, `label`, …).
    pub fn error(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Problem {
        let place = self.problems.len();
        self.problems.push(Problem::error(code, &self.source, span, message));
        &mut self.problems[place]
    }

    /// Records a warning; the result may be refined (`help`, `label`, …).
    pub fn warning(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Problem {
        let place = self.problems.len();
        self.problems.push(Problem::warning(code, &self.source, span, message));
        &mut self.problems[place]
    }

    /// Whether an error was recorded since there were `count` problems.
    pub fn failed_since(&self, count: usize) -> bool {
        self.problems[count..].iter().any(Problem::is_error)
    }

    /// A table; `what` is empty for the document itself.
    pub fn table<'a>(&mut self, node: &'a Node, what: &str) -> Option<Table<'a>> {
        let Value::Table(fields) = &node.value else {
            self.mismatch(node, what, "a table");
            return None;
        };
        Some(Table::new(what, node.span.clone(), fields))
    }

    /// Text. A number or a boolean is not taken for text, but the problem says how to make it so.
    pub fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        if let Value::Text(text) = &node.value {
            return Some(text.clone());
        }
        let written = self.slice(&node.span).to_owned();
        let problem = self.mismatch(node, what, "text");
        if matches!(node.value, Value::Bool(_) | Value::Number(_)) {
            mend(problem, "quote it".to_owned(), node, format!("\"{written}\""));
        }
        None
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, node: &Node, what: &str) -> Option<bool> {
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        let meant = node.as_text().and_then(|text| match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some("true"),
            "false" | "no" | "off" => Some("false"),
            _ => None,
        });
        let problem = self.mismatch(node, what, "`true` or `false`");
        if let Some(meant) = meant {
            mend(problem, format!("write `{meant}`"), node, meant.to_owned());
        }
        None
    }

    /// A whole number within `range`.
    pub fn integer(&mut self, node: &Node, what: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let number = match &node.value {
            Value::Number(number) => number.as_u64(),
            _ => None,
        };
        if let Some(number) = number.filter(|number| range.contains(number)) {
            return Some(number);
        }
        let wanted = match (*range.start(), *range.end()) {
            (least, u64::MAX) => format!("a whole number of at least {least}"),
            (least, most) => format!("a whole number from {least} to {most}"),
        };
        let problem = self.misfit(node, what, &wanted);
        if let Some(meant) = node.as_text().filter(|text| text.parse().is_ok_and(|number| range.contains(&number))) {
            mend(problem, "write it without quotes".to_owned(), node, meant.to_owned());
        }
        None
    }

    /// A number from 0 to `most`, such as a price; `5.00` is one, too.
    pub fn quantity(&mut self, node: &Node, what: &str, most: f64) -> Option<f64> {
        let number = match &node.value {
            Value::Number(number) => number.as_f64(),
            // What reads differently than it looks comes as text.
            Value::Text(text) if self.slice(&node.span) == text => text.parse().ok(),
            _ => None,
        };
        let number = number.filter(|number| (0.0..=most).contains(number));
        if number.is_none() {
            self.misfit(node, what, &format!("a number from 0 to {most}"));
        }
        number
    }

    /// An amount of tokens: a whole number, or one such as `400k` or `1.5m`.
    pub fn amount(&mut self, node: &Node, what: &str) -> Option<u64> {
        let amount = match &node.value {
            Value::Number(number) => number.as_u64(),
            Value::Text(text) => amount(text),
            _ => None,
        };
        if amount.is_none() {
            self.misfit(node, what, "an amount").help = Some("for example `2000`, `400k`, `1.5m`".to_owned());
        }
        amount
    }

    /// An amount of memory within `range`, in bytes, such as `512MB`.
    pub fn size(&mut self, node: &Node, what: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let size = match &node.value {
            Value::Text(text) => parse_size(text).filter(|size| range.contains(size)),
            _ => None,
        };
        if size.is_none() {
            let wanted =
                format!("an amount of memory from {} to {}", show_size(*range.start()), show_size(*range.end()));
            self.misfit(node, what, &wanted).help = Some("for example `512MB`, `2GB`, `64MiB`".to_owned());
        }
        size
    }

    /// The items of a list.
    pub fn list<'a>(&mut self, node: &'a Node, what: &str) -> Option<&'a [Node]> {
        if let Value::List(items) = &node.value {
            return Some(items);
        }
        let problem = self.mismatch(node, what, "a list");
        if matches!(node.value, Value::Table(_)) {
            problem.help = Some("begin each item with `- `, or put them in brackets".to_owned());
        }
        None
    }

    /// A list of text. Every item is checked; one wrong item and there is no list.
    pub fn texts(&mut self, node: &Node, what: &str) -> Option<Vec<String>> {
        if node.as_text().is_some() {
            let listed = format!("[{}]", self.slice(&node.span));
            let problem = self.mismatch(node, what, "a list of text");
            mend(problem, "put it in brackets".to_owned(), node, listed);
            return None;
        }
        let items = self.list(node, what)?;
        let texts: Vec<_> =
            items.iter().enumerate().map(|(place, item)| self.text(item, &format!("{what}[{place}]"))).collect();
        texts.into_iter().collect()
    }

    /// A length of time: `250ms`, `15s`, `1m30s`, `24h`, `7d`, or a bare number of milliseconds; ten years at most.
    pub fn duration(&mut self, node: &Node, what: &str) -> Option<Duration> {
        let duration = match &node.value {
            Value::Text(text) => parse_duration(text),
            Value::Number(number) => number.as_u64().and_then(from_millis),
            _ => None,
        };
        if duration.is_none() {
            let meant = node.as_text().and_then(meant_duration);
            let replacement = meant.as_ref().map(|meant| self.requoted(&node.span, meant));
            let problem = self.misfit(node, what, "a duration");
            problem.help = Some("for example `500ms`, `30s`, `1m30s`, `24h`".to_owned());
            if let (Some(meant), Some(replacement)) = (meant, replacement) {
                mend(problem, format!("write `{meant}`"), node, replacement);
            }
        }
        duration
    }

    /// A duration within `range`.
    pub fn duration_within(&mut self, node: &Node, what: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let duration = self.duration(node, what)?;
        if range.contains(&duration) {
            return Some(duration);
        }
        let (least, most) = (format_duration(*range.start()), format_duration(*range.end()));
        self.misfit(node, what, &format!("from `{least}` to `{most}`"));
        None
    }

    /// One of `words`, as what it stands for.
    pub fn word<T: Copy>(&mut self, node: &Node, what: &str, words: &[(&str, T)]) -> Option<T> {
        if let Some((_, meaning)) = words.iter().find(|(word, _)| node.as_text() == Some(word)) {
            return Some(*meaning);
        }
        let listed: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let near = node.as_text().and_then(|text| suggest::nearest(text, words.iter().map(|(word, _)| *word)));
        let replacement = near.map(|near| self.requoted(&node.span, near));
        let problem = self.misfit(node, what, &format!("one of {}", listed.join(", ")));
        if let (Some(near), Some(replacement)) = (near, replacement) {
            mend(problem, format!("did you mean `{near}`?"), node, replacement);
        }
        None
    }

    /// The text at `span`; empty if there is none.
    pub fn slice(&self, span: &Span) -> &str {
        self.source.text.get(span.clone()).unwrap_or_default()
    }

    /// The first line of `span`: enough to point at a whole table without marking all of it.
    pub fn head(&self, span: &Span) -> Span {
        let line = self.slice(span).lines().next().unwrap_or_default();
        span.start..span.start + line.trim_end().len()
    }

    /// `text` in the quotes, if any, of what stands at `span`: a replacement that keeps the file's syntax.
    pub fn requoted(&self, span: &Span, text: &str) -> String {
        match self.slice(span).chars().next() {
            Some(quote @ ('"' | '\'')) => format!("{quote}{text}{quote}"),
            _ => text.to_owned(),
        }
    }

    /// ``"`what` must be WANTED, not a list"``. The value itself is not shown: it may be a secret.
    fn mismatch(&mut self, node: &Node, what: &str, wanted: &str) -> &mut Problem {
        self.not(node, what, wanted, node.kind())
    }

    /// [`Self::mismatch`] where the value is a setting such as a number or a word, which may be shown.
    fn misfit(&mut self, node: &Node, what: &str, wanted: &str) -> &mut Problem {
        match &node.value {
            Value::Number(number) => self.not(node, what, wanted, &number.to_string()),
            Value::Text(text) if text.len() <= SHOWN => self.not(node, what, wanted, &format!("`{text}`")),
            _ => self.mismatch(node, what, wanted),
        }
    }

    fn not(&mut self, node: &Node, what: &str, wanted: &str, found: &str) -> &mut Problem {
        let subject = if what.is_empty() { "the file".to_owned() } else { format!("`{what}`") };
        let span = self.head(&node.span);
        self.error(code::WRONG_VALUE, span, format!("{subject} must be {wanted}, not {found}"))
    }
}

/// `2000`, `400k` or `1.5m` as a whole number.
fn amount(text: &str) -> Option<u64> {
    let (digits, factor) = match text.strip_suffix(['k', 'K', 'm', 'M']) {
        Some(digits) if text.ends_with(['k', 'K']) => (digits, 1_000.0),
        Some(digits) => (digits, 1_000_000.0),
        None => (text, 1.0),
    };
    let number: f64 = digits.parse().ok()?;
    let whole = number * factor;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is looked at first")]
    (whole.fract() == 0.0 && (0.0..=1e15).contains(&whole)).then_some(whole as u64)
}

/// Says how to mend `problem`: by writing `replacement` in place of `node`.
fn mend(problem: &mut Problem, help: String, node: &Node, replacement: String) {
    problem.help = Some(help);
    problem.patch = Some(Patch { span: node.span.clone(), replacement });
}

#[cfg(test)]
mod tests;
