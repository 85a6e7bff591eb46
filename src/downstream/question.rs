//! A server asks something in the middle of a call: to whom the question goes, and what is answered if nobody can.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::model::ask::{Ask, Question};
use crate::model::fault::Fault;
use crate::model::task::{RELATED_KEY, TaskRef};

/// The capabilities that can be bridged from a host to a server.
const BRIDGED: [&str; 3] = ["elicitation", "sampling", "roots"];

/// The longest that somebody is waited for to answer.
pub const LONGEST: Duration = Duration::from_mins(30);

/// What of a host's capabilities is offered to servers.
pub fn offered(capabilities: &Value) -> Value {
    let Some(all) = capabilities.as_object() else { return json!({}) };
    let mut offered: serde_json::Map<_, _> = all
        .iter()
        .filter(|(key, _)| BRIDGED.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if let Some(roots) = offered.get_mut("roots").and_then(Value::as_object_mut) {
        // Changes of a host's roots are not passed on.
        roots.remove("listChanged");
    }
    Value::Object(offered)
}

/// How many questions of one request are open. The request's time limit stands still for as long as somebody thinks.
#[derive(Debug, Default)]
pub struct Asking {
    open: AtomicU32,
    answered: AtomicU64,
    /// When the last question was opened; guarded for one assignment.
    last: Mutex<Option<Instant>>,
}

impl Asking {
    /// Waits for `limit`, starting anew as long as there are questions.
    pub async fn idle_for(&self, limit: Duration) {
        loop {
            let before = self.answered.load(Ordering::Acquire);
            sleep(limit).await;
            if self.open.load(Ordering::Acquire) == 0 && self.answered.load(Ordering::Acquire) == before {
                return;
            }
        }
    }

    /// Whether a question was opened within the last `limit`.
    pub fn has_just_asked(&self, limit: Duration) -> bool {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < limit)
    }

    /// Whether there was ever a question.
    pub fn has_asked(&self) -> bool {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether a question is open.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire) > 0
    }

    fn begin(self: &Arc<Self>) -> Open {
        self.open.fetch_add(1, Ordering::AcqRel);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Open(Arc::clone(self))
    }
}

/// A question that is open for as long as this lives.
struct Open(Arc<Asking>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.answered.fetch_add(1, Ordering::AcqRel);
        self.0.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Somebody to ask, and the clocks that stand still meanwhile.
pub type Asker = (Arc<dyn Ask>, Vec<Arc<Asking>>);

/// The answer to a server's request, as the members of a response after its id; that of nobody once it is `moot`.
pub async fn answer(asker: Option<Asker>, question: Question, moot: impl Future<Output = ()>) -> String {
    // A modern host is told what it lacks.
    let may_ask = |ask: &Arc<dyn Ask>| ask.takes_questions_as_result() || can(ask.capabilities(), &question.method);
    let Some((ask, clocks)) = asker.filter(|(ask, _)| may_ask(ask)) else {
        return unanswered(&question.method);
    };
    let _open: Vec<_> = clocks.iter().map(Asking::begin).collect();
    let method = question.method.clone();
    tokio::select! {
        answer = ask.ask(question) => match answer {
            Ok(result) => format!(r#""result":{}"#, result.get()),
            Err(fault) => refused(&fault),
        },
        () = moot => unanswered(&method),
        () = sleep(LONGEST) => unanswered(&method),
    }
}

fn can(capabilities: &Value, method: &str) -> bool {
    capability_for(method).is_some_and(|key| capabilities.get(key).is_some_and(|value| !value.is_null()))
}

/// The client capability that a server's request needs.
pub fn capability_for(method: &str) -> Option<&'static str> {
    match method {
        "elicitation/create" => Some("elicitation"),
        "sampling/createMessage" => Some("sampling"),
        "roots/list" => Some("roots"),
        _ => None,
    }
}

/// What a server is answered if nobody can be asked.
pub fn unanswered(method: &str) -> String {
    match method {
        "ping" => r#""result":{}"#.to_owned(),
        "roots/list" => r#""result":{"roots":[]}"#.to_owned(),
        "elicitation/create" => r#""result":{"action":"cancel"}"#.to_owned(),
        _ => error(-32601, &format!("{method} is not supported by this host")),
    }
}

fn refused(fault: &Fault) -> String {
    error(fault.rpc.as_ref().map_or(-32603, |rpc| rpc.code), &fault.message)
}

fn error(code: i64, message: &str) -> String {
    let error = json!({ "code": code, "message": message });
    format!(r#""error":{error}"#)
}

/// The question as the host is to see it: with the name of the server that asks, so that a person knows whom the answer
/// goes to, and of the task that it belongs to by the name that the host knows.
pub fn signed(question: Question, is_named: bool) -> Question {
    let is_signed = is_named && question.method == "elicitation/create";
    if !is_signed && question.params.as_ref().is_none_or(|params| !params.get().contains(RELATED_KEY)) {
        return question;
    }
    let Some(mut params) = question.params.as_deref().and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok())
    else {
        return question;
    };
    if is_signed && let Some(message) = params.get("message").and_then(Value::as_str) {
        params["message"] = json!(format!("[{}] {message}", question.server));
    }
    if let Some(Value::String(id)) = params.pointer_mut("/_meta/io.modelcontextprotocol~1related-task/taskId") {
        *id = TaskRef { server: question.server.to_string(), id: std::mem::take(id) }.to_string();
    }
    let params: Option<Box<RawValue>> = to_raw_value(&params).ok();
    Question { params, ..question }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[test]
    fn only_what_can_be_bridged_is_offered() {
        let host = json!({ "elicitation": { "form": {} }, "roots": { "listChanged": true }, "experimental": {} });
        assert_eq!(offered(&host), json!({ "elicitation": { "form": {} }, "roots": {} }));
    }

    #[tokio::test]
    async fn nobody_to_ask_is_an_answer_too() {
        let question = |method: &str| Question { server: "a".into(), method: method.to_owned(), params: None };
        assert_eq!(answer(None, question("elicitation/create"), pending()).await, r#""result":{"action":"cancel"}"#);
        assert_eq!(answer(None, question("roots/list"), pending()).await, r#""result":{"roots":[]}"#);
        assert!(answer(None, question("sampling/createMessage"), pending()).await.contains("-32601"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_limit_stands_still_while_somebody_thinks() {
        let asking = Arc::new(Asking::default());
        let open = asking.begin();
        let idle = asking.idle_for(Duration::from_secs(1));
        tokio::pin!(idle);
        assert!(tokio::time::timeout(Duration::from_mins(1), &mut idle).await.is_err());
        drop(open);
        assert!(tokio::time::timeout(Duration::from_secs(3), &mut idle).await.is_ok());
    }
}
