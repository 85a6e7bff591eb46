//! `graph`: the order in which a workflow's steps run, as far as the files alone tell.

use crate::app::load::Loaded;
use crate::cli::args::GraphFormat;
use crate::cli::check::FilesOnly;
use crate::cli::exit::Exit;
use crate::cli::render;
use crate::cli::terminal::Terminal;
use crate::model::suggest::did_you_mean;
use crate::workflow::graph;
use crate::workflow::picture;
use crate::workflow::plan::plan;

/// Draws the workflow `name`.
pub fn show(loaded: &Loaded, name: &str, format: GraphFormat, terminal: Terminal) -> Exit {
    let Some(workflow) = loaded.workflows.get(name) else {
        if !loaded.problems.is_empty() {
            terminal.note(&render::problems(&loaded.problems, &loaded.read, terminal));
        }
        let near = did_you_mean(name, loaded.workflows.names()).map_or_else(String::new, |near| format!("; {near}"));
        terminal.error(&format!("there is no workflow `{name}`{near}"));
        return Exit::Usage;
    };
    let plan = plan(workflow, &FilesOnly(loaded));
    terminal.data(&match format {
        GraphFormat::Text => graph::text(&plan),
        GraphFormat::Mermaid => graph::mermaid(&plan),
        GraphFormat::Dot => picture::dot(&plan),
        GraphFormat::Svg => picture::svg(&plan),
    });
    Exit::Ok
}
