//! The event stream of a response, as messages of bounded length.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;

use crate::downstream::http::faults::{bad_answer, causes, lost};
use crate::model::fault::Fault;
use crate::wire::events::{self, Broken, Event};
use crate::wire::lines::MAX_LINE;

/// The events of one response.
pub struct Events {
    stream: events::Events<BoxStream<'static, reqwest::Result<Bytes>>>,
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
        let stream = events::Events::new(response.bytes_stream().boxed(), MAX_LINE);
        Self { stream, has_begun: false, last_id: None, retry: None }
    }

    /// The next event that has data; `None` at the end of the stream.
    pub async fn next(&mut self) -> Result<Option<Event>, Fault> {
        let broken = |broken| match broken {
            Broken::Lost(error) => {
                lost(format!("the answer broke off: {}", causes(&reqwest::Error::without_url(error))))
            }
            Broken::TooLong => bad_answer(format!("the server's answer is longer than {MAX_LINE} bytes")).sent(),
        };
        while let Some(event) = self.stream.next().await.map_err(broken)? {
            self.has_begun = true;
            self.retry = event.retry.or(self.retry);
            if let Some(id) = &event.id {
                self.last_id = Some(id.clone()).filter(|id| !id.is_empty());
            }
            if !event.data.is_empty() {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }
}
