//! Hot reload: what the files say is taken over while the program serves, and a file with mistakes leaves everything as it was.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::app::finds::Finds;
use crate::app::load::{Files, Loaded, load};
use crate::app::news::News;
use crate::app::restart::held_back;
use crate::app::revisions::{Revisions, Snapshot, files_of};
use crate::app::run::App;
use crate::app::watch::{Places, Seen, Watch};
use crate::gateway::adopt::{Difference, Outcome, Wish};
use crate::model::code;
use crate::model::problem::Problem;
use crate::registry::found::Found;
use crate::registry::server::Registry;
use crate::registry::source::{Sources, TITLE};
use crate::workflow::set::WorkflowSet;

/// How many may wait for the files to be read anew.
const WISHES: usize = 16;

/// The files that are watched.
#[derive(Debug, Clone)]
pub struct Watched {
    files: Files,
    places: Places,
    /// How they were when they were read.
    seen: Seen,
    /// Where it is kept what they were, and what they were at the start, if there was nothing wrong with them.
    revisions: Option<Revisions>,
    first: Option<Snapshot>,
    /// What sources had found before the start.
    found: Vec<Found>,
}

impl Watched {
    /// The files that the user named, and what they led to. Their revisions are kept in the data directory `data`.
    pub fn of(files: Files, loaded: &Loaded, data: Option<&Path>) -> Self {
        // What was found then is meant from now on, even if another file could be found, too.
        let files = Files { registries: loaded.files.clone(), ..files };
        let is_right = !loaded.problems.iter().any(Problem::is_error);
        let places = Places::of(loaded);
        Self {
            files,
            // As near to the reading as can be: what is saved from now on is read anew.
            seen: places.look(),
            places,
            revisions: data.map(Revisions::of),
            first: is_right.then(|| files_of(loaded)),
            found: loaded.found.clone(),
        }
    }
}

/// What is to be used from now on.
struct Next {
    registry: Arc<Registry>,
    workflows: Arc<WorkflowSet>,
    outcome: Outcome,
    /// The files with mistakes of which nothing was used before.
    new: Vec<String>,
    places: Option<Places>,
}

impl App {
    /// What callers wish to be read anew, from now on. To be said before hosts are served: it is one more tool for them.
    pub(super) fn wishes(&self) -> mpsc::Receiver<Wish> {
        let (sender, wishes) = mpsc::channel(WISHES);
        self.gateway().allow_reloads(sender);
        wishes
    }

    /// Begins to ask the sources of servers, for which the first list waits a moment unless something is known of each.
    pub(super) fn begin_search(&self, watched: &Watched) {
        let searches = self.searches();
        searches.follow(&self.gateway().registry().discovery.sources, &watched.found);
        self.gateway().set_searching(!searches.board().is_known());
    }

    /// Asks every source of servers once, and takes over what they name. Gives back what is wrong with that, line by line.
    pub async fn find_servers(&self, files: &Files, found: &[Found]) -> Vec<String> {
        let sources = self.gateway().registry().discovery.sources.clone();
        if sources.is_empty() {
            return Vec::new();
        }
        self.searches().follow(&sources, found);
        self.searches().complete().await;
        let (outcome, ..) = self.read_anew(files).await;
        // What has mistakes was never used before.
        self.gateway().set_problems(outcome.problems.clone());
        let troubles = self.searches().board().reports().into_iter().filter_map(|report| report.trouble());
        let of_found = outcome.problems.into_iter().filter(|problem| problem.starts_with(TITLE));
        troubles.chain(of_found).collect()
    }

    /// Reads the files anew whenever they change or somebody says so; never ends.
    pub(super) async fn keep_current(&self, watched: Watched, mut wishes: mpsc::Receiver<Wish>) {
        let Watched { files, places, seen, revisions, first, found: _ } = watched;
        keep(revisions.as_ref(), first).await;
        let mut watch = Watch::over(places, seen).await;
        let mut news = News::of(self.searches());
        loop {
            let wish = tokio::select! {
                () = watch.changed() => None,
                () = news.changed() => None,
                () = self.hung_up() => {
                    self.searches().ask_all().await;
                    None
                },
                Some(wish) = wishes.recv() => {
                    self.searches().ask_all().await;
                    Some(wish)
                },
            };
            news.take();
            let before = watch.look().await;
            let (outcome, places, revision) = self.read_anew(&files).await;
            keep(revisions.as_ref(), revision).await;
            let places = match places {
                Some(places) if outcome.kept.is_empty() => places,
                // What is used as it was before may come back to where it was, or be mended where it is now.
                Some(places) => places.and(watch.places()),
                None => watch.places().clone(),
            };
            self.gateway().set_searching(false);
            watch.follow(places, before).await;
            if outcome.kept.is_empty() {
                tracing::info!("the files were read anew: {}", outcome.to_text());
            } else {
                tracing::error!("the files were read anew and are wrong: {}", outcome.to_text());
            }
            if let Some(wish) = wish {
                // Whoever wished for it may have left.
                let _ = wish.send(outcome);
            }
        }
    }

    /// What came of it, where there are files to be watched, and what the files are, if they are right.
    async fn read_anew(&self, files: &Files) -> (Outcome, Option<Places>, Option<Snapshot>) {
        let gateway = self.gateway();
        let named = Files { found: Some(self.searches().board().found()), ..files.clone() };
        let loaded = match tokio::task::spawn_blocking(move || load(&named)).await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(why)) => {
                let kept = files.registries.iter().map(|path| path.to_string_lossy().into_owned()).collect();
                return (Outcome { problems: vec![why], kept, ..Outcome::default() }, None, None);
            }
            Err(error) => return (Outcome { problems: vec![error.to_string()], ..Outcome::default() }, None, None),
        };
        let revision = (!loaded.problems.iter().any(Problem::is_error)).then(|| files_of(&loaded));
        let patterns = loaded.patterns.clone();
        let next = next(loaded, &gateway.registry(), &gateway.workflows());
        if next.outcome.kept.is_empty() {
            self.look_by(patterns);
        }
        self.searches().follow(&next.registry.discovery.sources, &[]);
        let found = self.searches().board().found();
        keep_finds(files.kept.clone(), next.registry.discovery.sources.clone(), found).await;
        let marked = next.outcome.kept.iter().map(|kept| {
            let what = if next.new.contains(kept) { "is not used" } else { "is used as it was before" };
            format!("{kept} has mistakes and {what}")
        });
        gateway.set_problems(marked.chain(next.outcome.problems.clone()).collect());
        if !next.outcome.is_unchanged() || *next.registry != *gateway.registry() {
            gateway.adopt(next.registry, next.workflows).await;
        }
        (next.outcome, next.places, revision)
    }
}

/// Keeps what was found for the next start. That it cannot be kept is no reason to do nothing.
async fn keep_finds(finds: Option<Finds>, sources: Sources, found: Vec<Found>) {
    let Some(finds) = finds.filter(|_| !sources.is_empty()) else { return };
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || finds.keep(&sources, &found)).await {
        tracing::warn!(%error, "what sources have found cannot be kept for the next start");
    }
}

/// Keeps a revision. That it cannot be kept is no reason to do nothing.
async fn keep(revisions: Option<&Revisions>, files: Option<Snapshot>) {
    let (Some(revisions), Some(files)) = (revisions.cloned(), files) else { return };
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || revisions.keep(files)).await {
        tracing::warn!(%error, "what the files are now cannot be kept as a revision");
    }
}

/// What is to be used in place of `registry` and `workflows`: what was read, save for files with mistakes.
fn next(mut loaded: Loaded, registry: &Arc<Registry>, workflows: &Arc<WorkflowSet>) -> Next {
    let places = Some(Places::of(&loaded));
    let is_registry = |name: &str| loaded.read.iter().any(|path| path.to_string_lossy() == name);
    let mut kept: Vec<String> = Vec::new();
    for problem in loaded.problems.iter().filter(|problem| problem.is_error()) {
        let name = problem.source.name.clone();
        if !kept.contains(&name) {
            kept.push(name);
        }
    }
    let is_gone = |problem: &Problem| problem.code == code::FILE_UNREADABLE && is_registry(&problem.source.name);
    let is_unusable = loaded.is_unusable || loaded.problems.iter().any(is_gone);
    let is_broken = is_unusable || kept.iter().any(|name| is_registry(name));
    // Where the workflows are is said by the registry: what a broken one does not lead to is not gone, nor what is in a folder that
    // cannot be read.
    let is_found = |name: &str| loaded.sources.iter().any(|(source, _)| source.name == name);
    let is_partial = is_broken || loaded.is_incomplete;
    let lost = workflows.iter().map(|workflow| &workflow.source.name).filter(|name| is_partial && !is_found(name));
    let held: Vec<_> = kept.iter().chain(lost).cloned().collect();
    if let Some(source) = loaded.texts.first().filter(|_| !is_broken) {
        loaded.problems.extend(held_back(&mut loaded.registry, registry, source));
    }
    let new_workflows =
        if is_unusable { Arc::clone(workflows) } else { Arc::new(loaded.workflows.keeping(workflows, &held)) };
    let was_used = |name: &String| workflows.iter().any(|workflow| workflow.source.name == *name);
    let new = kept.iter().filter(|name| !is_registry(name) && !was_used(name)).cloned().collect();
    let new_registry = if is_broken { Arc::clone(registry) } else { Arc::new(loaded.registry) };
    let outcome = Outcome {
        servers: Difference::between(&registry.servers, &new_registry.servers, |was, is| was == is),
        workflows: Difference::between(workflows.by_name(), new_workflows.by_name(), Arc::ptr_eq),
        problems: loaded.problems.iter().map(Problem::to_string).collect(),
        kept,
    };
    Next { registry: new_registry, workflows: new_workflows, outcome, new, places }
}
