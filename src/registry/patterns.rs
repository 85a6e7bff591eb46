//! Names with `*`, `?` and `[…]`.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::document::node::{Node, Value};
use crate::document::reader::Reader;
use crate::document::table::Table;
use crate::model::code;

/// Some patterns; none of them matches nothing.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    written: Vec<String>,
    set: GlobSet,
}

impl PartialEq for Patterns {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Patterns {
    /// Compiles patterns; on failure, the place of the wrong one and why it is wrong.
    pub fn parse(written: Vec<String>) -> Result<Self, (usize, String)> {
        let mut set = GlobSetBuilder::new();
        for (place, pattern) in written.iter().enumerate() {
            let glob = GlobBuilder::new(pattern).build().map_err(|error| (place, error.kind().to_string()))?;
            set.add(glob);
        }
        let set = set.build().map_err(|error| (0, error.kind().to_string()))?;
        Ok(Self { written, set })
    }

    /// Whether one of them matches `name`.
    pub fn matches(&self, name: &str) -> bool {
        self.set.is_match(name)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    /// The patterns as they are written.
    pub fn written(&self) -> &[String] {
        &self.written
    }
}

/// The patterns under `key`.
pub(super) fn patterns(reader: &mut Reader, table: &mut Table<'_>, key: &'static str) -> Option<Patterns> {
    let node = table.take(key)?;
    let what = table.path(key);
    let written = reader.texts(node, &what)?;
    compiled(reader, node, &what, written)
}

/// The patterns that stand at `node`.
pub(super) fn compiled(reader: &mut Reader, node: &Node, what: &str, written: Vec<String>) -> Option<Patterns> {
    match Patterns::parse(written) {
        Ok(patterns) => Some(patterns),
        Err((place, why)) => {
            let span = match &node.value {
                Value::List(items) => items.get(place).unwrap_or(node).span.clone(),
                _ => node.span.clone(),
            };
            reader.error(code::WRONG_VALUE, span, format!("`{what}[{place}]` is no pattern: {why}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_pattern_is_named() {
        let (place, why) = Patterns::parse(vec!["ok".to_owned(), "[a".to_owned()]).unwrap_err();
        assert_eq!((place, why.as_str()), (1, "unclosed character class; missing ']'"));
    }
}
