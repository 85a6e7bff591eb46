//! Rewriting a source piece by piece, so that places in the new text can be traced back to the old one.

use std::ops::Range;

/// Builds a new text out of copied and replaced pieces of a source.
#[derive(Debug)]
pub(super) struct Rewriter<'a> {
    source: &'a str,
    text: String,
    pieces: Vec<Piece>,
}

/// One change of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    /// What is replaced.
    pub(super) range: Range<usize>,
    /// By what.
    pub(super) text: String,
    /// The part of the source that the new text is about; often the same range.
    pub(super) origin: Range<usize>,
}

/// Leads from a rewritten text back to its source.
#[derive(Debug, Clone)]
pub(super) struct SourceMap {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone)]
struct Piece {
    /// Where the piece starts in the new text.
    start: usize,
    /// What it stands for in the source.
    origin: Range<usize>,
    /// Whether it is the same text.
    is_copy: bool,
}

impl<'a> Rewriter<'a> {
    /// An empty text about to be made from `source`.
    pub(super) fn new(source: &'a str) -> Self {
        Self { source, text: String::with_capacity(source.len()), pieces: Vec::new() }
    }

    /// Appends `range` of the source as it is.
    pub(super) fn copy(&mut self, range: Range<usize>) {
        let start = self.text.len();
        self.text.push_str(&self.source[range.clone()]);
        if let Some(last) = self.pieces.last_mut().filter(|last| last.is_copy && last.origin.end == range.start) {
            last.origin.end = range.end;
        } else {
            self.pieces.push(Piece { start, origin: range, is_copy: true });
        }
    }

    /// Appends `text` in place of `range` of the source.
    pub(super) fn replace(&mut self, range: Range<usize>, text: &str) {
        self.pieces.push(Piece { start: self.text.len(), origin: range, is_copy: false });
        self.text.push_str(text);
    }

    /// The new text and the way back.
    pub(super) fn finish(self) -> (String, SourceMap) {
        (self.text, SourceMap { pieces: self.pieces })
    }

    /// `source` with each of `edits` made, which are in ascending order and do not overlap.
    pub(super) fn edit(source: &'a str, edits: &[Edit]) -> (String, SourceMap) {
        let mut rewriter = Self::new(source);
        let mut done = 0;
        for edit in edits {
            rewriter.copy(done..edit.range.start);
            rewriter.replace(edit.origin.clone(), &edit.text);
            done = edit.range.end;
        }
        rewriter.copy(done..source.len());
        rewriter.finish()
    }
}

impl SourceMap {
    /// The range of the source that `range` of the new text was made from.
    pub(super) fn back(&self, range: &Range<usize>) -> Range<usize> {
        let start = self.locate(range.start, |piece| piece.origin.start, 0);
        let last = range.end.max(range.start + 1) - 1;
        let end = self.locate(last, |piece| piece.origin.end, usize::from(range.end > range.start));
        start..end.max(start)
    }

    fn locate(&self, at: usize, of_replaced: impl Fn(&Piece) -> usize, beyond: usize) -> usize {
        let index = self.pieces.partition_point(|piece| piece.start <= at);
        let Some(piece) = self.pieces[..index].last() else { return 0 };
        if piece.is_copy {
            (piece.origin.start + (at - piece.start) + beyond).min(piece.origin.end)
        } else {
            of_replaced(piece)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_lead_back_to_the_source() {
        let source = "a && $b.c";
        let edit =
            |range: Range<usize>, text: &str| Edit { range: range.clone(), text: text.to_owned(), origin: range };
        let (text, map) = Rewriter::edit(source, &[edit(2..4, "and"), edit(5..6, "")]);
        assert_eq!(text, "a and b.c");
        let found = |needle: &str| {
            let at = text.find(needle).unwrap();
            &source[map.back(&(at..at + needle.len()))]
        };
        assert_eq!(found("b.c"), "b.c");
        assert_eq!(found("and"), "&&");
        assert_eq!(found("a and"), "a &&");
        assert_eq!(found(" b"), " $b");
        assert_eq!(map.back(&(text.len()..text.len())), source.len()..source.len());
    }
}
