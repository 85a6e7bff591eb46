//! The API of a cluster: lists, and watches that are read line by line.

use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use futures::Stream;
use futures::stream::unfold;
use http::StatusCode;
use reqwest::{Certificate, Client, Identity, Response, Url};
use serde_json::Value;

use crate::discovery::kubernetes::access::Access;
use crate::discovery::kubernetes::cluster::Kind;
use crate::downstream::hook::Hooks;
use crate::downstream::http::faults::{causes, read};
use crate::downstream::http::plain;
use crate::model::fault::Fault;
use crate::registry::source::kubernetes::Kubernetes;

/// The longest list, and the longest line of a watch, in bytes.
const MOST: usize = 32 * 1024 * 1024;

/// What is said where a role lacks something.
const NOT_LET: &str = "its API does not let us list and watch services and endpointslices (HTTP 403)";

/// Events, as they come.
pub(super) type Lines = Pin<Box<dyn Stream<Item = Result<Value, String>> + Send>>;

/// Why there is no answer.
pub(super) enum Trouble {
    /// The version that was named is too old.
    Gone,
    /// Anything else, in words.
    Failed(String),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault.message)
    }
}

/// The API of a cluster.
pub(super) struct Api<'a> {
    place: &'a Kubernetes,
    url: Url,
    token: Option<String>,
    client: Client,
}

impl<'a> Api<'a> {
    /// That of `place`. Made anew for each request that lasts.
    pub(super) async fn of(place: &'a Kubernetes, hooks: &Hooks) -> Result<Self, Trouble> {
        let Access { url, token, ca, identity } = Access::of(&place.access, hooks).await.map_err(Trouble::Failed)?;
        let failed = |why: String| Trouble::Failed(why);
        let url = Url::parse(&url).map_err(|why| failed(format!("the address of its API is wrong: {why}")))?;
        if url.scheme() != "https" && !plain::is_near(&url) {
            return Err(failed("its API is neither reached over https nor on this machine".to_owned()));
        }
        let mut builder = plain::builder(&url);
        if let Some(ca) = ca {
            let all = Certificate::from_pem_bundle(&ca);
            builder = builder.tls_certs_only(all.map_err(|why| failed(format!("its authority is wrong: {why}")))?);
        }
        if let Some(identity) = identity {
            let identity = Identity::from_pem(&identity);
            builder =
                builder.identity(identity.map_err(|why| failed(format!("its user's certificate is wrong: {why}")))?);
        }
        let client = builder.build().map_err(|why| failed(causes(&why.without_url())))?;
        let token = token.map(|token| token.trim().to_owned());
        Ok(Self { place, url, token, client })
    }

    /// Everything of one kind.
    pub(super) async fn list(&self, kind: Kind) -> Result<Value, Trouble> {
        let body = read(self.get(kind, &[]).await?, MOST).await?;
        serde_json::from_slice(&body).map_err(|why| Trouble::Failed(format!("its list is no JSON: {why}")))
    }

    /// What changes after `version`.
    pub(super) async fn watch(&self, kind: Kind, version: &str, limit: Duration) -> Result<Lines, Trouble> {
        let seconds = limit.as_secs().to_string();
        let query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", version),
            ("timeoutSeconds", seconds.as_str()),
        ];
        let response = self.get(kind, &query).await?;
        Ok(Box::pin(unfold((response, BytesMut::new()), |(mut response, mut buffer)| async move {
            let line = line(&mut response, &mut buffer).await?;
            let event = line.and_then(|line| serde_json::from_slice(&line).map_err(|why| why.to_string()));
            Some((event, (response, buffer)))
        })))
    }

    async fn get(&self, kind: Kind, query: &[(&str, &str)]) -> Result<Response, Trouble> {
        let (group, plural) = match kind {
            Kind::Service => ("api/v1", "services"),
            Kind::Slice => ("apis/discovery.k8s.io/v1", "endpointslices"),
        };
        let space = self.place.namespace.as_ref().map(|name| format!("namespaces/{name}/")).unwrap_or_default();
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{group}/{space}{plural}", self.url.path().trim_end_matches('/')));
        url.query_pairs_mut().clear().append_pair("labelSelector", &self.place.labels).extend_pairs(query);
        let mut request = self.client.get(url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.map_err(|why| Trouble::Failed(causes(&why.without_url())))?;
        match response.status() {
            StatusCode::GONE => Err(Trouble::Gone),
            // The same for both kinds: it is told of once.
            StatusCode::FORBIDDEN => Err(Trouble::Failed(NOT_LET.to_owned())),
            status if status.is_success() => Ok(response),
            status => Err(Trouble::Failed(format!("its API answers with HTTP {status}"))),
        }
    }
}

/// The next line; nothing at the end.
async fn line(response: &mut Response, buffer: &mut BytesMut) -> Option<Result<BytesMut, String>> {
    let mut searched = 0;
    loop {
        if let Some(end) = memchr::memchr(b'\n', &buffer[searched..]) {
            let line = buffer.split_to(searched + end);
            buffer.advance(1);
            return Some(Ok(line));
        }
        searched = buffer.len();
        if searched > MOST {
            return Some(Err("a line is too long".to_owned()));
        }
        match response.chunk().await {
            Ok(Some(chunk)) => buffer.extend_from_slice(&chunk),
            Ok(None) => return None,
            Err(why) => return Some(Err(causes(&why.without_url()))),
        }
    }
}
