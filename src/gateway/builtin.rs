//! The tools that the program itself offers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::document::duration::parse_duration;
use crate::document::format::Format;
use crate::gateway::door::Gateway;
use crate::gateway::reply;
use crate::gateway::runs::Stand;
use crate::gateway::workflows::parse_input;
use crate::model::call::{Call, Reply};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::model::priority::Priority;
use crate::model::problem::{Problem, Source};
use crate::runner::effects::now;
use crate::workflow::authored::draft;
use crate::workflow::bounds::bounds;
use crate::workflow::check::check;
use crate::workflow::definition::Workflow;
use crate::workflow::moment;
use crate::workflow::plan::plan;

/// A tool of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builtin {
    /// Runs a workflow by name, or one that is given inline.
    RunWorkflow,
    /// Lists the workflows.
    ListWorkflows,
    /// Shows a run, or those that go on.
    GetRun,
    /// Answers what a run asks.
    AnswerRun,
    /// Cancels a run, or tells it that something has happened.
    ControlRun,
    /// Says how every server does.
    Status,
    /// Reads the files anew.
    Reload,
    /// Says how much of the work is to go on.
    SetLevel,
    /// Checks a workflow that a caller has written.
    Validate,
    /// Saves a workflow that a caller has written.
    Save,
}

impl Builtin {
    /// Every one of them.
    pub const ALL: [Self; 10] = [
        Self::RunWorkflow,
        Self::ListWorkflows,
        Self::GetRun,
        Self::AnswerRun,
        Self::ControlRun,
        Self::Status,
        Self::Reload,
        Self::SetLevel,
        Self::Validate,
        Self::Save,
    ];

    /// The tool of our own under `name`.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|builtin| builtin.name() == name)
    }

    /// The tool's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::RunWorkflow => "run_workflow",
            Self::ListWorkflows => "list_workflows",
            Self::GetRun => "get_run",
            Self::AnswerRun => "answer_run",
            Self::ControlRun => "control_run",
            Self::Status => "orchestrator_status",
            Self::Reload => "reload_config",
            Self::SetLevel => "set_level",
            Self::Validate => "validate_workflow",
            Self::Save => "save_workflow",
        }
    }
}

/// The arguments of `run_workflow`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunArguments {
    workflow: Option<String>,
    definition: Option<Value>,
    #[serde(default)]
    input: Option<Value>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default = "yes")]
    wait: bool,
    #[serde(default)]
    timeout_ms: Option<u64>,
    #[serde(default)]
    idempotency_key: Option<Arc<str>>,
    #[serde(default)]
    deadline: Option<Value>,
    #[serde(default)]
    priority: Option<String>,
}

impl RunArguments {
    /// How long it is until the run is of no use any more, and how urgent it is.
    fn urgency(&self) -> Result<(Option<Duration>, Option<Priority>), Fault> {
        let wrong = || {
            invalid("`deadline` is neither a length of time nor a point in time")
                .hint("write `90s` or `5m` from now, or a time like `2027-01-31T08:00:00Z`")
        };
        let deadline = match &self.deadline {
            None => None,
            Some(Value::String(text)) if let Some(left) = parse_duration(text) => Some(left),
            Some(value) => {
                let end = value.as_str().and_then(|_| moment::parse(value)).ok_or_else(wrong)?;
                Some(Duration::from_millis(end.saturating_sub(now())))
            }
        };
        let words = || Priority::ALL.map(Priority::as_str).join("`, `");
        let priority = self.priority.as_deref().map(|word| {
            Priority::parse(word).ok_or_else(|| invalid(format!("`priority` is one of `{}`, not `{word}`", words())))
        });
        Ok((deadline, priority.transpose()?))
    }
}

fn yes() -> bool {
    true
}

/// The arguments of `validate_workflow`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ValidateArguments {
    definition: Value,
}

/// The arguments of `list_workflows`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListArguments {
    query: Option<String>,
}

/// The arguments of `orchestrator_status`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusArguments {
    server: Option<String>,
}

impl Gateway {
    pub(super) async fn call_builtin(self: Arc<Self>, builtin: Builtin, call: Call) -> Result<Reply, Fault> {
        let result = match builtin {
            Builtin::RunWorkflow => self.run_workflow(call).await,
            Builtin::ListWorkflows => self.list_workflows(&call),
            Builtin::GetRun => self.get_run(&call).await,
            Builtin::AnswerRun => self.answer_run(&call).await,
            Builtin::ControlRun => self.control_run(&call).await,
            Builtin::Status => self.orchestrator_status(&call),
            Builtin::Reload => self.reload_config().await,
            Builtin::SetLevel => self.set_level(&call),
            Builtin::Save => self.save_workflow(&call).await,
            Builtin::Validate => self.validate_workflow(&call).await,
        };
        result.map_err(|fault| Fault { target: fault.target.or_else(|| Some(builtin.name().to_owned())), ..fault })
    }

    async fn run_workflow(self: Arc<Self>, mut call: Call) -> Result<Reply, Fault> {
        let arguments: RunArguments = arguments(&call)?;
        let (deadline, priority) = arguments.urgency()?;
        let workflow = match (arguments.workflow, arguments.definition) {
            (Some(name), None) => {
                let (workflow, registered) = self.registered(&name, call)?;
                call = registered;
                workflow
            }
            (None, Some(definition)) => Arc::new(self.inline(&definition, call.profile.as_ref()).await?),
            _ => return Err(invalid("give either `workflow`, the name of one, or `definition`, a whole one")),
        };
        let input = arguments.input.unwrap_or_else(|| json!({}));
        if arguments.dry_run {
            return self.dry_run(&workflow, input);
        }
        if let Some(timeout) = arguments.timeout_ms {
            call.limits = call.limits.within(Instant::now(), Duration::from_millis(timeout));
        }
        if let Some(deadline) = deadline {
            call.limits = call.limits.within(Instant::now(), deadline);
        }
        call.priority = priority.or(call.priority);
        call.idempotency_key = arguments.idempotency_key;
        let mut waiter = self.begin(&workflow, input, call, None).await?;
        if !arguments.wait {
            let handle = waiter.leave();
            // It answers once it is stored, so whoever has its id finds it whatever happens to us.
            let view = handle.look().await;
            if let Some(report) = handle.report() {
                return Ok(reply::report(&report));
            }
            return Ok(reply::begun(&handle, view.as_ref()));
        }
        match waiter.ended_or_open().await? {
            Stand::Ended(report) => Ok(reply::report(&report)),
            Stand::Waiting(questions) => Ok(reply::waiting(&waiter.leave(), &questions, false)),
        }
    }

    /// A workflow that a caller has written, if nothing is wrong with it.
    pub(super) async fn inline(&self, definition: &Value, profile: Option<&Arc<str>>) -> Result<Workflow, Fault> {
        let (workflow, problems) = self.drafted(definition, profile).await;
        let errors: Vec<_> = problems.iter().filter(|problem| problem.is_error()).map(ToString::to_string).collect();
        match workflow {
            Some(workflow) if errors.is_empty() => Ok(workflow),
            _ => {
                let count =
                    if errors.len() == 1 { "a mistake".to_owned() } else { format!("{} mistakes", errors.len()) };
                let message = format!("the definition has {count}:\n{}", errors.join("\n"));
                Err(Fault::new(Kind::Invalid, code::BAD_DEFINITION, message).hint("correct it; nothing was run"))
            }
        }
    }

    /// Reads and checks a workflow that a caller has written, as an object or as YAML, JSON or TOML text.
    async fn drafted(&self, definition: &Value, profile: Option<&Arc<str>>) -> (Option<Workflow>, Vec<Problem>) {
        let (text, format) = match definition {
            Value::String(text) => (text.clone(), guess(text)),
            other => (serde_json::to_string_pretty(other).unwrap_or_default(), Format::Json),
        };
        let source = Source::new("definition", text);
        let (workflow, mut problems) = draft(&source, format);
        if let Some(workflow) = &workflow {
            self.settle().await;
            problems.extend(check(workflow, &self.known_through(profile)));
            problems.sort_by_key(|problem| problem.span.start);
        }
        (workflow, problems)
    }

    async fn validate_workflow(&self, call: &Call) -> Result<Reply, Fault> {
        let ValidateArguments { definition } = arguments(call)?;
        let (workflow, problems) = self.drafted(&definition, call.profile.as_ref()).await;
        let is_valid = workflow.is_some() && !problems.iter().any(Problem::is_error);
        let plan =
            workflow.filter(|_| is_valid).map(|workflow| plan(&workflow, &self.known_through(call.profile.as_ref())));
        let structured = json!({
            "valid": is_valid,
            "problems": problems.iter().map(Problem::to_json).collect::<Vec<_>>(),
            "effect": plan.as_ref().map(|plan| plan.effect().as_str()),
            "plan": plan.as_ref().map(crate::workflow::graph::text),
        });
        let mut lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        lines.insert(0, if is_valid { "it can be run as it is" } else { "it cannot be run as it is" }.to_owned());
        Ok(reply::success(&structured, &lines.join("\n")))
    }

    /// What a run would do.
    pub fn dry_run(&self, workflow: &Workflow, input: Value) -> Result<Reply, Fault> {
        let accepted = crate::workflow::input::accept(workflow, input);
        let plan = plan(workflow, &self.known());
        let bounds = bounds(&plan);
        let text = format!("{}{}\n", crate::workflow::graph::text(&plan), bounds.to_text());
        let problems = accepted.as_ref().err().cloned().unwrap_or_default();
        let structured = json!({
            "workflow": workflow.name.as_ref(),
            "effect": plan.effect().as_str(),
            "plan": text,
            "bounds": bounds.to_json(),
            "input": accepted.unwrap_or_default(),
            "input_problems": problems,
        });
        Ok(reply::success(&structured, &format!("nothing was run\n{text}")))
    }

    fn list_workflows(&self, call: &Call) -> Result<Reply, Fault> {
        let ListArguments { query } = arguments(call)?;
        let query = query.unwrap_or_default().to_lowercase();
        let is_wanted = |workflow: &&Arc<Workflow>| {
            let description = workflow.description.as_deref().unwrap_or_default();
            format!("{} {description}", workflow.name).to_lowercase().contains(&query)
        };
        let is_shown = |name: &&str| self.shows_workflow(call.profile.as_deref(), name);
        let set = self.workflows();
        let all = set.names().filter(is_shown).filter_map(|name| set.get(name));
        let list: Vec<_> = all.filter(is_wanted).map(|workflow| self.entry(workflow)).collect();
        let lines: Vec<_> = list.iter().map(one_line).collect();
        let text = if lines.is_empty() { "no workflows".to_owned() } else { lines.join("\n") };
        Ok(reply::success(&json!({ "workflows": list }), &text))
    }

    fn entry(&self, workflow: &Workflow) -> Value {
        let mut entry = json!({
            "name": workflow.name.as_ref(),
            "version": workflow.version,
            "description": workflow.description,
            "effect": plan(workflow, &self.known()).effect().as_str(),
            "input_schema": *workflow.input_schema,
        });
        if let Some(entry) = entry.as_object_mut() {
            entry.extend(workflow.conduct.to_json());
        }
        entry
    }

    fn orchestrator_status(&self, call: &Call) -> Result<Reply, Fault> {
        let StatusArguments { server } = arguments(call)?;
        let is_shown = |name: &str| self.pool.get(name).is_some() && self.shows_server(call.profile.as_deref(), name);
        if let Some(server) = server.as_deref().filter(|server| !is_shown(server)) {
            return Err(self.no_such_server(server));
        }
        let is_wanted = |name: &str| {
            self.shows_server(call.profile.as_deref(), name) && server.as_deref().is_none_or(|server| server == name)
        };
        let status = self.status(is_wanted);
        Ok(reply::success(&status.to_json(), &status.to_text()))
    }
}

fn one_line(entry: &Value) -> String {
    let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    format!("{}: {}", text("name"), text("description"))
}

/// Which language a text is written in.
pub(super) fn guess(text: &str) -> Format {
    let is_toml = |line: &str| line.starts_with("[[steps]]") || line.starts_with("name = ");
    if text.trim_start().starts_with('{') {
        Format::Json
    } else if text.lines().any(is_toml) {
        Format::Toml
    } else {
        Format::Yaml
    }
}

pub(super) fn arguments<T: for<'de> Deserialize<'de>>(call: &Call) -> Result<T, Fault> {
    let value = parse_input(call.arguments.as_deref())?;
    serde_json::from_value(value).map_err(|error| invalid(format!("the arguments are wrong: {error}")))
}

pub(super) fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(Kind::Invalid, code::BAD_REQUEST, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::name::OWN_TOOLS;

    #[test]
    fn no_workflow_can_be_named_like_one_of_ours() {
        assert_eq!(Builtin::ALL.map(Builtin::name), OWN_TOOLS);
    }
}
