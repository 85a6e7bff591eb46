//! Finding and reading the files that the user names.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use globset::{GlobBuilder, GlobMatcher, escape};

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
        let found = files_in(&whole, 1)?;
        return Ok(sorted(found.into_iter().filter(|path| Format::of(&path.to_string_lossy()).is_some()).collect()));
    }
    if !is_glob(pattern) {
        return Ok(vec![whole]);
    }
    let matcher = matcher(base, pattern).map_err(|error| format!("`{pattern}`: {error}"))?;
    let found = files_in(&fixed(base, pattern), MAX_DEPTH)?;
    Ok(sorted(found.into_iter().filter(|path| matcher.is_match(path)).collect()))
}

/// Only `pattern` may have wildcards: in the name of the folder that it starts at, such characters are meant as they are.
fn matcher(base: &Path, pattern: &str) -> Result<GlobMatcher, globset::Error> {
    let text = Path::new(&escape(&base.to_string_lossy())).join(pattern);
    Ok(GlobBuilder::new(&text.to_string_lossy()).literal_separator(true).build()?.compile_matcher())
}

/// Whether a workflow file is found by this pattern.
pub fn finds(base: &Path, pattern: &str, file: &Path) -> bool {
    let Ok(file) = file.canonicalize() else { return false };
    let found = matching(base, pattern).unwrap_or_default();
    found.iter().any(|found| found.canonicalize().is_ok_and(|found| found == file))
}

/// The part of a pattern that names one place: the whole of it, or the folder that its files are in or below.
pub fn fixed(base: &Path, pattern: &str) -> PathBuf {
    let parts = Path::new(pattern).components();
    base.join(parts.take_while(|part| !is_glob(&part.as_os_str().to_string_lossy())).collect::<PathBuf>())
}

fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

/// Where a new workflow file called `name` belongs, and in which language, so that it is found by this pattern.
pub fn place(base: &Path, pattern: &str, name: &str) -> Option<(PathBuf, Format)> {
    let whole = base.join(pattern);
    // One that is not there yet is made with its first file.
    if whole.is_dir() || (!is_glob(pattern) && whole.extension().is_none()) {
        return Some((whole, Format::Yaml));
    }
    let mut folder = fixed(base, pattern);
    if !is_glob(pattern) {
        folder.pop();
    }
    let glob = matcher(base, pattern).ok()?;
    let formats = [Format::Yaml, Format::Json, Format::Toml];
    let fits = |format: &Format| glob.is_match(folder.join(format!("{name}.{}", format.extension())));
    formats.into_iter().find(fits).map(|format| (folder, format))
}

/// Every file in `folder`, and so deep below it. What cannot be read is not empty: that is for somebody to know.
fn files_in(folder: &Path, depth: usize) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    // No name at all is that of the folder in which the program runs.
    let here = Path::new(".");
    let place = if folder.as_os_str().is_empty() { here } else { folder };
    match collect(place, depth, &mut found) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(format!("the folder {} cannot be read: {error}", place.display()))
        }
        _ if place == here && folder != here => {
            Ok(found.into_iter().map(|path| path.strip_prefix(here).map(Path::to_path_buf).unwrap_or(path)).collect())
        }
        _ => Ok(found),
    }
}

fn collect(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 1 => match collect(&entry.path(), depth - 1, found) {
                // It has just been removed, or is somebody else's.
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {}
                collected => collected?,
            },
            Ok(kind) if !kind.is_dir() => found.push(entry.path()),
            _ => {}
        }
    }
    Ok(())
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
        // What its own name looks like means nothing.
        let base = &place.path().join("a[b]{c,d}*");
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

    #[test]
    fn a_pattern_without_a_folder_is_of_where_the_program_runs() {
        // Tests run beside the manifest.
        let found = |pattern: &str| matching(Path::new(""), pattern).expect("a pattern");
        assert!(found("*.toml").contains(&PathBuf::from("Cargo.toml")));
        assert!(found("**/files.rs").contains(&PathBuf::from("src/app/files.rs")));
    }

    #[test]
    fn a_new_file_is_put_where_its_pattern_finds_it() {
        let base = Path::new("base");
        let there = |pattern: &str| {
            place(base, pattern, "new").map(|(folder, format)| folder.join(format!("new.{}", format.extension())))
        };
        for (pattern, path) in [
            ("flows", "flows/new.yaml"),
            ("flows/*.yaml", "flows/new.yaml"),
            ("flows/*.json", "flows/new.json"),
            ("flows/**/*.toml", "flows/new.toml"),
            ("flows/n*", "flows/new.yaml"),
            ("flows/new.json", "flows/new.json"),
        ] {
            assert_eq!(there(pattern), Some(base.join(path)), "{pattern}");
        }
        for pattern in ["flows/*/a.yaml", "flows/*/*.yaml", "flows/other.yaml", "flows/old-*.yaml"] {
            assert_eq!(there(pattern), None, "{pattern}");
        }
    }
}
