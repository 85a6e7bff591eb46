//! What sources have found, kept in a folder, so that the next start has servers before any source has answered.
//!
//! What holds a secret is not kept, and is not there until its source has named it again.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::app::redact::redacted;
use crate::app::revisions;
use crate::downstream::folder::{hex, make, write_whole};
use crate::model::problem::Source;
use crate::registry::found::Found;
use crate::registry::source::{ServerSource, Sources};

/// Changes when files of before could be misread.
const FORMAT: u32 = 1;

/// The largest file that is read.
const MOST_BYTES: u64 = 16 << 20;

/// The folder, with a file for each source.
#[derive(Debug, Clone)]
pub struct Finds(PathBuf);

/// A file.
#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    /// Where the source was, as a hash: another place is another source.
    place: String,
    servers: BTreeMap<String, String>,
}

impl Finds {
    /// Those in the data directory `data`.
    pub fn new(data: &Path) -> Self {
        Self(data.join("discovery"))
    }

    /// What these sources have found before.
    pub fn of(&self, sources: &Sources) -> Vec<Found> {
        sources.values().flat_map(|source| self.of_one(source)).collect()
    }

    fn of_one(&self, source: &Arc<ServerSource>) -> Vec<Found> {
        let path = self.path(source);
        if fs::metadata(&path).map_or(true, |about| about.len() > MOST_BYTES) {
            return Vec::new();
        }
        let kept = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
        let kept = kept.filter(|kept| kept.format == FORMAT && kept.place == place(source));
        let servers = kept.map(|kept| kept.servers).unwrap_or_default();
        let found = |(name, text)| Found { name, source: Source::new(source.title(), text), by: Arc::clone(source) };
        servers.into_iter().take(source.max_servers).map(found).collect()
    }

    /// Keeps what these sources have `found`.
    pub fn keep(&self, sources: &Sources, found: &[Found]) -> io::Result<()> {
        for source in sources.values() {
            let of_it = found.iter().filter(|found| found.by.name == source.name && !holds_secret(&found.source.text));
            let servers = of_it.map(|found| (found.name.clone(), found.source.text.clone())).collect();
            let text = serde_json::to_vec(&Kept { format: FORMAT, place: place(source), servers })?;
            let path = self.path(source);
            if fs::read(&path).ok().as_ref() != Some(&text) {
                make(&self.0)?;
                write_whole(&path, &text)?;
            }
        }
        Ok(())
    }

    fn path(&self, source: &ServerSource) -> PathBuf {
        self.0.join(format!("{}.json", source.name))
    }
}

/// What was found as it is shown to people: a text for each server, called by its source and its name.
pub fn shown(found: &[Found]) -> Vec<revisions::Kept> {
    let without_secrets = found.iter().filter(|found| !holds_secret(&found.source.text));
    without_secrets.map(|found| show(&found.by.title(), &found.name, &found.source.text)).collect()
}

fn show(source: &str, name: &str, document: &str) -> revisions::Kept {
    let value: serde_json::Value = serde_json::from_str(document).unwrap_or_default();
    revisions::Kept { path: Path::new(source).join(name), text: format!("{value:#}\n") }
}

fn place(source: &ServerSource) -> String {
    hex(&Sha256::digest(format!("{:?}", source.place)))
}

fn holds_secret(document: &str) -> bool {
    redacted(&Source::new("found.json", document)).as_deref() != Some(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::load::load;

    #[test]
    fn what_was_found_is_there_again_save_for_secrets_and_other_places() {
        let sources = |url: &str| {
            let text = format!("[discovery.sources.s]\nurl = \"{url}\"\n");
            load(&[Source::new("registry.toml", text)]).0.discovery.sources
        };
        let here = sources("https://a.example/all");
        let plain = r#"{"mcpServers":{"a":{"url":"https://a.example/mcp"}}}"#;
        let secret = r#"{"mcpServers":{"b":{"url":"https://b.example/mcp","headers":{"K":"hunter2"}}}}"#;
        let found = |(name, text): (&str, &str)| Found {
            name: name.to_owned(),
            source: Source::new("x", text),
            by: Arc::clone(&here["s"]),
        };
        let place = tempfile::tempdir().expect("a temporary folder");
        let finds = Finds::new(place.path());
        finds.keep(&here, &[("a", plain), ("b", secret)].map(found)).expect("a folder that can be written");
        let kept: Vec<_> = finds.of(&here).into_iter().map(|found| (found.name, found.source.text.clone())).collect();
        assert_eq!(kept, [("a".to_owned(), plain.to_owned())]);
        assert_eq!(finds.of(&sources("https://b.example/all")).len(), 0);
    }
}
