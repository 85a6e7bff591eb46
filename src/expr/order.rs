//! What may be put in order by `<`, `<=`, `>` and `>=`: numbers, or texts, or lists, but no two kinds and never null.
//!
//! The engine orders everything, null below all numbers, so a score that is not there would pass as a low one. Each
//! operand is therefore passed through a filter: the left one notes its kind, the right one compares.

use minijinja::{Error as Failure, ErrorKind, State, Value as Raw};

use crate::expr::diagnosis::Advice;
use crate::expr::value::{is_absent, kind_of};

/// The filter of left operands. No name that an author may write.
pub(super) const LEFT: &str = "_left";
/// The filter of right operands. No name that an author may write.
pub(super) const RIGHT: &str = "_right";

/// The filter [`LEFT`] of the comparison that `comparison` numbers.
pub(super) fn left(state: &mut State, value: Raw, comparison: usize) -> Result<Raw, Failure> {
    let kind = orderable(&value)?;
    state.set_temp(&name(comparison), Raw::from(kind));
    Ok(value)
}

/// The filter [`RIGHT`] of the comparison that `comparison` numbers.
pub(super) fn right(state: &mut State, value: Raw, comparison: usize) -> Result<Raw, Failure> {
    let kind = orderable(&value)?;
    // The left operand of some comparisons is arithmetic and notes nothing.
    match state.get_temp(&name(comparison)) {
        Some(left) if left.as_str() != Some(kind) => {
            let message = format!("{left} and {kind} cannot be put in order");
            Err(unordered(message, "convert one of them, for instance with `|float` or `|string`"))
        }
        _ => Ok(value),
    }
}

fn orderable(value: &Raw) -> Result<&'static str, Failure> {
    if is_absent(value) {
        return Err(unordered("null cannot be put in order".to_owned(), "add `|default(…)` if it may be missing"));
    }
    Ok(kind_of(value))
}

fn unordered(message: String, advice: &str) -> Failure {
    Failure::new(ErrorKind::InvalidOperation, message).with_source(Advice(advice.to_owned()))
}

fn name(comparison: usize) -> String {
    format!("order{comparison}")
}
