//! A request on its way through the program, and its answer.
//!
//! Payloads stay raw JSON: only a workflow or a policy that reads one parses it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::model::ask::Ask;
use crate::model::limits::Limits;
use crate::model::name::ToolRef;
use crate::model::principal::Principal;
use crate::model::priority::Priority;
use crate::model::task::{TaskRef, TaskVerb};

/// What is asked of whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A tool by the name that hosts see: `server__tool`, a workflow's name, or a unique bare name.
    Exposed(String),
    /// A tool of one server, as workflows and operators name it.
    Tool(ToolRef),
    /// A registered workflow.
    Workflow(String),
    /// A model; the arguments say which, and what it is asked.
    Model,
    /// An agent of the registry, or one that has this capability.
    Agent(String),
    /// A prompt by the name that hosts see.
    Prompt(String),
    /// A resource by its URI.
    Resource(String),
    /// An argument's completion; the reference stands in the arguments.
    Completion,
    /// Something to do with a task; the parameters of the request stand in the arguments.
    Task(TaskVerb, TaskRef),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exposed(name)
            | Self::Workflow(name)
            | Self::Agent(name)
            | Self::Prompt(name)
            | Self::Resource(name) => f.write_str(name),
            Self::Model => f.write_str("model"),
            Self::Tool(tool) => tool.fmt(f),
            Self::Completion => f.write_str("completion"),
            Self::Task(_, task) => task.fmt(f),
        }
    }
}

/// The `_meta` key of a result that says what an agent wants set in the context that it shares with others.
pub const CONTEXT_KEY: &str = "io.mcp-orchestrator/context";

/// One request. Dropping the future that carries it out cancels it, down to the server.
#[derive(Clone)]
pub struct Call {
    /// What is asked of whom.
    pub target: Target,
    /// `arguments` of a tool or prompt, or the whole params of a completion or task; `None` if the caller sent none.
    pub arguments: Option<Box<RawValue>>,
    /// The caller's `_meta` object as it came, without the keys that belong to one hop (progress token, protocol).
    pub meta: Option<Box<RawValue>>,
    /// On whose behalf.
    pub principal: Principal,
    /// The profile through which the caller sees what there is; all of it if `None`.
    pub profile: Option<Arc<str>>,
    /// Whether an agent or a capability makes it for its caller: then the profile's servers and workflows bound it, and not the names of
    /// tools that the caller sees.
    pub is_delegated: bool,
    /// How long and how deep.
    pub limits: Limits,
    /// Where progress is reported; `None` if the caller did not ask for it.
    pub progress: Option<Arc<dyn Progress>>,
    /// Who answers questions of the server; `None` if nobody can.
    pub ask: Option<Arc<dyn Ask>>,
    /// Members of the caller's params beside the usual ones, passed on as they are.
    pub extra: Vec<(String, Box<RawValue>)>,
    /// Headers that it is to carry to a server over HTTP.
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// Whether nobody waits for the end of the workflow that is called.
    pub is_detached: bool,
    /// Whether the result of a task that a server makes of it is waited for, so that nobody else has to.
    pub awaits_tasks: bool,
    /// Which servers are to do the job, in order, if several can; as the registry says if empty.
    pub providers: Vec<Arc<str>>,
    /// The first of the runs that have led to this call; `None` if no run has.
    pub root: Option<Arc<str>>,
    /// The same key makes a repeated call the same call, for servers that honour it.
    pub idempotency_key: Option<Arc<str>>,
    /// The attempt of a step that this call is, if it may be taken up again after a crash.
    pub parent: Option<Arc<str>>,
    /// The agents that the call is made within, outermost first.
    pub agents: Vec<Arc<str>>,
    /// What it tries again: a run, or a step of one.
    pub retry_of: Option<Arc<str>>,
    /// Held until what the call has set off is over, be it later than its answer.
    pub held: Option<Arc<dyn Any + Send + Sync>>,
    /// How urgent it is; as what is called says if not given.
    pub priority: Option<Priority>,
}

impl Call {
    /// A call with nothing but a target and arguments.
    pub fn new(target: Target, arguments: Option<Box<RawValue>>, principal: Principal) -> Self {
        Self {
            target,
            arguments,
            meta: None,
            principal,
            profile: None,
            is_delegated: false,
            limits: Limits::default(),
            progress: None,
            ask: None,
            extra: Vec::new(),
            headers: Vec::new(),
            is_detached: false,
            awaits_tasks: false,
            providers: Vec::new(),
            root: None,
            idempotency_key: None,
            parent: None,
            agents: Vec::new(),
            retry_of: None,
            held: None,
            priority: None,
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Arguments may hold what must not reach a log.
        f.debug_struct("Call").field("target", &self.target).field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Receives the progress of one call, in order, and never after its answer.
pub trait Progress: Send + Sync {
    /// `progress` of `total` (any unit) is done; `message` says so in words. Must not block.
    fn report(&self, progress: f64, total: Option<f64>, message: Option<&str>);
}

/// The answer to a [`Call`]: the JSON-RPC `result` object, unread.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The whole result object, as the server sent it.
    pub body: Box<RawValue>,
}

impl Reply {
    /// Wraps a result object.
    pub fn new(body: Box<RawValue>) -> Self {
        Self { body }
    }

    /// Whether the body is a tool result that says `isError: true`. Reads only the top level.
    pub fn is_tool_error(&self) -> bool {
        #[derive(serde::Deserialize)]
        struct Head {
            #[serde(rename = "isError", default)]
            is_error: Option<bool>,
        }
        serde_json::from_str::<Head>(self.body.get()).is_ok_and(|head| head.is_error == Some(true))
    }
}
