//! The event stream of a response, as messages of bounded length.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use crate::downstream::http::faults::{bad_answer, causes, lost};
use crate::model::fault::Fault;
use crate::wire::events::{self, Broken};
use crate::wire::lines::MAX_LINE;

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
    inner: events::Events<BoxStream<'static, reqwest::Result<Bytes>>>,
    /// Whether an event has come, if only one without data.
    pub has_begun: bool,
    /// The id of the last event that had one.
    pub last_id: Option<String>,
    /// How long the server wants to be left alone before it is asked for what comes after a break.
    pub retry: Option<Duration>,
}

impl Events {
    /// The events of `response`.
    pub fn of(response: reqwest::Response) -> Self {
        let inner = events::Events::new(response.bytes_stream().boxed(), MAX_LINE);
        Self { inner, has_begun: false, last_id: None, retry: None }
    }

    /// The next event that has data; `None` at the end of the stream.
    pub async fn next(&mut self) -> Result<Option<Event>, Fault> {
        loop {
            let event = match self.inner.next().await {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(None),
                Err(Broken::Lost(error)) => {
                    return Err(lost(format!("the answer broke off: {}", causes(&error.without_url()))));
                }
                Err(Broken::TooLong) => {
                    return Err(bad_answer(format!("the server's answer is longer than {MAX_LINE} bytes")).sent());
                }
            };
            self.has_begun = true;
            self.retry = event.retry.or(self.retry);
            if let Some(id) = event.id {
                self.last_id = Some(id).filter(|id| !id.is_empty());
            }
            if !event.data.is_empty() {
                return Ok(Some(Event { kind: event.kind.unwrap_or_else(|| "message".to_owned()), data: event.data }));
            }
        }
    }
}
