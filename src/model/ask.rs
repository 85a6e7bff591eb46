//! The port through which a server's questions reach the host that made the call: elicitation, sampling, roots.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::model::fault::Fault;
use crate::model::port::BoxFuture;

/// What a server wants to know in the middle of a call.
#[derive(Debug, Clone)]
pub struct Question {
    /// The server that asks.
    pub server: Arc<str>,
    /// `elicitation/create`, `sampling/createMessage` or `roots/list`.
    pub method: String,
    /// The question itself, unread.
    pub params: Option<Box<RawValue>>,
}

/// Somebody who can be asked: the host behind a call.
pub trait Ask: Send + Sync {
    /// Tells one host from another: two calls of the same host may be asked in place of each other.
    fn id(&self) -> u64;

    /// The client capabilities that may be offered to servers on behalf of this host.
    fn capabilities(&self) -> &Value;

    /// Whether the host takes a server's unanswered questions as a result and sends the answers with its next request
    /// (2026-07-28), so that they need not be put by us.
    fn takes_questions_as_result(&self) -> bool;

    /// Puts `question` and waits for the raw result. Has no time limit; dropping the future withdraws the question.
    fn ask(self: Arc<Self>, question: Question) -> BoxFuture<Result<Box<RawValue>, Fault>>;
}

/// The same host, asked in the middle of something longer than one request of its own, such as a workflow.
pub fn within(ask: Arc<dyn Ask>) -> Arc<dyn Ask> {
    Arc::new(Within(ask))
}

struct Within(Arc<dyn Ask>);

impl Ask for Within {
    fn id(&self) -> u64 {
        self.0.id()
    }

    fn capabilities(&self) -> &Value {
        self.0.capabilities()
    }

    fn takes_questions_as_result(&self) -> bool {
        false
    }

    fn ask(self: Arc<Self>, question: Question) -> BoxFuture<Result<Box<RawValue>, Fault>> {
        Arc::clone(&self.0).ask(question)
    }
}

impl fmt::Debug for dyn Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask").field("capabilities", self.capabilities()).finish_non_exhaustive()
    }
}
