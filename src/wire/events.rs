//! Events of bounded length from a stream of bytes (HTML, "Server-sent events").
//!
//! The crate `sse-stream` gives up at the first line that it does not know, which the standard wants ignored, and collects
//! a line of any length.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use futures::{Stream, StreamExt as _};

/// One event: what was said between two blank lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Event {
    kind: Option<String>,
    /// Its data as one line, which means the same in JSON; empty if it has none.
    pub data: Vec<u8>,
    /// Where to go on when the stream breaks off after it.
    pub id: Option<String>,
    /// How long to wait before that.
    pub retry: Option<Duration>,
}

impl Event {
    /// Its type.
    pub fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("message")
    }
}

/// Why there is no next event.
#[derive(Debug)]
pub enum Broken<E> {
    /// The connection is lost.
    Lost(E),
    /// It has more bytes than are allowed.
    TooLong,
}

/// Reads events out of chunks of bytes.
pub struct Events<S> {
    chunks: S,
    buffer: BytesMut,
    /// How much of the buffer holds no line end.
    scanned: usize,
    /// The last line ended with a carriage return, which a line feed may follow.
    is_after_return: bool,
    event: Event,
    limit: usize,
}

impl<S: Stream<Item = Result<Bytes, E>> + Unpin, E> Events<S> {
    /// Events of at most `limit` bytes.
    pub fn new(chunks: S, limit: usize) -> Self {
        let (buffer, event) = (BytesMut::new(), Event::default());
        Self { chunks, buffer, scanned: 0, is_after_return: false, event, limit }
    }

    /// The next event that says something; `None` at the end of the stream.
    pub async fn next(&mut self) -> Result<Option<Event>, Broken<E>> {
        loop {
            while let Some(line) = self.take_line() {
                if !line.is_empty() {
                    self.hear(&line);
                } else if self.event != Event::default() {
                    return Ok(Some(std::mem::take(&mut self.event)));
                }
            }
            if self.buffer.len() + self.event.data.len() > self.limit {
                return Err(Broken::TooLong);
            }
            match self.chunks.next().await {
                Some(Ok(chunk)) => self.buffer.extend_from_slice(&chunk),
                Some(Err(error)) => return Err(Broken::Lost(error)),
                None => return Ok(self.rest()),
            }
        }
    }

    /// What stands after the last blank line. Some servers forget that line; but it may also be half of an event, after
    /// which nobody must go on.
    fn rest(&mut self) -> Option<Event> {
        let data = std::mem::take(&mut self.event).data;
        (!data.is_empty()).then(|| Event { data, ..Event::default() })
    }

    fn take_line(&mut self) -> Option<Bytes> {
        if self.is_after_return && self.buffer.starts_with(b"\n") {
            self.buffer.advance(1);
        }
        self.is_after_return &= self.buffer.is_empty();
        let Some(offset) = self.buffer[self.scanned..].iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            self.scanned = self.buffer.len();
            return None;
        };
        let line = self.buffer.split_to(self.scanned + offset).freeze();
        self.scanned = 0;
        self.is_after_return = self.buffer.starts_with(b"\r");
        self.buffer.advance(1);
        Some(line)
    }

    fn hear(&mut self, line: &[u8]) {
        let line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, value) = (&line[..colon], line.get(colon + 1..).unwrap_or_default());
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = || String::from_utf8_lossy(value).into_owned();
        match field {
            b"event" => self.event.kind = Some(text()),
            b"id" => self.event.id = Some(text()),
            b"retry" => self.event.retry = text().parse().ok().map(Duration::from_millis),
            b"data" => {
                if !self.event.data.is_empty() {
                    // The standard says a line feed. In a JSON text both are white space, and this one keeps it one line.
                    self.event.data.push(b' ');
                }
                self.event.data.extend_from_slice(value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    /// The data of every event.
    async fn all(chunks: &[&str]) -> Vec<String> {
        let chunks: Vec<_> = chunks.iter().map(|chunk| Ok::<_, ()>(Bytes::copy_from_slice(chunk.as_bytes()))).collect();
        let mut events = Events::new(stream::iter(chunks), 100);
        let mut all = Vec::new();
        loop {
            match events.next().await {
                Ok(Some(event)) => all.push(String::from_utf8(event.data).expect("text")),
                Ok(None) => return all,
                Err(_) => {
                    all.push("broken".to_owned());
                    return all;
                }
            }
        }
    }

    #[tokio::test]
    async fn the_data_of_an_event_is_one_line_however_it_is_written() {
        let texts =
            ["data: {\ndata: }\n\n", "data:{\r\ndata:}\r\n\r\n", "data: {\rdata: }\r\r", "\u{feff}data: {\ndata: }\n"];
        for text in texts {
            assert_eq!(all(&[text]).await, ["{ }"], "{text:?}");
            let letters: Vec<_> = text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()]).collect();
            assert_eq!(all(&letters).await, ["{ }"], "{text:?} letter by letter");
        }
    }

    #[tokio::test]
    async fn what_means_nothing_is_left_out() {
        let text = ": alive\n\nnonsense\n\nretry: soon\n\nwhat: ever\ndata: 1\n\ndata: 2\n\n";
        assert_eq!(all(&[text]).await, ["1", "2"]);
    }

    #[tokio::test]
    async fn an_event_says_where_to_go_on_and_half_an_event_does_not() {
        let text = "id: 7\nretry: 50\ndata:\n\nevent: x\ndata: 1\n\nid: 8\ndata: half";
        let mut events = Events::new(stream::iter([Ok::<_, ()>(Bytes::from(text))]), 100);
        let first = events.next().await.expect("an event").expect("an event");
        assert_eq!((first.id.as_deref(), first.retry), (Some("7"), Some(Duration::from_millis(50))));
        let second = events.next().await.expect("an event").expect("an event");
        assert_eq!((first.kind(), second.kind()), ("message", "x"));
        assert_eq!((second.data.as_slice(), second.id), (b"1".as_slice(), None));
        assert!(events.next().await.is_ok_and(|rest| rest.is_none()));
    }

    #[tokio::test]
    async fn an_event_without_an_end_is_bounded() {
        assert_eq!(all(&["data: 1\n\n", "data: ", &"x".repeat(200)]).await, ["1", "broken"]);
        assert_eq!(all(&["data: x\n".repeat(200).as_str()]).await, ["broken"]);
    }
}
