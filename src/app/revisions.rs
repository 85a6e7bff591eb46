//! What the files were when they were taken over, the last so many times, without the secrets in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::app::finds::shown;
use crate::app::load::Loaded;
use crate::app::redact::redacted;
use crate::downstream::folder::{make, write_whole};
use crate::model::problem::Source;

/// How many are kept.
const MOST: usize = 50;

/// The files at one time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Revision {
    /// Counts from 1.
    pub number: u64,
    /// When they were taken over.
    pub at: Timestamp,
    /// All of them, registry files first.
    pub files: Vec<Kept>,
    /// What sources had found then. It changes by itself, and is there to be looked at only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<Kept>,
}

/// What a revision is made of.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// The files.
    pub files: Vec<Kept>,
    /// What sources have found.
    pub found: Vec<Kept>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Its whole path.
    pub path: PathBuf,
    /// Its text without secrets.
    pub text: String,
}

/// The folder that revisions are kept in.
#[derive(Debug, Clone)]
pub struct Revisions(PathBuf);

impl Revisions {
    /// Those in the data directory `data`.
    pub fn of(data: &Path) -> Self {
        Self(data.join("revisions"))
    }

    /// All that are kept, the oldest first. What cannot be read is left out.
    pub fn all(&self) -> Vec<Revision> {
        let names = fs::read_dir(&self.0).into_iter().flatten().flatten().map(|entry| entry.path());
        let texts = names
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .filter_map(|path| fs::read_to_string(path).ok());
        let mut all: Vec<Revision> = texts.filter_map(|text| serde_json::from_str(&text).ok()).collect();
        all.sort_by_key(|revision| revision.number);
        all
    }

    /// Keeps these files as the newest revision, unless they are as in the one before.
    pub fn keep(&self, Snapshot { files, found }: Snapshot) -> io::Result<()> {
        let all = self.all();
        if all.last().is_some_and(|last| last.files == files) {
            return Ok(());
        }
        let number = all.last().map_or(1, |last| last.number + 1);
        let text =
            serde_json::to_vec(&Revision { number, at: Timestamp::now(), files, found }).map_err(io::Error::other)?;
        make(&self.0)?;
        write_whole(&self.path(number), &text)?;
        for old in all.iter().take((all.len() + 1).saturating_sub(MOST)) {
            fs::remove_file(self.path(old.number))?;
        }
        Ok(())
    }

    fn path(&self, number: u64) -> PathBuf {
        self.0.join(format!("{number:08}.json"))
    }
}

/// What was read, without secrets. A file that cannot be read has nothing to go back to and is left out.
pub fn files_of(loaded: &Loaded) -> Snapshot {
    let sources = loaded.texts.iter().chain(loaded.sources.iter().map(|(source, _)| source));
    Snapshot { files: sources.filter_map(kept).collect(), found: shown(&loaded.found) }
}

/// One file without secrets.
pub fn kept(source: &Arc<Source>) -> Option<Kept> {
    let path = std::path::absolute(&source.name).ok()?;
    Some(Kept { path, text: redacted(source)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_is_kept_once_and_only_so_many_are_kept() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let revisions = Revisions::of(place.path());
        let file = |text: String| Snapshot { files: vec![Kept { path: "/r.toml".into(), text }], found: Vec::new() };
        for n in 0..MOST + 5 {
            for _ in 0..2 {
                revisions.keep(file(n.to_string())).expect("a folder that can be written");
            }
        }
        let numbers: Vec<_> = revisions.all().iter().map(|revision| revision.number).collect();
        assert_eq!((numbers.len(), numbers.first(), numbers.last()), (MOST, Some(&6), Some(&55)));
    }
}
