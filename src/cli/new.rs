//! `new`: the first draft of a workflow, in a file of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::app::files;
use crate::app::load::{Loaded, read};
use crate::app::replace::{create, replace};
use crate::app::run::App;
use crate::cli::exit::Exit;
use crate::cli::heard::Heard;
use crate::cli::list::settle;
use crate::cli::render;
use crate::cli::terminal::Terminal;
use crate::document::format::Format;
use crate::document::parse::parse;
use crate::document::write::write;
use crate::model::name::{ToolRef, is_workflow_name, workflow_name_rule};
use crate::model::problem::{Problem, Source};
use crate::workflow::authored;
use crate::workflow::check::check;
use crate::workflow::sketch::{SCHEMA_FILE, sketch};
use crate::workflow::surroundings::Surroundings;
use crate::workflow::vocabulary;

/// What is wanted.
pub struct Wanted {
    /// The name of the workflow.
    pub name: String,
    /// The tools that it is to call, as `server.tool`.
    pub tools: Vec<String>,
    /// The folder of its file, and the language; else why there is none.
    pub place: Result<(PathBuf, Format), String>,
    /// By which patterns workflow files are found, each with the folder that it starts at.
    pub patterns: Vec<(PathBuf, String)>,
}

/// A draft without tools: the files alone are enough.
pub fn plain(wanted: &Wanted, loaded: &Loaded, terminal: Terminal) -> Exit {
    finish(wanted, &[], &Heard::of(loaded, None), terminal)
}

/// A draft that calls tools, whose servers are asked for their schemas.
pub async fn from_tools(wanted: &Wanted, app: &App, terminal: Terminal) -> Exit {
    let parsed: Result<Vec<_>, _> =
        wanted.tools.iter().map(|tool| ToolRef::parse(tool.trim()).ok_or_else(|| tool.clone())).collect();
    let tools = match parsed {
        Ok(tools) => tools,
        Err(wrong) => {
            terminal.error(&format!("`{wrong}` is not of the form `server.tool`"));
            return Exit::Usage;
        }
    };
    let gateway = app.gateway();
    let needed: Vec<_> = tools.iter().flat_map(|tool| gateway.servers_of(tool)).collect();
    settle(app, |server| needed.iter().any(|needed| needed == server)).await;
    for tool in &tools {
        // A draft without its schema would not be typed.
        let fault = gateway.pool().get(&tool.server).and_then(|endpoint| endpoint.state().fault);
        if let Some(fault) = fault {
            terminal.error(&fault.server(&tool.server).to_string());
            return Exit::Unreachable;
        }
    }
    finish(wanted, &tools, &gateway.known(), terminal)
}

fn finish(wanted: &Wanted, tools: &[ToolRef], surroundings: &dyn Surroundings, terminal: Terminal) -> Exit {
    let Wanted { name, place, .. } = wanted;
    if !is_workflow_name(name) {
        terminal.error(&format!("`{name}` cannot name a workflow: {}", workflow_name_rule(name)));
        return Exit::Usage;
    }
    let (folder, format) = match place {
        Ok((folder, format)) => (folder, *format),
        Err(why) => {
            terminal.error(why);
            return Exit::Usage;
        }
    };
    let path = folder.join(format!("{name}.{}", format.extension()));
    let text = match sketch(name, tools, surroundings).and_then(|text| translated(text, format)) {
        Ok(text) => text,
        Err(why) => {
            terminal.error(&why);
            return Exit::Unexpected;
        }
    };
    let source = Source::new(path.to_string_lossy(), text);
    let (workflow, mut problems) = authored::read(&source, format);
    problems.extend(workflow.iter().flat_map(|workflow| check(workflow, surroundings)));
    if problems.iter().any(Problem::is_error) {
        terminal.note(&render::problems(&problems, &[], terminal));
        terminal.error("nothing was written");
        return Exit::Usage;
    }
    let written = std::fs::create_dir_all(folder)
        .map_err(|error| format!("cannot make {}: {error}", folder.display()))
        .and_then(|()| create(&path, &source.text))
        .and_then(|()| if format == Format::Yaml { write_schema(folder) } else { Ok(()) });
    match written {
        Ok(()) => {
            terminal.data(&path.to_string_lossy());
            if !wanted.patterns.iter().any(|(base, pattern)| files::finds(base, pattern, &path)) {
                terminal.note(
                    "no workflow is looked for there: files are found by `workflows` under `[orchestrator]` in the registry, and by \
                     --workflows",
                );
                let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
                terminal.note(&format!("hint: say `workflows = [\"{}\"]` there", folder.display()));
            }
            Exit::Ok
        }
        Err(why) => {
            terminal.error(&why);
            Exit::Usage
        }
    }
}

/// Puts the schema where the draft's first line says that it is. One that is not ours is left alone.
fn write_schema(folder: &Path) -> Result<(), String> {
    let path = folder.join(SCHEMA_FILE);
    let schema = vocabulary::schema();
    let text = format!("{schema:#}\n");
    let Ok(old) = read(&path, &BTreeMap::new()) else {
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).map_err(|error| format!("cannot make {}: {error}", parent.display()))?;
        return create(&path, &text);
    };
    let is_ours = serde_json::from_str::<serde_json::Value>(&old.text).is_ok_and(|old| old["$id"] == schema["$id"]);
    if is_ours && old.text != text { replace(&path, &old.text, &text) } else { Ok(()) }
}

/// The draft, which is written in YAML, in another language.
fn translated(draft: String, format: Format) -> Result<String, String> {
    if format == Format::Yaml {
        return Ok(draft);
    }
    let root = parse(&Source::new("the draft", draft), Format::Yaml).map_err(|problem| problem.to_string())?;
    write(&root.to_json(), format)
}

/// Where the file of the workflow `name` belongs, and in which language: where the first pattern that can finds it, else in `workflows`
/// beside the registry if there is one, else here.
pub fn place(name: &str, patterns: &[(PathBuf, String)], registries: &[PathBuf]) -> Result<(PathBuf, Format), String> {
    if let Some(place) = patterns.iter().find_map(|(base, pattern)| files::place(base, pattern, name)) {
        return Ok(place);
    }
    if let Some((_, pattern)) = patterns.first() {
        return Err(format!(
            "`{pattern}` finds no new file called `{name}`: workflow files are found by the patterns of the registry and of --workflows\nhint: say where by --dir DIR, or name \
             its folder under `workflows` in the registry"
        ));
    }
    let beside = registries.first().and_then(|file| file.parent()).map(|base| base.join("workflows"));
    Ok((beside.filter(|folder| folder.is_dir()).unwrap_or_default(), Format::Yaml))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_that_no_pattern_would_find_is_refused() {
        let patterns = ["flows/*/main.yaml", "one.yaml"].map(|pattern| (PathBuf::from("base"), pattern.to_owned()));
        let why = place("new", &patterns, &[]).expect_err("none finds it");
        assert!(why.contains("`flows/*/main.yaml`") && why.contains("--dir"), "{why}");
        assert_eq!(place("one", &patterns, &[]), Ok((PathBuf::from("base"), Format::Yaml)));
    }
}
