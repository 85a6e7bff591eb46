//! From the user's files to what the program may rely on, with everything that is wrong with them.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::app::files::{matching, registries};
use crate::app::finds::Finds;
use crate::app::lineage::{above, extended};
use crate::document::format::Format;
use crate::model::code;
use crate::model::problem::{Problem, Source};
use crate::registry::discovery::from_environment;
use crate::registry::found::Found;
use crate::registry::load::{load as load_registry, load_with};
use crate::registry::server::Registry;
use crate::registry::source::Sources;
use crate::workflow::set::{WorkflowSet, load as load_workflows};

/// What problems of servers in the environment are said to stand in.
const ENVIRONMENT: &str = "the environment";

/// Which files the user named.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// Registry files; found by default if empty.
    pub registries: Vec<PathBuf>,
    /// Workflow files, directories or globs besides those that the registry names, relative to the working directory.
    pub workflows: Vec<String>,
    /// Texts that count in place of what files hold, by the whole paths of the files.
    pub texts: BTreeMap<PathBuf, String>,
    /// What sources have found; what is kept of it in `kept` if `None`.
    pub found: Option<Vec<Found>>,
    /// Where it is kept what sources have found.
    pub kept: Option<Finds>,
    /// Where it is kept what servers were last heard to offer.
    pub catalogue: Option<PathBuf>,
}

impl Files {
    /// From now on `text` counts in place of what the file holds.
    pub fn put(&mut self, path: &Path, text: String) {
        self.texts.insert(whole(path), text);
    }
}

/// What was read.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The servers that can be used.
    pub registry: Registry,
    /// The workflows that can be used.
    pub workflows: WorkflowSet,
    /// Everything that is wrong, in the order of the files.
    pub problems: Vec<Problem>,
    /// Whether a registry file could not be read at all, so that nothing should be started.
    pub is_unusable: bool,
    /// The registry files that the user named.
    pub files: Vec<PathBuf>,
    /// Those, and the files that they include.
    pub read: Vec<PathBuf>,
    /// What included files are found by, each with the folder that it starts at.
    pub includes: Vec<(PathBuf, String)>,
    /// Their texts.
    pub texts: Vec<Arc<Source>>,
    /// What sources have found.
    pub found: Vec<Found>,
    /// The patterns of workflow files, each with the folder that it starts at; those of the command line come last.
    pub patterns: Vec<(PathBuf, String)>,
    /// Whether some of them could not be followed: workflows that were found by them before are not gone.
    pub is_incomplete: bool,
    /// The workflow files that were read, whether they are right or not.
    pub sources: Vec<(Arc<Source>, Format)>,
    /// Which registries have led to this process, these included.
    pub lineage: String,
}

/// Reads and checks everything. What is wrong with one entry or file leaves the others usable.
pub fn load(files: &Files) -> Result<Loaded, String> {
    let mut loaded = Loaded { files: registries(&files.registries)?, ..Loaded::default() };
    let mut sources = Vec::new();
    let mut patterns: Vec<(PathBuf, String)> = Vec::new();
    let mut waiting = VecDeque::from(loaded.files.clone());
    let mut seen = HashSet::new();
    let mut uses_environment = false;
    let mut searched = Sources::new();
    while let Some(path) = waiting.pop_front() {
        if !seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
            continue;
        }
        loaded.read.push(path.clone());
        match read(&path, &files.texts) {
            Ok(source) => {
                let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
                let (alone, _) = load_registry(std::slice::from_ref(&source));
                patterns.extend(alone.orchestrator.workflows.into_iter().map(|pattern| (base.clone(), pattern)));
                uses_environment |= alone.discovery.environment;
                searched.extend(alone.discovery.sources);
                for pattern in &alone.discovery.include {
                    match matching(&base, pattern) {
                        Ok(paths) => waiting.extend(paths),
                        Err(why) => loaded.problems.push(Problem::error(code::FILE_UNREADABLE, &source, 0..0, why)),
                    }
                    loaded.includes.push((base.clone(), pattern.clone()));
                }
                sources.push(source);
            }
            Err(problem) => {
                loaded.problems.push(*problem);
                loaded.is_unusable |= loaded.files.contains(&path);
            }
        }
    }
    match uses_environment.then(|| from_environment(variables())).flatten() {
        Some(Ok(text)) => sources.push(Source::new(ENVIRONMENT, text)),
        Some(Err(why)) => {
            loaded.problems.push(Problem::error(code::WRONG_VALUE, &Source::new(ENVIRONMENT, ""), 0..0, why));
        }
        None => {}
    }
    loaded.found = match &files.found {
        Some(found) => found.iter().filter_map(|found| still_meant(found, &searched)).collect(),
        None => files.kept.as_ref().map(|kept| kept.of(&searched)).unwrap_or_default(),
    };
    let (registry, problems) = load_with(&sources, &loaded.found);
    loaded.texts = sources;
    loaded.is_unusable |= problems.iter().any(|problem| problem.code == code::SYNTAX);
    loaded.registry = registry;
    // Of what the user has named nobody needs to be told where it comes from.
    let named: HashSet<_> = loaded.files.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    loaded.registry.origins.retain(|_, origin| !named.contains(&**origin));
    match extended(&above(), &loaded.files) {
        Ok(lineage) => loaded.lineage = lineage,
        Err(problem) => {
            loaded.problems.push(*problem);
            loaded.is_unusable = true;
        }
    }
    loaded.problems.extend(problems);
    patterns.extend(files.workflows.iter().map(|pattern| (PathBuf::new(), pattern.clone())));
    read_workflows(&patterns, &files.texts, &mut loaded);
    loaded.patterns = patterns;
    Ok(loaded)
}

/// What was found, if its source is still to be asked, by what the source may bring now.
fn still_meant(found: &Found, sources: &Sources) -> Option<Found> {
    let by = sources.get(&found.by.name).filter(|source| source.place == found.by.place)?;
    Some(Found { by: Arc::clone(by), ..found.clone() })
}

fn read_workflows(patterns: &[(PathBuf, String)], texts: &BTreeMap<PathBuf, String>, loaded: &mut Loaded) {
    let mut sources = Vec::new();
    let mut seen = HashSet::new();
    for (base, pattern) in patterns {
        let paths = match matching(base, pattern) {
            Ok(paths) => paths,
            Err(why) => {
                loaded.is_incomplete = true;
                let source = Source::new(pattern, "");
                loaded.problems.push(Problem::error(code::FILE_UNREADABLE, &source, 0..0, why));
                continue;
            }
        };
        for path in paths {
            if !seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())) {
                continue;
            }
            match (read(&path, texts), Format::of(&path.to_string_lossy())) {
                (Ok(source), Some(format)) => sources.push((source, format)),
                (Ok(source), None) => {
                    let message = "its name does not end in .yaml, .yml, .json or .toml";
                    loaded.problems.push(Problem::error(code::FILE_UNREADABLE, &source, 0..0, message));
                }
                (Err(problem), _) => loaded.problems.push(*problem),
            }
        }
    }
    let (workflows, problems) = load_workflows(&sources);
    loaded.workflows = workflows;
    loaded.problems.extend(problems);
    loaded.sources = sources;
}

/// The variables of the environment that are text.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Reads one file.
pub fn read(path: &Path, texts: &BTreeMap<PathBuf, String>) -> Result<Arc<Source>, Box<Problem>> {
    let name = path.to_string_lossy();
    // The same file can be named in several ways, `./flows/a.yaml` and `flows/a.yaml`.
    if let Some(text) = texts.get(&whole(path)) {
        return Ok(Source::new(name, text));
    }
    std::fs::read_to_string(path).map(|text| Source::new(name.clone(), text)).map_err(|error| {
        let source = Source::new(name, "");
        Box::new(Problem::error(code::FILE_UNREADABLE, &source, 0..0, format!("the file cannot be read: {error}")))
    })
}

fn whole(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_counts_however_its_file_is_named() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let registry = place.path().join("registry.toml");
        std::fs::create_dir(place.path().join("flows")).expect("a folder");
        std::fs::write(&registry, "[orchestrator]\nworkflows = [\"./flows\"]\n").expect("a registry");
        let flow = place.path().join("flows/a.yaml");
        std::fs::write(&flow, "what it holds").expect("a workflow");
        let mut files = Files { registries: vec![registry], ..Files::default() };
        files.put(&flow, "what counts".to_owned());
        let loaded = load(&files).expect("a registry is named");
        assert_eq!(loaded.sources[0].0.text, "what counts");
    }
}
