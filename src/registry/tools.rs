//! Which of a server's tools are offered, and what is said about them instead of what the server says.

mod batch;
pub(super) mod read;
mod sharing;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::effect::Effect;
use crate::policy::keeping::Keeping;
use crate::policy::rate::Rate;
use crate::registry::patterns::Patterns;
pub use crate::registry::tools::batch::Batch;

/// The rules for the tools of one server.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolRules {
    /// If given, only these tools are offered.
    allow: Option<Patterns>,
    /// These are not, whatever `allow` says.
    deny: Patterns,
    /// By the tool's own name.
    overrides: BTreeMap<String, ToolOverride>,
}

impl ToolRules {
    /// Whether the tool that the server calls `tool` is offered.
    pub fn admits(&self, tool: &str) -> bool {
        self.allow.as_ref().is_none_or(|allow| allow.matches(tool)) && !self.deny.matches(tool)
    }

    /// What is said instead about the tool that the server calls `tool`.
    pub fn get(&self, tool: &str) -> Option<&ToolOverride> {
        self.overrides.get(tool)
    }

    /// Whether any tool is asked a second time when it is late.
    pub fn hedges(&self) -> bool {
        self.overrides.values().any(|told| told.hedge.is_some())
    }

    /// Every override with the server's own name of its tool.
    pub fn overrides(&self) -> impl Iterator<Item = (&str, &ToolOverride)> {
        self.overrides.iter().map(|(tool, told)| (tool.as_str(), told))
    }
}

/// What is said about a tool; what is `None` stays as the server says it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ToolOverride {
    /// The name that hosts see, before the server's name is put in front.
    pub rename: Option<String>,
    /// The title that people see.
    pub title: Option<String>,
    /// The description that models read.
    pub description: Option<String>,
    /// What calling it may do.
    pub effect: Option<Effect>,
    /// How long a call may take.
    pub timeout: Option<Duration>,
    /// How often it may be called.
    pub rate_limit: Option<Rate>,
    /// For how long its answers are kept.
    pub cache: Option<Keeping>,
    /// Whether equal calls of one caller that are made at once are one request.
    pub coalesce: bool,
    /// Which tool does many calls of it in one.
    pub batch: Option<Batch>,
    /// After how long a late answer is asked for a second time.
    pub hedge: Option<Duration>,
    /// Which tools' kept answers a call of it makes worthless.
    pub invalidates: Patterns,
    /// Where the tool wants the key that makes a repeated call the same call.
    pub idempotency: Option<KeyPlace>,
}

/// Where a call's idempotency key is written, beside its `_meta`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPlace {
    /// In this argument.
    Argument(String),
    /// In this header of the HTTP request.
    Header(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(written: &[&str]) -> Patterns {
        Patterns::parse(written.iter().map(|&pattern| pattern.to_owned()).collect()).unwrap()
    }

    #[test]
    fn what_is_denied_is_denied_even_if_allowed() {
        let rules = ToolRules {
            allow: Some(patterns(&["get_*", "list"])),
            deny: patterns(&["*_secret", "a/b"]),
            ..ToolRules::default()
        };
        assert!(rules.admits("get_user") && rules.admits("list"));
        assert!(!rules.admits("get_secret"), "denied");
        assert!(!rules.admits("delete"), "not allowed");
        assert!(ToolRules::default().admits("anything/at.all"));
    }
}
