//! Our own files and those of other clients, and the formats that they are written in.

use crate::document::format::Format;
use crate::model::problem::Source;

/// Whose words a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Ours: an unknown key is a mistake.
    Own,
    /// Another client's: its file stays as it is, so what means nothing to us is only mentioned.
    Foreign,
}

/// The format that the name promises; without a promise, JSON begins with a brace or a comment.
pub(super) fn format(source: &Source) -> Format {
    let text = source.text.trim_start_matches('\u{feff}').trim_start();
    let guess = if text.starts_with(['{', '/']) { Format::Json } else { Format::Toml };
    Format::of(&source.name).unwrap_or(guess)
}
