//! An HTTP server: where it is, what every request to it carries, and the client for it.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderName, HeaderValue, StatusCode};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, Url};

use crate::downstream::http::faults::{bad_answer, causes, without_urls};
use crate::downstream::http::plain;
use crate::downstream::oauth::account::{Account, Refusal, Token, is_about_scopes};
use crate::downstream::stdio::child::expand;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::registry::text::Text;

/// One HTTP server.
#[derive(Clone)]
pub struct Site {
    /// Its endpoint.
    pub url: Url,
    /// The headers of the registry entry.
    pub headers: HashMap<HeaderName, HeaderValue>,
    /// Has pooled connections and follows no redirect, so that neither a call nor a credential goes elsewhere.
    pub client: Client,
    /// How the program is authorized there, if it is.
    pub account: Option<Arc<Account>>,
    socket: Option<PathBuf>,
}

impl Site {
    /// The server at `url`, behind `socket` if there is one. Expands the placeholders of `headers`.
    pub fn new(url: Url, socket: Option<PathBuf>, headers: &BTreeMap<String, Text>) -> Result<Self, Fault> {
        let wrong = |what: String| Fault::new(Kind::Unavailable, code::SPAWN_FAILED, what).hint("correct the registry");
        let mut expanded = HashMap::new();
        for (name, value) in headers {
            let header = HeaderName::from_bytes(name.as_bytes());
            let header = header.map_err(|_| wrong(format!("`{name}` is not a header name")))?;
            let mut content = HeaderValue::from_str(&expand(value)?)
                .map_err(|_| wrong(format!("the value of header `{name}` has characters that are not allowed")))?;
            content.set_sensitive(true);
            expanded.insert(header, content);
        }
        let mut builder = plain::builder(&url);
        if let Some(socket) = &socket {
            builder = through(builder, socket)?;
        }
        let client = builder.build();
        let client =
            client.map_err(|error| Fault::new(Kind::Internal, code::INTERNAL, error.without_url().to_string()));
        Ok(Self { url, headers: expanded, client: client?, account: None, socket })
    }

    /// A GET of `url`, which must be on this server.
    pub fn get(&self, url: Url) -> RequestBuilder {
        self.dress(self.client.get(url))
    }

    /// A POST to `url`, which must be on this server.
    pub fn post(&self, url: Url) -> RequestBuilder {
        self.dress(self.client.post(url))
    }

    fn dress(&self, request: RequestBuilder) -> RequestBuilder {
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// Sends `request`, which must be to this server; with a token, if the program is authorized there. A token that is
    /// refused is renewed once.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Fault> {
        match &self.account {
            Some(account) => Box::pin(self.send_authorized(account, request)).await,
            None => self.send_as_it_is(request).await,
        }
    }

    /// Sends `request`, which must be to this server, and says who asks itself.
    pub async fn send_as_it_is(&self, request: RequestBuilder) -> Result<Response, Fault> {
        request.send().await.map_err(|error| self.unreached(error))
    }

    async fn send_authorized(&self, account: &Arc<Account>, request: RequestBuilder) -> Result<Response, Fault> {
        let token = account.token().await?;
        let again = request.try_clone();
        let with = |request: RequestBuilder, token: &Token| request.bearer_auth(token.expose());
        let first = match &token {
            Some(token) => with(request, token),
            None => request,
        };
        let response = first.send().await.map_err(|error| self.unreached(error))?;
        let (Some(refusal), Some(again)) = (refusal(&response, token, &self.url), again) else { return Ok(response) };
        let token = account.renew(refusal).await?;
        with(again, &token).send().await.map_err(|error| self.unreached(error))
    }

    /// Asks for `path` on the server's host; any status below 400 is a sign of health.
    pub async fn probe(&self, path: &str) -> Result<(), Fault> {
        let url = self.url.join(path).map_err(|error| bad_answer(format!("{path:?} is no path: {error}")))?;
        let status = self.send(self.get(url)).await?.status();
        if status.is_client_error() || status.is_server_error() {
            return Err(bad_answer(format!("{path} answers with HTTP {status}")));
        }
        Ok(())
    }

    /// The fault of a request that got no response.
    pub fn unreached(&self, error: reqwest::Error) -> Fault {
        let is_connect = error.is_connect();
        let why = format!("{}{}", without_urls(&causes(&error.without_url())), self.via());
        let fault = Fault::new(Kind::Unavailable, code::SERVER_DOWN, why);
        if is_connect { fault } else { fault.sent() }
    }

    /// By which socket the server is reached, if it is, to be put behind a reason.
    pub fn via(&self) -> String {
        self.socket.as_ref().map_or_else(String::new, |socket| format!(" (over the socket `{}`)", socket.display()))
    }
}

/// What is said of credentials by a response that wants others.
fn refusal(response: &Response, token: Option<Token>, url: &Url) -> Option<Refusal> {
    let mut said = response.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    let is_ours =
        |challenge: &&str| challenge.trim_start().get(..6).is_some_and(|by| by.eq_ignore_ascii_case("bearer"));
    let challenge = said.find(is_ours).unwrap_or_default().to_owned();
    match response.status() {
        StatusCode::UNAUTHORIZED => Some(Refusal { challenge, is_forbidden: false, token }),
        StatusCode::FORBIDDEN if is_about_scopes(&challenge, url) => {
            Some(Refusal { challenge, is_forbidden: true, token })
        }
        _ => None,
    }
}

#[cfg(unix)]
#[expect(clippy::unnecessary_wraps, reason = "it fails on systems without such sockets")]
fn through(builder: ClientBuilder, socket: &std::path::Path) -> Result<ClientBuilder, Fault> {
    Ok(builder.unix_socket(socket))
}

#[cfg(not(unix))]
fn through(_builder: ClientBuilder, _socket: &std::path::Path) -> Result<ClientBuilder, Fault> {
    Err(crate::downstream::socket::unavailable())
}
