//! Finding and reading the files that the user names.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use globset::GlobBuilder;

use crate::document::format::Format;

/// The name of the registry file.
pub const REGISTRY: &str = "registry.toml";

/// How deep below a pattern's fixed part files are looked for.
const MAX_DEPTH: usize = 8;

/// The registry files to read: those given, else `./registry.toml`, else the one in the user's configuration directory.
/// An error names the places that were looked at.
pub fn registries(given: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    if !given.is_empty() {
        return Ok(given.to_vec());
    }
    let own =
        etcetera::choose_base_strategy().ok().map(|base| base.config_dir().join(env!("CARGO_PKG_NAME")).join(REGISTRY));
    let places: Vec<_> = [Some(PathBuf::from(REGISTRY)), own].into_iter().flatten().collect();
    if let Some(found) = places.iter().find(|place| place.is_file()) {
        Ok(vec![found.clone()])
    } else {
        let places: Vec<_> = places.iter().map(|place| format!("`{}`", place.display())).collect();
        Err(format!("there is no registry file: looked at {}", places.join(" and ")))
    }
}

/// The files that `pattern` means, in order: a file, every workflow file directly in a directory, or what a glob matches.
/// Relative patterns start at `base`.
pub fn matching(base: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let whole = base.join(pattern);
    if whole.is_dir() {
        let mut found = Vec::new();
        collect(&whole, 1, &mut found);
        return Ok(sorted(found.into_iter().filter(|path| Format::of(&path.to_string_lossy()).is_some()).collect()));
    }
    if !pattern.contains(['*', '?', '[', '{']) {
        return Ok(vec![whole]);
    }
    let text = whole.to_string_lossy().into_owned();
    let glob =
        GlobBuilder::new(&text).literal_separator(true).build().map_err(|error| format!("`{pattern}`: {error}"))?;
    let matcher = glob.compile_matcher();
    let fixed: PathBuf = whole
        .components()
        .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']))
        .collect();
    let mut found = Vec::new();
    collect(&fixed, MAX_DEPTH, &mut found);
    Ok(sorted(found.into_iter().filter(|path| matcher.is_match(path)).collect()))
}

/// Where a new workflow file of this pattern belongs, and in which language, so that it is found by it.
pub fn place(base: &Path, pattern: &str) -> Option<(PathBuf, Format)> {
    let whole = base.join(pattern);
    if whole.is_dir() {
        return Some((whole, Format::Yaml));
    }
    let folder = whole.parent().filter(|folder| !folder.to_string_lossy().contains(['*', '?', '[', '{']))?;
    let glob = GlobBuilder::new(&whole.to_string_lossy()).literal_separator(true).build().ok()?.compile_matcher();
    let formats = [Format::Yaml, Format::Json, Format::Toml];
    let fits = |format: &Format| glob.is_match(folder.join(format!("a_new_workflow.{}", format.extension())));
    formats.into_iter().find(fits).map(|format| (folder.to_path_buf(), format))
}

fn collect(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 1 => collect(&entry.path(), depth - 1, found),
            Ok(kind) if !kind.is_dir() => found.push(entry.path()),
            _ => {}
        }
    }
}

fn sorted(mut paths: Vec<PathBuf>) -> Vec<PathBuf> {
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_finds_its_files_in_order() {
        let place = tempfile::tempdir().expect("a temporary directory");
        let base = place.path();
        std::fs::create_dir_all(base.join("flows/more")).expect("a directory");
        for name in ["flows/b.yaml", "flows/a.json", "flows/notes.md", "flows/more/c.yaml"] {
            std::fs::write(base.join(name), "").expect("a file");
        }
        let found = |pattern: &str| {
            let relative = |path: PathBuf| path.strip_prefix(base).expect("below").to_string_lossy().into_owned();
            matching(base, pattern).expect("a pattern").into_iter().map(relative).collect::<Vec<_>>()
        };
        assert_eq!(found("flows"), ["flows/a.json", "flows/b.yaml"]);
        assert_eq!(found("flows/*.yaml"), ["flows/b.yaml"]);
        assert_eq!(found("flows/**/*.yaml"), ["flows/b.yaml", "flows/more/c.yaml"]);
        assert_eq!(found("flows/missing.yaml"), ["flows/missing.yaml"]);
    }
}
