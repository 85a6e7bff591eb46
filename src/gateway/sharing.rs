//! Calls of tools that only read, where one answer may serve several of them.

use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout_at;

use crate::downstream::fleet::Fleet;
use crate::gateway::answers::{Book, How, Stamp, Waiting};
use crate::gateway::door::Gateway;
use crate::gateway::reply::{SERVED_BY_KEY, kept};
use crate::model::call::{Call, Reply};
use crate::model::code;
use crate::model::entry::Entry;
use crate::model::fault::{Fault, Kind};
use crate::model::limits::Limits;
use crate::policy::keeping::{Keeping, Use};
use crate::wire::canonical::canonical;

/// A call whose answer may be kept or shared.
#[derive(Clone)]
pub(super) struct Sharing {
    keeping: Option<Keeping>,
    book: Arc<Book>,
    stamp: Stamp,
    /// Equal for calls that may have the same answer.
    key: String,
    /// Equal for those that may wait for the same request.
    flight_key: String,
}

impl Gateway {
    /// How the answer of a call may be shared; `None` if it must not be.
    pub(super) fn sharing(&self, fleet: &Fleet, entry: &Entry, call: &Call) -> Option<Sharing> {
        let rule = fleet.server.tools.get(&entry.id)?;
        let is_wanted = rule.cache.is_some() || rule.coalesce;
        // Answers to questions, and tasks, are between one caller and the server.
        if !is_wanted || !entry.effect.is_read() || !call.extra.is_empty() {
            return None;
        }
        let arguments = match call.arguments.as_deref() {
            Some(arguments) => canonical(arguments)?,
            None => "{}".to_owned(),
        };
        let book = self.answers.book(&entry.server);
        let stamp = Stamp { changes: fleet.changes(), writes: book.epoch(&entry.id) };
        let whose = (!rule.cache.is_some_and(|keeping| keeping.is_shared)).then_some(&*call.principal.name);
        let key = json!([&*entry.server, entry.id, whose, arguments, call.headers]).to_string();
        let flight_key = format!("{} {} {} {key}", stamp.changes, stamp.writes, book.writes());
        Some(Sharing { keeping: rule.cache, book, stamp, key, flight_key })
    }

    /// The answer to a call: a kept one, that of an equal call under way, or a new one.
    pub(super) async fn call_shared(
        self: &Arc<Self>,
        sharing: Sharing,
        entry: &Arc<Entry>,
        call: Call,
    ) -> Result<Reply, Fault> {
        let found = sharing.keeping.and_then(|keeping| {
            let (reply, age) = self.answers.find(&sharing.key, sharing.stamp)?;
            Some((keeping.use_of(age), reply, age))
        });
        match &found {
            Some((Use::Fresh, reply, age)) => {
                sharing.book.count(How::Hit);
                return Ok(kept(reply, *age, None));
            }
            Some((Use::WhileRevalidating, reply, age)) => {
                self.revalidate(&sharing, entry, &call);
                sharing.book.count(How::Stale);
                return Ok(kept(reply, *age, Some("a new answer is being fetched")));
            }
            _ => {}
        }
        let deadline = call.limits.deadline;
        let (waiting, how) = self.fly(&sharing, entry, &call);
        let result = within(deadline, waiting.answer()).await;
        match (result, found) {
            (Err(fault), Some((Use::IfError, reply, age))) if fault.is_retryable() => {
                tracing::info!(server = %entry.server, tool = %entry.id, %fault, "a kept answer stands in");
                sharing.book.count(How::Stale);
                Ok(kept(&reply, age, Some(&fault.to_string())))
            }
            (result, _) => {
                sharing.book.count(how);
                result
            }
        }
    }

    /// The request that the call shares with equal ones. It belongs to none of them: nobody's deadline, progress or
    /// questions are its own.
    fn fly(self: &Arc<Self>, sharing: &Sharing, entry: &Arc<Entry>, call: &Call) -> (Waiting<'_>, How) {
        self.answers.join(sharing.flight_key.clone(), || {
            let limits = Limits { deadline: None, ..call.limits };
            let call = Call { limits, progress: None, ask: None, ..call.clone() };
            let (gateway, entry) = (Arc::clone(self), Arc::clone(entry));
            let keep_as = sharing.keeping.map(|_| (sharing.key.clone(), sharing.stamp));
            Box::pin(async move {
                let result = gateway.call_together(&entry, &call).await;
                if let (Ok(reply), Some((key, stamp))) = (&result, keep_as)
                    && is_worth_keeping(reply)
                {
                    gateway.answers.keep(&key, stamp, reply);
                }
                result
            })
        })
    }

    /// Fetches a new answer for later callers, unless too many are being fetched.
    fn revalidate(self: &Arc<Self>, sharing: &Sharing, entry: &Arc<Entry>, call: &Call) {
        let Ok(permit) = Arc::clone(&self.answers.refreshes).try_acquire_owned() else { return };
        let (gateway, sharing, entry, call) = (Arc::clone(self), sharing.clone(), Arc::clone(entry), call.clone());
        self.tasks.spawn(async move {
            let _permit = permit;
            let (waiting, how) = gateway.fly(&sharing, &entry, &call);
            if how != How::Miss {
                return;
            }
            if let Some(Err(fault)) = gateway.stop.run_until_cancelled(waiting.answer()).await {
                tracing::debug!(%fault, "a stale answer was not renewed");
            }
        });
    }
}

/// The answer, if it comes before the caller's own `deadline`.
pub(super) async fn within<T>(
    deadline: Option<Instant>,
    answer: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    let Some(deadline) = deadline else { return answer.await };
    let late =
        |_| Fault::new(Kind::Timeout, code::CALL_TIMEOUT, "did not answer before the caller's time was up").sent();
    timeout_at(deadline.into(), answer).await.map_err(late)?
}

/// Whether later callers may be given `reply`: it is a result, and by the server itself.
pub(super) fn is_worth_keeping(reply: &Reply) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Head {
        #[serde(default)]
        is_error: Option<bool>,
        #[serde(default)]
        result_type: Option<String>,
        #[serde(default)]
        task: Option<serde::de::IgnoredAny>,
    }
    let text = reply.body.get();
    let Ok(head) = serde_json::from_str::<Head>(text) else { return false };
    let is_result = head.is_error != Some(true) && head.task.is_none();
    is_result && head.result_type.is_none_or(|kind| kind == "complete") && !text.contains(SERVED_BY_KEY)
}
