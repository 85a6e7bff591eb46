//! Names of servers and of the tools behind them, as users write them in files and on the command line.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A tool of one server: `server.tool`. The server's name has no dot, so the first dot divides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ToolRef {
    /// The server's name in the registry.
    pub server: String,
    /// The tool's own name, as the server gives it. It may hold dots itself.
    pub tool: String,
}

impl ToolRef {
    /// Parses `server.tool`; `None` if a part is missing.
    pub fn parse(text: &str) -> Option<Self> {
        let (server, tool) = text.split_once('.')?;
        (is_server_name(server) && !tool.is_empty() && !tool.contains(char::is_whitespace))
            .then(|| Self { server: server.to_owned(), tool: tool.to_owned() })
    }
}

impl fmt::Display for ToolRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.server, self.tool)
    }
}

/// Whether `name` may name a server: 1 to 64 of `[A-Za-z0-9_-]`, not starting with a hyphen.
///
/// No dot, because a dot divides server and tool; no more than fits into an exposed tool name.
pub fn is_server_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.starts_with('-')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// The tools of our own that hosts see.
pub const OWN_TOOLS: [&str; 10] = [
    "run_workflow",
    "list_workflows",
    "get_run",
    "answer_run",
    "control_run",
    "orchestrator_status",
    "reload_config",
    "set_level",
    "validate_workflow",
    "save_workflow",
];

/// Whether `name` may name a workflow: 1 to 64 of `[A-Za-z0-9_-]`, starting with a letter.
///
/// A workflow is a tool of that name, and must not take the place of another: neither of ours, nor of a server's, an agent's or a
/// capability's, whose names have `__`.
pub fn is_workflow_name(name: &str) -> bool {
    is_server_name(name)
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && !name.contains("__")
        && !OWN_TOOLS.contains(&name)
}

/// What is said of a name that [`is_workflow_name`] refuses.
pub fn workflow_name_rule(name: &str) -> &'static str {
    if OWN_TOOLS.contains(&name) {
        "a tool of the orchestrator itself has this name"
    } else if name.contains("__") {
        "`__` stands between a server and its tool"
    } else {
        "letters, digits, `_` and `-`, 64 at most, a letter first"
    }
}

/// Whether `name` may name an event: 1 to 128 of `[A-Za-z0-9_.-]`, starting with a letter.
pub fn is_event_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// Whether `name` may name a step or a binding: `[a-z][a-z0-9_]*`, at most 64 bytes.
pub fn is_step_id(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// What stands before the dot where a workflow or an agent is meant, and no server's tool.
pub const OURS: [&str; 2] = ["workflow", "agent"];

/// The host's own model, which every registry has.
pub const SAMPLING: &str = "sampling";

/// Whether a name may stand for several: it is a glob.
pub fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '[', '{'])
}

/// The nearest name that a step may have: `Check premium` and `checkPremium` as `check_premium`.
pub fn nearest_step_id(name: &str) -> Option<String> {
    let mut near = String::new();
    let mut was_lower = false;
    for letter in name.chars().take(64) {
        if letter.is_ascii_uppercase() && was_lower {
            near.push('_');
        }
        was_lower = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        if letter.is_ascii_alphanumeric() {
            near.push(letter.to_ascii_lowercase());
        } else if !near.is_empty() && !near.ends_with('_') {
            near.push('_');
        }
    }
    let near = near.trim_end_matches('_');
    let is_number = near.starts_with(|first: char| first.is_ascii_digit());
    let near = if is_number { format!("step_{near}") } else { near.to_owned() };
    is_step_id(&near).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_names_of_steps() {
        for (words, name) in [
            ("Check premium", "check_premium"),
            ("checkPremium", "check_premium"),
            ("1. last", "step_1_last"),
            ("-- a -- b --", "a_b"),
            ("HTTPGet", "httpget"),
        ] {
            assert_eq!(nearest_step_id(words).as_deref(), Some(name), "{words}");
        }
        assert_eq!(nearest_step_id("…"), None);
    }

    #[test]
    fn the_first_dot_divides_server_and_tool() {
        let parsed = ToolRef::parse("github.repos.list").expect("two parts");
        assert_eq!((parsed.server.as_str(), parsed.tool.as_str()), ("github", "repos.list"));
        assert_eq!(parsed.to_string(), "github.repos.list");
        for wrong in ["github", ".x", "github.", "git hub.x", "a.b c"] {
            assert_eq!(ToolRef::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_workflow_takes_no_other_tools_place() {
        assert!(is_workflow_name("digest_2") && is_workflow_name("Digest-2"));
        for wrong in ["", "2nd", "a b", "shop__find", "agent__x", "run_workflow"] {
            assert!(!is_workflow_name(wrong), "{wrong}");
        }
    }

    #[test]
    fn step_ids_are_lower_case_words() {
        assert!(is_step_id("get_contact2"));
        for wrong in ["", "Get", "2nd", "a-b", "a.b"] {
            assert!(!is_step_id(wrong), "{wrong}");
        }
    }
}
