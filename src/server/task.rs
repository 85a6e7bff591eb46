//! What hosts ask of servers' tasks, in the words of their era.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::downstream::protocol::Era;
use crate::model::call::Target;
use crate::model::task::{EXTENSION, TaskRef, TaskVerb};
use crate::server::call::Params;
use crate::server::connection::{Connection, Request};
use crate::server::host::{Refusal, Sender};
use crate::server::requests;

impl Connection {
    /// A request of `tasks/…`.
    pub(super) fn task(&self, request: Request, read: &Params<'_>, params: Option<&RawValue>) {
        match target(&request, params) {
            Ok(target) => self.call(request, read, params, Some(target)),
            Err(refusal) => self.refusal(&request.id, &refusal, &request.outlet),
        }
    }
}

fn target(request: &Request, params: Option<&RawValue>) -> Result<Target, Refusal> {
    let is_of_era = |verb: &TaskVerb| match request.sender.era {
        Era::Legacy => *verb != TaskVerb::Update,
        Era::Modern => *verb != TaskVerb::Result,
    };
    let Some(verb) = TaskVerb::of(&request.method).filter(is_of_era) else {
        return Err(Refusal::new(-32601, format!("Method not found: {}", request.method)));
    };
    if request.sender.era == Era::Modern && !takes_tasks(&request.sender) {
        let data = json!({ "requiredCapabilities": { "extensions": { EXTENSION: {} } } });
        return Err(Refusal { data: Some(data), ..Refusal::new(-32021, "Missing required client capability: tasks") });
    }
    let id =
        requests::member(params, "taskId").ok_or_else(|| Refusal::new(-32602, "which task? `taskId` is missing"))?;
    let task = TaskRef::parse(&id).ok_or_else(|| Refusal::new(-32602, format!("there is no task {id:?}")))?;
    Ok(Target::Task(verb, task))
}

fn takes_tasks(sender: &Sender) -> bool {
    sender.capabilities.pointer("/extensions").and_then(|all| all.get(EXTENSION)).is_some_and(Value::is_object)
}
