//! One text of a file: literal, a reference, an expression, or text with expressions in it.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use minijinja::machinery::parse;
use minijinja::{Environment, Error as Failure, Value as Raw};

use crate::expr::access::Access;
use crate::expr::bounds::{MAX_RESULT, too_large};
use crate::expr::diagnosis::Site;
use crate::expr::engine::{ENGINE, syntax};
use crate::expr::error::Error;
use crate::expr::expression::{Expr, Reference};
use crate::expr::lower::{self, Lowered};
use crate::expr::rewrite::{Rewriter, SourceMap};
use crate::expr::scope::{Fields, Lookup};
use crate::expr::surface::{End, Surface, is_root, name_length};
use crate::expr::value::Value;

/// The names that `$name` may stand for everywhere. What each holds depends on the place.
pub const ROOTS: &[&str] =
    &["input", "steps", "item", "index", "result", "error", "event", "trigger", "run", "flags", "context", "env"];

/// The only template of a text's engine.
const NAME: &str = "text";

/// A text of a file. Cloning shares it.
///
/// `$root.path` and `${ expr }` as the whole text keep the type of their value. `${ expr }` within text writes it: null
/// as nothing, lists and objects as JSON. `$$` is a `$`, and so is every `$` that starts neither.
#[derive(Clone)]
pub struct Text(Arc<Inner>);

struct Inner {
    source: Box<str>,
    form: Form,
}

enum Form {
    Literal(Box<str>),
    Whole(Expr),
    Mixed(Box<Mixed>),
}

struct Mixed {
    engine: Environment<'static>,
    /// The last rewriting first.
    maps: [SourceMap; 2],
    accesses: Vec<Access>,
    references: Vec<Reference>,
}

impl Text {
    /// Parses a text.
    pub fn parse(source: &str) -> Result<Self, Error> {
        Self::parse_with(source, &[])
    }

    /// Parses a text in which `$name` may also stand for the names in `extra_roots`.
    pub fn parse_with(source: &str, extra_roots: &[&str]) -> Result<Self, Error> {
        let form = match whole(source, extra_roots)? {
            Some(range) => Form::Whole(Expr::parse_range(source, range, extra_roots)?),
            None => mixed(source, extra_roots)?,
        };
        Ok(Self(Arc::new(Inner { source: source.into(), form })))
    }

    /// The text that this is without being computed, if it has no expressions. `$$` stands as `$` in it.
    pub fn as_literal(&self) -> Option<&str> {
        match &self.0.form {
            Form::Literal(text) => Some(text),
            Form::Whole(_) | Form::Mixed(_) => None,
        }
    }

    /// The source as it was given.
    pub fn source(&self) -> &str {
        &self.0.source
    }

    /// What it refers to, in no particular order.
    pub fn references(&self) -> &[Reference] {
        match &self.0.form {
            Form::Literal(_) => &[],
            Form::Whole(expr) => expr.value_references(),
            Form::Mixed(mixed) => &mixed.references,
        }
    }

    /// The places that look like references but are text: `$input.name` beside other text, and `{{ input.name }}`.
    pub fn lookalikes(&self, extra_roots: &[&str]) -> Vec<Range<usize>> {
        if matches!(self.0.form, Form::Whole(_)) {
            return Vec::new();
        }
        lookalikes(&self.0.source, extra_roots)
    }

    /// Its value: text, unless the whole text is one reference or expression.
    pub fn eval(&self, scope: &Arc<dyn Lookup>) -> Result<Value, Error> {
        match &self.0.form {
            Form::Literal(text) => Ok(Value::from_text(&**text)),
            Form::Whole(expr) => expr.eval(scope),
            Form::Mixed(mixed) => mixed.eval(&self.0.source, scope),
        }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Text").field(&self.source()).finish()
    }
}

impl Mixed {
    fn eval(&self, source: &str, scope: &Arc<dyn Lookup>) -> Result<Value, Error> {
        let mut written = Bounded(Vec::new());
        let rendered = self.engine.get_template(NAME).and_then(|template| {
            template.render_captured_to(Raw::from_object(Fields(Arc::clone(scope))), &mut written).map(drop)
        });
        let site = Site { source, maps: &self.maps, accesses: &self.accesses };
        let explain = |failure: &Failure| site.explain(failure, || scope.names());
        if written.is_full() {
            return Err(explain(&too_large()));
        }
        rendered.map_err(|failure| explain(&failure))?;
        let text = String::from_utf8(written.0).map_err(|_| Error::new(source, "the result is not text"))?;
        Ok(Value::from_text(text))
    }
}

/// The range of the expression that `source` is as a whole.
fn whole(source: &str, extra_roots: &[&str]) -> Result<Option<Range<usize>>, Error> {
    if source.starts_with("${") {
        let mut surface = Surface::new(source, 2..source.len(), extra_roots)?;
        surface.expression(End::Brace, 0)?;
        return Ok((surface.at() == source.len()).then(|| 2..source.len() - 1));
    }
    let is_path = source.starts_with('$') && path_length(source, extra_roots) == Some(source.len());
    Ok(is_path.then_some(0..source.len()))
}

/// The length of the `$root.path[0].x` that `text` starts with.
fn path_length(text: &str, extra_roots: &[&str]) -> Option<usize> {
    let path = text.strip_prefix('$')?;
    let mut at = name_length(path);
    if !is_root(&path[..at], extra_roots) {
        return None;
    }
    loop {
        let rest = &path[at..];
        at += match rest.as_bytes() {
            [b'.', ..] if name_length(&rest[1..]) > 0 => 1 + name_length(&rest[1..]),
            [b'[', ..] => match rest.find([']', '\n']) {
                Some(end) if rest[end..].starts_with(']') => end + 1,
                _ => return Some(at + 1),
            },
            _ => return Some(at + 1),
        };
    }
}

/// A text that is not one expression as a whole.
fn mixed(source: &str, extra_roots: &[&str]) -> Result<Form, Error> {
    let mut surface = Surface::new(source, 0..source.len(), extra_roots)?;
    let mut is_literal = true;
    while let Some((offset, mark)) = next_mark(&source[surface.at()..]) {
        surface.literal(surface.at() + offset);
        match mark {
            "$$" => surface.dollar(),
            "${" => surface.interpolation()?,
            _ => surface.block()?,
        }
        is_literal &= mark == "$$";
    }
    if is_literal {
        return Ok(Form::Literal(source.replace("$$", "$").into()));
    }
    surface.literal(source.len());
    surface.end()?;
    let (parsed, map) = surface.finish();
    let explain = |failure, maps: &[SourceMap]| Site { source, maps, accesses: &[] }.explain(&failure, Vec::new);
    let tree = parse(&parsed, NAME, syntax()).map_err(|failure| explain(failure, std::slice::from_ref(&map)))?;
    let Lowered { edits, accesses, references, .. } = lower::template(source, &parsed, &map, &tree)?;
    let (compiled, last_map) = Rewriter::edit(&parsed, &edits);
    let maps = [last_map, map];
    let mut engine = ENGINE.clone();
    engine.add_template_owned(NAME, compiled).map_err(|failure| explain(failure, &maps))?;
    Ok(Form::Mixed(Box::new(Mixed { engine, maps, accesses, references })))
}

/// The first `$$`, `${` or `{%` of `text`.
fn next_mark(text: &str) -> Option<(usize, &str)> {
    text.match_indices(['$', '{']).find_map(|(at, _)| {
        let mark = text.get(at..at + 2)?;
        ["$$", "${", "{%"].contains(&mark).then_some((at, mark))
    })
}

fn lookalikes(source: &str, extra_roots: &[&str]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices("{{") {
        let inside = source[at + 2..].trim_start();
        if is_root(&inside[..name_length(inside)], extra_roots) {
            let end = source[at..].find("}}").map_or(source.len(), |end| at + end + 2);
            found.push(at..end);
        }
    }
    for (at, _) in source.match_indices('$') {
        let is_escaped = source[..at].ends_with('$');
        let length =
            path_length(&source[at..], extra_roots).filter(|length| source[at..at + length].contains(['.', '[']));
        if let Some(length) = length.filter(|_| !is_escaped) {
            found.push(at..at + length);
        }
    }
    found.sort_by_key(|place| place.start);
    found
}

/// Takes what is written up to [`MAX_RESULT`] bytes.
struct Bounded(Vec<u8>);

impl Bounded {
    fn is_full(&self) -> bool {
        self.0.len() > MAX_RESULT
    }
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = (MAX_RESULT + 1).saturating_sub(self.0.len());
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if self.is_full() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
