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

use crate::downstream::http::site::Site;
use crate::downstream::oauth::account::{Account, Refusal, Token};
use crate::model::fault::Fault;

/// Takes one message of the server; false leaves it to rmcp.
pub type Tap = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// rmcp's client, which also remembers the session that rmcp was given, and what comes unasked can be tapped from it.
#[derive(Clone)]
pub struct Observed {
    inner: reqwest::Client,
    session: Arc<Mutex<Option<Arc<str>>>>,
    tap: Arc<OnceLock<Tap>>,
    account: Option<Arc<Account>>,
    /// Guards why there is no authorization, which rmcp's errors cannot hold.
    refused: Arc<Mutex<Option<Fault>>>,
}

impl Observed {
    /// Observes the client of `site`.
    pub fn new(site: &Site) -> Self {
        let (inner, account) = (site.client.clone(), site.account.clone());
        Self { inner, session: Arc::default(), tap: Arc::default(), account, refused: Arc::default() }
    }

    /// Why there was no authorization, if that was it.
    pub fn refused(&self) -> Option<Fault> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends what `send` sends with a token, if the program is authorized there, and once more if it is refused.
    async fn authorized<T, F: Future<Output = Result<T, Error>> + Send>(
        &self,
        given: Option<String>,
        send: impl Fn(Option<String>) -> F + Send + Sync,
    ) -> Result<T, Error> {
        let Some(account) = &self.account else { return send(given).await };
        let plain = |token: &Token| token.expose().to_string();
        let token = account.token().await.map_err(|fault| self.give_up(fault))?;
        let error = match send(token.as_ref().map(plain)).await {
            Err(error) => error,
            done => return done,
        };
        let Some(refusal) = refusal(&error, token) else { return Err(error) };
        let token = account.renew(refusal).await.map_err(|fault| self.give_up(fault))?;
        send(Some(plain(&token))).await
    }

    fn give_up(&self, fault: Fault) -> Error {
        let error = std::io::Error::other(fault.message.clone());
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        error.into()
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

/// What is said of credentials by an error that wants others.
fn refusal(error: &Error, token: Option<Token>) -> Option<Refusal> {
    match error {
        StreamableHttpError::AuthRequired(wanted) => {
            Some(Refusal { challenge: wanted.www_authenticate_header.clone(), is_forbidden: false, token })
        }
        StreamableHttpError::InsufficientScope(wanted)
            if wanted.www_authenticate_header.contains("insufficient_scope") =>
        {
            Some(Refusal { challenge: wanted.www_authenticate_header.clone(), is_forbidden: true, token })
        }
        // One that does not say how.
        other if other.to_string().contains("HTTP 401") => {
            Some(Refusal { challenge: String::new(), is_forbidden: false, token })
        }
        _ => None,
    }
}

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
        self.authorized(auth_header, |token| {
            let (uri, message, session) = (Arc::clone(&uri), message.clone(), session_id.clone());
            self.inner.post_message(uri, message, session, token, custom_headers.clone())
        })
        .await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), Error> {
        self.authorized(auth_header, |token| {
            self.inner.delete_session(Arc::clone(&uri), Arc::clone(&session_id), token, custom_headers.clone())
        })
        .await
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Error> {
        let open = |token| {
            let (session, last) = (session_id.clone(), last_event_id.clone());
            self.inner.get_stream(Arc::clone(&uri), session, last, token, custom_headers.clone())
        };
        let events = self.authorized(auth_header, open).await?;
        let tap = Arc::clone(&self.tap);
        let untapped = move |mut event: Sse| {
            // What is left of it says only how far the stream has been read.
            event.data = event.data.filter(|data| !tap.get().is_some_and(|tap| tap(data)));
            event
        };
        Ok(events.map_ok(untapped).boxed())
    }
}
