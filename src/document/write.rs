//! A tree as text again, in each of the three languages, such that reading it gives the same tree.

mod toml;
mod yaml;

use std::sync::Arc;

use serde_json::Value;

use crate::document::format::Format;
use crate::document::parse::parse;
use crate::model::problem::Source;

/// `value` in the language of `format`. An error says what that language cannot hold.
///
/// TOML knows no null and puts plain values before tables; the order of fields is otherwise kept.
pub fn write(value: &Value, format: Format) -> Result<String, String> {
    let text = match format {
        Format::Yaml => yaml::write(value),
        Format::Json => format!("{value:#}\n"),
        Format::Toml => toml::write(value)?,
    };
    let source: Arc<Source> = Source::new("the result", text);
    // What was written must be read the same way; a mistake here would be a mistake in somebody's workflow.
    match parse(&source, format) {
        Ok(root) if root.to_json() == *value => Ok(source.text.clone()),
        _ => Err(format!("it cannot be written as {} without a loss", format.as_str())),
    }
}

#[cfg(test)]
mod tests;
