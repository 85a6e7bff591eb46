//! Asks a server whom it trusts, and looks at the answer before anything is sent there.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::Url;
use rmcp::transport::auth::{AuthorizationManager, AuthorizationMetadata};
use tokio::time::timeout;

use crate::downstream::http::plain::is_near;
use crate::downstream::oauth::faults::{of, refused};
use crate::model::fault::Fault;

/// How long it may take to find out: a few small documents.
const DISCOVERY: Duration = Duration::from_secs(30);

/// How long a server may take to turn somebody away.
const DEMAND: Duration = Duration::from_secs(10);

/// One who can take the steps towards a token, and where they lead.
pub struct Guide {
    /// Takes the steps.
    pub manager: AuthorizationManager,
    /// Where they lead.
    pub metadata: AuthorizationMetadata,
}

/// What the server at `url` demands of who comes without a token: its `WWW-Authenticate` header.
pub async fn demand(url: &Url) -> Option<String> {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(DEMAND).build().ok()?;
    let knock = client.post(url.clone()).header(CONTENT_TYPE, "application/json");
    let knock = knock.header(ACCEPT, "application/json, text/event-stream");
    let response = knock.body(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).send().await.ok()?;
    let challenge = response.headers().get(WWW_AUTHENTICATE)?.to_str().ok()?;
    Some(challenge.to_owned())
}

/// Finds the authorization server of `url`, by what it demanded if it has.
pub async fn discover(url: &Url, challenge: Option<&str>) -> Result<Guide, Fault> {
    require_private(url, "the server's url")?;
    // Private addresses are those of a company's own authorization server; others within reach of us alone stay refused.
    let mut manager =
        AuthorizationManager::new_allowing_private_addresses(url.clone()).await.map_err(|error| of(&error))?;
    let search = timeout(DISCOVERY, manager.resolve_metadata_from_challenge(challenge)).await;
    let found = search.map_err(|_| refused("its authorization server is not found in time"))?;
    let found = found.map_err(|error| of(&error))?;
    if !found.source.is_discovered() {
        return Err(refused("the server does not say whom it trusts (RFC 9728), so that nobody can be asked")
            .hint("if it wants a fixed token, set its `headers` in the registry in place of `auth`"));
    }
    check(&found.metadata)?;
    manager.set_metadata(found.metadata.clone());
    Ok(Guide { manager, metadata: found.metadata })
}

impl Guide {
    /// Whether the authorization server says `key` of itself.
    pub fn supports(&self, key: &str) -> bool {
        self.metadata.additional_fields.get(key).and_then(serde_json::Value::as_bool).unwrap_or(false)
    }

    /// `scopes`, and with them that of refresh tokens if the authorization server knows it (SEP-2207).
    pub fn lasting(&self, mut scopes: Vec<String>) -> Vec<String> {
        const LASTING: &str = "offline_access";
        let known = self.metadata.scopes_supported.iter().flatten().any(|scope| scope == LASTING);
        if known && !scopes.is_empty() && !scopes.iter().any(|scope| scope == LASTING) {
            scopes.push(LASTING.to_owned());
        }
        scopes
    }
}

/// Credentials go to these addresses, and a browser.
fn check(metadata: &AuthorizationMetadata) -> Result<(), Fault> {
    let endpoints = [
        ("authorization_endpoint", Some(&metadata.authorization_endpoint)),
        ("token_endpoint", Some(&metadata.token_endpoint)),
        ("registration_endpoint", metadata.registration_endpoint.as_ref()),
    ];
    for (name, endpoint) in endpoints {
        let Some(endpoint) = endpoint else { continue };
        let url = Url::parse(endpoint).map_err(|error| refused(&format!("its `{name}` is no URL: {error}")))?;
        require_private(&url, &format!("its `{name}`"))?;
    }
    Ok(())
}

/// What is said to `url` can be read by nobody in between.
fn require_private(url: &Url, what: &str) -> Result<(), Fault> {
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_near(url) => Ok(()),
        _ => Err(refused(&format!("{what} is not https, so that anybody in between could take the token"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_travel_encrypted_or_not_at_all() {
        for good in ["https://x.example/token", "http://127.0.0.1:8/token", "http://localhost/t", "http://[::1]/t"] {
            assert!(require_private(&Url::parse(good).expect("a URL"), "it").is_ok(), "{good}");
        }
        for bad in [
            "http://x.example/token",
            "javascript:alert(1)",
            "file:///etc/x",
            "http://localhost.evil/",
            "http://127.evil/",
        ] {
            assert!(require_private(&Url::parse(bad).expect("a URL"), "it").is_err(), "{bad}");
        }
    }
}
