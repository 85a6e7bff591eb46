//! Which of a server's tools are offered, and what is said about them instead of what the server says.

pub(super) mod read;

use std::collections::BTreeMap;
use std::time::Duration;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::model::effect::Effect;

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

    /// Every override with the server's own name of its tool.
    pub fn overrides(&self) -> impl Iterator<Item = (&str, &ToolOverride)> {
        self.overrides.iter().map(|(tool, told)| (tool.as_str(), told))
    }
}

/// What is said about a tool; what is `None` stays as the server says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
}

/// Names with `*`, `?` and `[…]`.
#[derive(Debug, Clone, Default)]
struct Patterns {
    written: Vec<String>,
    set: GlobSet,
}

impl PartialEq for Patterns {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Patterns {
    /// Compiles patterns; on failure, the place of the wrong one and why it is wrong.
    fn parse(written: Vec<String>) -> Result<Self, (usize, String)> {
        let mut set = GlobSetBuilder::new();
        for (place, pattern) in written.iter().enumerate() {
            let glob = GlobBuilder::new(pattern).build().map_err(|error| (place, error.kind().to_string()))?;
            set.add(glob);
        }
        let set = set.build().map_err(|error| (0, error.kind().to_string()))?;
        Ok(Self { written, set })
    }

    fn matches(&self, name: &str) -> bool {
        self.set.is_match(name)
    }
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

    #[test]
    fn a_bad_pattern_is_named() {
        let (place, why) = Patterns::parse(vec!["ok".to_owned(), "[a".to_owned()]).unwrap_err();
        assert_eq!((place, why.as_str()), (1, "unclosed character class; missing ']'"));
    }
}
