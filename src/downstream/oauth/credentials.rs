//! Tokens that are had without a person: by a refresh token, or by the program's own credentials.

use reqwest::Url;
use rmcp::transport::auth::{
    AuthError, ClientCredentialsConfig, CredentialStore as _, InMemoryCredentialStore, JwtSigningAlgorithm,
    OAuthClientConfig, StoredCredentials,
};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::downstream::oauth::discovery::Guide;
use crate::downstream::oauth::faults::{of, refused};
use crate::downstream::oauth::vault::Record;
use crate::downstream::stdio::child::expand;
use crate::model::fault::Fault;
use crate::registry::oauth::{Algorithm, Client, Proof};
use crate::registry::text::Text;

/// New credentials by the refresh token of `record`; `None` if that is of no use any more.
pub async fn refresh(mut guide: Guide, client: &Client, record: &Record) -> Result<Option<StoredCredentials>, Fault> {
    let Some(known) = record.credentials.clone() else { return Ok(None) };
    if known.issuer != guide.metadata.issuer {
        // What one authorization server has given out is not shown to another.
        return Ok(None);
    }
    let config = client_of(client, &known.client_id, record)?;
    let store = InMemoryCredentialStore::new();
    store.save(known).await.map_err(|error| of(&error))?;
    guide.manager.set_credential_store(store.clone());
    guide.manager.configure_client(config).map_err(|error| of(&error))?;
    match guide.manager.refresh_token().await {
        Ok(_) => store.load().await.map_err(|error| of(&error)),
        Err(AuthError::AuthorizationRequired | AuthError::TokenRefreshRejected(_)) => Ok(None),
        Err(error) => Err(of(&error)),
    }
}

/// The client whose credentials are refreshed.
fn client_of(client: &Client, id: &str, record: &Record) -> Result<OAuthClientConfig, Fault> {
    let registered = record.client.as_ref().filter(|registered| registered.id == id);
    let redirect_uri = registered.map_or("http://127.0.0.1/callback", |registered| &registered.redirect_uri);
    let config = OAuthClientConfig::new(id, redirect_uri);
    let secret = match client {
        Client::Known { secret: Some(secret), .. } => Some(expand(secret)?),
        _ => registered.and_then(|registered| registered.secret.clone()),
    };
    Ok(match secret {
        Some(secret) => config.with_client_secret(secret),
        None => config,
    })
}

/// Credentials of the program itself, for `scopes`.
pub async fn own(
    mut guide: Guide,
    url: &Url,
    id: &Text,
    proof: &Proof,
    scopes: Vec<String>,
) -> Result<StoredCredentials, Fault> {
    let mut resource = url.clone();
    resource.set_fragment(None);
    let (client_id, resource) = (expand(id)?, Some(resource.to_string()));
    let config = match proof {
        Proof::Secret(secret) => {
            ClientCredentialsConfig::ClientSecret { client_id, client_secret: expand(secret)?, scopes, resource }
        }
        Proof::PrivateKey { key, algorithm } => ClientCredentialsConfig::PrivateKeyJwt {
            client_id,
            signing_key: expand(key)?.into_bytes(),
            signing_algorithm: signing(*algorithm),
            token_endpoint_audience: None,
            scopes,
            resource,
        },
    };
    let store = InMemoryCredentialStore::new();
    guide.manager.set_credential_store(store.clone());
    guide.manager.validate_client_credentials_metadata(&config).map_err(|error| of(&error))?;
    guide.manager.configure_client_credentials(&config).map_err(|error| of(&error))?;
    // rmcp keeps something over this wait that must stay on its thread, so that it is given one.
    let runtime = Handle::current();
    let exchange =
        spawn_blocking(move || runtime.block_on(guide.manager.exchange_client_credentials(&config)).map(drop));
    let exchanged = exchange.await.map_err(|_| refused("getting a token was given up"))?;
    exchanged.map_err(|error| of(&error))?;
    let credentials = store.load().await.map_err(|error| of(&error))?;
    credentials.ok_or_else(|| refused("the authorization server gave no token"))
}

fn signing(algorithm: Algorithm) -> JwtSigningAlgorithm {
    match algorithm {
        Algorithm::Rs256 => JwtSigningAlgorithm::RS256,
        Algorithm::Rs384 => JwtSigningAlgorithm::RS384,
        Algorithm::Rs512 => JwtSigningAlgorithm::RS512,
        Algorithm::Es256 => JwtSigningAlgorithm::ES256,
        Algorithm::Es384 => JwtSigningAlgorithm::ES384,
    }
}
