//! Lines of bounded length from a byte stream, many per wake-up.

use std::io;

use bytes::{Bytes, BytesMut};
use memchr::memchr;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The longest line that is accepted, in bytes.
pub const MAX_LINE: usize = 64 * 1024 * 1024;

/// How much of a line that is too long is kept, in bytes: enough to find its id.
const HEAD: usize = 1024;

/// How much is read at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line without its line end.
    Text(Bytes),
    /// A line of more than the allowed length; its beginning. The rest was skipped.
    TooLong(Bytes),
}

/// Reads lines. Cancel-safe: a dropped [`Lines::next`] loses nothing.
pub struct Lines<R> {
    reader: R,
    buffer: BytesMut,
    /// How much of the buffer holds no newline.
    scanned: usize,
    /// The head of a line that is being skipped.
    skipping: Option<Bytes>,
    limit: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Lines of at most `limit` bytes.
    pub fn new(reader: R, limit: usize) -> Self {
        Self { reader, buffer: BytesMut::new(), scanned: 0, skipping: None, limit }
    }

    /// The next line that is not empty; `None` at the end of the stream. A last line without its newline counts.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.take_line() {
                return Ok(Some(line));
            }
            if self.buffer.len() > self.limit {
                let head = self.buffer.split_to(HEAD.min(self.limit)).freeze();
                self.skipping.get_or_insert(head);
                self.buffer.clear();
                self.scanned = 0;
            }
            self.buffer.reserve(CHUNK);
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(self.take_rest());
            }
        }
    }

    fn take_line(&mut self) -> Option<Line> {
        loop {
            let Some(offset) = memchr(b'\n', &self.buffer[self.scanned..]) else {
                self.scanned = self.buffer.len();
                return None;
            };
            let line = self.buffer.split_to(self.scanned + offset + 1);
            self.scanned = 0;
            if let Some(head) = self.skipping.take() {
                return Some(Line::TooLong(head));
            }
            let text = trimmed(&line.freeze());
            if text.len() > self.limit {
                return Some(Line::TooLong(text.slice(..HEAD.min(self.limit))));
            }
            if !text.is_empty() {
                return Some(Line::Text(text));
            }
        }
    }

    fn take_rest(&mut self) -> Option<Line> {
        let rest = self.buffer.split();
        self.scanned = 0;
        if let Some(head) = self.skipping.take() {
            return Some(Line::TooLong(head));
        }
        let text = trimmed(&rest.freeze());
        (!text.is_empty()).then_some(Line::Text(text))
    }
}

/// Makes a JSON text one line: line breaks can only be white space in it.
pub fn flatten(json: &mut [u8]) {
    for byte in json.iter_mut().filter(|byte| matches!(**byte, b'\n' | b'\r')) {
        *byte = b' ';
    }
}

/// Without white space around it and without a byte order mark before it.
fn trimmed(line: &Bytes) -> Bytes {
    let text = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line).trim_ascii();
    line.slice_ref(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(input: &[u8], limit: usize) -> Vec<Line> {
        let mut lines = Lines::new(input, limit);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.expect("memory does not fail") {
            all.push(line);
        }
        all
    }

    fn text(line: &str) -> Line {
        Line::Text(Bytes::copy_from_slice(line.as_bytes()))
    }

    #[tokio::test]
    async fn line_ends_blank_lines_and_a_byte_order_mark_do_not_matter() {
        let read = lines(b"\xEF\xBB\xBF{\"a\":1}\r\n\n \n{\"b\":2}\r\r\nlast", 100).await;
        assert_eq!(read, [text("{\"a\":1}"), text("{\"b\":2}"), text("last")]);
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_skipped_and_the_next_one_is_read() {
        let mut input = vec![b'x'; 300_000];
        input.extend_from_slice(b"\n{\"b\":2}\n");
        let read = lines(&input, 1_000).await;
        assert_eq!(read.len(), 2);
        assert!(matches!(&read[0], Line::TooLong(head) if head.len() == 1_000));
        assert_eq!(read[1], text("{\"b\":2}"));
    }

    #[tokio::test]
    async fn many_lines_in_one_chunk_come_out_one_by_one() {
        let read = lines(&b"{\"n\":1}\n".repeat(10_000), 100).await;
        assert_eq!(read.len(), 10_000);
    }
}
