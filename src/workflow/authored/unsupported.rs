//! Keys of the full language that this version does not carry out: refused by name, never ignored.

use crate::document::table::Table;
use crate::model::code;
use crate::workflow::authored::author::Author;

/// Modifiers of a step.
pub(super) const OF_STEP: &[&str] = &["detach"];

/// Reports each of `keys` that the table has; whether there was one.
pub(super) fn report(author: &mut Author, table: &mut Table<'_>, keys: &[&'static str]) -> bool {
    let mut found = false;
    for key in keys {
        let Some(span) = table.key_span(key) else { continue };
        // What a verb has taken for itself is supported.
        if table.take(key).is_none() {
            continue;
        }
        author.reader.error(code::UNKNOWN_KEY, span, format!("`{key}` is not supported by this version"));
        found = true;
    }
    found
}
