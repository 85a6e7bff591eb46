//! What was obtained for one server, in a file that only its owner may read.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::Url;
use rmcp::transport::auth::StoredCredentials;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::downstream::folder;

/// How long another process may hold the file: as long as it takes to get a token.
const LOCK: Duration = Duration::from_secs(30);

const AGAIN: Duration = Duration::from_millis(25);

/// What is known about the program's standing at one server.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Record {
    /// The server: what is kept for one address is of no use at another.
    pub url: String,
    /// What the program is known as at the authorization server, if it has registered itself.
    pub client: Option<Registration>,
    /// The tokens, and who has issued them.
    pub credentials: Option<StoredCredentials>,
    /// What the server demanded last and did not get: the `WWW-Authenticate` header.
    pub challenge: Option<String>,
    /// The last such header that said where the server's metadata are; it is not said again to who is let in.
    #[serde(default)]
    pub whereabouts: Option<String>,
}

/// A client that the program has registered.
#[derive(Clone, Serialize, Deserialize)]
pub struct Registration {
    /// Its id.
    pub id: String,
    /// Its secret, if it was given one.
    pub secret: Option<String>,
    /// Where the browser comes back to.
    pub redirect_uri: String,
    /// Where it is known; `None` for a server that does not say who it is.
    pub issuer: Option<String>,
}

/// The file of one server.
#[derive(Clone)]
pub struct Vault {
    url: String,
    path: PathBuf,
}

/// Which state of the file something was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp(Option<(SystemTime, u64)>);

impl Vault {
    /// That of the server called `server` at `url`. Servers of other registries may have the same name.
    pub fn of(server: &str, url: &Url) -> io::Result<Self> {
        let name = format!("{server}-{:016x}.json", fnv(url.as_str().as_bytes()));
        Ok(Self { url: url.as_str().to_owned(), path: folder::state("oauth")?.join(name) })
    }

    /// What it says; without a file, nothing.
    pub fn load(&self) -> io::Result<Record> {
        let empty = || Record { url: self.url.clone(), ..Record::default() };
        match fs::read(&self.path) {
            Ok(bytes) => {
                let record: Record = serde_json::from_slice(&bytes).map_err(|_| {
                    // What cannot be read is not repeated: it holds tokens.
                    let why = format!("`{}` is not what was written there", self.path.display());
                    io::Error::new(io::ErrorKind::InvalidData, why)
                })?;
                Ok(if record.url == self.url { record } else { empty() })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(empty()),
            Err(error) => Err(error),
        }
    }

    /// Writes `record` down, so that a crash leaves either the old or the new one.
    pub fn save(&self, record: &Record) -> io::Result<()> {
        folder::write_whole(&self.path, &serde_json::to_vec_pretty(record)?)
    }

    /// Forgets everything; whether there was something.
    pub fn clear(&self) -> io::Result<bool> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Changes with every save.
    pub fn stamp(&self) -> Stamp {
        let about = fs::metadata(&self.path).ok();
        Stamp(about.and_then(|about| Some((about.modified().ok()?, about.len()))))
    }

    /// Waits until no other process is about to change the file; holds it until the value is dropped.
    pub async fn lock(&self) -> io::Result<File> {
        let deadline = Instant::now() + LOCK;
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(self.path.with_extension("lock"))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(AGAIN).await,
                Err(TryLockError::WouldBlock) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "another process does not let go of it"));
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

impl Record {
    /// When the access token ends, in seconds since 1970; `None` if nobody says.
    pub fn expires_at(&self) -> Option<u64> {
        use rmcp::transport::auth::OAuthTokenResponse;
        let credentials = self.credentials.as_ref()?;
        let token: &OAuthTokenResponse = credentials.token_response.as_ref()?;
        let lifetime = serde_json::to_value(token).ok()?.get("expires_in")?.as_u64()?;
        Some(credentials.token_received_at?.saturating_add(lifetime))
    }

    /// A member of the token response that is text.
    fn member(&self, name: &str) -> Option<String> {
        let token = self.credentials.as_ref()?.token_response.as_ref()?;
        Some(serde_json::to_value(token).ok()?.get(name)?.as_str()?.to_owned())
    }

    /// The access token.
    pub fn access_token(&self) -> Option<String> {
        self.member("access_token")
    }

    /// Takes down what the server demanded.
    pub fn refused(&mut self, challenge: &str) {
        self.challenge = Some(challenge.to_owned());
        if challenge.contains("resource_metadata") {
            self.whereabouts = self.challenge.clone();
        }
    }

    /// Takes the tokens away; who has issued them for what stays.
    pub fn end(&mut self) {
        if let Some(known) = self.credentials.take() {
            let ended = StoredCredentials::new(known.client_id, None, known.granted_scopes, None);
            self.credentials = Some(ended.with_issuer(known.issuer));
        }
    }

    /// Where to begin the search for the authorization server.
    pub fn lead(&self) -> Option<&str> {
        self.whereabouts.as_deref().or(self.challenge.as_deref())
    }

    /// Whether a new token can be had without a person.
    pub fn can_refresh(&self) -> bool {
        self.member("refresh_token").is_some()
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// FNV-1a, 64 bit: tells addresses apart, the same in every version of the program. The file itself names the address.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
