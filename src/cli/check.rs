//! `check`: everything that is wrong with the files, all at once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::app::load::{Files, Loaded};
use crate::app::run::App;
use crate::cli::exit::Exit;
use crate::cli::fix::{self, Changes};
use crate::cli::heard::Heard;
use crate::cli::render;
use crate::cli::sarif;
use crate::cli::terminal::Terminal;
use crate::model::code;
use crate::model::problem::{Problem, Source};
use crate::registry::cross::still_to_be_found;
use crate::registry::profile::unknown_workflows;
use crate::workflow::bounds::bounds;
use crate::workflow::check::check as check_workflow;
use crate::workflow::explain::Line;
use crate::workflow::graph;
use crate::workflow::plan::{Plan, plan};

/// How the files are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct How {
    /// Against what the servers really offer.
    pub is_online: bool,
    /// Whether what can be mended without thinking is mended.
    pub fix: Fix,
    /// Shows what each workflow would do.
    pub shows_plans: bool,
    /// Writes SARIF.
    pub is_sarif: bool,
}

/// What becomes of mended files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fix {
    /// Nothing is mended.
    No,
    /// They are written.
    Write,
    /// They are shown.
    Show,
}

/// What was found.
pub struct Found {
    /// Everything that is wrong, by file and place.
    pub problems: Vec<Problem>,
    /// The servers that could not be asked, and why.
    pub unreachable: Vec<String>,
    /// The registry files, whose values are not shown.
    pub registries: Vec<PathBuf>,
    /// What each workflow would do.
    pub plans: Vec<Plan>,
    /// How sure it is what the servers offer.
    notes: Vec<String>,
    /// When those servers were heard that were not asked.
    as_of: BTreeMap<Arc<str>, String>,
    /// How many servers and workflows there are.
    counts: (usize, usize),
}

/// Checks, and mends first if that is wanted.
pub async fn check(mut files: Files, loaded: Loaded, how: How, terminal: Terminal) -> Exit {
    let mut found = examine(&files, loaded, how).await;
    let mut changes = Changes::default();
    if how.fix != Fix::No {
        match fix::fix(&mut files, &mut found, how).await {
            Ok(made) => changes = made,
            Err(why) => {
                terminal.error(&why);
                return Exit::Usage;
            }
        }
        if let Err(why) = changes.finish(how, &found.registries, terminal) {
            terminal.error(&why);
            return Exit::Unexpected;
        }
    }
    show(&found, &changes, how, terminal);
    match (found.problems.iter().any(Problem::is_error), found.unreachable.is_empty()) {
        (true, _) => Exit::Usage,
        (false, false) => Exit::Unreachable,
        (false, true) => Exit::Ok,
    }
}

fn show(found: &Found, changes: &Changes, how: How, terminal: Terminal) {
    let Found { problems, unreachable, counts: (servers, workflows), .. } = found;
    let has_errors = problems.iter().any(Problem::is_error) || !unreachable.is_empty();
    if how.is_sarif {
        terminal.data(&format!("{:#}", sarif::log(problems, unreachable)));
    } else if terminal.is_json {
        let list: Vec<_> = problems.iter().map(render::problem_json).collect();
        let mut all = json!({
            "ok": !has_errors, "servers": servers, "workflows": workflows, "problems": list, "unreachable": unreachable,
        });
        if !found.as_of.is_empty() {
            all["as_of"] = json!(found.as_of);
        }
        if how.fix != Fix::No {
            all["fixed"] = changes.to_json();
        }
        if how.shows_plans {
            all["plans"] = found.plans.iter().map(plan_json).collect();
        }
        terminal.data(&format!("{all:#}"));
    } else {
        if !problems.is_empty() {
            terminal.note(&render::problems(problems, &found.registries, terminal));
            terminal.note(&format!("hint: `mcp-orchestrator explain {}` says more", problems[0].code));
        }
        for note in unreachable {
            terminal.error(note);
        }
        for note in &found.notes {
            terminal.note(&format!("note: {note}"));
        }
        let verdict = if has_errors { "not ok" } else { "ok" };
        let verdict = format!("{verdict}: {servers} servers, {workflows} workflows");
        if how.shows_plans {
            for plan in &found.plans {
                terminal.data(&format!("{}{}\n", graph::text(plan), bounds(plan).to_text()));
            }
        }
        // The diff is the data then.
        if how.fix == Fix::Show { terminal.note(&verdict) } else { terminal.data(&verdict) }
    }
}

fn plan_json(plan: &Plan) -> Value {
    let steps: Vec<_> = plan.explain().iter().map(Line::to_json).collect();
    json!({
        "workflow": plan.workflow.name, "effect": plan.effect().as_str(), "bounds": bounds(plan).to_json(), "steps": steps,
    })
}

/// Everything that is wrong with what was read.
pub async fn examine(files: &Files, mut loaded: Loaded, how: How) -> Found {
    let registries = loaded.read.clone();
    let mut problems = std::mem::take(&mut loaded.problems);
    let counts = (loaded.registry.servers.len(), loaded.workflows.len());
    let of_profiles = unknown_in_profiles(&loaded);
    let mut unreachable = Vec::new();
    let (mut notes, mut as_of) = (Vec::new(), BTreeMap::new());
    let plans;
    if how.is_online && !loaded.is_unusable {
        let (found, planned) = check_online(files, loaded, &mut unreachable).await;
        problems.extend(found);
        plans = planned;
    } else {
        let heard = Heard::of(&loaded, files.catalogue.as_deref());
        plans = loaded.workflows.iter().map(|workflow| plan(workflow, &heard)).collect();
        let workflows = loaded.workflows.iter().map(AsRef::as_ref).chain(loaded.workflows.broken());
        let of_workflows = workflows.flat_map(|workflow| check_workflow(workflow, &heard));
        let is_open = !loaded.registry.discovery.sources.is_empty();
        problems.extend(of_workflows.map(|problem| {
            let may_be_found = is_open && problem.code == code::UNKNOWN_SERVER;
            if may_be_found { still_to_be_found(problem) } else { problem }
        }));
        (notes, as_of) = (heard.notes(how.shows_plans), heard.times());
    }
    problems.extend(of_profiles);
    problems.sort_by(|a, b| (&a.source.name, a.span.start).cmp(&(&b.source.name, b.span.start)));
    Found { problems, unreachable, registries, plans, notes, as_of, counts }
}

/// The workflows that profiles name and that no file has; nothing while some file does not tell what it has.
fn unknown_in_profiles(loaded: &Loaded) -> Vec<Problem> {
    let all = || loaded.workflows.iter().map(AsRef::as_ref).chain(loaded.workflows.broken());
    let is_told = |source: &Arc<Source>| all().any(|workflow| Arc::ptr_eq(&workflow.source, source));
    if !loaded.sources.iter().all(|(source, _)| is_told(source)) {
        return Vec::new();
    }
    let known: Vec<&str> = all().map(|workflow| workflow.name.as_ref()).collect();
    loaded.texts.iter().flat_map(|source| unknown_workflows(source, &known)).collect()
}

async fn check_online(files: &Files, loaded: Loaded, notes: &mut Vec<String>) -> (Vec<Problem>, Vec<Plan>) {
    let found = loaded.found.clone();
    let app = App::start(loaded, std::env::current_exe().ok(), None).without_host();
    notes.extend(app.find_servers(files, &found).await);
    let gateway = app.gateway();
    futures::future::join_all(gateway.pool().iter().map(|endpoint| async move {
        endpoint.want();
        endpoint.settled().await;
    }))
    .await;
    gateway.refresh();
    let known = gateway.known();
    let set = gateway.workflows();
    let workflows = set.iter().map(AsRef::as_ref).chain(set.broken());
    let problems = workflows.flat_map(|workflow| check_workflow(workflow, &known)).collect();
    let plans = set.iter().map(|workflow| plan(workflow, &known)).collect();
    for endpoint in gateway.pool().iter() {
        if let Some(fault) = endpoint.state().fault {
            notes.push(fault.server(endpoint.server.name.as_ref()).to_string());
        }
    }
    drop(known);
    app.close().await;
    (problems, plans)
}
