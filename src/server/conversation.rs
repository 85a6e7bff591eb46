//! One call of a modern host, over as many requests as its questions take.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use crate::model::call::Reply;
use crate::model::code;
use crate::model::fault::{Fault, Kind, Rpc};
use crate::model::port::BoxFuture;
use crate::server::ask::{Answer, Open};
use crate::server::progress::Reporter;
use crate::wire::object::Object;

/// Questions that come within this time go to the host together.
const TOGETHER: Duration = Duration::from_millis(15);

/// What a call came to, and its place among those that are worked on.
pub type Worked = (Result<Reply, Fault>, Option<OwnedSemaphorePermit>);

/// A call that goes on while its host comes and goes. Dropping it cancels the call.
pub struct Conversation {
    call: BoxFuture<Worked>,
    questions: mpsc::Receiver<Open>,
    open: BTreeMap<String, Open>,
    asked: usize,
    progress: Arc<Reporter>,
}

/// What comes next of a conversation.
pub enum Next {
    /// The call is over; its place is to be kept until the answer is on its way.
    Over(Result<Reply, Fault>, Option<OwnedSemaphorePermit>),
    /// The host is to be asked.
    Ask(Box<Conversation>),
}

impl Conversation {
    /// A call that has begun.
    pub fn new(call: BoxFuture<Worked>, questions: mpsc::Receiver<Open>, progress: Arc<Reporter>) -> Self {
        Self { call, questions, open: BTreeMap::new(), asked: 0, progress }
    }

    /// Where its progress is reported.
    pub fn progress(&self) -> &Reporter {
        &self.progress
    }

    /// Waits until the call is over or wants to know something.
    pub async fn next(mut self) -> Next {
        if self.open.is_empty() {
            tokio::select! {
                biased;
                (result, place) = &mut self.call => return Next::Over(result, place),
                Some(open) = self.questions.recv() => self.add(open),
            }
            while let Ok(Some(open)) = timeout(TOGETHER, self.questions.recv()).await {
                self.add(open);
            }
        }
        match self.open.values().find_map(|open| open.lacking) {
            Some(capability) => Next::Over(Err(lacking(capability)), None),
            None => Next::Ask(Box::new(self)),
        }
    }

    fn add(&mut self, open: Open) {
        self.asked += 1;
        let key = name_of(&open).filter(|key| !self.open.contains_key(key));
        self.open.insert(key.unwrap_or_else(|| format!("q{}", self.asked)), open);
    }

    /// Takes in what the host has answered; what it left out is asked again, what was not asked is ignored.
    pub fn answer(&mut self, answers: Option<&RawValue>) {
        let answers = answers.and_then(Object::parse).unwrap_or_default();
        let given: Vec<_> = self.open.keys().filter(|key| answers.get(key).is_some()).cloned().collect();
        for key in given {
            if let (Some(open), Some(answer)) = (self.open.remove(&key), answers.get(&key)) {
                // Fails only if the server no longer wants to know.
                let answer: Answer = Ok(answer.to_owned());
                let _ = open.answer.send(answer);
            }
        }
    }

    /// The result that asks the host: the open questions under `state`.
    pub fn result(&self, state: &str) -> Value {
        let questions: serde_json::Map<_, _> = self
            .open
            .iter()
            .map(|(key, open)| {
                let params =
                    open.question.params.as_deref().and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
                (key.clone(), json!({ "method": open.question.method, "params": params.unwrap_or_else(|| json!({})) }))
            })
            .collect();
        json!({ "resultType": "input_required", "inputRequests": questions, "requestState": state })
    }
}

/// The `_meta` key under which an old server may give its question a name.
const NAME_KEY: &str = "io.mcp-orchestrator/input-key";

fn name_of(open: &Open) -> Option<String> {
    let params = Object::parse(open.question.params.as_deref()?)?;
    let meta = Object::parse(params.get("_meta")?)?;
    serde_json::from_str(meta.get(NAME_KEY)?.get()).ok()
}

/// Whose a conversation is: the same host, at the same view, must come back with the same request.
pub fn owner(
    (principal, profile): (&str, Option<&str>),
    method: &str,
    target: &str,
    arguments: Option<&RawValue>,
) -> String {
    let mut hasher = DefaultHasher::new();
    (profile, method, target, arguments.map(RawValue::get)).hash(&mut hasher);
    format!("{principal}/{:016x}", hasher.finish())
}

/// The protocol's error for a host that cannot do what a server needs (2026-07-28, basic/index).
fn lacking(capability: &str) -> Fault {
    let data = json!({ "requiredCapabilities": { capability: {} } });
    let message = format!("Missing required client capability: {capability}");
    let mut fault = Fault::new(Kind::Rejected, code::BAD_REQUEST, message);
    fault.rpc = Some(Rpc { code: -32021, data: to_raw_value(&data).ok() });
    fault
}

/// A call that ended without saying how.
pub fn lost() -> Fault {
    Fault::new(Kind::Internal, code::INTERNAL, "the call was lost")
}
