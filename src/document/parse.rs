//! From text to tree, or to the first problem that keeps it from being one.

use std::sync::Arc;

use crate::document::fail::Fail;
use crate::document::format::Format;
use crate::document::json;
use crate::document::node::Node;
use crate::document::toml;
use crate::document::yaml;
use crate::model::code;
use crate::model::problem::{Problem, Source};

/// Larger files are refused unread: 1 MiB is far beyond what people write and keeps every parser quick.
pub const MAX_BYTES: usize = 1 << 20;

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads `source` as `format`. A syntax error ends the reading, so there is one problem at most.
pub fn parse(source: &Arc<Source>, format: Format) -> Result<Node, Problem> {
    if source.text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes, more than the {MAX_BYTES} that are read", source.text.len());
        return Err(Problem::error(code::TOO_LARGE, source, 0..0, message).help("divide it into several files"));
    }
    let text = source.text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&source.text);
    let skipped = source.text.len() - text.len();
    let parsed = match format {
        Format::Yaml => yaml::parse(text),
        Format::Json => json::parse(text),
        Format::Toml => toml::parse(text),
    };
    match parsed {
        Ok(mut node) => {
            if skipped > 0 {
                node.shift(skipped);
            }
            Ok(node)
        }
        Err(Fail { code, span, message, help }) => {
            let span = span.start + skipped..span.end + skipped;
            Err(Problem::error(code, source, span, message).maybe_help(help))
        }
    }
}
