//! What is known on the way down through a file: the reader, how deep we are, and which names are bound.

use std::sync::Arc;

use crate::document::reader::Reader;
use crate::model::problem::{Source, Span};

/// Reads one file.
pub(super) struct Author {
    /// Takes the tree apart and gathers the problems.
    pub(super) reader: Reader,
    /// The names that enclosing `for_each`es bind, outermost first.
    pub(super) bindings: Vec<Arc<str>>,
    /// How many blocks are open.
    pub(super) depth: usize,
    /// How many steps there were so far.
    pub(super) steps: usize,
    /// The key whose steps are being read, if they run when the run has failed already.
    pub(super) afterwards: Option<&'static str>,
}

impl Author {
    /// At the top of a file.
    pub(super) fn new(source: &Arc<Source>) -> Self {
        Self { reader: Reader::new(source), bindings: Vec::new(), depth: 0, steps: 0, afterwards: None }
    }

    /// The first line of `span`: enough to point at a table or a list.
    pub(super) fn head(&self, span: &Span) -> Span {
        let line = self.reader.slice(span).lines().next().unwrap_or_default();
        span.start..span.start + line.trim_end().len()
    }

    /// Whether something within `span` was reported already, so that a second report would only be noise.
    pub(super) fn has_problem_in(&self, span: &Span) -> bool {
        self.reader.problems.iter().any(|problem| span.start <= problem.span.start && problem.span.end <= span.end)
    }
}
