//! `graph`: the order in which a workflow's steps run, as far as the files and what is remembered of the servers tell.

use crate::app::load::{Files, Loaded};
use crate::cli::args::GraphFormat;
use crate::cli::exit::Exit;
use crate::cli::heard::Heard;
use crate::cli::render;
use crate::cli::terminal::Terminal;
use crate::model::suggest::did_you_mean;
use crate::workflow::graph;
use crate::workflow::picture;
use crate::workflow::plan::plan;

/// Draws the workflow `name`.
pub fn show(files: &Files, loaded: &Loaded, name: &str, format: GraphFormat, terminal: Terminal) -> Exit {
    let Some(workflow) = loaded.workflows.get(name) else {
        if !loaded.problems.is_empty() {
            terminal.note(&render::problems(&loaded.problems, &loaded.read, terminal));
        }
        let near = did_you_mean(name, loaded.workflows.names()).map_or_else(String::new, |near| format!("; {near}"));
        terminal.error(&format!("there is no workflow `{name}`{near}"));
        return Exit::Usage;
    };
    let heard = Heard::of(loaded, files.catalogue.as_deref());
    let plan = plan(workflow, &heard);
    for note in heard.notes(true) {
        terminal.note(&format!("note: {note}"));
    }
    terminal.data(&match format {
        GraphFormat::Text => graph::text(&plan),
        GraphFormat::Mermaid => graph::mermaid(&plan),
        GraphFormat::Dot => picture::dot(&plan),
        GraphFormat::Svg => picture::svg(&plan),
    });
    Exit::Ok
}
