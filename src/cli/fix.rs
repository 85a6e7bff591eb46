//! `check --fix`: the patches that problems carry, put into the files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::app::load::{Files, load};
use crate::app::replace::replace;
use crate::cli::check::{Fix, Found, How, examine};
use crate::cli::diff;
use crate::cli::mask::masked;
use crate::cli::terminal::Terminal;
use crate::document::format::Format;
use crate::document::parse::parse;
use crate::model::mend::mend;
use crate::model::problem::{Patch, Problem, Source};

/// A fix may bring to light what another fix mends; beyond so many turns something goes in a circle.
const MAX_TURNS: usize = 10;

/// What was changed.
#[derive(Debug, Default)]
pub struct Changes {
    /// The old and the new text of each file.
    texts: BTreeMap<String, (String, String)>,
    /// Each change: the problem that it mends, and its patch.
    made: Vec<Problem>,
}

/// Mends until nothing changes any more. `files` then has the new texts, and `found` what is left.
pub async fn fix(files: &mut Files, found: &mut Found, how: How) -> Result<Changes, String> {
    let mut changes = Changes::default();
    for _ in 0..MAX_TURNS {
        let mut is_changed = false;
        for (name, problems) in by_file(&found.problems) {
            let Some((text, made)) = mended(&problems) else { continue };
            let old = problems[0].source.text.clone();
            changes.made.extend(made);
            changes.texts.entry(name.clone()).or_insert_with(|| (old, String::new())).1.clone_from(&text);
            files.put(Path::new(&name), text);
            is_changed = true;
        }
        if !is_changed {
            break;
        }
        *found = examine(files, load(files)?, how).await;
    }
    Ok(changes)
}

fn by_file(problems: &[Problem]) -> BTreeMap<String, Vec<&Problem>> {
    let mut files: BTreeMap<String, Vec<&Problem>> = BTreeMap::new();
    for problem in problems.iter().filter(|problem| problem.patch.is_some()) {
        files.entry(problem.source.name.clone()).or_default().push(problem);
    }
    files
}

/// The text of one file with its patches; nothing if none of them can be put in.
fn mended(problems: &[&Problem]) -> Option<(String, Vec<Problem>)> {
    let source = &problems.first()?.source;
    let format = Format::of(&source.name)?;
    let can_be_read = |text: &str| parse(&Source::new(source.name.clone(), text), format).is_ok();
    // What could be read before must be readable afterwards.
    let was_readable = can_be_read(&source.text);
    let patches: Vec<&Patch> = problems.iter().filter_map(|problem| problem.patch.as_ref()).collect();
    let (text, done) = mend(&source.text, &patches, |text| !was_readable || can_be_read(text));
    (!done.is_empty()).then(|| (text, done.into_iter().map(|place| problems[place].clone()).collect()))
}

impl Changes {
    /// Writes the files, or shows what would be written, and says what was changed.
    pub fn finish(&self, how: How, registries: &[PathBuf], terminal: Terminal) -> Result<(), String> {
        let is_registry = |name: &str| registries.iter().any(|path| path.to_string_lossy() == name);
        for (name, (old, new)) in &self.texts {
            if how.fix == Fix::Write {
                replace(Path::new(name), old, new)?;
            } else if !terminal.is_json {
                let shown = |text: &str| {
                    let source = Source::new(name.clone(), text);
                    if is_registry(name) { masked(&source) } else { source.text.clone() }
                };
                terminal.data(&diff::unified(name, &shown(old), &shown(new)));
            }
        }
        if !terminal.is_json {
            let done = if how.fix == Fix::Show { "would fix" } else { "fixed" };
            for problem in &self.made {
                let (line, column) = problem.source.line_column(problem.span.start);
                let (from, to) = edit(problem);
                let place = format!("{}:{line}:{column}", problem.source.name);
                terminal.note(&format!("{done} {place}: `{from}` -> `{to}` ({}: {})", problem.code, problem.message));
            }
        }
        Ok(())
    }

    /// It for programs.
    pub fn to_json(&self) -> Value {
        let one = |problem: &Problem| {
            let (line, column) = problem.source.line_column(problem.span.start);
            let (from, to) = edit(problem);
            json!({
                "file": problem.source.name, "line": line, "column": column, "code": problem.code.as_str(),
                "message": problem.message, "from": from, "to": to,
            })
        };
        self.made.iter().map(one).collect()
    }
}

/// The old and the new text of a fix.
fn edit(problem: &Problem) -> (&str, &str) {
    problem.patch.as_ref().map_or(("", ""), |patch| {
        (problem.source.text.get(patch.span.clone()).unwrap_or_default(), patch.replacement.as_str())
    })
}
