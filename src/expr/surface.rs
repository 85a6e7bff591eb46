//! From our spelling to Jinja's: `&&`, `||`, `!`, `null`, `$root.x` and `$$`, each place still traceable.
//!
//! A pass over tokens, not a parser. It also counts depth before anything recurses over the source, and catches what
//! authors bring along from other languages.

use std::ops::Range;

use crate::expr::bounds::{MAX_BLOCK_NESTING, MAX_BLOCKS, MAX_CHAIN, MAX_NESTING, MAX_SOURCE};
use crate::expr::error::Error;
use crate::expr::rewrite::{Rewriter, SourceMap};
use crate::expr::text::ROOTS;

/// What ends an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The end of the source.
    Source,
    /// The `}` of a `${`.
    Brace,
    /// The `%}` of a `{%`.
    Block,
}

/// The pass over one source.
#[derive(Debug)]
pub(super) struct Surface<'a> {
    source: &'a str,
    at: usize,
    end: usize,
    extra_roots: &'a [&'a str],
    out: Rewriter<'a>,
    levels: Vec<Level>,
    chain: usize,
    blocks: usize,
    /// The blocks that are open: keyword and place.
    open_blocks: Vec<(&'a str, Range<usize>)>,
}

/// An open bracket, or the expression as a whole.
#[derive(Debug)]
struct Level {
    bracket: u8,
    /// Where the bracket stands.
    opened: usize,
    /// Where the part between commas starts that is being read.
    part: usize,
    /// How many operators that part has so far.
    chain: usize,
}

impl<'a> Surface<'a> {
    /// A pass over `range` of `source`, where `$name` may stand for the known roots and for `extra_roots`.
    pub(super) fn new(source: &'a str, range: Range<usize>, extra_roots: &'a [&'a str]) -> Result<Self, Error> {
        if source.len() > MAX_SOURCE {
            let message =
                format!("an expression may have {} KiB, this has {}", MAX_SOURCE / 1024, source.len().div_ceil(1024));
            return Err(Error::new(source, message));
        }
        let out = Rewriter::new(source);
        Ok(Self {
            source,
            at: range.start,
            end: range.end,
            extra_roots,
            out,
            levels: Vec::new(),
            chain: 0,
            blocks: 0,
            open_blocks: Vec::new(),
        })
    }

    /// Where the pass stands.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The rewritten text and the way back.
    pub(super) fn finish(self) -> (String, SourceMap) {
        self.out.finish()
    }

    /// Copies what is no expression, up to `until`.
    pub(super) fn literal(&mut self, until: usize) {
        self.out.copy(self.at..until);
        self.at = until;
    }

    /// Reads `$$`, a literal `$`.
    pub(super) fn dollar(&mut self) {
        self.replace(2, "${'$'}");
    }

    /// Reads `${ … }`.
    pub(super) fn interpolation(&mut self) -> Result<(), Error> {
        let start = self.at;
        self.copy(2);
        if matches!(self.peek(0), Some(b'-' | b'+')) {
            // Right behind the brace, a sign would mean the blanks around instead of the number.
            self.replace(0, " ");
        }
        self.expression(End::Brace, start)
    }

    /// Reads `{% … %}`.
    pub(super) fn block(&mut self) -> Result<(), Error> {
        let start = self.at;
        self.copy(2);
        if matches!(self.peek(0), Some(b'-' | b'+')) {
            self.copy(1);
        }
        self.blanks();
        let keyword = &self.source[self.at..self.at + self.name_length()];
        let span = start..self.at + keyword.len();
        self.nest(keyword, span.clone())?;
        self.blocks += 1;
        if self.blocks > MAX_BLOCKS || self.open_blocks.len() > MAX_BLOCK_NESTING {
            let message = format!("a text may have {MAX_BLOCKS} blocks, {MAX_BLOCK_NESTING} of them within each other");
            return Err(self.error(span, message));
        }
        self.copy(keyword.len());
        self.expression(End::Block, start)
    }

    /// Ends the text: every block must be closed.
    pub(super) fn end(&self) -> Result<(), Error> {
        let Some((keyword, span)) = self.open_blocks.last() else { return Ok(()) };
        let error = self.error(span.clone(), format!("`{{% {keyword} %}}` is never closed"));
        Err(error.help(format!("add `{{% end{keyword} %}}`")))
    }

    fn nest(&mut self, keyword: &'a str, span: Range<usize>) -> Result<(), Error> {
        let open = self.open_blocks.last().map(|(open, _)| *open);
        match (keyword, open) {
            ("for" | "if", _) => self.open_blocks.push((keyword, span)),
            ("endfor", Some("for")) | ("endif", Some("if")) => drop(self.open_blocks.pop()),
            ("elif", Some("if")) | ("else" | "break" | "continue", Some(_)) => {}
            ("endfor" | "endif" | "elif" | "else" | "break" | "continue", open) => {
                let place = open.map_or_else(|| "here".to_owned(), |open| format!("within `{{% {open} %}}`"));
                return Err(self.error(span, format!("`{{% {keyword} %}}` means nothing {place}")));
            }
            _ => {
                let error = match keyword {
                    "" => self.error(span, "`{%` starts no block"),
                    _ => self.error(span, format!("there is no block `{{% {keyword} %}}`")),
                };
                let help = "texts have `{% for %}` and `{% if %}`; write `${'{%'}` for a literal `{%`";
                return Err(error.help(help));
            }
        }
        Ok(())
    }

    /// Reads an expression up to and including its end. `start` is where what it belongs to starts.
    pub(super) fn expression(&mut self, end: End, start: usize) -> Result<(), Error> {
        self.levels.clear();
        self.chain = 0;
        self.levels.push(Level { bracket: b' ', opened: start, part: self.at, chain: 0 });
        let mut after_dot = false;
        while let Some(byte) = self.peek(0) {
            if self.levels.len() == 1 && self.takes_end(end) {
                return Ok(());
            }
            let is_field = after_dot;
            after_dot = byte == b'.';
            match byte {
                b'\'' | b'"' => self.string(byte)?,
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word(is_field)?,
                b'0'..=b'9' => self.copy(self.name_length_from_digit()),
                b'$' => self.root()?,
                b'(' | b'[' | b'{' => self.open(byte)?,
                b')' | b']' | b'}' => self.close(byte)?,
                b',' => self.comma(),
                byte if byte.is_ascii_whitespace() => {
                    after_dot = is_field;
                    self.copy(1);
                }
                _ => self.operator(byte)?,
            }
        }
        self.ended(end)
    }

    fn ended(&self, end: End) -> Result<(), Error> {
        if let [_, .., level] = self.levels.as_slice() {
            let message = format!("`{}` is never closed", char::from(level.bracket));
            return Err(self.error(level.opened..level.opened + 1, message));
        }
        let start = self.levels.first().map_or(0, |level| level.opened);
        let error = |what: &str| self.error(start..start + 2, format!("`{what}` is never closed"));
        match end {
            End::Source => Ok(()),
            End::Brace => Err(error("${").help("write `$$` for a literal `$`")),
            End::Block => Err(error("{%").help("write `${'{%'}` for a literal `{%`")),
        }
    }

    fn takes_end(&mut self, end: End) -> bool {
        let rest = &self.source.as_bytes()[self.at..self.end];
        let length = match (end, rest) {
            (End::Brace, [b'}', ..]) => 1,
            (End::Brace, [b'-' | b'+', b'}', ..]) | (End::Block, [b'%', b'}', ..]) => 2,
            (End::Block, [b'-' | b'+', b'%', b'}', ..]) => 3,
            _ => return false,
        };
        self.copy(length);
        true
    }

    fn string(&mut self, quote: u8) -> Result<(), Error> {
        let start = self.at;
        let mut is_escaped = false;
        for at in start + 1..self.end {
            match self.source.as_bytes()[at] {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                byte if byte == quote => {
                    self.copy(at + 1 - start);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(self.error(start..start + 1, "the text that starts here is never closed"))
    }

    fn word(&mut self, is_field: bool) -> Result<(), Error> {
        let word = &self.source[self.at..self.at + self.name_length()];
        match word {
            _ if is_field => {}
            "null" => {
                self.replace(word.len(), "none");
                return Ok(());
            }
            "and" | "or" | "not" | "is" | "in" | "if" | "else" => self.count(word.len())?,
            _ => {}
        }
        self.copy(word.len());
        Ok(())
    }

    fn root(&mut self) -> Result<(), Error> {
        let start = self.at;
        let name = &self.source[start + 1..start + 1 + name_length(&self.source[start + 1..self.end])];
        if name.is_empty() {
            let error = self.error(start..start + 1, "`$` means nothing here");
            let help = if self.peek(1) == Some(b'{') {
                "leave out `${` and `}`: this is an expression already"
            } else {
                "quote text"
            };
            return Err(error.help(help));
        }
        if !is_root(name, self.extra_roots) {
            let known = ROOTS.iter().chain(self.extra_roots).copied();
            let error = self.error(start..start + 1 + name.len(), format!("`${name}` is not known here"));
            return Err(error.maybe_help(crate::model::suggest::did_you_mean(name, known)));
        }
        self.replace(1, "");
        self.copy(name.len());
        Ok(())
    }

    fn open(&mut self, bracket: u8) -> Result<(), Error> {
        self.count(1)?;
        if self.levels.len() > MAX_NESTING {
            let message = format!("brackets are nested deeper than {MAX_NESTING}");
            return Err(self.error(self.at..self.at + 1, message));
        }
        self.levels.push(Level { bracket, opened: self.at, part: self.at + 1, chain: 0 });
        self.copy(1);
        Ok(())
    }

    fn close(&mut self, bracket: u8) -> Result<(), Error> {
        let opens = match bracket {
            b')' => b'(',
            b']' => b'[',
            _ => b'{',
        };
        match self.levels.as_slice() {
            [_, .., level] if level.bracket == opens => self.chain -= level.chain,
            _ => {
                let message = format!("`{}` closes nothing", char::from(bracket));
                return Err(self.error(self.at..self.at + 1, message));
            }
        }
        self.levels.pop();
        self.copy(1);
        Ok(())
    }

    fn comma(&mut self) {
        self.copy(1);
        if let Some(level) = self.levels.last_mut() {
            self.chain -= level.chain;
            level.chain = 0;
            level.part = self.at;
        }
    }

    fn operator(&mut self, byte: u8) -> Result<(), Error> {
        let rest = &self.source.as_bytes()[self.at..self.end];
        match rest {
            [b'&', b'&', ..] => {
                self.count(2)?;
                self.replace(2, " and ");
            }
            [b'|', b'|', ..] => {
                self.count(2)?;
                self.replace(2, " or ");
            }
            [b'=' | b'!', b'=', b'=', ..] => {
                let right = if byte == b'=' { "==" } else { "!=" };
                let error = self.error(self.at..self.at + 3, format!("`{right}=` means nothing here"));
                return Err(error.help(format!("write `{right}`")));
            }
            [b'!' | b'=' | b'<' | b'>', b'=', ..] | [b'*', b'*', ..] | [b'/', b'/', ..] => {
                self.count(2)?;
                self.copy(2);
            }
            [b'!', ..] => {
                self.count(1)?;
                self.replace(1, " not ");
            }
            [b'=', ..] if self.levels.len() == 1 => {
                let error = self.error(self.at..self.at + 1, "`=` means nothing here");
                return Err(error.help("write `==` to compare"));
            }
            [b'?', ..] => return Err(self.question_mark()),
            _ => {
                self.count(1)?;
                let length = self.source[self.at..].chars().next().map_or(1, char::len_utf8);
                self.copy(length);
            }
        }
        Ok(())
    }

    /// `a ? b : c`, `a ?? b` and `a?.b` of other languages.
    fn question_mark(&self) -> Error {
        let error = self.error(self.at..self.at + 1, "`?` means nothing here");
        match self.peek(1) {
            Some(b'?') => return error.help("write `a|default(b)` for a value that may be null"),
            Some(b'.') => return error.help("write `a.b|default(none)` for a path that may be missing"),
            _ => {}
        }
        let part = self.levels.last().map_or(0, |level| level.part);
        let colon = self.part_end(self.at + 1);
        if self.source.as_bytes().get(colon) != Some(&b':') {
            return error.help("write `b if a else c`");
        }
        let piece = |range: Range<usize>| self.source[range].trim();
        let (test, yes, no) =
            (piece(part..self.at), piece(self.at + 1..colon), piece(colon + 1..self.part_end(colon + 1)));
        error.help(format!("write `{yes} if {test} else {no}`"))
    }

    /// Where the part of the open bracket that holds `from` ends: at a comma, colon, closing bracket or the end.
    fn part_end(&self, from: usize) -> usize {
        let mut quote = None;
        let mut depth = 0_usize;
        for at in from..self.end {
            match (self.source.as_bytes()[at], quote) {
                (byte, Some(open)) => quote = (byte != open).then_some(open),
                (byte @ (b'\'' | b'"'), None) => quote = Some(byte),
                (b'(' | b'[' | b'{', None) => depth += 1,
                (b')' | b']' | b'}' | b',' | b':', None) if depth == 0 => return at,
                (b')' | b']' | b'}', None) => depth -= 1,
                _ => {}
            }
        }
        self.end
    }

    /// Counts an operator of `length` bytes at the place at hand.
    fn count(&mut self, length: usize) -> Result<(), Error> {
        self.chain += 1;
        if let Some(level) = self.levels.last_mut() {
            level.chain += 1;
        }
        if self.chain > MAX_CHAIN {
            let error =
                self.error(self.at..self.at + length, format!("this is a chain of more than {MAX_CHAIN} operators"));
            return Err(error.help("compute parts of it in steps of their own"));
        }
        Ok(())
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.source.as_bytes()[..self.end].get(self.at + ahead).copied()
    }

    fn copy(&mut self, length: usize) {
        self.out.copy(self.at..self.at + length);
        self.at += length;
    }

    fn replace(&mut self, length: usize, text: &str) {
        self.out.replace(self.at..self.at + length, text);
        self.at += length;
    }

    fn blanks(&mut self) {
        while self.peek(0).is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.copy(1);
        }
    }

    fn name_length(&self) -> usize {
        name_length(&self.source[self.at..self.end])
    }

    fn name_length_from_digit(&self) -> usize {
        self.source.as_bytes()[self.at..self.end]
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
            .count()
    }

    fn error(&self, span: Range<usize>, message: impl Into<String>) -> Error {
        Error::new(self.source, message).at(self.source, span)
    }
}

/// Whether `$name` refers to something.
pub(super) fn is_root(name: &str, extra_roots: &[&str]) -> bool {
    ROOTS.contains(&name) || extra_roots.contains(&name)
}

/// The length of the name that `text` starts with; 0 if it starts with none.
pub(super) fn name_length(text: &str) -> usize {
    let length = text.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
    if text.starts_with(|first: char| first.is_ascii_digit()) { 0 } else { length }
}
