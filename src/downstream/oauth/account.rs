//! The token that requests to one server carry: kept, refreshed before it ends, and renewed when the server refuses it.

use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Url;
use rmcp::transport::auth::WWWAuthenticateParams;
use tokio_util::task::TaskTracker;

use crate::downstream::oauth::credentials;
use crate::downstream::oauth::discovery::discover;
use crate::downstream::oauth::faults::{login_needed, no_vault, refused};
use crate::downstream::oauth::vault::{Record, Stamp, Vault, now};
use crate::model::fault::Fault;
use crate::model::secret::Secret;
use crate::registry::oauth::{Grant, Oauth};

/// How long before its end a token is replaced, in seconds, so that it does not end on its way.
const MARGIN: u64 = 30;

/// The program's standing at one server.
pub struct Account {
    pub(super) server: Arc<str>,
    pub(super) url: Url,
    pub(super) settings: Arc<Oauth>,
    pub(super) vault: Vault,
    tasks: TaskTracker,
    /// Guards the token in use; nothing waits within.
    held: Mutex<Option<Held>>,
    /// Held by the one who gets a new token, so that the others wait for that one.
    flight: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Held {
    token: Token,
    expires_at: Option<u64>,
    stamp: Stamp,
}

/// An access token.
pub type Token = Secret<Arc<str>>;

/// What a server answered in place of a result.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Its `WWW-Authenticate` header; empty without one.
    pub challenge: String,
    /// Whether it knows who we are (HTTP 403) or not (401).
    pub is_forbidden: bool,
    /// What the request carried.
    pub token: Option<Token>,
}

impl Account {
    /// That at the server called `server` at `url`; `tasks` are those of the connection.
    pub fn new(server: &Arc<str>, url: Url, settings: &Arc<Oauth>, tasks: &TaskTracker) -> Result<Arc<Self>, Fault> {
        let vault = Vault::of(server, &url).map_err(|error| no_vault(&error))?;
        Ok(Arc::new(Self {
            server: Arc::clone(server),
            url,
            settings: Arc::clone(settings),
            vault,
            tasks: tasks.clone(),
            held: Mutex::default(),
            flight: tokio::sync::Mutex::default(),
        }))
    }

    /// The token for a request; without one, the server is to say what it demands.
    pub async fn token(self: &Arc<Self>) -> Result<Option<Token>, Fault> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Somebody may have logged in, or out, or another process may have got a newer one.
        if let Some(held) = held.filter(|held| held.is_fresh() && held.stamp == self.vault.stamp()) {
            return Ok(Some(held.token));
        }
        let own = Arc::clone(self);
        self.to_its_end(async move { own.current().await }).await
    }

    /// The token for a second attempt after `refusal`.
    pub async fn renew(self: &Arc<Self>, refusal: Refusal) -> Result<Token, Fault> {
        let own = Arc::clone(self);
        self.to_its_end(async move { own.renewed(&refusal).await }).await
    }

    /// Does `work` even if nobody waits for it any more: a refresh token may be good for one use, and its successor must
    /// not be lost. Whoever closes the connection waits for it.
    async fn to_its_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Fault>> + Send + 'static,
    ) -> Result<T, Fault> {
        self.tasks.spawn(work).await.unwrap_or_else(|_| Err(refused("getting a token was given up")))
    }

    async fn current(&self) -> Result<Option<Token>, Fault> {
        let _flight = self.flight.lock().await;
        let record = self.load()?;
        match self.hold(&record) {
            None => return Ok(None),
            Some(held) if held.is_fresh() => return Ok(Some(held.token)),
            Some(_) => {}
        }
        let _lock = self.vault.lock().await.map_err(|error| no_vault(&error))?;
        let record = self.load()?;
        let held = self.hold(&record);
        if let Some(held) = held.as_ref().filter(|held| held.is_fresh()) {
            return Ok(Some(held.token.clone()));
        }
        match self.without_person(record, None).await {
            // One that has not ended yet serves on while its successor cannot be had.
            Err(fault) if fault.kind.is_transient() => match held.filter(Held::is_good) {
                Some(held) => Ok(Some(held.token)),
                None => Err(fault),
            },
            // Without any, the server says what it demands.
            renewed => Ok(renewed?.map(|held| held.token)),
        }
    }

    async fn renewed(&self, refusal: &Refusal) -> Result<Token, Fault> {
        let _flight = self.flight.lock().await;
        let _lock = self.vault.lock().await.map_err(|error| no_vault(&error))?;
        let mut record = self.load()?;
        let used = refusal.token.as_ref().map(Secret::expose);
        if let Some(held) = self.hold(&record).filter(|held| held.is_fresh() && Some(held.token.expose()) != used) {
            return Ok(held.token);
        }
        if refusal.is_forbidden {
            let missing = missing(&record, &demanded(&refusal.challenge, &self.url));
            if missing.is_empty() {
                return Err(refused("the server refuses what the token allows (HTTP 403)"));
            }
        }
        let is_person = matches!(self.settings.grant, Grant::Code { .. });
        record.refused(&refusal.challenge);
        let can_renew = if is_person { !refusal.is_forbidden && record.can_refresh() } else { true };
        if can_renew && let Some(held) = self.without_person(record.clone(), Some(&refusal.challenge)).await? {
            return Ok(held.token);
        }
        // Who logs in is asked for what was demanded.
        if self.vault.load().is_ok_and(|known| known.challenge != record.challenge) {
            self.vault.save(&record).map_err(|error| no_vault(&error))?;
        }
        let scopes = demanded(&refusal.challenge, &self.url).join(" ");
        let why = match (refusal.is_forbidden, refusal.token.is_some()) {
            (true, _) => format!("further scopes are needed: {scopes}"),
            (false, true) => "the login has ended".to_owned(),
            (false, false) => "authorization required".to_owned(),
        };
        Err(login_needed(&self.server, &why))
    }

    /// New credentials, as far as they can be had without a person, written down.
    async fn without_person(&self, mut record: Record, challenge: Option<&str>) -> Result<Option<Held>, Fault> {
        let credentials = match &self.settings.grant {
            Grant::Code { .. } if !record.can_refresh() => return Ok(None),
            Grant::Code { client, .. } => {
                credentials::refresh(discover(&self.url, record.lead()).await?, client, &record).await?
            }
            Grant::ClientCredentials { id, proof } => {
                let guide = discover(&self.url, record.lead()).await?;
                let mut scopes = self.settings.scopes.clone();
                if scopes.is_empty() {
                    scopes = guide.manager.select_initial_scopes(&[]).await;
                    // There is nobody who could be offline.
                    scopes.retain(|scope| scope != "offline_access");
                }
                let demanded = challenge.map_or_else(Vec::new, |challenge| demanded(challenge, &self.url));
                let scopes = union(granted(&record).to_vec(), &scopes, &demanded);
                Some(credentials::own(guide, &self.url, id, proof, scopes).await?)
            }
        };
        let Some(credentials) = credentials else {
            // What is of no use is not tried again. What had been granted is to be asked for again.
            record.end();
            self.vault.save(&record).map_err(|error| no_vault(&error))?;
            self.hold(&record);
            return Ok(None);
        };
        record.credentials = Some(credentials);
        record.challenge = None;
        self.vault.save(&record).map_err(|error| no_vault(&error))?;
        tracing::info!(server = %self.server, "authorized anew");
        Ok(self.hold(&record))
    }

    pub(super) fn load(&self) -> Result<Record, Fault> {
        self.vault.load().map_err(|error| no_vault(&error))
    }

    /// Takes the token of `record` into use, if it has one.
    fn hold(&self, record: &Record) -> Option<Held> {
        let held = record.access_token().map(|token| Held {
            token: Secret::new(Arc::from(token)),
            expires_at: record.expires_at(),
            stamp: self.vault.stamp(),
        });
        (*self.held.lock().unwrap_or_else(PoisonError::into_inner)).clone_from(&held);
        held
    }
}

impl Held {
    fn is_fresh(&self) -> bool {
        self.expires_at.is_none_or(|end| end > now() + MARGIN)
    }

    fn is_good(&self) -> bool {
        self.expires_at.is_none_or(|end| end > now())
    }
}

/// Whether a 403 is about scopes, so that other credentials may help.
pub fn is_about_scopes(challenge: &str, url: &Url) -> bool {
    WWWAuthenticateParams::parse(challenge, url).is_insufficient_scope()
}

/// The scopes that a challenge names.
pub(super) fn demanded(challenge: &str, url: &Url) -> Vec<String> {
    let scope = WWWAuthenticateParams::parse(challenge, url).scope.unwrap_or_default();
    scope.split_whitespace().map(ToOwned::to_owned).collect()
}

/// The scopes that were granted.
pub(super) fn granted(record: &Record) -> &[String] {
    record.credentials.as_ref().map_or(&[], |credentials| &credentials.granted_scopes)
}

fn missing(record: &Record, demanded: &[String]) -> Vec<String> {
    demanded.iter().filter(|scope| !granted(record).contains(scope)).cloned().collect()
}

/// All scopes, each once, in the order of their first mention.
pub(super) fn union(mut scopes: Vec<String>, more: &[String], yet_more: &[String]) -> Vec<String> {
    for scope in more.iter().chain(yet_more) {
        if !scope.is_empty() && !scopes.contains(scope) {
            scopes.push(scope.clone());
        }
    }
    scopes
}
