//! Problems as people see them: the source line, the place, the fix.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};
use serde_json::Value;

use crate::app::files::REGISTRY;
use crate::cli::mask::masked;
use crate::cli::terminal::Terminal;
use crate::model::problem::{Problem, Severity};

/// Every problem with its source line, a blank line between each two, and the count.
pub fn problems(problems: &[Problem], registries: &[PathBuf], terminal: Terminal) -> String {
    let renderer = if terminal.has_colour { Renderer::styled() } else { Renderer::plain() };
    let mut texts = HashMap::new();
    let mut shown = Vec::new();
    for problem in problems {
        let is_registry = |path: &PathBuf| path.to_string_lossy() == problem.source.name;
        // What a source has named is a text for each server, all of one name.
        let text = texts.entry(Arc::as_ptr(&problem.source)).or_insert_with(|| {
            if registries.iter().any(is_registry) || problem.source.name.ends_with(REGISTRY) {
                masked(&problem.source)
            } else {
                problem.source.text.clone()
            }
        });
        shown.push(renderer.render(&report(problem, text)).clone());
    }
    if !problems.is_empty() {
        shown.push(count(problems));
    }
    shown.join("\n\n")
}

fn report<'a>(problem: &'a Problem, text: &'a str) -> Vec<Group<'a>> {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(problem.message.as_str()).id(problem.code.as_str());
    let clamp = |span: &std::ops::Range<usize>| span.start.min(text.len())..span.end.min(text.len());
    if text.is_empty() {
        let place = Level::NOTE.message(format!("in {}", problem.source.name));
        return vec![title.element(place)];
    }
    let mut snippet = Snippet::source(text).path(problem.source.name.as_str());
    snippet = snippet.annotation(AnnotationKind::Primary.span(clamp(&problem.span)).label(problem.label.as_deref()));
    for (span, label) in &problem.related {
        snippet = snippet.annotation(AnnotationKind::Context.span(clamp(span)).label(label.as_str()));
    }
    let mut groups = Vec::new();
    let mut main = title.element(snippet);
    match (&problem.help, &problem.patch) {
        (help, Some(patch)) => {
            groups.push(main);
            let title = Level::HELP.secondary_title(help.as_deref().unwrap_or("replace it"));
            let patch = Patch::new(clamp(&patch.span), patch.replacement.as_str());
            groups.push(title.element(Snippet::source(text).path(problem.source.name.as_str()).patch(patch)));
        }
        (Some(help), None) => {
            main = main.element(Level::HELP.message(help.as_str()));
            groups.push(main);
        }
        (None, None) => groups.push(main),
    }
    groups
}

/// `2 errors, 1 warning`.
pub fn count(problems: &[Problem]) -> String {
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    match (errors, problems.len() - errors) {
        (errors, 0) => plural(errors, "error"),
        (0, warnings) => plural(warnings, "warning"),
        (errors, warnings) => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
    }
}

/// A problem for programs.
pub fn problem_json(problem: &Problem) -> Value {
    problem.to_json()
}
