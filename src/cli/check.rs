//! `check`: everything that is wrong with the files, all at once.

use serde_json::json;

use crate::app::load::Loaded;
use crate::app::run::App;
use crate::cli::exit::Exit;
use crate::cli::render;
use crate::cli::terminal::Terminal;
use crate::model::effect::Effect;
use crate::model::name::ToolRef;
use crate::model::problem::Problem;
use crate::registry::agent::{known_as, most};
use crate::workflow::check::check as check_workflow;
use crate::workflow::surroundings::{Facts, Surroundings};

/// Checks; with `is_online` against what the servers really offer.
pub async fn check(mut loaded: Loaded, is_online: bool, terminal: Terminal) -> Exit {
    let files = loaded.files.clone();
    let mut problems = std::mem::take(&mut loaded.problems);
    let (servers, workflows) = (loaded.registry.servers.len(), loaded.workflows.len());
    let mut notes = Vec::new();
    if is_online && !loaded.is_unusable {
        problems.extend(check_online(loaded, &mut notes).await);
    } else {
        let files_only = FilesOnly(&loaded);
        let workflows = loaded.workflows.iter().map(AsRef::as_ref).chain(loaded.workflows.broken());
        problems.extend(workflows.flat_map(|workflow| check_workflow(workflow, &files_only)));
    }
    problems.sort_by(|a, b| (&a.source.name, a.span.start).cmp(&(&b.source.name, b.span.start)));
    let has_errors = problems.iter().any(Problem::is_error) || !notes.is_empty();
    if terminal.is_json {
        let list: Vec<_> = problems.iter().map(render::problem_json).collect();
        let all = json!({ "ok": !has_errors, "servers": servers, "workflows": workflows, "problems": list, "unreachable": notes });
        terminal.data(&format!("{all:#}"));
    } else {
        if !problems.is_empty() {
            terminal.note(&render::problems(&problems, &files, terminal));
        }
        for note in &notes {
            terminal.error(note);
        }
        let verdict = if has_errors { "not ok" } else { "ok" };
        terminal.data(&format!("{verdict}: {servers} servers, {workflows} workflows"));
    }
    match (problems.iter().any(Problem::is_error), notes.is_empty()) {
        (true, _) => Exit::Usage,
        (false, false) => Exit::Unreachable,
        (false, true) => Exit::Ok,
    }
}

async fn check_online(loaded: Loaded, notes: &mut Vec<String>) -> Vec<Problem> {
    let app = App::start(loaded, std::env::current_exe().ok(), None).without_host();
    let gateway = app.gateway();
    futures::future::join_all(gateway.pool().iter().map(|endpoint| {
        endpoint.want();
        endpoint.settled()
    }))
    .await;
    gateway.refresh();
    let known = gateway.known();
    let workflows = gateway.workflows().iter().map(AsRef::as_ref).chain(gateway.workflows().broken());
    let problems = workflows.flat_map(|workflow| check_workflow(workflow, &known)).collect();
    for endpoint in gateway.pool().iter() {
        if let Some(fault) = endpoint.state().fault {
            notes.push(fault.server(endpoint.server.name.as_ref()).to_string());
        }
    }
    drop(known);
    app.close().await;
    problems
}

/// What the files alone say: which servers and workflows there are, but not which tools, save for what the registry says
/// of one.
pub struct FilesOnly<'a>(pub &'a Loaded);

impl Surroundings for FilesOnly<'_> {
    fn servers(&self) -> Vec<String> {
        self.0.registry.servers.keys().map(ToString::to_string).collect()
    }

    fn tools_of(&self, _server: &str) -> Option<Vec<String>> {
        None
    }

    fn tool(&self, tool: &ToolRef) -> Option<Facts> {
        let effect = self.0.registry.servers.get(tool.server.as_str())?.tools.get(&tool.tool)?.effect?;
        Some(Facts { effect, input_schema: None, output_schema: None })
    }

    fn workflows(&self) -> Vec<String> {
        self.0.workflows.names().map(ToOwned::to_owned).collect()
    }

    fn workflow(&self, name: &str) -> Option<Facts> {
        let workflow = self.0.workflows.get(name)?;
        Some(Facts {
            effect: Effect::Destructive,
            input_schema: Some(workflow.input_schema.clone()),
            output_schema: workflow.output_schema.clone(),
        })
    }

    fn models(&self) -> Option<Vec<String>> {
        Some(self.0.registry.models.keys().map(ToString::to_string).collect())
    }

    fn agents(&self) -> Option<Vec<String>> {
        Some(known_as(&self.0.registry.agents))
    }

    fn agent(&self, name: &str) -> Option<Effect> {
        most(&self.0.registry.agents, name, |_| None)
    }
}
