//! Waiting for a server's task on behalf of a caller who knows no tasks: its questions are put, its result is the answer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::downstream::endpoint::{Endpoint, Terms};
use crate::downstream::request::Request;
use crate::gateway::rounds::{Asked, nobody, put};
use crate::gateway::tasks::unrelated;
use crate::model::call::Reply;
use crate::model::code;
use crate::model::effect::Effect;
use crate::model::fault::{Fault, Kind};
use crate::model::limits::Limits;
use crate::model::task::{TaskVerb, Tasks};
use crate::wire::envelope::RpcError;

/// The longest that a task is waited for.
pub(super) const LONGEST: Duration = Duration::from_hours(1);

/// How often a task is asked for, whatever its server suggests; and if it suggests nothing.
const POLL: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(10));
const POLL_DEFAULT: Duration = Duration::from_secs(1);

/// A task as its server describes it, in either era.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Task {
    status: String,
    #[serde(default)]
    status_message: Option<String>,
    #[serde(default, alias = "pollInterval")]
    poll_interval_ms: Option<u64>,
    #[serde(default)]
    input_requests: std::collections::BTreeMap<String, Asked>,
    #[serde(default)]
    result: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<Box<RawValue>>,
}

/// The task that `reply` is, in place of a result.
pub(super) enum Made {
    /// By a server of the initialize era.
    Old(String),
    /// By a modern one.
    Modern(String),
}

/// Whether a call has been answered with a task.
pub(super) fn made(reply: &Reply) -> Option<Made> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head {
        #[serde(default)]
        result_type: Option<String>,
        #[serde(default)]
        task_id: Option<String>,
        #[serde(default)]
        task: Option<Old>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Old {
        task_id: String,
    }
    if !reply.body.get().contains("\"taskId\"") {
        return None;
    }
    let head: Head = serde_json::from_str(reply.body.get()).ok()?;
    match (head.result_type.as_deref(), head.task_id, head.task) {
        (Some("task"), Some(id), _) => Some(Made::Modern(id)),
        (None, None, Some(task)) => Some(Made::Old(task.task_id)),
        _ => None,
    }
}

/// Waits for the end of the task that `request` has become. Dropping the future cancels the task.
pub(super) async fn await_task(
    endpoint: &Arc<Endpoint>,
    request: &Request,
    task: Made,
    tasks: &TaskTracker,
) -> Result<Reply, Fault> {
    let id = match &task {
        Made::Old(id) | Made::Modern(id) => id.clone(),
    };
    let mut abandoned = Abandoned { endpoint, id: Some(id.clone()), tasks };
    let awaited = Awaited { endpoint, request, id };
    let limit = request.limits.left(Instant::now()).map_or(LONGEST, |left| left.min(LONGEST));
    let waiting = async {
        match task {
            Made::Old(_) => awaited.old().await,
            Made::Modern(_) => awaited.modern().await,
        }
    };
    let result = timeout(limit, waiting).await.unwrap_or_else(|_| {
        let message = format!("its task was not over after {} s", limit.as_secs_f32());
        Err(Fault::new(Kind::Timeout, code::CALL_TIMEOUT, message).sent())
    });
    if !result.as_ref().is_err_and(|fault| fault.kind == Kind::Timeout) {
        abandoned.id = None;
    }
    result.map_err(|fault| fault.server(endpoint.server.name.as_ref()))
}

struct Awaited<'a> {
    endpoint: &'a Arc<Endpoint>,
    request: &'a Request,
    id: String,
}

impl Awaited<'_> {
    /// An old server answers when the task is over, and asks meanwhile.
    async fn old(&self) -> Result<Reply, Fault> {
        let request = Request {
            ask: self.request.ask.clone(),
            progress: self.request.progress.clone(),
            ..self.about(TaskVerb::Result)
        };
        self.send(&request, LONGEST).await.map(unrelated)
    }

    /// A modern server is asked again and again.
    async fn modern(&self) -> Result<Reply, Fault> {
        let mut answered = BTreeSet::new();
        let mut said = None;
        for round in 0_u32.. {
            let reply = self.send(&self.about(TaskVerb::Get), self.endpoint.server.timeout).await?;
            let task: Task = serde_json::from_str(reply.body.get()).map_err(|error| wrong(&error))?;
            if let Some(progress) = &self.request.progress
                && task.status_message != said
            {
                progress.report(f64::from(round) + 1.0, None, task.status_message.as_deref());
                said.clone_from(&task.status_message);
            }
            let pause = task.poll_interval_ms.map_or(POLL_DEFAULT, Duration::from_millis).clamp(POLL.0, POLL.1);
            match task.status.as_str() {
                "input_required" => self.answer(task, &mut answered).await?,
                "working" => {}
                _ => return ended(task),
            }
            sleep(pause).await;
        }
        Err(wrong(&"it never ends"))
    }

    /// Puts the questions of `task` that have not been put yet.
    async fn answer(&self, mut task: Task, answered: &mut BTreeSet<String>) -> Result<(), Fault> {
        task.input_requests.retain(|key, _| answered.insert(key.clone()));
        if task.input_requests.is_empty() {
            return Ok(());
        }
        let ask = self.request.ask.as_ref().ok_or_else(|| nobody(self.endpoint))?;
        let answers = put(self.endpoint, ask, task.input_requests).await?;
        let answers = to_raw_value(&answers).map_err(|error| wrong(&error))?;
        let update = self.about(TaskVerb::Update).with("inputResponses", answers);
        self.send(&update, self.endpoint.server.timeout).await.map(drop)
    }

    fn about(&self, verb: TaskVerb) -> Request {
        let request = Request::new(verb.method()).with_text("taskId", &self.id);
        let Request { meta, limits, .. } = self.request;
        Request { tasks: Tasks::Awaited, meta: meta.clone(), limits: *limits, ..request }
    }

    async fn send(&self, request: &Request, timeout: Duration) -> Result<Reply, Fault> {
        // Once a task is made, whatever is asked of it can be asked again.
        let terms = Terms { effect: Effect::Idempotent, timeout, limits: self.request.limits, may_wait: true };
        self.endpoint.request(request, terms).await.map_err(Fault::sent)
    }
}

/// What a task that is over came to.
fn ended(task: Task) -> Result<Reply, Fault> {
    match (task.status.as_str(), task.result, task.error) {
        ("completed", Some(result), _) => Ok(Reply::new(result)),
        ("failed", _, Some(error)) => Err(RpcError::parse(&error).fault().sent()),
        ("failed" | "cancelled", ..) => {
            let why = task.status_message.map_or_else(String::new, |why| format!(": {why}"));
            Err(Fault::new(Kind::Rejected, code::SERVER_ERROR, format!("its task was {}{why}", task.status)).sent())
        }
        _ => Err(wrong(&format!("a task that is {} without a result", task.status))),
    }
}

fn wrong(why: &dyn std::fmt::Display) -> Fault {
    Fault::new(Kind::Internal, code::BAD_ANSWER, format!("the server's task is not what it should be: {why}")).sent()
}

/// Tells the server to end a task that nobody waits for any more.
struct Abandoned<'a> {
    endpoint: &'a Arc<Endpoint>,
    id: Option<String>,
    tasks: &'a TaskTracker,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        let Some(id) = self.id.take() else { return };
        let endpoint = Arc::clone(self.endpoint);
        self.tasks.spawn(async move {
            let request = Request::new(TaskVerb::Cancel.method()).with_text("taskId", &id);
            let request = Request { tasks: Tasks::Awaited, ..request };
            let timeout = endpoint.server.timeout;
            let terms = Terms { effect: Effect::Idempotent, timeout, limits: Limits::default(), may_wait: true };
            if let Err(fault) = endpoint.request(&request, terms).await {
                tracing::debug!(%fault, "a task was not cancelled");
            }
        });
    }
}
