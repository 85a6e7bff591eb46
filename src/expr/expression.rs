//! An expression: parsed once, computed as often as needed.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use minijinja::machinery::parse_expr;
use minijinja::{Expression, Value as Raw};

use crate::expr::access::{Access, descend};
use crate::expr::bounds::settle;
use crate::expr::diagnosis::Site;
use crate::expr::engine::ENGINE;
use crate::expr::error::Error;
use crate::expr::lower::{self, Lowered};
use crate::expr::rewrite::{Rewriter, SourceMap};
use crate::expr::scope::{Fields, Lookup};
use crate::expr::surface::{End, Surface};
use crate::expr::value::Value;

/// A path that an expression reads from its scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// The parts from the root on, literal indices included: `["steps", "contact", "output", "phone"]`. It ends at the
    /// first part that is only known when the expression is computed.
    pub path: Vec<String>,
    /// Whether a missing or null value is handled here: under `default`, `is defined` or `is none`, where only the
    /// truth of the value matters, or beside a test of the same step or input.
    pub guarded: bool,
    /// Where it stands, in bytes within the source that was parsed.
    pub span: Option<Range<usize>>,
}

/// An expression, such as `steps.scores.output.best < 0.6 && !input.dry_run`. Cloning shares it.
///
/// A path that leads nowhere is an error, except where [`Reference::guarded`] says that it is handled: there it is null.
/// Null and missing are the same to `default`, `is defined` and `is none`.
#[derive(Clone)]
pub struct Expr(Arc<Inner>);

struct Inner {
    source: Box<str>,
    value: Program,
    /// Differs from `value` where a missing path is an error as a value, but false as a condition.
    condition: Option<Program>,
}

struct Program {
    body: Body,
    /// The last rewriting first.
    maps: [SourceMap; 2],
    accesses: Vec<Access>,
    references: Vec<Reference>,
}

enum Body {
    /// Nothing but a path: read without the engine. The parts behind the root.
    Path { parts: Vec<Raw>, is_tolerant: bool },
    /// Anything else.
    Compiled(Expression<'static, 'static>),
}

impl Expr {
    /// Parses an expression. `${ … }` around the whole of it is accepted.
    pub fn parse(source: &str) -> Result<Self, Error> {
        Self::parse_with(source, &[])
    }

    /// Parses an expression in which `$name` may also stand for the names in `extra_roots`.
    pub fn parse_with(source: &str, extra_roots: &[&str]) -> Result<Self, Error> {
        let (start, end) = (source.len() - source.trim_start().len(), source.trim_end().len());
        if source[start..].starts_with("${") {
            let mut surface = Surface::new(source, start + 2..end, extra_roots)?;
            if surface.expression(End::Brace, start).is_ok() && surface.at() == end {
                return Self::parse_range(source, start + 2..end - 1, extra_roots);
            }
        }
        Self::parse_range(source, 0..source.len(), extra_roots)
    }

    /// Parses the expression that stands at `range` of `source`. Places are told within `source`.
    pub(super) fn parse_range(source: &str, range: Range<usize>, extra_roots: &[&str]) -> Result<Self, Error> {
        let mut surface = Surface::new(source, range.clone(), extra_roots)?;
        if source[range.clone()].trim().is_empty() {
            return Err(Error::new(source, "an expression is missing here").at(source, range));
        }
        surface.expression(End::Source, range.start)?;
        let (parsed, map) = surface.finish();
        let unlocated = |failure| {
            let site = Site { source, maps: std::slice::from_ref(&map), accesses: &[] };
            site.explain(&failure, Vec::new)
        };
        let tree = parse_expr(&parsed).map_err(unlocated)?;
        let as_value = lower::expression(source, &parsed, &map, &tree, false)?;
        let as_condition = lower::expression(source, &parsed, &map, &tree, true)?;
        let differs = as_value.edits != as_condition.edits;
        let value = Program::new(source, &parsed, &map, as_value, false)?;
        let condition = differs.then(|| Program::new(source, &parsed, &map, as_condition, true)).transpose()?;
        Ok(Self(Arc::new(Inner { source: source.into(), value, condition })))
    }

    /// The source as it was given.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// What it refers to as a condition, in no particular order. As a value it refers to the same, but what it amounts
    /// to as a whole is then unguarded.
    pub fn references(&self) -> &[Reference] {
        &self.as_condition().references
    }

    /// What it refers to as a value.
    pub(super) fn value_references(&self) -> &[Reference] {
        &self.0.value.references
    }

    /// Its value.
    pub fn eval(&self, scope: &Arc<dyn Lookup>) -> Result<Value, Error> {
        self.0.value.run(&self.0.source, scope).map(Value)
    }

    /// Whether its value counts as true. What is missing does not.
    pub fn test(&self, scope: &Arc<dyn Lookup>) -> Result<bool, Error> {
        self.as_condition().run(&self.0.source, scope).map(|value| value.is_true())
    }

    fn as_condition(&self) -> &Program {
        self.0.condition.as_ref().unwrap_or(&self.0.value)
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expr").field(&self.source()).finish()
    }
}

impl Program {
    fn new(source: &str, parsed: &str, map: &SourceMap, lowered: Lowered, is_tolerant: bool) -> Result<Self, Error> {
        let Lowered { edits, accesses, references, path } = lowered;
        let (compiled, last_map) = Rewriter::edit(parsed, &edits);
        let maps = [last_map, map.clone()];
        let body =
            match path {
                Some(parts) => Body::Path { parts, is_tolerant },
                None => Body::Compiled(ENGINE.compile_expression_owned(compiled).map_err(|failure| {
                    Site { source, maps: &maps, accesses: &accesses }.explain(&failure, Vec::new)
                })?),
            };
        Ok(Self { body, maps, accesses, references })
    }

    fn run(&self, source: &str, scope: &Arc<dyn Lookup>) -> Result<Raw, Error> {
        let site = Site { source, maps: &self.maps, accesses: &self.accesses };
        let names = || scope.names();
        match &self.body {
            Body::Path { parts, is_tolerant } => {
                let root = self.accesses.first().and_then(|access| scope.get(&access.root));
                match descend(0, root.map(|root| root.0), parts) {
                    Ok(value) => Ok(value),
                    Err(_) if *is_tolerant => Ok(Raw::from(())),
                    Err(missing) => Err(site.missing(&missing, names)),
                }
            }
            Body::Compiled(expression) => expression
                .eval(Raw::from_object(Fields(Arc::clone(scope))))
                .and_then(settle)
                .map_err(|failure| site.explain(&failure, names)),
        }
    }
}

#[cfg(test)]
mod tests;
