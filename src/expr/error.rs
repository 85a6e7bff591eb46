//! What is wrong with an expression, or went wrong while it was computed.

use std::fmt;
use std::ops::Range;

/// The longest stretch of source that a message quotes, in bytes.
const QUOTED: usize = 120;

/// A mistake in an expression, found when it is parsed or when it is computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What is wrong, lower case, without a final full stop.
    pub message: String,
    /// Where, in bytes within the source that was parsed; `None` if no single place is to blame.
    pub span: Option<Range<usize>>,
    /// What to do.
    pub help: Option<String>,
    /// The source, or the line of it that matters if it is long.
    pub expression: String,
}

impl Error {
    /// A mistake in `source` as a whole.
    pub(super) fn new(source: &str, message: impl Into<String>) -> Self {
        Self { message: message.into(), span: None, help: None, expression: excerpt(source, 0) }
    }

    /// Says where in `source` it is.
    #[must_use]
    pub(super) fn at(mut self, source: &str, span: Range<usize>) -> Self {
        self.expression = excerpt(source, span.start);
        self.span = Some(span);
        self
    }

    /// Says what to do.
    #[must_use]
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says what to do, if something is known.
    #[must_use]
    pub(super) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if !self.expression.is_empty() {
            write!(f, " in `{}`", self.expression)?;
        }
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// The line of `source` around byte `at`, cut to what a message can bear.
fn excerpt(source: &str, at: usize) -> String {
    let at = source.floor_char_boundary(at);
    let start = source[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = source[start..].lines().next().unwrap_or_default().trim();
    if line.len() <= QUOTED {
        return line.to_owned();
    }
    format!("{}…", &line[..line.floor_char_boundary(QUOTED)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_one_line() {
        let error =
            Error::new("a ? b : c", "`?` means nothing here").at("a ? b : c", 2..3).help("write `b if a else c`");
        assert_eq!(error.to_string(), "`?` means nothing here in `a ? b : c`; write `b if a else c`");
    }

    #[test]
    fn a_long_source_is_quoted_by_its_line_and_cut() {
        let source = format!("first\n  second {}\nthird", "ä".repeat(QUOTED));
        let quoted = Error::new(&source, "wrong").at(&source, 10..11).expression;
        assert!(quoted.starts_with("second ää") && quoted.ends_with("ä…"), "{quoted}");
        assert_eq!(Error::new(&source, "wrong").expression, "first");
    }
}
