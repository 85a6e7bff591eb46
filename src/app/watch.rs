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
use tokio::time::{sleep, timeout};

use crate::app::files::matching;

/// How often the files are looked at although nothing was told.
const LOOK: Duration = Duration::from_secs(3);

/// How long it must be quiet before what is written counts as written.
const QUIET: Duration = Duration::from_millis(100);

/// How long quiet is waited for at most.
const UNREST: Duration = Duration::from_secs(1);

/// How one file is: where it really is, how long, and since when.
type Look = (PathBuf, u64, Option<SystemTime>);

/// Files that are watched.
pub(super) struct Watch {
    registries: Vec<PathBuf>,
    patterns: Vec<(PathBuf, String)>,
    seen: BTreeMap<PathBuf, Option<Look>>,
    told: Arc<Notify>,
    /// Tells for as long as it lives; without one there is only the look every few seconds.
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Begins to watch registry files and those that patterns mean.
    pub(super) fn over(registries: Vec<PathBuf>, patterns: Vec<(PathBuf, String)>) -> Self {
        let told = Arc::new(Notify::new());
        let mut watch = Self { registries, patterns, seen: BTreeMap::new(), told, watcher: None };
        watch.listen();
        watch.seen = watch.look();
        watch
    }

    /// What workflow files are found by.
    pub(super) fn patterns(&self) -> &[(PathBuf, String)] {
        &self.patterns
    }

    /// Watches what these patterns mean from now on.
    pub(super) fn follow(&mut self, patterns: Vec<(PathBuf, String)>) {
        if patterns != self.patterns {
            self.patterns = patterns;
            self.listen();
        }
        self.seen = self.look();
    }

    /// Waits until some file is not as it was, and until nobody writes any more.
    pub(super) async fn changed(&mut self) {
        loop {
            if timeout(LOOK, self.told.notified()).await.is_ok() {
                let quiet = async { while timeout(QUIET, self.told.notified()).await.is_ok() {} };
                // Who never rests is read in between.
                let _ = timeout(UNREST, quiet).await;
            }
            let now = self.look();
            if now != self.seen {
                // What the looks have seen may be half written.
                sleep(QUIET).await;
                self.seen = self.look();
                return;
            }
        }
    }

    fn listen(&mut self) {
        let told = Arc::clone(&self.told);
        let tell = move |event: notify::Result<notify::Event>| {
            // Our own reading is no change.
            if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                told.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(tell);
        self.watcher = watcher.inspect_err(|error| tracing::info!(%error, "changes of files are seen later")).ok();
        for (folder, mode) in folders(&self.registries, &self.patterns) {
            if let Some(Err(error)) = self.watcher.as_mut().map(|watcher| watcher.watch(&folder, mode)) {
                tracing::debug!(folder = %folder.display(), %error, "changes in it are seen later");
            }
        }
    }

    fn look(&self) -> BTreeMap<PathBuf, Option<Look>> {
        let named = self.patterns.iter().flat_map(|(base, pattern)| matching(base, pattern).unwrap_or_default());
        self.registries.iter().cloned().chain(named).map(|path| (path.clone(), look_at(&path))).collect()
    }
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
        let is_fixed =
            |part: &std::path::Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']);
        let fixed: PathBuf = whole.components().take_while(is_fixed).collect();
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
