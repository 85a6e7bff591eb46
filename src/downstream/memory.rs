//! What each server was last heard to offer, kept in a folder, so that the next start can tell it before any server runs.
//!
//! A file for each server holds its definitions as they came, and what identifies the entry of the registry that they came by
//! as a hash: an entry that is changed is another server. A file that is not as it was written is as good as none.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::downstream::folder::{hex, make, write_whole};
use crate::downstream::listing::{Listing, judged};
use crate::downstream::protocol::About;
use crate::model::entry::Kind;
use crate::registry::server::{Launch, Server};
use crate::registry::text::Text;

/// Changes when files of before could be misread.
const FORMAT: u32 = 1;

/// The largest file that is read.
const MOST_BYTES: u64 = 64 << 20;

/// A file that says the same is written anew after this time, so that it does not look old.
const REFRESH: Duration = Duration::from_mins(10);

/// The folder, and how it is used.
#[derive(Debug)]
pub struct Memory {
    folder: PathBuf,
    age: Duration,
    is_read: bool,
}

/// When something that is recalled was heard, and by whom it was said.
#[derive(Debug, Clone)]
pub struct Recalled {
    /// When it was heard.
    pub at: Timestamp,
    /// The server's own name and version.
    pub identity: Option<String>,
}

impl Recalled {
    /// How long ago that was.
    pub fn age(&self) -> Duration {
        Timestamp::now().duration_since(self.at).try_into().unwrap_or_default()
    }
}

/// A file.
#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    server: String,
    /// What identifies the entry in the registry.
    entry: String,
    listed_at: Timestamp,
    era: String,
    name: Option<String>,
    version: Option<String>,
    instructions: Option<String>,
    /// Whether a command heard it: a server may offer less to who answers no questions than it does to a host.
    #[serde(default)]
    is_without_host: bool,
    offers: Vec<Offered>,
}

/// One definition.
#[derive(Serialize, Deserialize)]
struct Offered {
    list: String,
    hash: String,
    definition: Map<String, Value>,
}

impl Memory {
    /// Remembers in `folder`, which is made when it is needed. What is older than `age` is forgotten. Unless `is_read`, as
    /// for commands, nothing is recalled, and kept for another time only where nothing is that was heard for a host.
    pub fn new(folder: PathBuf, age: Duration, is_read: bool) -> Self {
        Self { folder, age, is_read }
    }

    /// How long something is remembered.
    pub fn age(&self) -> Duration {
        self.age
    }

    /// What `server` was last heard to offer, as today's registry judges it.
    pub fn recall(&self, server: &Server) -> Option<(Listing, Recalled)> {
        let kept = self.read(server).filter(|_| self.is_read)?;
        let identity = kept.name.as_ref().map(|name| [name.as_str(), kept.version.as_deref().unwrap_or("")].join(" "));
        let recalled = Recalled { at: kept.listed_at, identity: identity.map(|text| text.trim_end().to_owned()) };
        if recalled.age() > self.age {
            return None;
        }
        let entries = kept.offers.into_iter().map(|offer| entry(offer, server)).collect::<Option<Vec<_>>>()?;
        Some((Listing { entries, instructions: kept.instructions, ..Listing::default() }, recalled))
    }

    /// Keeps what `server` offers. Failing to is told to the log only: everything works without it.
    pub async fn keep(self: &Arc<Self>, server: &Arc<Server>, about: &About, listing: &Listing) {
        // Names of orchestrators are good for one life of theirs, and without them lists could go round in circles.
        if self.age.is_zero() || listing.entries.iter().any(|entry| !entry.path.is_empty()) {
            return;
        }
        let kept = Kept {
            format: FORMAT,
            server: server.name.to_string(),
            entry: identity_of(server),
            listed_at: Timestamp::now(),
            era: about.era.as_str().to_owned(),
            name: about.name.clone(),
            version: about.version.clone(),
            instructions: listing.instructions.clone(),
            is_without_host: !self.is_read,
            offers: listing.entries.iter().map(|entry| offered(entry.kind, &entry.definition)).collect(),
        };
        let (memory, server) = (Arc::clone(self), Arc::clone(server));
        let name = Arc::clone(&server.name);
        let written = tokio::task::spawn_blocking(move || memory.write(&server, &kept)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(server = %name, %error, "what it offers cannot be kept for the next start");
        }
    }

    fn path(&self, server: &str) -> PathBuf {
        self.folder.join(format!("{server}.json"))
    }

    fn read(&self, server: &Server) -> Option<Kept> {
        let path = self.path(&server.name);
        let size = fs::metadata(&path).ok()?.len();
        let text = (size <= MOST_BYTES).then(|| fs::read_to_string(&path).ok()).flatten();
        let Some(kept) = text.and_then(|text| serde_json::from_str::<Kept>(&text).ok()).filter(is_whole) else {
            tracing::warn!(server = %server.name, "what was kept of it cannot be read; it is listed anew");
            return None;
        };
        (kept.format == FORMAT && *kept.server == *server.name && kept.entry == identity_of(server)).then_some(kept)
    }

    fn write(&self, server: &Server, kept: &Kept) -> io::Result<()> {
        let path = self.path(&server.name);
        if path.exists()
            && let Some(old) = self.read(server)
        {
            let age = Recalled { at: old.listed_at, identity: None }.age();
            let is_better = kept.is_without_host && !old.is_without_host && age <= self.age;
            if is_better || (is_same(&old, kept) && age < REFRESH) {
                return Ok(());
            }
        }
        make(&self.folder)?;
        write_whole(&path, &serde_json::to_vec(kept).map_err(io::Error::other)?)
    }
}

fn is_same(old: &Kept, new: &Kept) -> bool {
    let hashes = |kept: &Kept| kept.offers.iter().map(|offer| offer.hash.clone()).collect::<Vec<_>>();
    (&old.name, &old.version, &old.instructions) == (&new.name, &new.version, &new.instructions)
        && old.is_without_host == new.is_without_host
        && hashes(old) == hashes(new)
}

fn is_whole(kept: &Kept) -> bool {
    kept.offers.iter().all(|offer| offer.hash == hash_of(&offer.definition))
}

fn offered(kind: Kind, definition: &Map<String, Value>) -> Offered {
    Offered { list: kind.list_key().to_owned(), hash: hash_of(definition), definition: definition.clone() }
}

fn entry(offer: Offered, server: &Server) -> Option<crate::model::entry::Entry> {
    let kind = Kind::ALL.into_iter().find(|kind| kind.list_key() == offer.list)?;
    let id = offer.definition.get(kind.id_key())?.as_str()?.to_owned();
    Some(judged(kind, id, offer.definition, server))
}

fn hash_of(definition: &Map<String, Value>) -> String {
    let text = serde_json::to_string(definition).unwrap_or_default();
    hex(&Sha256::digest(text.as_bytes()))
}

/// What makes a server's entry the one that it is: how it is reached, and the names of what it is given, never their values.
fn identity_of(server: &Server) -> String {
    let mut parts: Vec<&str> = Vec::new();
    match &server.launch {
        Launch::Command(command) => {
            parts.extend(["command", command.command.as_written()]);
            parts.extend(command.args.iter().map(Text::as_written));
            parts.extend(["cwd", command.cwd.as_ref().map_or("", |cwd| cwd.as_written()), "env"]);
            parts.extend(command.env.keys().map(String::as_str));
        }
        Launch::Url(address) => {
            parts.extend(["url", address.url.as_written(), "headers"]);
            parts.extend(address.headers.keys().map(String::as_str));
        }
    }
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or_default().to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex(hash.finalize().as_slice())
}
