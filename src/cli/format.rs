//! `fmt`: workflow files in their canonical form.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::app::files::matching;
use crate::app::load::read;
use crate::app::replace::replace;
use crate::cli::diff;
use crate::cli::exit::Exit;
use crate::cli::render;
use crate::cli::terminal::Terminal;
use crate::document::format::Format;
use crate::document::parse::parse;
use crate::model::problem::{Problem, Source};
use crate::workflow::canonical::canonical;

/// What came of it.
#[derive(Default)]
struct Tally {
    changed: Vec<String>,
    left: Vec<String>,
    problems: Vec<Problem>,
    failures: Vec<String>,
    seen: usize,
}

/// Formats the files that `patterns` mean.
pub fn named(patterns: &[String], only_checks: bool, terminal: Terminal) -> Exit {
    let mut sources = Vec::new();
    let mut tally = Tally::default();
    for pattern in patterns {
        let paths = match matching(Path::new(""), pattern) {
            Ok(paths) => paths,
            Err(why) => {
                tally.failures.push(why);
                continue;
            }
        };
        for path in paths {
            match (read(&path, &BTreeMap::new()), Format::of(&path.to_string_lossy())) {
                (Ok(source), Some(format)) => sources.push((source, format)),
                (Ok(_), None) => tally
                    .failures
                    .push(format!("{}: its name does not end in .yaml, .yml, .json or .toml", path.display())),
                (Err(problem), _) => tally.problems.push(*problem),
            }
        }
    }
    // A folder may hold other files; only what looks like a workflow is touched.
    sources.retain(|(source, format)| {
        let is_named = patterns.contains(&source.name);
        let is_workflow = parse(source, *format).map_or(is_named, |root| root.get("steps").is_some());
        if is_named && !is_workflow {
            tally.failures.push(format!("{} is no workflow: it has no `steps`", source.name));
        }
        is_workflow
    });
    finish(&sources, tally, only_checks, terminal)
}

/// Formats the files that were read already.
pub fn all(sources: &[(Arc<Source>, Format)], only_checks: bool, terminal: Terminal) -> Exit {
    finish(sources, Tally::default(), only_checks, terminal)
}

fn finish(sources: &[(Arc<Source>, Format)], mut tally: Tally, only_checks: bool, terminal: Terminal) -> Exit {
    for (source, format) in sources {
        tally.seen += 1;
        let canonical = match canonical(source, *format) {
            Ok(canonical) => canonical,
            Err(problem) => {
                tally.problems.push(*problem);
                continue;
            }
        };
        tally
            .left
            .extend(canonical.left.iter().map(|(line, why)| format!("{}:{line}: left as it is: {why}", source.name)));
        if canonical.text == source.text {
            continue;
        }
        if only_checks && !terminal.is_json {
            terminal.data(&diff::unified(&source.name, &source.text, &canonical.text));
        } else if !only_checks && let Err(why) = replace(Path::new(&source.name), &source.text, &canonical.text) {
            tally.failures.push(why);
            continue;
        }
        tally.changed.push(source.name.clone());
    }
    show(&tally, only_checks, terminal);
    let is_wrong = !tally.problems.is_empty() || !tally.failures.is_empty();
    if is_wrong || (only_checks && !tally.changed.is_empty()) { Exit::Usage } else { Exit::Ok }
}

fn show(tally: &Tally, only_checks: bool, terminal: Terminal) {
    if terminal.is_json {
        let problems: Vec<_> = tally.problems.iter().map(render::problem_json).collect();
        let all = json!({
            "files": tally.seen, "changed": tally.changed, "left": tally.left, "problems": problems, "errors": tally.failures,
        });
        terminal.data(&format!("{all:#}"));
        return;
    }
    for line in &tally.left {
        terminal.note(line);
    }
    if !tally.problems.is_empty() {
        terminal.note(&render::problems(&tally.problems, &[], terminal));
    }
    for why in &tally.failures {
        terminal.error(why);
    }
    let done = if only_checks { "would be changed" } else { "changed" };
    for name in &tally.changed {
        terminal.note(&format!("{name} {done}"));
    }
    terminal.note(&format!("{} of {} files {done}", tally.changed.len(), tally.seen));
}
