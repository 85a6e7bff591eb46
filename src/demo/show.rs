//! Plays the demonstration and tells it as it happens.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::app::load::Loaded;
use crate::app::run::App;
use crate::document::format::Format;
use crate::downstream::stdio::sweep::{Force, end_group};
use crate::engine::run::Run;
use crate::engine::view::{Status, StepView};
use crate::gateway::door::Gateway;
use crate::model::call::{Call, Target};
use crate::model::name::ToolRef;
use crate::model::port::Invoke as _;
use crate::model::principal::Principal;
use crate::model::problem::Source;
use crate::registry::load::load as load_registry;
use crate::runner::drive::Watch;
use crate::runner::report::Report;
use crate::workflow::graph;
use crate::workflow::plan::plan;
use crate::workflow::set::load as load_workflows;

/// The workflow that is played.
const WORKFLOW: &str = include_str!("../../examples/demo/fulfil_order.yaml");

/// The servers that are started.
const SERVERS: [&str; 4] = ["north", "south", "warehouse", "payments"];

/// The server that has the accident, in the step of the same tool.
const VICTIM: &str = "north";
const VICTIMS_STEP: &str = "label";

/// Plays it, telling it line by line through `say`; as JSON only the run's report is told.
pub async fn play(is_json: bool, say: &(dyn Fn(&str) + Sync)) -> Result<(), String> {
    let tell = |line: &str| {
        if !is_json {
            say(line);
        }
    };
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let app = App::start(load(&program)?, Some(program), None).without_host();
    let gateway = Arc::clone(app.gateway());
    let result = perform(&gateway, &tell).await;
    if let (Ok(report), true) = (&result, is_json) {
        say(&format!("{:#}", report.to_json()));
    }
    let closing = Instant::now();
    app.close().await;
    tell(&format!("\nall servers ended within {} ms", closing.elapsed().as_millis()));
    result.map(drop)
}

fn load(program: &Path) -> Result<Loaded, String> {
    // One attempt, so that the accident shows the fallback rather than a second try at the same server.
    let mut text = "[defaults]\nretry = 1\n".to_owned();
    for name in SERVERS {
        let command = Value::from(program.to_string_lossy());
        let _ = writeln!(text, "[servers.{name}]\ncommand = {command}\nargs = [\"demo-server\", \"{name}\"]");
    }
    let registry = Source::new("demo.toml", text);
    let (registry, mut problems) = load_registry(&[registry]);
    let workflow = Source::new("examples/demo/fulfil_order.yaml", WORKFLOW);
    let (workflows, more) = load_workflows(&[(workflow, Format::Yaml)]);
    problems.extend(more);
    match problems.first() {
        Some(problem) => Err(problem.to_string()),
        None => Ok(Loaded { registry, workflows, ..Loaded::default() }),
    }
}

async fn perform(gateway: &Arc<Gateway>, tell: &(dyn Fn(&str) + Sync)) -> Result<Arc<Report>, String> {
    let began = Instant::now();
    gateway.settle().await;
    tell(&format!(
        "{} MCP servers, each a process of its own, started in {} ms:",
        SERVERS.len(),
        began.elapsed().as_millis()
    ));
    for server in gateway.status(|_| true).servers() {
        tell(&format!("  ✓ {:10} {} tools  pid {}", server.name, server.tools, server.pid.unwrap_or_default()));
    }
    let workflow = gateway.workflow("fulfil_order", None).map_err(|fault| fault.to_string())?;
    tell("\nthe workflow, and which of its steps wait for which:");
    for line in graph::text(&plan(&workflow, &gateway.known())).lines() {
        tell(&format!("  {line}"));
    }
    tell("\none run of it:");
    let stage = Arc::new(Stage {
        began: Instant::now(),
        told: Mutex::default(),
        lines: Mutex::default(),
        cue: Notify::new(),
        news: Notify::new(),
    });
    let input = json!({
        "order_id": "A-1001",
        "items": [{ "sku": "lamp", "quantity": 2 }, { "sku": "bulb", "quantity": 4 }],
    });
    let call = Call::new(Target::Workflow("fulfil_order".to_owned()), None, Principal::new("demo"));
    let watcher = Some(Arc::clone(&stage) as Arc<dyn Watch>);
    let mut waiter =
        Arc::clone(gateway).begin(&workflow, input, call, watcher).await.map_err(|fault| fault.to_string())?;
    let running = waiter.ended();
    tokio::pin!(running);
    let mut accident = std::pin::pin!(accident(gateway, &stage));
    let mut has_happened = false;
    let report = loop {
        tokio::select! {
            report = &mut running => break report.map_err(|fault| fault.to_string())?,
            () = stage.news.notified() => {}
            () = &mut accident, if !has_happened => has_happened = true,
        }
        stage.tell(tell);
    };
    stage.tell(tell);
    if let Some(failure) = report.failure() {
        return Err(format!("the run failed: {}", failure.message));
    }
    tell(&format!("\nits output, after {} ms:", report.took));
    for line in format!("{:#}", report.to_json()["output"]).lines() {
        tell(&format!("  {line}"));
    }
    come_back(gateway, tell).await?;
    Ok(report)
}

/// Kills the victim once it works on its step.
async fn accident(gateway: &Gateway, stage: &Stage) {
    stage.cue.notified().await;
    sleep(Duration::from_millis(250)).await;
    let Some(pid) = gateway.pool().get(VICTIM).and_then(|endpoint| endpoint.state().pid) else { return };
    end_group(pid, Force::Kill);
    stage.line(&format!("⚡ `kill -9 {pid}`: {VICTIM} dies in the middle of its call"));
}

/// Shows that the victim works again.
async fn come_back(gateway: &Arc<Gateway>, tell: &(dyn Fn(&str) + Sync)) -> Result<(), String> {
    let began = Instant::now();
    let tool = ToolRef { server: VICTIM.to_owned(), tool: "quote".to_owned() };
    let call = Call::new(Target::Tool(tool), to_raw_value(&json!({ "items": [] })).ok(), Principal::new("demo"));
    let reply = Arc::clone(gateway).invoke(call).await.map_err(|fault| fault.to_string())?;
    let result: Value = serde_json::from_str(reply.body.get()).unwrap_or_default();
    let state = gateway.pool().get(VICTIM).map(|endpoint| endpoint.state());
    let starts = state.map_or(0, |state| state.starts);
    tell(&format!(
        "\n{VICTIM} was started again (start {starts}) and answers after {} ms: {}",
        began.elapsed().as_millis(),
        result["structuredContent"]
    ));
    Ok(())
}

/// What is told of the run while it goes on.
struct Stage {
    began: Instant,
    /// Guards which steps have been told as over.
    told: Mutex<HashSet<Arc<str>>>,
    /// Guards the lines that wait to be told.
    lines: Mutex<Vec<String>>,
    /// The victim's step has begun.
    cue: Notify,
    /// There are lines.
    news: Notify,
}

impl Stage {
    fn line(&self, text: &str) {
        let seconds = self.began.elapsed().as_secs_f32();
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(format!("  {seconds:5.2} s  {text}"));
        self.news.notify_one();
    }

    fn tell(&self, tell: &(dyn Fn(&str) + Sync)) {
        let lines = std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner));
        for line in &lines {
            tell(line);
        }
    }
}

impl Watch for Stage {
    fn changed(&self, run: &Run) {
        for step in run.steps() {
            if step.at.as_ref() == VICTIMS_STEP && step.status == Status::Running {
                self.cue.notify_one();
            }
            let is_over = step.status != Status::Running;
            if is_over && self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(&step.at)) {
                self.line(&over(&step));
            }
        }
    }
}

fn over(step: &StepView) -> String {
    let mark = match step.status {
        Status::Completed => '✓',
        Status::Skipped => '–',
        Status::Failed | Status::Cancelled | Status::Running => '✗',
    };
    let took = step.ended.map_or(0, |ended| ended.saturating_sub(step.started));
    let how = match (step.status, step.attempts) {
        (Status::Skipped, _) => "  skipped: its condition does not hold".to_owned(),
        (_, attempts) if attempts > 1 => format!("  attempt {attempts}: the fallback"),
        _ => String::new(),
    };
    format!("{mark} {:16} {:20} {took:4} ms{how}", step.at, step.label)
}
