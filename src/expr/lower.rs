//! Makes every path of names in a parsed source strict or tolerant, and lists what is referred to.
//!
//! The engine alone would let `steps.a.output.typo == 1` pass and `steps.a.output.x.y|default(0)` fail. So each path
//! `a.b[c]` is rewritten to a call that reads it part by part: `(a|_strict(0,'b',c))`, or `_tolerant` where a missing
//! part counts as null: under `default`, `is defined`, `is none`, a comparison with none, and wherever only the truth of
//! a value matters.

use std::ops::Range;

use minijinja::Value as Raw;
use minijinja::machinery::Span;
use minijinja::machinery::ast::{self, BinOpKind, CallArg, CompareOpKind, Expr, Stmt, UnaryOpKind};

use crate::expr::access::{Access, STRICT, TOLERANT};
use crate::expr::engine::AS_TEXT;
use crate::expr::error::Error;
use crate::expr::expression::Reference;
use crate::expr::names::{FILTERS, FUNCTIONS, TESTS};
use crate::expr::order::{LEFT, RIGHT};
use crate::expr::path::{Part, chain};
use crate::expr::rewrite::{Edit, SourceMap};
use crate::model::suggest::did_you_mean;

/// The largest number of times that a literal text or list may be repeated by a literal number.
const MAX_REPEAT: usize = 10_000;

/// Names that the engine's parser would take for variables where a value is missing.
const KEYWORDS: &[&str] = &["and", "else", "if", "in", "is", "not", "or"];

/// How many leading parts of a path must agree for a test of one to guard the other: the step, or the input.
const GUARD_PARTS: usize = 2;

/// What lowering a source yields.
#[derive(Debug, Default)]
pub(super) struct Lowered {
    /// What to change in the source, in ascending order.
    pub(super) edits: Vec<Edit>,
    /// The paths that are read, by index.
    pub(super) accesses: Vec<Access>,
    /// The references among them, in the order of the source.
    pub(super) references: Vec<Reference>,
    /// The parts behind the root, if the source is nothing but one path of literal parts.
    pub(super) path: Option<Vec<Raw>>,
}

/// Lowers an expression that was parsed from `parsed`, which `map` leads back to `source`. If `only_truth`, nothing but
/// the truth of its value matters.
pub(super) fn expression(
    source: &str,
    parsed: &str,
    map: &SourceMap,
    expr: &Expr<'_>,
    only_truth: bool,
) -> Result<Lowered, Error> {
    let mut walk = Walk::new(source, parsed, map);
    walk.needs_else = true;
    walk.expr(expr, only_truth)?;
    walk.lowered.path = chain(parsed, expr).and_then(|chain| chain.literal_parts());
    Ok(walk.finish())
}

/// Lowers a text with expressions and blocks in it; see [`expression`].
pub(super) fn template(source: &str, parsed: &str, map: &SourceMap, template: &Stmt<'_>) -> Result<Lowered, Error> {
    let mut walk = Walk::new(source, parsed, map);
    walk.stmt(template)?;
    Ok(walk.finish())
}

struct Walk<'a> {
    source: &'a str,
    parsed: &'a str,
    map: &'a SourceMap,
    lowered: Lowered,
    /// The names that loops have bound, innermost last.
    locals: Vec<String>,
    /// The beginnings of paths that have been tested where the walk stands.
    guards: Vec<Vec<String>>,
    loops: usize,
    comparisons: usize,
    /// Whether an `if` must have an `else`. Within text, nothing is written without one.
    needs_else: bool,
}

impl<'a> Walk<'a> {
    fn new(source: &'a str, parsed: &'a str, map: &'a SourceMap) -> Self {
        let (lowered, locals, guards) = (Lowered::default(), Vec::new(), Vec::new());
        Self { source, parsed, map, lowered, locals, guards, loops: 0, comparisons: 0, needs_else: false }
    }

    fn finish(mut self) -> Lowered {
        // Stable: edits at the same place stay in the order in which they were made.
        self.lowered.edits.sort_by_key(|edit| edit.range.start);
        self.lowered
    }

    fn stmts(&mut self, stmts: &[Stmt<'_>]) -> Result<(), Error> {
        stmts.iter().try_for_each(|stmt| self.stmt(stmt))
    }

    fn stmt(&mut self, stmt: &Stmt<'_>) -> Result<(), Error> {
        match stmt {
            Stmt::Template(template) => self.stmts(&template.children),
            Stmt::EmitExpr(emit) => self.expr(&emit.expr, false),
            Stmt::EmitRaw(_) | Stmt::Continue(_) | Stmt::Break(_) => Ok(()),
            Stmt::IfCond(cond) => {
                let tested = self.tested(&cond.expr)?;
                self.guarded(tested, |walk| {
                    walk.stmts(&cond.true_body)?;
                    walk.stmts(&cond.false_body)
                })
            }
            Stmt::ForLoop(each) => self.for_loop(each),
            // Never reached: other blocks are refused before the source is parsed.
            _ => Err(Error::new(self.source, "texts have no blocks but `{% for %}` and `{% if %}`")),
        }
    }

    fn for_loop(&mut self, each: &ast::Spanned<ast::ForLoop<'_>>) -> Result<(), Error> {
        if each.recursive {
            return Err(self.error(each.span(), "a loop cannot be recursive"));
        }
        self.expr(&each.iter, false)?;
        let outer = self.locals.len();
        self.bind(&each.target);
        self.loops += 1;
        let tested = each.filter_expr.as_ref().map(|filter| self.tested(filter)).transpose()?;
        self.guarded(tested.unwrap_or_default(), |walk| walk.stmts(&each.body))?;
        self.loops -= 1;
        self.locals.truncate(outer);
        self.stmts(&each.else_body)
    }

    fn bind(&mut self, target: &Expr<'_>) {
        match target {
            Expr::Var(name) => self.locals.push(name.id.to_owned()),
            Expr::List(names) => names.items.iter().for_each(|name| self.bind(name)),
            _ => {}
        }
    }

    /// Walks a condition and tells which paths it tests.
    fn tested(&mut self, test: &Expr<'_>) -> Result<Vec<Vec<String>>, Error> {
        let before = self.lowered.references.len();
        self.expr(test, true)?;
        let tested = self.lowered.references[before..].iter();
        Ok(tested.map(|reference| guard_key(&reference.path).to_vec()).collect())
    }

    fn guarded(
        &mut self,
        tested: Vec<Vec<String>>,
        inside: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let outer = self.guards.len();
        self.guards.extend(tested);
        let result = inside(self);
        self.guards.truncate(outer);
        result
    }

    /// Walks an expression. If it is `tolerant`, a missing part of it counts as null.
    fn expr(&mut self, expr: &Expr<'_>, tolerant: bool) -> Result<(), Error> {
        match expr {
            Expr::Const(_) => Ok(()),
            Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => self.path(expr, tolerant),
            Expr::Slice(slice) => {
                self.expr(&slice.expr, tolerant)?;
                [&slice.start, &slice.stop, &slice.step]
                    .into_iter()
                    .flatten()
                    .try_for_each(|part| self.expr(part, false))
            }
            Expr::UnaryOp(unary) => self.expr(&unary.expr, matches!(unary.op, UnaryOpKind::Not)),
            Expr::BinOp(binary) => self.binary(binary, tolerant),
            Expr::Compare(compare) => self.compare(compare),
            Expr::IfExpr(choice) => self.choice(choice, tolerant),
            Expr::Filter(filter) => self.filter(filter),
            Expr::Test(test) => self.test(test),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.exprs(&list.items),
            Expr::Tuple(tuple) => self.exprs(&tuple.items),
            Expr::Map(map) => map.keys.iter().zip(&map.values).try_for_each(|(key, value)| {
                self.expr(key, false)?;
                self.expr(value, false)
            }),
        }
    }

    fn exprs(&mut self, exprs: &[Expr<'_>]) -> Result<(), Error> {
        exprs.iter().try_for_each(|expr| self.expr(expr, false))
    }

    fn binary(&mut self, binary: &ast::Spanned<ast::BinOp<'_>>, tolerant: bool) -> Result<(), Error> {
        let (left, right) = (&binary.left, &binary.right);
        match binary.op {
            BinOpKind::ScAnd | BinOpKind::ScOr => {
                let tested = self.tested(left)?;
                self.guarded(tested, |walk| walk.expr(right, tolerant))
            }
            BinOpKind::Eq | BinOpKind::Ne => {
                self.expr(left, is_none(right))?;
                self.expr(right, is_none(left))
            }
            BinOpKind::Concat => {
                for side in [left, right] {
                    self.expr(side, false)?;
                    self.filtered(side, AS_TEXT);
                }
                Ok(())
            }
            BinOpKind::Lt | BinOpKind::Lte | BinOpKind::Gt | BinOpKind::Gte => self.ordered(left, right),
            BinOpKind::Mul => {
                self.expr(left, false)?;
                self.expr(right, false)?;
                self.check_repeat(binary)
            }
            _ => {
                self.expr(left, false)?;
                self.expr(right, false)
            }
        }
    }

    fn compare(&mut self, compare: &ast::Spanned<ast::Compare<'_>>) -> Result<(), Error> {
        let mut left = &compare.expr;
        self.expr(left, false)?;
        for op in &compare.ops {
            self.expr(&op.expr, false)?;
            if matches!(op.op, CompareOpKind::Lt | CompareOpKind::Lte | CompareOpKind::Gt | CompareOpKind::Gte) {
                self.same_kind(left, &op.expr);
            }
            left = &op.expr;
        }
        Ok(())
    }

    fn ordered(&mut self, left: &Expr<'_>, right: &Expr<'_>) -> Result<(), Error> {
        self.expr(left, false)?;
        self.expr(right, false)?;
        self.same_kind(left, right);
        Ok(())
    }

    /// Has the operands of `<` and its like checked: the engine alone would put null below every number.
    fn same_kind(&mut self, left: &Expr<'_>, right: &Expr<'_>) {
        self.comparisons += 1;
        self.filtered(left, &format!("{LEFT}({})", self.comparisons));
        self.filtered(right, &format!("{RIGHT}({})", self.comparisons));
    }

    /// Passes an operand through a filter, unless it is arithmetic, behind which a filter would bind to a part of it.
    fn filtered(&mut self, operand: &Expr<'_>, filter: &str) {
        let end = operand.span().end_offset as usize;
        let end = match operand {
            Expr::BinOp(binary) if is_arithmetic(binary.op) => return,
            // These bind less than the operators whose operands they are, so they stand in brackets.
            Expr::BinOp(_) | Expr::Compare(_) | Expr::IfExpr(_) => self.bracket_after(end),
            Expr::UnaryOp(unary) if matches!(unary.op, UnaryOpKind::Not) => self.bracket_after(end),
            _ => Some(end),
        };
        let Some(end) = end else { return };
        // What the filter finds wrong is told of the operand, if it is known where that starts.
        let start = chain(self.parsed, operand).map_or(end, |chain| chain.span.start);
        self.lowered.edits.push(Edit { range: end..end, text: format!("|{filter}"), origin: start..end });
    }

    /// The place behind the `)` that follows `end`.
    fn bracket_after(&self, end: usize) -> Option<usize> {
        let rest = &self.parsed[end..];
        rest.trim_start().starts_with(')').then(|| end + rest.len() - rest.trim_start().len() + 1)
    }

    /// A literal repeated by a literal number would be made when the source is compiled, however large.
    fn check_repeat(&self, binary: &ast::Spanned<ast::BinOp<'_>>) -> Result<(), Error> {
        let (Some(left), Some(right)) = (binary.left.as_const(), binary.right.as_const()) else { return Ok(()) };
        let (count, what) = if left.is_number() { (left, right) } else { (right, left) };
        let length = what.len().unwrap_or_default();
        let is_modest =
            what.is_number() || count.as_usize().is_some_and(|count| count.saturating_mul(length) <= MAX_REPEAT);
        if is_modest {
            return Ok(());
        }
        let message = format!("repeating this makes more than {MAX_REPEAT} characters or items");
        Err(self.error(binary.span(), message))
    }

    fn choice(&mut self, choice: &ast::Spanned<ast::IfExpr<'_>>, tolerant: bool) -> Result<(), Error> {
        if choice.false_expr.is_none() && self.needs_else {
            let error = self.error(choice.test_expr.span(), "this `if` has no `else`, so it may have no value");
            return Err(error.help("add `else none`"));
        }
        // The condition is walked first although it stands second: what it tests guards both values.
        let tested = self.tested(&choice.test_expr)?;
        self.guarded(tested, |walk| {
            walk.expr(&choice.true_expr, tolerant)?;
            choice.false_expr.as_ref().map_or(Ok(()), |value| walk.expr(value, tolerant))
        })
    }

    fn filter(&mut self, filter: &ast::Spanned<ast::Filter<'_>>) -> Result<(), Error> {
        self.check_name(filter.name, FILTERS, "filter", filter.span())?;
        if let Some(expr) = &filter.expr {
            self.expr(expr, matches!(filter.name, "default" | "d"))?;
        }
        self.arguments(&filter.args)
    }

    fn test(&mut self, test: &ast::Spanned<ast::Test<'_>>) -> Result<(), Error> {
        self.check_name(test.name, TESTS, "test", test.span())?;
        self.expr(&test.expr, matches!(test.name, "defined" | "undefined" | "none"))?;
        self.arguments(&test.args)
    }

    fn call(&mut self, call: &ast::Spanned<ast::Call<'_>>) -> Result<(), Error> {
        match &call.expr {
            Expr::Var(name) => self.check_name(name.id, FUNCTIONS, "function", name.span())?,
            Expr::GetAttr(method) => self.expr(&method.expr, false)?,
            other => return Err(self.error(other.span(), "this is no function")),
        }
        self.arguments(&call.args)
    }

    fn arguments(&mut self, arguments: &[CallArg<'_>]) -> Result<(), Error> {
        arguments.iter().try_for_each(|argument| match argument {
            CallArg::Pos(expr) | CallArg::Kwarg(_, expr) | CallArg::PosSplat(expr) | CallArg::KwargSplat(expr) => {
                self.expr(expr, false)
            }
        })
    }

    fn path(&mut self, expr: &Expr<'_>, tolerant: bool) -> Result<(), Error> {
        let Some(chain) = chain(self.parsed, expr) else {
            return match expr {
                Expr::GetAttr(attr) => self.expr(&attr.expr, tolerant),
                Expr::GetItem(item) => {
                    self.expr(&item.expr, tolerant)?;
                    self.expr(&item.subscript_expr, false)
                }
                _ => Ok(()),
            };
        };
        if chain.root == "loop" && self.loops > 0 {
            return Ok(());
        }
        if KEYWORDS.contains(&chain.root) {
            let span = self.map.back(&chain.span);
            return Err(Error::new(self.source, "a value is missing here").at(self.source, span));
        }
        let end = chain.links.last().map_or(chain.span.end, |link| link.range.end);
        let span = self.map.back(&(chain.span.start..end));
        let index = self.lowered.accesses.len();
        self.lowered.accesses.push(Access { root: chain.root.to_owned(), span: span.clone() });
        if !self.locals.iter().any(|local| local == chain.root) {
            let path = chain.known_path();
            let guarded = tolerant || self.guards.iter().any(|guard| guard == guard_key(&path));
            self.lowered.references.push(Reference { path, guarded, span: Some(span) });
        }
        let filter = if tolerant { TOLERANT } else { STRICT };
        self.edit(chain.span.start..chain.span.start, "(".to_owned());
        self.edit(chain.span.end..chain.span.end, format!("|{filter}({index}"));
        for link in &chain.links {
            let Range { start, end } = link.range.clone();
            match &link.part {
                Part::Name(name) => self.edit(start..end, format!(",'{name}'")),
                Part::Item(item) => self.edit(start..end, format!(",{item}")),
                Part::Index(index) => {
                    let opening = start + self.parsed[start..end].find('[').unwrap_or_default();
                    self.edit(start..opening + 1, ",".to_owned());
                    self.expr(index, false)?;
                    self.edit(end - 1..end, String::new());
                }
            }
        }
        self.edit(end..end, "))".to_owned());
        Ok(())
    }

    fn edit(&mut self, range: Range<usize>, text: String) {
        self.lowered.edits.push(Edit { origin: range.clone(), range, text });
    }

    fn check_name(&self, name: &str, known: &[&str], what: &str, span: Span) -> Result<(), Error> {
        if known.contains(&name) {
            return Ok(());
        }
        let error = self.error(span, format!("there is no {what} `{name}`"));
        Err(error.maybe_help(did_you_mean(name, known.iter().copied())))
    }

    fn error(&self, span: Span, message: impl Into<String>) -> Error {
        let span = self.map.back(&(span.start_offset as usize..span.end_offset as usize));
        Error::new(self.source, message).at(self.source, span)
    }
}

fn is_arithmetic(operator: BinOpKind) -> bool {
    use BinOpKind as Kind;
    matches!(
        operator,
        Kind::Add | Kind::Sub | Kind::Mul | Kind::Div | Kind::FloorDiv | Kind::Rem | Kind::Pow | Kind::Concat
    )
}

fn is_none(expr: &Expr<'_>) -> bool {
    matches!(expr, Expr::Const(value) if value.value.is_none())
}

fn guard_key(path: &[String]) -> &[String] {
    &path[..path.len().min(GUARD_PARTS)]
}
