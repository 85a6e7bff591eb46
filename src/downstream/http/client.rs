//! The HTTP client of one server.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use http::{HeaderName, HeaderValue};
use reqwest::Url;
use rmcp::model::ClientJsonRpcMessage;
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::Sse;

use crate::downstream::stdio::child::expand;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::registry::server;

/// How long idle connections are kept.
const IDLE: Duration = Duration::from_secs(90);

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(10);

/// Where a server is and what every request to it carries, expanded.
#[derive(Clone)]
pub struct Destination {
    /// The endpoint.
    pub url: Url,
    /// The headers of the registry entry.
    pub headers: HashMap<HeaderName, HeaderValue>,
}

impl Destination {
    /// Expands the placeholders of a registry entry.
    pub fn expand(entry: &server::Http) -> Result<Self, Fault> {
        let wrong = |what: String| Fault::new(Kind::Unavailable, code::SPAWN_FAILED, what).hint("correct the registry");
        let url = Url::parse(&expand(&entry.url)?).map_err(|error| wrong(format!("its url is wrong: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong(format!("its url has the scheme `{}`, not http or https", url.scheme())));
        }
        let mut headers = HashMap::new();
        for (name, value) in &entry.headers {
            let header = HeaderName::from_bytes(name.as_bytes());
            let header = header.map_err(|_| wrong(format!("`{name}` is not a header name")))?;
            let mut content = HeaderValue::from_str(&expand(value)?)
                .map_err(|_| wrong(format!("the value of header `{name}` has characters that are not allowed")))?;
            content.set_sensitive(true);
            headers.insert(header, content);
        }
        Ok(Self { url, headers })
    }
}

/// A client with pooled connections that follows no redirect, so that neither a call nor a credential goes elsewhere.
pub fn build(url: &Url) -> Result<reqwest::Client, Fault> {
    let mut builder = reqwest::Client::builder()
        .tcp_nodelay(true)
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .redirect(reqwest::redirect::Policy::none());
    if url.host_str().is_some_and(|host| host == "localhost" || host.starts_with("127.") || host == "[::1]") {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|error| Fault::new(Kind::Internal, code::INTERNAL, error.without_url().to_string()))
}

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
