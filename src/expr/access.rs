//! Reading a path of a value part by part, with an account of the first part that is missing.
//!
//! Every path of names in an expression becomes a call of one of two filters: [`STRICT`] fails if a part is missing,
//! [`TOLERANT`] gives null. The filters' first argument is the index of the [`Access`] in its expression.

use std::fmt;
use std::ops::Range;

use minijinja::value::{Rest, ValueKind};
use minijinja::{Error as Failure, ErrorKind, Value as Raw};

use crate::expr::value::{fields, is_absent, kind_of};

/// The filter that fails if a part is missing. No name that an author may write.
pub(super) const STRICT: &str = "_strict";
/// The filter that gives null if a part is missing.
pub(super) const TOLERANT: &str = "_tolerant";

/// One place of an expression that reads a path.
#[derive(Debug, Clone)]
pub(super) struct Access {
    /// The first name.
    pub(super) root: String,
    /// Where the path stands in the source.
    pub(super) span: Range<usize>,
}

/// A path that leads nowhere.
#[derive(Debug, Clone)]
pub(super) struct Missing {
    /// The index of the [`Access`].
    pub(super) access: usize,
    /// The parts behind the root, as JSON.
    pub(super) parts: Vec<Raw>,
    /// How many of the parts could be read.
    pub(super) depth: usize,
    /// Why the next one could not.
    pub(super) reason: Reason,
}

/// Why a part cannot be read.
#[derive(Debug, Clone)]
pub(super) enum Reason {
    /// The root is not in scope.
    UnknownRoot,
    /// What should have it is null.
    Null,
    /// The object has other fields.
    NoField(Vec<String>),
    /// The list has only so many items.
    NoItem(usize),
    /// What should have it has no parts of this kind; it is this.
    NoParts(&'static str),
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a part of a path is missing")
    }
}

impl std::error::Error for Missing {}

/// What stands at `parts` within `base`, which is `None` if the root is not in scope.
pub(super) fn descend(access: usize, base: Option<Raw>, parts: &[Raw]) -> Result<Raw, Missing> {
    let missing = |depth, reason| Missing { access, parts: parts.to_vec(), depth, reason };
    let mut at = base.ok_or_else(|| missing(0, Reason::UnknownRoot))?;
    for (depth, part) in parts.iter().enumerate() {
        at = step(&at, part).ok_or_else(|| missing(depth, reason(&at)))?;
    }
    Ok(at)
}

fn step(at: &Raw, part: &Raw) -> Option<Raw> {
    let found = match at.kind() {
        ValueKind::Map if part.is_integer() => at.as_object()?.get_value(&Raw::from(part.to_string())),
        ValueKind::Map => {
            part.as_str().map_or_else(|| at.as_object()?.get_value(part), |name| at.as_object()?.get_value_by_str(name))
        }
        ValueKind::Undefined => None,
        _ => at.get_item(part).ok(),
    };
    found.filter(|value| !value.is_undefined())
}

fn reason(at: &Raw) -> Reason {
    match at.kind() {
        _ if is_absent(at) => Reason::Null,
        ValueKind::Map => Reason::NoField(fields(at).map(|(name, _)| name).collect()),
        ValueKind::Seq | ValueKind::Iterable => Reason::NoItem(at.len().unwrap_or_default()),
        _ => Reason::NoParts(kind_of(at)),
    }
}

/// The filter [`STRICT`].
pub(super) fn strict(base: Raw, access: usize, Rest(parts): Rest<Raw>) -> Result<Raw, Failure> {
    let base = (!base.is_undefined()).then_some(base);
    descend(access, base, &parts)
        .map_err(|missing| Failure::new(ErrorKind::UndefinedError, missing.to_string()).with_source(missing))
}

/// The filter [`TOLERANT`].
pub(super) fn tolerant(base: Raw, access: usize, Rest(parts): Rest<Raw>) -> Raw {
    let base = (!base.is_undefined()).then_some(base);
    descend(access, base, &parts).unwrap_or_else(|_| Raw::from(()))
}
