//! Why a text is no document, before it is known which file it came from.

use crate::model::code;
use crate::model::code::Code;
use crate::model::problem::Span;

/// Deeper nesting than this is refused: every later walk over a tree may recurse without fear.
pub(super) const MAX_DEPTH: usize = 64;

/// A mistake that ends parsing.
#[derive(Debug)]
pub(super) struct Fail {
    pub(super) code: Code,
    pub(super) span: Span,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Fail {
    pub(super) fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self { code, span, message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn too_deep(span: Span) -> Self {
        Self::new(code::TOO_LARGE, span, format!("nested more than {MAX_DEPTH} levels deep"))
            .help("put the inner part elsewhere")
    }
}
