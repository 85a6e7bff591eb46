//! The request that a call of a tool becomes.

use std::sync::Arc;

use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

use crate::downstream::request::Request;
use crate::gateway::door::Gateway;
use crate::gateway::route::with_extra;
use crate::gateway::tasks;
use crate::model::call::Call;
use crate::model::entry::Entry;
use crate::model::task::Tasks;
use crate::registry::tools::KeyPlace;
use crate::wire::object::Object;

impl Gateway {
    /// The request for `entry`, with the call's idempotency key where the registry says that the tool wants it.
    pub(super) fn tool_request(&self, entry: &Entry, call: &Call) -> Request {
        let registry = self.registry();
        let server = registry.servers.get(&entry.server);
        let place = server.and_then(|server| server.tools.get(&entry.id)?.idempotency.as_ref());
        let key = match (place, &call.idempotency_key) {
            // A call that nobody has given a key may be tried more than once all the same.
            (Some(_), None) => Some(Uuid::now_v7().to_string().into()),
            (_, key) => key.clone(),
        };
        let empty = || RawValue::from_string("{}".to_owned()).expect("a constant of valid JSON");
        let arguments = call.arguments.clone().unwrap_or_else(empty);
        let (arguments, key, key_header) = match place {
            None => (arguments, key, None),
            Some(KeyPlace::Header(header)) => (arguments, key, Some(header.clone())),
            Some(KeyPlace::Argument(name)) => {
                let (arguments, key) = with_key(arguments, name, key);
                (arguments, key, None)
            }
        };
        let request = Request::new("tools/call").with_text("name", &entry.id).with("arguments", arguments);
        let tasks = tasks::wanted(entry, call);
        let request = match tasks {
            // What any server of that era understands: a task with its own time to live.
            Tasks::Awaited => request.with("task", empty()),
            Tasks::None | Tasks::OnDemand | Tasks::Relayed => request,
        };
        Request {
            meta: call.meta.clone(),
            idempotency_key: key,
            key_header,
            headers: call.headers.clone(),
            progress: call.progress.clone(),
            ask: call.ask.clone(),
            tasks,
            ..with_extra(request, call)
        }
    }
}

/// The arguments with the key among them. One that the caller has given there counts.
fn with_key(arguments: Box<RawValue>, name: &str, key: Option<Arc<str>>) -> (Box<RawValue>, Option<Arc<str>>) {
    let Some(mut object) = Object::parse(&arguments) else { return (arguments, key) };
    if let Some(given) = object.get(name) {
        let given = serde_json::from_str::<String>(given.get()).ok().map(Into::into).or(key);
        return (arguments, given);
    }
    if let Some(text) = key.as_deref().and_then(|key| to_raw_value(key).ok()) {
        object.set_raw(name, std::borrow::Cow::Owned(text));
    }
    let raw = object.to_raw();
    (raw, key)
}
