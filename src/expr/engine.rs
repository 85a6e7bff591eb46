//! The one engine that all expressions share: its syntax, bounds, filters and the way it writes values into text.

use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Environment, Error as Failure, Output, State, UndefinedBehavior, Value as Raw};

use crate::expr::access::{self, STRICT, TOLERANT};
use crate::expr::bounds::{MAX_FUEL, settle};
use crate::expr::names::{REMOVED_FILTERS, REMOVED_FUNCTIONS};
use crate::expr::value::{is_absent, raw_to_json};
use crate::expr::{filters, methods, order};

/// The filter that writes a value as [`text_of`] does. No name that an author may write.
pub(super) const AS_TEXT: &str = "_text";

/// The engine.
pub(super) static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_syntax(syntax());
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_fuel(Some(MAX_FUEL));
    // Debug mode would copy the scope into every failure.
    engine.set_debug(false);
    engine.set_formatter(write_value);
    engine.set_unknown_method_callback(methods::call);
    for name in REMOVED_FILTERS {
        engine.remove_filter(name);
    }
    for name in REMOVED_FUNCTIONS {
        engine.remove_global(name);
    }
    engine.add_filter(STRICT, access::strict);
    engine.add_filter(TOLERANT, access::tolerant);
    engine.add_filter(order::LEFT, order::left);
    engine.add_filter(order::RIGHT, order::right);
    engine.add_filter(AS_TEXT, |value: &Raw| text_of(value));
    filters::add_to(&mut engine);
    engine
});

/// The syntax of texts: `${ … }` and `{% … %}`, whose lines leave no blank lines behind.
pub(super) fn syntax() -> SyntaxConfig {
    SyntaxConfig::builder()
        .variable_delimiters("${", "}")
        .block_delimiters("{%", "%}")
        // Texts have no comments: `{#` is ordinary in Markdown. No text with `{%#` passes our own reading of blocks.
        .comment_delimiters("{%#", "#%}")
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build()
        .expect("the delimiters are distinct and not empty")
}

/// `value` within text: text as it is, nothing for null, everything else as JSON.
pub(super) fn text_of(value: &Raw) -> Result<String, Failure> {
    if let Some(text) = value.as_str() {
        return Ok(text.to_owned());
    }
    if is_absent(value) {
        return Ok(String::new());
    }
    let value = settle(value.clone())?;
    Ok(raw_to_json(&value).to_string())
}

fn write_value(out: &mut Output, _: &mut State, value: &Raw) -> Result<(), Failure> {
    match value.as_str() {
        Some(text) if value.kind() == ValueKind::String => out.write_str(text)?,
        _ => out.write_str(&text_of(value)?)?,
    }
    Ok(())
}
