//! Work that a server goes on with after it has answered (tasks), as hosts name it.

use std::fmt;

/// The extension by which hosts and servers say that they know tasks (SEP-2663).
pub const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// The `_meta` key by which the initialize era says which task a message belongs to.
pub const RELATED_KEY: &str = "io.modelcontextprotocol/related-task";

/// A task, known to hosts as `server~id`: whoever has the name finds the server, also after a restart of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRef {
    /// The server that works on it.
    pub server: String,
    /// The server's own name for it.
    pub id: String,
}

impl TaskRef {
    /// Reads what hosts call a task.
    pub fn parse(text: &str) -> Option<Self> {
        let (server, id) = text.split_once('~')?;
        let is_whole = !server.is_empty() && !id.is_empty();
        is_whole.then(|| Self { server: server.to_owned(), id: id.to_owned() })
    }
}

impl fmt::Display for TaskRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~{}", self.server, self.id)
    }
}

/// What hosts ask of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskVerb {
    /// How far it is.
    Get,
    /// Its result, once there is one (2025-11-25 only).
    Result,
    /// Takes the answers to its questions (2026-07-28 only).
    Update,
    /// Ends it.
    Cancel,
}

impl TaskVerb {
    const ALL: [Self; 4] = [Self::Get, Self::Result, Self::Update, Self::Cancel];

    /// The verb of a JSON-RPC method.
    pub fn of(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.method() == method)
    }

    /// The JSON-RPC method.
    pub fn method(self) -> &'static str {
        match self {
            Self::Get => "tasks/get",
            Self::Result => "tasks/result",
            Self::Update => "tasks/update",
            Self::Cancel => "tasks/cancel",
        }
    }
}

/// What becomes of a server's task when a tool is called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tasks {
    /// The caller knows no tasks: the server is not to make one.
    #[default]
    None,
    /// The same, unless the server cannot do without: then the task is waited for.
    OnDemand,
    /// The caller is given the task.
    Relayed,
    /// The task is waited for, and the caller is given its result.
    Awaited,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_found_by_its_name() {
        let task = TaskRef { server: "shop".to_owned(), id: "a~b".to_owned() };
        assert_eq!(TaskRef::parse(&task.to_string()), Some(task));
        assert_eq!(TaskRef::parse("786512e2"), None);
        assert_eq!(TaskRef::parse("shop~"), None);
    }
}
