//! `config`: what the files were before, and back to it.

use std::path::Path;

use serde_json::json;

use crate::app::load::{Files, load, read};
use crate::app::redact::restored;
use crate::app::replace::{create, replace};
use crate::app::revisions::{Kept, Revision, Revisions, Snapshot, files_of, kept};
use crate::cli::args::Config;
use crate::cli::diff::unified;
use crate::cli::exit::Exit;
use crate::cli::terminal::Terminal;
use crate::model::problem::{Problem, Source};

/// Does what is asked for, with the revisions in the data directory `data` of the files `files`.
pub fn config(data: &Path, files: &Files, what: &Config, terminal: Terminal) -> Exit {
    let all = Revisions::of(data).all();
    let result = match what {
        Config::History => {
            history(&all, terminal);
            Ok(())
        }
        Config::Diff { from, to } => diff(&all, files, (*from, *to), terminal),
        Config::Rollback { revision } => rollback(&all, files, *revision, terminal),
    };
    match result {
        Ok(()) => Exit::Ok,
        Err(why) => {
            terminal.error(&why);
            Exit::Usage
        }
    }
}

fn history(all: &[Revision], terminal: Terminal) {
    let at = |revision: &Revision| revision.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    if terminal.is_json {
        let list: Vec<_> = all
            .iter()
            .rev()
            .map(|revision| {
                let files: Vec<_> = revision.files.iter().map(|file| file.path.to_string_lossy()).collect();
                json!({ "revision": revision.number, "at": at(revision), "files": files })
            })
            .collect();
        return terminal.data(&format!("{:#}", json!(list)));
    }
    if all.is_empty() {
        return terminal.note("no revision is kept yet: `serve` keeps one whenever it takes the files over");
    }
    for (place, revision) in all.iter().enumerate().rev() {
        let before = place.checked_sub(1).and_then(|before| all.get(before));
        let changed = revision
            .files
            .iter()
            .filter(|file| before.is_none_or(|before| !before.files.contains(file)))
            .map(|file| name(file).to_string());
        let is_gone = |file: &&Kept| !revision.files.iter().any(|now| now.path == file.path);
        let gone = before.into_iter().flat_map(|before| before.files.iter().filter(is_gone));
        let changed: Vec<_> = changed.chain(gone.map(|file| format!("-{}", name(file)))).collect();
        terminal.data(&format!("{:>5}  {}  {}", revision.number, at(revision), changed.join(" ")));
    }
}

fn find(all: &[Revision], number: u64) -> Result<&Revision, String> {
    all.iter().find(|revision| revision.number == number).ok_or_else(|| {
        format!("there is no revision {number}\nhint: `mcp-orchestrator config history` shows which there are")
    })
}

fn name(file: &Kept) -> std::borrow::Cow<'_, str> {
    file.path.file_name().unwrap_or_default().to_string_lossy()
}

/// How all files are now, those of a revision among them; those that are gone are empty.
fn now(revision: &Revision, files: &Files) -> Result<Vec<Kept>, String> {
    let as_it_is = |file: &Kept| {
        let source = read(&file.path, &std::collections::BTreeMap::new()).ok();
        source.and_then(|source| kept(&source)).unwrap_or_else(|| Kept { path: file.path.clone(), text: String::new() })
    };
    let Snapshot { files: mut all, found } = files_of(&load(files)?);
    // One that a mistake keeps from being found is not gone.
    let others: Vec<_> = revision.files.iter().filter(|file| !all.iter().any(|now| now.path == file.path)).collect();
    all.extend(others.into_iter().map(as_it_is));
    all.extend(found);
    Ok(all)
}

fn diff(all: &[Revision], files: &Files, (from, to): (u64, Option<u64>), terminal: Terminal) -> Result<(), String> {
    let whole = |revision: &Revision| [revision.files.clone(), revision.found.clone()].concat();
    let old = find(all, from)?;
    let new = match to {
        Some(to) => whole(find(all, to)?),
        None => now(old, files)?,
    };
    let old = whole(old);
    let text = |files: &[Kept], path: &Path| {
        files.iter().find(|file| file.path == path).map(|file| file.text.clone()).unwrap_or_default()
    };
    let mut paths: Vec<_> = old.iter().chain(&new).map(|file| file.path.clone()).collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        let difference = unified(&path.to_string_lossy(), &text(&old, &path), &text(&new, &path));
        if !difference.is_empty() {
            terminal.data(&difference);
        }
    }
    Ok(())
}

/// Everything is made and checked before the first file is written.
fn rollback(all: &[Revision], files: &Files, number: u64, terminal: Terminal) -> Result<(), String> {
    let revision = find(all, number)?;
    let mut written = Vec::new();
    let mut files = files.clone();
    for file in &revision.files {
        let name = file.path.to_string_lossy().into_owned();
        let before = std::fs::read_to_string(&file.path).ok();
        let source = |text: &str| Source::new(name.as_str(), text);
        let text = restored(&source(&file.text), &source(before.as_deref().unwrap_or_default())).map_err(|missing| {
            format!(
                "revision {number} of {name} needs secrets that are not kept and that the file no longer has: {}\nhint: write them \
                 into the file again, best as `${{VAR}}`, or see `mcp-orchestrator config diff {number}` and go back by hand",
                missing.join(", ")
            )
        })?;
        if before.as_deref() != Some(&text) {
            files.put(&file.path, text.clone());
            written.push((&file.path, before, text));
        }
    }
    let problems: Vec<_> = load(&files)?.problems;
    let errors: Vec<_> = problems.iter().filter(|problem| problem.is_error()).map(Problem::to_string).collect();
    if !errors.is_empty() {
        return Err(format!("revision {number} would not be right today, nothing was written:\n{}", errors.join("\n")));
    }
    for (path, before, text) in &written {
        match before {
            Some(before) => replace(path, before, text)?,
            None => create(path, text)?,
        }
        terminal.note(&format!("{} is as in revision {number}", path.display()));
    }
    if written.is_empty() {
        terminal.note(&format!("the files are as in revision {number} already"));
    }
    terminal
        .note("hint: a program that serves takes them over by itself; files that revision did not have are left alone");
    Ok(())
}
