//! The event stream of a response, as messages of bounded length.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use sse_stream::{Sse, SseStream};

use crate::downstream::http::faults::{bad_answer, causes, lost};
use crate::model::fault::Fault;
use crate::wire::lines::{MAX_LINE, flatten};

/// How much may arrive without an event being complete, in bytes: the longest message and the keep-alives before it.
const MAX_UNFINISHED: usize = MAX_LINE + 1024 * 1024;

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// Its type; `message` if it has none.
    pub kind: String,
    /// Its data as one line, which is what it means in JSON.
    pub data: Vec<u8>,
}

/// The events of one response.
pub struct Events {
    stream: Pin<Box<dyn Stream<Item = Result<Sse, sse_stream::Error>> + Send>>,
    /// How many bytes have arrived since the last event.
    unfinished: Arc<AtomicUsize>,
    /// Whether an event has come, if only one without data.
    pub has_begun: bool,
    /// The id of the last event that had one.
    pub last_id: Option<String>,
    /// How long the server wants to be left alone before it is asked for what comes after a break, in milliseconds.
    pub retry: Option<u64>,
}

impl Events {
    /// The events of `response`.
    pub fn of(response: reqwest::Response) -> Self {
        Self::from_bytes(response.bytes_stream().map(|chunk| chunk.map_err(|error| causes(&error.without_url()))))
    }

    fn from_bytes(chunks: impl Stream<Item = Result<Bytes, String>> + Send + 'static) -> Self {
        let unfinished = Arc::new(AtomicUsize::new(0));
        let arrived = Arc::clone(&unfinished);
        let bounded = chunks.map(move |chunk| {
            let chunk = chunk.map_err(std::io::Error::other)?;
            if arrived.fetch_add(chunk.len(), Ordering::Relaxed) + chunk.len() > MAX_UNFINISHED {
                return Err(std::io::Error::other(format!("an event is longer than {MAX_LINE} bytes")));
            }
            Ok(chunk)
        });
        let stream = Box::pin(SseStream::from_bytes_stream(bounded));
        Self { stream, unfinished, has_begun: false, last_id: None, retry: None }
    }

    /// The next event that has data; `None` at the end of the stream.
    pub async fn next(&mut self) -> Result<Option<Event>, Fault> {
        while let Some(event) = self.stream.next().await {
            self.unfinished.store(0, Ordering::Relaxed);
            let event = event.map_err(|error| lost(format!("the answer broke off: {}", causes(&error))))?;
            self.has_begun = true;
            self.retry = event.retry.or(self.retry);
            if let Some(id) = event.id {
                self.last_id = Some(id).filter(|id| !id.is_empty());
            }
            let Some(data) = event.data.filter(|data| !data.is_empty()) else { continue };
            if data.len() > MAX_LINE {
                return Err(bad_answer(format!("the server's answer is longer than {MAX_LINE} bytes")).sent());
            }
            let mut data = data.into_bytes();
            flatten(&mut data);
            return Ok(Some(Event { kind: event.event.unwrap_or_else(|| "message".to_owned()), data }));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use futures::stream::{iter, repeat_with};

    use super::*;

    fn events(chunks: &'static [&'static str]) -> Events {
        Events::from_bytes(iter(chunks).map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))))
    }

    fn event(kind: &str, data: &str) -> Event {
        Event { kind: kind.to_owned(), data: data.as_bytes().to_vec() }
    }

    #[tokio::test]
    async fn events_have_a_type_and_their_data_is_one_line() {
        let mut events =
            events(&["event: endpoint\ndata: /x\n\n: ping\n\nda", "ta: {\ndata: }\r\n\r\nevent: empty\n\n"]);
        assert_eq!(events.next().await.expect("an event"), Some(event("endpoint", "/x")));
        assert_eq!(events.next().await.expect("an event"), Some(event("message", "{ }")));
        assert_eq!(events.next().await.expect("the end"), None);
    }

    #[tokio::test]
    async fn an_event_without_an_end_is_given_up() {
        let endless = repeat_with(|| Ok(Bytes::from(vec![b'x'; 16 * 1024 * 1024])));
        let fault = Events::from_bytes(endless).next().await.expect_err("nothing is complete");
        assert!(fault.message.contains("longer than"), "{fault}");
    }
}
