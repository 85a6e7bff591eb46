//! A mistake in a file: where it is, what is wrong, and how to mend it.
//!
//! A checker returns every [`Problem`] it finds, not the first; the command line renders them with the source line.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::model::code::Code;

/// A file's name and text, kept for as long as something may point into it.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as the user gave it, or a description such as `inline definition`.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl Source {
    /// A shared source.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into() })
    }

    /// The line and the column (in characters) of a byte offset, both counted from 1.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// A byte range in a [`Source`].
pub type Span = Range<usize>;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Works, but is worth knowing.
    Warning,
    /// The thing concerned cannot be used.
    Error,
}

/// A replacement that mends the problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// What to replace.
    pub span: Span,
    /// By what.
    pub replacement: String,
}

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// For people who search.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, lower case, without a final full stop.
    pub message: String,
    /// The file.
    pub source: Arc<Source>,
    /// Where in the file; an empty range at 0 means the file as a whole.
    pub span: Span,
    /// What to write under the marked place.
    pub label: Option<String>,
    /// Other places that matter, each with its text.
    pub related: Vec<(Span, String)>,
    /// What to do.
    pub help: Option<String>,
    /// How to mend it without thinking.
    pub patch: Option<Patch>,
}

impl Problem {
    /// An error at `span` of `source`.
    pub fn error(code: Code, source: &Arc<Source>, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            source: Arc::clone(source),
            span,
            label: None,
            related: Vec::new(),
            help: None,
            patch: None,
        }
    }

    /// A warning at `span` of `source`.
    pub fn warning(code: Code, source: &Arc<Source>, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, source, span, message) }
    }

    /// Says what to write under the marked place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Marks another place that matters.
    #[must_use]
    pub fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push((span, text.into()));
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what to do, if something is known.
    #[must_use]
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    /// Suggests `replacement` for the text at the problem's own span.
    #[must_use]
    pub fn replace_with(mut self, replacement: impl Into<String>) -> Self {
        self.patch = Some(Patch { span: self.span.clone(), replacement: replacement.into() });
        self
    }

    /// It for programs: places by line and column, a patch by bytes of the source.
    pub fn to_json(&self) -> Value {
        let (line, column) = self.source.line_column(self.span.start);
        let (end_line, end_column) = self.source.line_column(self.span.end);
        json!({
            "code": self.code.as_str(),
            "severity": if self.is_error() { "error" } else { "warning" },
            "message": self.message,
            "file": self.source.name,
            "line": line,
            "column": column,
            "end_line": end_line,
            "end_column": end_column,
            "help": self.help,
            "patch": self.patch.as_ref().map(|patch| json!({
                "start": patch.span.start, "end": patch.span.end, "replacement": patch.replacement,
            })),
        })
    }

    /// Whether the thing concerned cannot be used.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    /// `file:line:column: error[code]: message; help`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.source.line_column(self.span.start);
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}:{line}:{column}: {severity}[{}]: {}", self.source.name, self.code, self.message)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::code;

    #[test]
    fn lines_and_columns_count_characters_from_one() {
        let source = Source::new("f", "ä: 1\nöö: x\n");
        assert_eq!(source.line_column(0), (1, 1));
        assert_eq!(source.line_column("ä: 1\nöö: ".len()), (2, 5));
        assert_eq!(source.line_column(9_999), (3, 1));
    }

    #[test]
    fn a_problem_reads_as_one_line() {
        let source = Source::new("flow.yaml", "name: a\nstep: b\n");
        let problem =
            Problem::error(code::UNKNOWN_KEY, &source, 8..12, "unknown key `step`").help("did you mean `steps`?");
        assert_eq!(problem.to_string(), "flow.yaml:2:1: error[MO1003]: unknown key `step`; did you mean `steps`?");
    }
}
