//! How large and how deep sources and results may be.
//!
//! The engine parses and compiles by recursion, so a deep source would exhaust the stack: depth is counted beforehand.

use minijinja::value::ValueKind;
use minijinja::{Error as Failure, ErrorKind, Value as Raw};

use crate::expr::value::fields;

/// The longest source of one expression or text, in bytes.
pub(super) const MAX_SOURCE: usize = 64 * 1024;
/// The deepest nesting of brackets.
pub(super) const MAX_NESTING: usize = 64;
/// The longest chain of operators, summed over the brackets around it.
pub(super) const MAX_CHAIN: usize = 512;
/// The most `{% … %}` in one text.
pub(super) const MAX_BLOCKS: usize = 256;
/// The deepest nesting of `{% for %}` and `{% if %}`.
pub(super) const MAX_BLOCK_NESTING: usize = 32;
/// The most steps of the engine that one evaluation may take.
pub(super) const MAX_FUEL: u64 = 100_000;
/// The heaviest result of one evaluation, in bytes of JSON.
pub(super) const MAX_RESULT: usize = 16 * 1024 * 1024;
/// The deepest result.
const MAX_RESULT_DEPTH: usize = 512;

/// `value` as a result: every part exists, every number fits JSON, and it is neither too large nor too deep.
///
/// A list that would be computed anew each time it is read is computed here, once.
pub(super) fn settle(value: Raw) -> Result<Raw, Failure> {
    if value.is_undefined() {
        return Err(invalid("this has no value, perhaps because a list is empty"));
    }
    let mut settling = Settling { left: MAX_RESULT, depth: 0 };
    Ok(settling.rebuilt(&value)?.unwrap_or(value))
}

/// The failure of something that has grown beyond [`MAX_RESULT`].
pub(super) fn too_large() -> Failure {
    Failure::new(ErrorKind::InvalidOperation, format!("the result is larger than {} MiB", MAX_RESULT / (1024 * 1024)))
}

/// Refuses a size that is beyond [`MAX_RESULT`] or cannot even be counted.
pub(super) fn check_size(bytes: Option<usize>) -> Result<usize, Failure> {
    bytes.filter(|bytes| *bytes <= MAX_RESULT).ok_or_else(too_large)
}

struct Settling {
    left: usize,
    depth: usize,
}

impl Settling {
    /// `value` with what was lazy computed; `None` if nothing was.
    fn rebuilt(&mut self, value: &Raw) -> Result<Option<Raw>, Failure> {
        match value.kind() {
            ValueKind::Undefined => Err(invalid("a part of the result does not exist")),
            ValueKind::Invalid => Err(invalid(value.to_string())),
            ValueKind::Number => {
                self.take(8)?;
                check_number(value).map(|()| None)
            }
            ValueKind::Seq | ValueKind::Iterable => self.deeper(|this| this.list(value)),
            ValueKind::Map => self.deeper(|this| this.object(value)),
            _ => self.take(value.as_str().map_or(4, |text| text.len() + 2)).map(|()| None),
        }
    }

    fn list(&mut self, list: &Raw) -> Result<Option<Raw>, Failure> {
        let mut is_lazy = list.kind() == ValueKind::Iterable;
        let mut items = Vec::new();
        for item in list.try_iter()?.checked() {
            let item = item?;
            self.take(1)?;
            let rebuilt = self.rebuilt(&item)?;
            is_lazy |= rebuilt.is_some();
            items.push(rebuilt.unwrap_or(item));
        }
        Ok(is_lazy.then(|| Raw::from(items)))
    }

    fn object(&mut self, object: &Raw) -> Result<Option<Raw>, Failure> {
        let mut is_lazy = false;
        let mut pairs = Vec::new();
        for (key, field) in fields(object) {
            self.take(key.len() + 4)?;
            let rebuilt = self.rebuilt(&field)?;
            is_lazy |= rebuilt.is_some();
            pairs.push((key, rebuilt.unwrap_or(field)));
        }
        Ok(is_lazy.then(|| Raw::from_pairs(pairs)))
    }

    fn deeper<T>(&mut self, inside: impl FnOnce(&mut Self) -> Result<T, Failure>) -> Result<T, Failure> {
        self.take(2)?;
        self.depth += 1;
        if self.depth > MAX_RESULT_DEPTH {
            return Err(invalid("the result is nested too deeply"));
        }
        let result = inside(self);
        self.depth -= 1;
        result
    }

    fn take(&mut self, bytes: usize) -> Result<(), Failure> {
        self.left = self.left.checked_sub(bytes).ok_or_else(too_large)?;
        Ok(())
    }
}

fn check_number(number: &Raw) -> Result<(), Failure> {
    if number.is_integer() {
        let fits = number.as_i64().is_some() || u64::try_from(number.clone()).is_ok();
        return if fits { Ok(()) } else { Err(invalid("the result is a whole number beyond 64 bits")) };
    }
    match f64::try_from(number.clone()) {
        Ok(number) if number.is_finite() => Ok(()),
        _ => Err(invalid("the result is not a finite number")),
    }
}

fn invalid(message: impl Into<std::borrow::Cow<'static, str>>) -> Failure {
    Failure::new(ErrorKind::InvalidOperation, message)
}
