//! Rewriting a text by moving and replacing parts of it, so that all else, comments above all, stays as it is.

use crate::model::problem::Span;

/// One place that is rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced.
    pub span: Span,
    /// By what.
    pub pieces: Vec<Piece>,
}

/// A part of what is written in place of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// This.
    Text(String),
    /// What stands here in the old text, itself rewritten.
    Kept(Span),
}

/// `text` with its `edits`, of which one may lie within another but not across its border; the outer one comes first.
pub fn rewrite(text: &str, edits: &[Edit]) -> String {
    let mut out = String::with_capacity(text.len());
    part(text, &(0..text.len()), edits, &mut out);
    out
}

fn part(text: &str, range: &Span, edits: &[Edit], out: &mut String) {
    let mut done = range.start;
    let mut rest = edits;
    while let [edit, later @ ..] = rest {
        rest = later;
        if edit.span.start < done || edit.span.end > range.end {
            continue;
        }
        out.push_str(text.get(done..edit.span.start).unwrap_or_default());
        let inside = later.iter().take_while(|other| other.span.start < edit.span.end).count();
        for piece in &edit.pieces {
            match piece {
                Piece::Text(new) => out.push_str(new),
                Piece::Kept(kept) => part(text, kept, &later[..inside], out),
            }
        }
        done = edit.span.end;
        rest = &later[inside..];
    }
    out.push_str(text.get(done..range.end).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_moved_is_rewritten_itself() {
        let swap = Edit { span: 2..7, pieces: vec![Piece::Kept(5..7), Piece::Text("-".into()), Piece::Kept(2..4)] };
        let inner = Edit { span: 3..4, pieces: vec![Piece::Text("B!".into())] };
        let last = Edit { span: 5..6, pieces: Vec::new() };
        assert_eq!(rewrite("x ab cd y", &[swap, inner, last]), "x d-aB! y");
    }
}
