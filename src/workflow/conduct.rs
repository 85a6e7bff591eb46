//! How a workflow is to be run as a whole: how urgent it is, what guards its data, what sets it off.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use crate::expr::expression::Expr;
use crate::expr::template::Template;
use crate::model::durability::Durability;
use crate::model::priority::Priority;

/// How a workflow is to be run.
#[derive(Debug, Clone, Default)]
pub struct Conduct {
    /// How urgent it is.
    pub priority: Priority,
    /// How long after it was wanted it is of no use any more.
    pub deadline: Option<Duration>,
    /// How sure it is that a run survives the program; as the registry says if not given.
    pub durability: Option<Durability>,
    /// Makes a run that is wanted twice the same run. It sees `input`.
    pub key: Option<Template>,
    /// What is to be done about its data.
    pub guards: Guards,
    /// What sets it off, beside being called.
    pub triggers: Vec<Trigger>,
}

/// What is to be done about the data of a workflow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guards {
    /// Whether what tells of persons is taken out of what is recorded.
    pub redacts_pii: bool,
    /// How long what is recorded is kept.
    pub retention: Option<Duration>,
    /// Whether what is recorded is encrypted.
    pub encrypts: bool,
}

/// Something that sets a workflow off.
#[derive(Debug, Clone)]
pub struct Trigger {
    /// What happens.
    pub source: Source,
    /// Only if this holds; it sees `trigger`.
    pub when: Option<Expr>,
    /// The input of the run; what came with the trigger if not given. It sees `trigger`.
    pub input: Option<Template>,
    /// What becomes of it while an earlier run still goes on.
    pub overlap: Overlap,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A point in time comes.
    Cron {
        /// Which, as a cron pattern of five or six fields.
        pattern: Arc<str>,
        /// Where its clock stands; an IANA time zone.
        timezone: Option<Arc<str>>,
        /// What becomes of points in time at which the program did not run.
        missed: Missed,
    },
    /// Somebody posts to this path.
    Webhook {
        /// The path, with a slash at its beginning.
        path: Arc<str>,
        /// The name of the secret that signs what is posted.
        hmac: Option<Arc<str>>,
    },
    /// A file appears or changes.
    File(Arc<str>),
    /// A server tells of something: `server.method`, and which resource.
    Mcp {
        /// The server.
        server: Arc<str>,
        /// The notification.
        notification: Arc<str>,
        /// Only of this resource.
        uri: Option<Arc<str>>,
    },
    /// Another run emits this event.
    Event(Arc<str>),
}

/// What becomes of points in time at which the program did not run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Missed {
    /// One run for all of them.
    #[default]
    Once,
    /// Nothing.
    Skip,
    /// A run for each.
    All,
}

/// What becomes of a trigger while an earlier run of it still goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Overlap {
    /// It waits.
    #[default]
    Queue,
    /// It is left out.
    Skip,
    /// It takes the place of the earlier one.
    CancelPrevious,
    /// Both run.
    Parallel,
}

impl Source {
    /// What happens, in a few words.
    pub fn describe(&self) -> String {
        match self {
            Self::Cron { pattern, timezone, .. } => {
                format!("cron {pattern}{}", timezone.as_ref().map_or_else(String::new, |zone| format!(" ({zone})")))
            }
            Self::Webhook { path, .. } => format!("webhook {path}"),
            Self::File(pattern) => format!("file {pattern}"),
            Self::Mcp { server, notification, uri } => {
                let uri = uri.as_ref().map_or_else(String::new, |uri| format!(" of {uri}"));
                format!("{notification}{uri} from {server}")
            }
            Self::Event(event) => format!("event {event}"),
        }
    }
}

impl Conduct {
    /// What of it is told to those who list workflows; nothing if all of it is usual.
    pub fn to_json(&self) -> Map<String, Json> {
        let mut all = Map::new();
        if self.priority != Priority::default() {
            all.insert("priority".to_owned(), json!(self.priority.as_str()));
        }
        if let Some(deadline) = self.deadline {
            all.insert("deadline_ms".to_owned(), json!(u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)));
        }
        if !self.triggers.is_empty() {
            let triggers = self.triggers.iter().map(|trigger| json!(trigger.source.describe()));
            all.insert("triggers".to_owned(), triggers.collect());
        }
        all
    }
}
