//! Tasks of servers: passed on under a name that leads back to their server, or waited for if the caller knows none.

use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::downstream::endpoint::{Endpoint, Terms};
use crate::downstream::request::Request;
use crate::gateway::awaited::LONGEST;
use crate::gateway::door::Gateway;
use crate::model::ask::Ask;
use crate::model::call::{Call, Reply};
use crate::model::code;
use crate::model::effect::Effect;
use crate::model::entry::Entry;
use crate::model::fault::{Fault, Kind};
use crate::model::task::{EXTENSION, RELATED_KEY, TaskRef, TaskVerb, Tasks};
use crate::wire::object::Object;

impl Gateway {
    /// Asks the server of a task about it.
    pub(super) async fn call_task(&self, verb: TaskVerb, task: &TaskRef, call: Call) -> Result<Reply, Fault> {
        let no_such = || Fault::new(Kind::NotFound, code::NO_SUCH_TASK, format!("there is no task `{task}`"));
        let is_shown = self.shows_server(call.profile.as_deref(), owner(task).0);
        let endpoint = self.worker(task).filter(|_| is_shown).ok_or_else(no_such)?;
        let params = call.arguments.as_deref().and_then(Object::parse).unwrap_or_default();
        let others = params.iter().filter(|(key, _)| !matches!(*key, "taskId" | "_meta"));
        let request = others
            .fold(Request::new(verb.method()).with_text("taskId", &task.id), |request, (key, value)| {
                request.with(key.to_owned(), value.to_owned())
            });
        let request = Request {
            meta: call.meta.clone(),
            ask: call.ask.clone(),
            tasks: Tasks::Relayed,
            limits: self.onward(call.limits)?,
            ..request
        };
        let server = &endpoint.server;
        let (effect, timeout) = match verb {
            TaskVerb::Get => (Effect::Read, server.timeout),
            // It is answered when the task is over.
            TaskVerb::Result => (Effect::Read, LONGEST),
            TaskVerb::Update | TaskVerb::Cancel => (Effect::Idempotent, server.timeout),
        };
        let terms = Terms { effect, timeout, limits: call.limits, may_wait: true };
        let reply = endpoint.request(&request, terms).await?;
        Ok(named(reply, &endpoint))
    }

    /// The instance that works on a task.
    fn worker(&self, task: &TaskRef) -> Option<Arc<Endpoint>> {
        let (server, place) = owner(task);
        self.pool.get(server)?.at(place).cloned()
    }
}

/// The server of a task, and which of its instances. The first has no number, and no server's name has a dot.
fn owner(task: &TaskRef) -> (&str, usize) {
    let numbered = || {
        let (server, number) = task.server.rsplit_once('.')?;
        Some((server, number.parse::<usize>().ok()?.checked_sub(1)?))
    };
    numbered().unwrap_or((&task.server, 0))
}

/// What is to become of tasks that a call of `entry` makes.
pub(super) fn wanted(entry: &Entry, call: &Call) -> Tasks {
    let knows_tasks = |ask: &Arc<dyn Ask>| ask.takes_questions_as_result() && knows(ask.capabilities());
    match call.extra.iter().any(|(key, _)| key == "task") {
        true => Tasks::Relayed,
        // A server of the initialize era makes a task only of a request that asks for one.
        false if needs_one(entry) => Tasks::Awaited,
        false if call.awaits_tasks => Tasks::OnDemand,
        false if call.ask.as_ref().is_some_and(knows_tasks) => Tasks::Relayed,
        false => Tasks::None,
    }
}

fn knows(capabilities: &Value) -> bool {
    capabilities.get("extensions").and_then(|all| all.get(EXTENSION)).is_some_and(Value::is_object)
}

/// Whether a tool of the initialize era works in tasks only (2025-11-25, basic/utilities/tasks).
fn needs_one(entry: &Entry) -> bool {
    let support = entry.definition.get("execution").and_then(|execution| execution.get("taskSupport"));
    support.is_some_and(|support| support == "required")
}

/// Whether a server refuses a call because its caller knows no tasks; nothing has been done then.
pub(super) fn is_demanded(fault: &Fault) -> bool {
    let Some(rpc) = fault.rpc.as_ref().filter(|rpc| rpc.code == -32021) else { return false };
    let data = rpc.data.as_ref().and_then(|data| serde_json::from_str::<Value>(data.get()).ok());
    data.is_some_and(|data| knows(&data["requiredCapabilities"]))
}

/// The reply with its task named as hosts name it, wherever it names one.
pub(super) fn named(reply: Reply, endpoint: &Endpoint) -> Reply {
    if !reply.body.get().contains("\"taskId\"") {
        return reply;
    }
    let Some(mut result) = Object::parse(&reply.body) else { return reply };
    let value = |raw: Option<&RawValue>| raw.and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
    let (id, task, meta) = (value(result.get("taskId")), value(result.get("task")), value(result.get("_meta")));
    let server = match endpoint.place {
        0 => endpoint.server.name.to_string(),
        place => format!("{}.{}", endpoint.server.name, place + 1),
    };
    let rename = |id: &mut Value| {
        if let Some(text) = id.as_str() {
            *id = TaskRef { server: server.clone(), id: text.to_owned() }.to_string().into();
        }
    };
    if let Some(mut id) = id {
        rename(&mut id);
        result.set("taskId", &id);
    }
    if let Some(mut task) = task.filter(Value::is_object) {
        rename(&mut task["taskId"]);
        result.set("task", &task);
    }
    if let Some(mut meta) = meta.filter(|meta| meta.get(RELATED_KEY).is_some_and(Value::is_object)) {
        rename(&mut meta[RELATED_KEY]["taskId"]);
        result.set("_meta", &meta);
    }
    Reply::new(result.to_raw())
}

/// The result without a word on its task, for a caller who knows of none.
pub(super) fn unrelated(reply: Reply) -> Reply {
    if !reply.body.get().contains(RELATED_KEY) {
        return reply;
    }
    let Some(mut result) = Object::parse(&reply.body) else { return reply };
    let Some(old) = result.get("_meta").map(ToOwned::to_owned) else { return reply };
    let Some(mut meta) = Object::parse(&old) else { return reply };
    meta.retain(|key| key != RELATED_KEY);
    if meta.is_empty() {
        result.retain(|key| key != "_meta");
    } else {
        result.set("_meta", &meta);
    }
    Reply::new(result.to_raw())
}
