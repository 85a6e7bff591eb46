//! A path of names as it is written: `steps.contact.output['phone'][0]`.

use std::ops::Range;

use minijinja::Value as Raw;
use minijinja::machinery::ast::{Expr, UnaryOpKind};

/// A path of names. Places are bytes within the source that was parsed.
pub(super) struct Chain<'a> {
    /// The first name.
    pub(super) root: &'a str,
    /// Where that stands.
    pub(super) span: Range<usize>,
    /// What follows it.
    pub(super) links: Vec<Link<'a>>,
}

/// One part of a path as it is written.
pub(super) struct Link<'a> {
    /// Where it stands, from the end of the part before it.
    pub(super) range: Range<usize>,
    /// What it names.
    pub(super) part: Part<'a>,
}

/// What a part of a path names.
pub(super) enum Part<'a> {
    /// `.name`
    Name(&'a str),
    /// `.0`
    Item(Raw),
    /// `[expr]`
    Index(&'a Expr<'a>),
}

impl Chain<'_> {
    /// The names up to the first part that is not literal.
    pub(super) fn known_path(&self) -> Vec<String> {
        let parts = self.links.iter().map_while(|link| link.part.literal());
        let parts = parts.map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned));
        std::iter::once(self.root.to_owned()).chain(parts).collect()
    }

    /// The parts behind the root, if all of them are literal.
    pub(super) fn literal_parts(&self) -> Option<Vec<Raw>> {
        self.links.iter().map(|link| link.part.literal()).collect()
    }
}

impl Part<'_> {
    fn literal(&self) -> Option<Raw> {
        match self {
            Self::Name(name) => Some(Raw::from(*name)),
            Self::Item(item) => Some(item.clone()),
            Self::Index(Expr::Const(index)) => Some(index.value.clone()),
            Self::Index(Expr::UnaryOp(negative)) => match (&negative.op, &negative.expr) {
                (UnaryOpKind::Neg, Expr::Const(index)) => {
                    index.value.as_i64().and_then(i64::checked_neg).map(Raw::from)
                }
                _ => None,
            },
            Self::Index(_) => None,
        }
        .filter(|part| part.is_integer() || part.as_str().is_some())
    }
}

/// `expr` as a path, if it is one and is written without brackets around its beginning.
pub(super) fn chain<'a>(parsed: &str, expr: &'a Expr<'a>) -> Option<Chain<'a>> {
    let mut nodes = Vec::new();
    let mut node = expr;
    let root = loop {
        node = match node {
            Expr::Var(root) => break root,
            Expr::GetAttr(attr) => {
                nodes.push((attr.span().end_offset as usize, node));
                &attr.expr
            }
            Expr::GetItem(item) => {
                nodes.push((item.span().end_offset as usize, node));
                &item.expr
            }
            _ => return None,
        };
    };
    let span = root.span().start_offset as usize..root.span().end_offset as usize;
    let mut links = Vec::with_capacity(nodes.len());
    let mut start = span.end;
    for (end, node) in nodes.into_iter().rev() {
        // The spans of what stands within brackets may start too early, but every end is exact.
        let first = parsed[start..end].trim_start().bytes().next()?;
        let part = match (first, node) {
            (b'.', Expr::GetAttr(attr)) => Part::Name(attr.name),
            (b'.', Expr::GetItem(item)) => Part::Item(item.subscript_expr.as_const()?),
            (b'[', Expr::GetItem(item)) => Part::Index(&item.subscript_expr),
            _ => return None,
        };
        links.push(Link { range: start..end, part });
        start = end;
    }
    Some(Chain { root: root.id, span, links })
}
