//! The part of an authorization that needs a person: asked once, by a browser that comes back to this machine.

use std::sync::Arc;

use reqwest::Url;
use rmcp::transport::auth::{AuthorizationCallback, CredentialStore as _, InMemoryCredentialStore, OAuthClientConfig};

use crate::downstream::oauth::account::{Account, demanded, granted, union};
use crate::downstream::oauth::discovery::{Guide, demand, discover};
use crate::downstream::oauth::faults::{no_vault, of, refused};
use crate::downstream::oauth::vault::{Record, Registration, now};
use crate::downstream::stdio::child::expand;
use crate::model::fault::Fault;
use crate::registry::oauth::{Client, Grant};

/// How a server stands with us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whether there is a token.
    pub is_authorized: bool,
    /// Whether it takes a person to be authorized.
    pub needs_person: bool,
    /// Who has issued the token.
    pub issuer: Option<String>,
    /// What it allows.
    pub scopes: Vec<String>,
    /// In how many seconds it ends; it is negative if it has.
    pub ends_in: Option<i64>,
    /// Whether the program replaces it by itself.
    pub is_renewed: bool,
    /// The scopes that the server has demanded in vain since the last login; `None` if it has refused nothing since.
    pub demanded: Option<Vec<String>>,
}

impl Account {
    /// How the server stands with us, by what is written down.
    pub fn standing(&self) -> Result<Standing, Fault> {
        let record = self.load()?;
        let needs_person = matches!(self.settings.grant, Grant::Code { .. });
        let until = |end: u64| i64::try_from(end).unwrap_or(i64::MAX) - i64::try_from(now()).unwrap_or(i64::MAX);
        Ok(Standing {
            is_authorized: record.access_token().is_some(),
            needs_person,
            issuer: record.credentials.as_ref().and_then(|credentials| credentials.issuer.clone()),
            scopes: granted(&record).to_vec(),
            ends_in: record.expires_at().map(until),
            is_renewed: !needs_person || record.can_refresh(),
            demanded: record.challenge.as_deref().map(|challenge| demanded(challenge, &self.url)),
        })
    }

    /// Forgets what was obtained; whether there was something.
    pub async fn forget(&self) -> Result<bool, Fault> {
        // Whoever is just getting a new token would write it down again.
        let _lock = self.vault.lock().await.map_err(|error| no_vault(&error))?;
        self.vault.clear().map_err(|error| no_vault(&error))
    }

    /// The loopback ports that the browser may come back to, the best first; 0 is any.
    pub fn redirect_ports(&self) -> Vec<u16> {
        let Grant::Code { redirect_port, .. } = &self.settings.grant else { return Vec::new() };
        if let Some(port) = redirect_port {
            return vec![*port];
        }
        // Under the same address, the program need not be registered again.
        let known = self.vault.load().ok().and_then(|record| Url::parse(&record.client?.redirect_uri).ok()?.port());
        known.into_iter().chain([0]).collect()
    }

    /// Gets a token by what a person allows: `browse` is given the address to go to, and comes back with the address that
    /// the browser was sent to then, which begins with `redirect_uri`.
    pub async fn login(
        self: &Arc<Self>,
        redirect_uri: &str,
        browse: impl AsyncFnOnce(String) -> Result<String, Fault>,
    ) -> Result<(), Fault> {
        let Grant::Code { client, .. } = &self.settings.grant else {
            return Err(refused("the program shows its own credentials there, nobody logs in"));
        };
        let mut record = self.load()?;
        if record.lead().is_none()
            && let Some(challenge) = demand(&self.url).await
        {
            record.refused(&challenge);
        }
        let mut guide = discover(&self.url, record.lead()).await?;
        let scopes = self.scopes(&guide, &record).await;
        let registration = self.introduce(&mut guide, client, &record, redirect_uri, &scopes).await?;
        let store = InMemoryCredentialStore::new();
        guide.manager.set_credential_store(store.clone());
        let wanted: Vec<_> = scopes.iter().map(String::as_str).collect();
        let page = guide.manager.get_authorization_url(&wanted).await.map_err(|error| of(&error))?;
        let back = browse(page).await?;
        said_no(&back)?;
        let back = AuthorizationCallback::from_redirect_url(&back).map_err(|error| of(&error))?;
        let exchange =
            guide.manager.exchange_code_for_token_with_issuer(&back.code, &back.csrf_token, back.issuer.as_deref());
        exchange.await.map_err(|error| of(&error))?;
        let credentials = store.load().await.map_err(|error| of(&error))?;
        let _lock = self.vault.lock().await.map_err(|error| no_vault(&error))?;
        let url = self.url.as_str().to_owned();
        let whereabouts = record.whereabouts;
        let record = Record { url, client: registration, credentials, challenge: None, whereabouts };
        self.vault.save(&record).map_err(|error| no_vault(&error))
    }

    /// What to ask for: what the registry says or else the server wants, and never less than there was (SEP-2350).
    async fn scopes(&self, guide: &Guide, record: &Record) -> Vec<String> {
        let mut scopes = self.settings.scopes.clone();
        if scopes.is_empty() {
            scopes = guide.manager.select_initial_scopes(&[]).await;
        }
        let is_same = record.credentials.as_ref().is_some_and(|known| known.issuer == guide.metadata.issuer);
        let before = if is_same { granted(record) } else { &[] };
        let demanded = record.challenge.as_deref().map_or_else(Vec::new, |challenge| demanded(challenge, &self.url));
        guide.lasting(union(before.to_vec(), &scopes, &demanded))
    }

    /// Makes the program known to the authorization server; what it must remember of that.
    async fn introduce(
        &self,
        guide: &mut Guide,
        client: &Client,
        record: &Record,
        redirect_uri: &str,
        scopes: &[String],
    ) -> Result<Option<Registration>, Fault> {
        let issuer = guide.metadata.issuer.clone();
        let known = record.client.as_ref();
        let known = known.filter(|known| known.issuer == issuer && known.redirect_uri == redirect_uri);
        let with = |id: &str, secret: Option<String>| {
            let config = OAuthClientConfig::new(id, redirect_uri);
            match secret {
                Some(secret) => config.with_client_secret(secret),
                None => config,
            }
        };
        let (config, registration) = match (client, known) {
            (Client::Known { id, secret }, _) => {
                let secret = secret.as_ref().map(expand).transpose()?;
                (with(&expand(id)?, secret), None)
            }
            (Client::Described(url), _) if guide.supports("client_id_metadata_document_supported") => {
                (with(url, None), None)
            }
            (_, Some(known)) => (with(&known.id, known.secret.clone()), Some(known.clone())),
            _ => {
                let scopes: Vec<_> = scopes.iter().map(String::as_str).collect();
                let name = env!("CARGO_PKG_NAME");
                let config = guide.manager.register_client(name, redirect_uri, &scopes).await;
                let config = config.map_err(|error| {
                    of(&error).hint("register a client by hand, and set `client_id` in the server's `auth`")
                })?;
                let registration = Registration {
                    id: config.client_id.clone(),
                    secret: config.client_secret.clone(),
                    redirect_uri: redirect_uri.to_owned(),
                    issuer,
                };
                (config, Some(registration))
            }
        };
        guide.manager.configure_client(config).map_err(|error| of(&error))?;
        Ok(registration)
    }
}

/// The authorization server may send the browser back with a no.
fn said_no(back: &str) -> Result<(), Fault> {
    let url = Url::parse(back).map_err(|error| refused(&format!("the browser came back to no address: {error}")))?;
    let member = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let Some(error) = member("error") else { return Ok(()) };
    let about = member("error_description").map_or_else(String::new, |about| format!(": {about}"));
    Err(refused(&format!("the authorization server said no: {error}{about}")))
}
