//! Noticing that files have changed: the system says so at once where it can, and a look every few seconds sees the rest.
//!
//! What counts is how the files are, not what is told of them: editors that put a new file in place of the old one, links that lead
//! elsewhere all of a sudden (as Kubernetes changes its mounted files), and network folders that tell nothing are all the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::app::files::{fixed, matching};
use crate::app::load::Loaded;

/// How often the files are looked at although nothing was told.
const LOOK: Duration = Duration::from_secs(3);

/// How long it must be quiet before what is written counts as written.
const QUIET: Duration = Duration::from_millis(100);

/// How long quiet is waited for at most.
const UNREST: Duration = Duration::from_secs(1);

/// How one file is: where it really is, how long, and since when.
type Look = (PathBuf, u64, Option<SystemTime>);

/// How files are at one time.
pub(super) type Seen = BTreeMap<PathBuf, Option<Look>>;

/// Where there are files to be watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Places {
    registries: Vec<PathBuf>,
    /// Each with the folder that it starts at.
    patterns: Vec<(PathBuf, String)>,
}

impl Places {
    /// The files that were read, and what found them.
    pub(super) fn of(loaded: &Loaded) -> Self {
        Self { registries: loaded.read.clone(), patterns: [&loaded.patterns[..], &loaded.includes].concat() }
    }

    /// These and `others`.
    pub(super) fn and(mut self, others: &Self) -> Self {
        self.registries.extend(others.registries.iter().cloned());
        self.patterns.extend(others.patterns.iter().cloned());
        self.registries.sort();
        self.registries.dedup();
        self.patterns.sort();
        self.patterns.dedup();
        self
    }

    /// How the files are now.
    pub(super) fn look(&self) -> Seen {
        let named = self.patterns.iter().flat_map(|(base, pattern)| matching(base, pattern).unwrap_or_default());
        self.registries.iter().cloned().chain(named).map(|path| (path.clone(), look_at(&path))).collect()
    }
}

/// Files that are watched.
pub(super) struct Watch {
    places: Places,
    /// How they were when they were last read.
    seen: Seen,
    told: Arc<Notify>,
    /// Tells for as long as it lives; without one there is only the look every few seconds.
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Begins to watch files that were read when they were as `seen`.
    pub(super) async fn over(places: Places, seen: Seen) -> Self {
        let mut watch = Self { places, seen, told: Arc::new(Notify::new()), watcher: None };
        watch.listen().await;
        watch
    }

    /// Where the files are.
    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// How the files are now. Folders can be large or far away: nobody else waits for them.
    pub(super) async fn look(&self) -> Seen {
        let places = self.places.clone();
        spawn_blocking(move || places.look()).await.unwrap_or_else(|_| self.seen.clone())
    }

    /// Watches these from now on, which were read after they were as `seen`: what has changed since then may not have been read.
    pub(super) async fn follow(&mut self, places: Places, seen: Seen) {
        if places != self.places {
            self.places = places;
            self.listen().await;
        }
        self.seen = seen;
    }

    /// Waits until some file is not as it was, and until nobody writes any more.
    pub(super) async fn changed(&self) {
        loop {
            if timeout(LOOK, self.told.notified()).await.is_ok() {
                let quiet = async { while timeout(QUIET, self.told.notified()).await.is_ok() {} };
                // Who never rests is read in between.
                let _ = timeout(UNREST, quiet).await;
            }
            if self.look().await != self.seen {
                // What the look has seen may be half written.
                sleep(QUIET).await;
                return;
            }
        }
    }

    async fn listen(&mut self) {
        let (told, places) = (Arc::clone(&self.told), self.places.clone());
        self.watcher = spawn_blocking(move || listener(told, &places)).await.ok().flatten();
    }
}

/// Whoever tells of changes.
fn listener(told: Arc<Notify>, places: &Places) -> Option<RecommendedWatcher> {
    let tell = move |event: notify::Result<notify::Event>| {
        // Our own reading is no change.
        if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
            told.notify_one();
        }
    };
    let watcher = notify::recommended_watcher(tell);
    let mut watcher = watcher.inspect_err(|error| tracing::info!(%error, "changes of files are seen later")).ok()?;
    for (folder, mode) in folders(&places.registries, &places.patterns) {
        if let Err(error) = watcher.watch(&folder, mode) {
            tracing::debug!(folder = %folder.display(), %error, "changes in it are seen later");
        }
    }
    Some(watcher)
}

fn look_at(path: &Path) -> Option<Look> {
    let metadata = fs::metadata(path).ok()?;
    Some((path.canonicalize().ok()?, metadata.len(), metadata.modified().ok()))
}

/// The folders that changes are told of, each with what is below it or without.
fn folders(registries: &[PathBuf], patterns: &[(PathBuf, String)]) -> Vec<(PathBuf, RecursiveMode)> {
    let or_here = |path: &Path| if path.as_os_str().is_empty() { PathBuf::from(".") } else { path.to_path_buf() };
    let of_files =
        registries.iter().filter_map(|path| path.parent()).map(|path| (or_here(path), RecursiveMode::NonRecursive));
    let of_patterns = patterns.iter().map(|(base, pattern)| {
        let whole = base.join(pattern);
        let fixed = fixed(base, pattern);
        let rest = whole.components().count() - fixed.components().count();
        let folder = if rest == 0 && !fixed.is_dir() {
            fixed.parent().map(Path::to_path_buf).unwrap_or_default()
        } else {
            fixed
        };
        (or_here(&folder), if rest > 1 { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive })
    });
    of_files.chain(of_patterns).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_saved_while_files_are_read_is_a_change() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let (a, b) = (place.path().join("a.toml"), place.path().join("b.yaml"));
        fs::write(&a, "1").expect("a file");
        let places =
            Places { registries: vec![a.clone()], patterns: vec![(place.path().to_path_buf(), "*.yaml".into())] };
        let mut watch = Watch::over(places.clone(), places.look()).await;
        let is_noticed = async |watch: &Watch| timeout(4 * LOOK, watch.changed()).await.is_ok();
        for (path, text) in [(&a, "22"), (&b, "new"), (&b, "newer")] {
            let before = watch.look().await;
            // Here they are read, and somebody saves another one.
            fs::write(path, text).expect("a file");
            watch.follow(places.clone(), before).await;
            assert!(is_noticed(&watch).await, "{text}");
        }
        assert_eq!(watch.look().await.len(), 2);
    }
}
