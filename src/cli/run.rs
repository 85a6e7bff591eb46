//! `run`: a workflow, its progress on standard error, its output on standard output.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use crate::app::run::App;
use crate::cli::answers::{attend, check};
use crate::cli::exit::Exit;
use crate::cli::left;
use crate::cli::list::settle;
use crate::cli::pairs::object;
use crate::cli::terminal::{Paint, Terminal};
use crate::engine::run::Run;
use crate::engine::view::{Status, StepView};
use crate::model::call::{Call, Target};
use crate::model::fault::Fault;
use crate::model::principal::Principal;
use crate::runner::drive::Watch;
use crate::runner::report::Report;
use crate::workflow::definition::Workflow;

/// What is to be run.
pub struct Wanted {
    /// The workflow's name.
    pub workflow: String,
    /// Its input, as `name=value`.
    pub pairs: Vec<String>,
    /// A JSON file with the input.
    pub file: Option<PathBuf>,
    /// The answers to what its steps ask, as `step=answer`.
    pub answers: Vec<String>,
    /// Whether nothing is to be called.
    pub is_dry: bool,
    /// Whether some file has mistakes, which have been told.
    pub has_mistakes: bool,
}

/// That there is no such workflow, with what somebody at a command line can do about it.
fn for_operator(fault: Fault, has_mistakes: bool) -> Fault {
    let near = fault.hint.clone().filter(|hint| hint.starts_with("did you mean"));
    let mistakes = "a file that may hold it has mistakes, told above; `mcp-orchestrator check` shows all of them";
    let hint = match (near, has_mistakes) {
        (Some(near), false) => near,
        (Some(near), true) => format!("{near} Or else {mistakes}"),
        (None, true) => mistakes.to_owned(),
        (None, false) => "`mcp-orchestrator tools` shows which there are".to_owned(),
    };
    fault.hint(hint)
}

/// Runs a workflow to its end, or until a signal comes.
pub async fn run(app: &App, wanted: Wanted, terminal: Terminal) -> Exit {
    let gateway = app.gateway();
    let workflow = match gateway.workflow(&wanted.workflow, app.profile().map(AsRef::as_ref)) {
        Ok(workflow) => workflow,
        Err(fault) => {
            let fault = for_operator(fault, wanted.has_mistakes);
            terminal.error(&fault.to_string());
            return Exit::of(&fault);
        }
    };
    let input = match input(&wanted, &workflow) {
        Ok(input) => Value::Object(input),
        Err(why) => {
            terminal.error(&why);
            return Exit::Usage;
        }
    };
    if let Err(fault) = check(&workflow, &wanted.answers) {
        terminal.error(&fault.to_string());
        return Exit::Usage;
    }
    let needed = gateway.servers_for(&workflow);
    settle(app, |server| needed.contains(server)).await;
    if wanted.is_dry {
        return dry(app, &workflow, input, terminal);
    }
    let watcher: Arc<dyn Watch> = Arc::new(Live { terminal, seen: Mutex::default() });
    // What is registered may use more than its caller sees.
    let call = Call::new(Target::Workflow(wanted.workflow), None, Principal::new("cli"));
    let waiter = match Arc::clone(gateway).begin(&workflow, input, call, Some(watcher)).await {
        Ok(waiter) => waiter,
        Err(fault) => {
            terminal.error(&fault.to_string());
            return Exit::of(&fault);
        }
    };
    let running = attend(gateway, waiter, wanted.answers, terminal);
    let result = tokio::select! {
        result = running => result,
        () = crate::cli::serve::asked_to_stop(|| {}) => {
            terminal.error("interrupted; what was in flight was cancelled, and what can be undone is being undone");
            return Exit::Failed;
        }
    };
    match result {
        Ok(report) => {
            let exit = show(&report, terminal);
            if left::stay(app, terminal).await { exit } else { Exit::Failed }
        }
        Err(fault) => {
            terminal.error(&fault.to_string());
            Exit::of(&fault)
        }
    }
}

fn input(wanted: &Wanted, workflow: &Workflow) -> Result<Map<String, Value>, String> {
    let mut input = match &wanted.file {
        None => Map::new(),
        Some(path) => {
            let text = if path.as_os_str() == "-" {
                std::io::read_to_string(std::io::stdin())
            } else {
                std::fs::read_to_string(path)
            };
            let text = text.map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            serde_json::from_str(&text).map_err(|error| format!("{} is not a JSON object: {error}", path.display()))?
        }
    };
    input.extend(object(&wanted.pairs, Some(&workflow.input_schema))?);
    Ok(input)
}

fn dry(app: &App, workflow: &Workflow, input: Value, terminal: Terminal) -> Exit {
    let reply = match app.gateway().dry_run(workflow, input) {
        Ok(reply) => reply,
        Err(fault) => {
            terminal.error(&fault.to_string());
            return Exit::of(&fault);
        }
    };
    let result: Value = serde_json::from_str(reply.body.get()).unwrap_or_default();
    let structured = &result["structuredContent"];
    if terminal.is_json {
        terminal.data(&format!("{structured:#}"));
    } else {
        terminal.data(structured["plan"].as_str().unwrap_or_default());
        terminal.note("nothing was run");
    }
    let problems: Vec<_> =
        structured["input_problems"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for problem in &problems {
        terminal.error(problem);
    }
    if problems.is_empty() { Exit::Ok } else { Exit::Usage }
}

fn show(report: &Report, terminal: Terminal) -> Exit {
    let whole = report.to_json();
    let seconds = f64::from(u32::try_from(report.took).unwrap_or(u32::MAX)) / 1000.0;
    let used = if report.usage.tokens > 0 { format!(" · {}", report.usage) } else { String::new() };
    let Some(failure) = report.failure() else {
        terminal.note(&terminal.paint(&format!("done in {seconds:.2} s · run {}{used}", report.run_id), Paint::Dim));
        let shown = if terminal.is_json { &whole } else { &whole["output"] };
        terminal.data(&format!("{shown:#}"));
        return Exit::Ok;
    };
    if terminal.is_json {
        terminal.data(&format!("{whole:#}"));
    }
    let told = failure.sentence();
    let at = failure.step.map_or_else(String::new, |step| format!(" at step `{step}`"));
    terminal.error(&format!("{} after {seconds:.2} s{at}: [{}] {told}", report.status(), failure.code));
    if let Some(hint) = failure.hint {
        terminal.note(&format!("hint: {hint}"));
    }
    if let Some(undoing) = report.undoing() {
        terminal.note(&undoing);
    }
    Exit::Failed
}

/// Writes a line for each step that is over.
struct Live {
    terminal: Terminal,
    /// Guards how each step was last seen.
    seen: Mutex<HashMap<Arc<str>, Status>>,
}

impl Watch for Live {
    fn changed(&self, run: &Run) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for step in run.steps() {
            if step.status != Status::Running && seen.insert(Arc::clone(&step.at), step.status) != Some(step.status) {
                self.terminal.note(&line(&step, self.terminal));
            }
        }
    }
}

fn line(step: &StepView, terminal: Terminal) -> String {
    let (mark, paint) = match step.status {
        Status::Completed => ("✓", Paint::Green),
        Status::Skipped => ("–", Paint::Dim),
        Status::Failed => ("✗", Paint::Red),
        Status::Cancelled | Status::Running => ("◌", Paint::Yellow),
    };
    let took = step.ended.map_or(0, |ended| ended.saturating_sub(step.started));
    let attempts = if step.attempts > 1 { format!(" · {} attempts", step.attempts) } else { String::new() };
    let error = match (&step.error, step.status) {
        (Some(error), Status::Failed | Status::Skipped) => format!(" · {}", error.message),
        _ => String::new(),
    };
    let took = json!(f64::from(u32::try_from(took).unwrap_or(u32::MAX)) / 1000.0);
    format!("{} {:24} {:28} {took:>6} s{attempts}{error}", terminal.paint(mark, paint), step.at, step.label)
}
