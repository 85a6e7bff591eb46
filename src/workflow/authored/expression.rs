//! Whatever holds expressions: templates and conditions, with the place of every reference in the file.

use std::ops::Range;

use crate::document::node::{Node, Value};
use crate::expr::error::Error;
use crate::expr::expression::{Expr, Reference};
use crate::expr::template::Template;
use crate::expr::text::Text;
use crate::expr::value::Value as Constant;
use crate::model::code;
use crate::model::problem::{Problem, Span};
use crate::model::suggest;
use crate::workflow::authored::author::Author;
use crate::workflow::site::{Place, Use};

/// What a reference may begin with, wherever it stands.
const ROOTS: [&str; 5] = ["input", "steps", "run", "result", "error"];

impl Author {
    /// A value in which text may hold expressions. What its expressions refer to is added to `uses`.
    pub(super) fn template(&mut self, node: &Node, place: Place, uses: &mut Vec<Use>) -> Template {
        match &node.value {
            Value::Text(text) => self.text(node, text, place, uses),
            Value::List(items) => Template::List(items.iter().map(|item| self.template(item, place, uses)).collect()),
            Value::Table(fields) => Template::Table(
                fields.iter().map(|field| (field.key.clone(), self.template(&field.value, place, uses))).collect(),
            ),
            Value::Null | Value::Bool(_) | Value::Number(_) => Template::Value(Constant::from_json(node.to_json())),
        }
    }

    /// A condition.
    pub(super) fn condition(&mut self, node: &Node, what: &str, place: Place, uses: &mut Vec<Use>) -> Option<Expr> {
        let text = match &node.value {
            Value::Bool(value) => value.to_string(),
            _ => self.reader.text(node, what)?,
        };
        let parsed = Expr::parse_with(&text, &self.roots());
        match parsed {
            Ok(expr) => {
                self.note(node, &text, place, expr.references().iter(), uses);
                Some(expr)
            }
            Err(error) => {
                self.bad_expression(node, &text, &error);
                None
            }
        }
    }

    fn text(&mut self, node: &Node, text: &str, place: Place, uses: &mut Vec<Use>) -> Template {
        let parsed = Text::parse_with(text, &self.roots());
        match parsed {
            Ok(parsed) => {
                self.note(node, text, place, parsed.references().iter(), uses);
                self.lookalikes(node, text, &parsed);
                if parsed.as_literal().is_some() {
                    self.misspelt_root(node, text);
                }
                match parsed.as_literal() {
                    Some(literal) => Template::Value(Constant::from_text(literal)),
                    None => Template::Text(parsed),
                }
            }
            Err(error) => {
                self.bad_expression(node, text, &error);
                Template::Value(Constant::null())
            }
        }
    }

    /// Warns of what an author may take for a reference.
    fn lookalikes(&mut self, node: &Node, text: &str, parsed: &Text) {
        for range in parsed.lookalikes(&self.roots()) {
            let looks = text.get(range.clone()).unwrap_or_default().to_owned();
            let meant = looks.trim_matches(['$', '{', '}', ' ']).to_owned();
            let span = self.locate(node, text, Some(range));
            let is_exact = self.reader.slice(&span) == looks;
            let message = format!("`{looks}` is plain text here");
            let problem = Problem::warning(code::AMBIGUOUS_SCALAR, &self.reader.source, span, message)
                .help(format!("inside text write `${{{meant}}}`"));
            self.reader.problem(if is_exact { problem.replace_with(format!("${{{meant}}}")) } else { problem });
        }
    }

    /// Warns of a whole value such as `$inptu.name`, which is plain text because nothing is called so.
    fn misspelt_root(&mut self, node: &Node, text: &str) {
        let Some((root, rest)) = text.strip_prefix('$').and_then(|path| path.split_once('.')) else { return };
        let is_path = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.[]".contains(&byte));
        if root.is_empty() || !is_path(root) || rest.is_empty() || !is_path(rest) {
            return;
        }
        let known = ROOTS.into_iter().chain(self.roots());
        let Some(near) = suggest::nearest(root, known).map(str::to_owned) else { return };
        let span = self.head(&node.span);
        let message = format!("`{text}` is plain text: there is no `{root}`");
        let replacement = self.reader.requoted(&node.span, &format!("${near}.{rest}"));
        let problem = Problem::warning(code::AMBIGUOUS_SCALAR, &self.reader.source, span, message);
        self.reader.problem(problem.help(format!("did you mean `${near}.{rest}`?")).replace_with(replacement));
    }

    fn roots(&self) -> Vec<&str> {
        self.bindings.iter().map(AsRef::as_ref).collect()
    }

    fn note<'r>(
        &self,
        node: &Node,
        text: &str,
        place: Place,
        references: impl Iterator<Item = &'r Reference>,
        uses: &mut Vec<Use>,
    ) {
        uses.extend(references.map(|reference| Use {
            path: reference.path.clone(),
            guarded: reference.guarded,
            place,
            span: self.locate(node, text, reference.span.clone()),
        }));
    }

    fn bad_expression(&mut self, node: &Node, text: &str, error: &Error) {
        let span = self.locate(node, text, error.span.clone());
        let problem = Problem::error(code::BAD_EXPRESSION, &self.reader.source, span, &error.message);
        self.reader.problem(problem.maybe_help(error.help.clone()));
    }

    /// The place in the file of a range of a scalar's text: exact where the file shows that text (or, in a block
    /// scalar, that line) as it is, else the scalar's first line.
    fn locate(&self, node: &Node, text: &str, range: Option<Range<usize>>) -> Span {
        range.and_then(|range| self.locate_exactly(node, text, &range)).unwrap_or_else(|| self.head(&node.span))
    }

    fn locate_exactly(&self, node: &Node, text: &str, range: &Range<usize>) -> Option<Span> {
        let written = self.reader.slice(&node.span);
        let text_start = node.span.start;
        if let Some(offset) = written.find(text) {
            return Some(text_start + offset + range.start..text_start + offset + range.end);
        }
        let line_start = text.get(..range.start)?.rfind('\n').map_or(0, |newline| newline + 1);
        let line = text[line_start..].lines().next()?;
        let mut found = written.match_indices(line);
        let (offset, _) = found.next()?;
        if found.next().is_some() {
            return None;
        }
        let end = range.end.min(line_start + line.len());
        let line_at = text_start + offset;
        Some(line_at + range.start - line_start..line_at + end - line_start)
    }
}
