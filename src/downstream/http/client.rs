//! The HTTP client that rmcp is given.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use http::{HeaderName, HeaderValue};
use rmcp::model::ClientJsonRpcMessage;
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::Sse;

/// Takes one message of the server; false leaves it to rmcp.
pub type Tap = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// rmcp's client, which also remembers the session that rmcp was given, and what comes unasked can be tapped from it.
#[derive(Clone)]
pub struct Observed {
    inner: reqwest::Client,
    session: Arc<Mutex<Option<Arc<str>>>>,
    tap: Arc<OnceLock<Tap>>,
}

impl Observed {
    /// Observes `inner`.
    pub fn new(inner: reqwest::Client) -> Self {
        Self { inner, session: Arc::default(), tap: Arc::default() }
    }

    /// From now on, shows every message that comes unasked to `tap` first. The first tap stays.
    pub fn tap(&self, tap: Tap) {
        let _ = self.tap.set(tap);
    }

    /// The session id in use; a server without sessions has none.
    pub fn session(&self) -> Option<Arc<str>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

type Error = StreamableHttpError<reqwest::Error>;

impl StreamableHttpClient for Observed {
    type Error = reqwest::Error;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, Error> {
        (*self.session.lock().unwrap_or_else(PoisonError::into_inner)).clone_from(&session_id);
        self.inner.post_message(uri, message, session_id, auth_header, custom_headers).await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Error> {
        self.inner.delete_session(uri, session_id, auth_header, custom_headers).await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Error> {
        let events = self.inner.get_stream(uri, session_id, last_event_id, auth_header, custom_headers).await?;
        let tap = Arc::clone(&self.tap);
        let untapped = move |mut event: Sse| {
            // What is left of it says only how far the stream has been read.
            event.data = event.data.filter(|data| !tap.get().is_some_and(|tap| tap(data)));
            event
        };
        Ok(events.map_ok(untapped).boxed())
    }
}
