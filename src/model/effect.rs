//! What a tool does to the world, from harmless to irreversible.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The strongest thing that a call may do. The order is the order of caution: `Read < Idempotent < Write < Destructive`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Changes nothing: may be repeated, cached and run beside other reads.
    Read,
    /// Changes something, but twice is the same as once.
    Idempotent,
    /// Changes something, each time anew.
    Write,
    /// May destroy or overwrite. What the protocol assumes of a tool that says nothing.
    Destructive,
}

impl Effect {
    /// The effect that a tool's `annotations` object declares.
    ///
    /// Missing hints have the protocol's defaults (`readOnlyHint` false, `destructiveHint` true, `idempotentHint`
    /// false), so a silent tool is [`Effect::Destructive`].
    pub fn from_annotations(annotations: Option<&Map<String, Value>>) -> Self {
        let hint = |key: &str| annotations?.get(key)?.as_bool();
        if hint("readOnlyHint") == Some(true) {
            Self::Read
        } else if hint("idempotentHint") == Some(true) {
            Self::Idempotent
        } else if hint("destructiveHint") == Some(false) {
            Self::Write
        } else {
            Self::Destructive
        }
    }

    /// Parses the word used in files.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effect| effect.as_str() == word)
    }

    /// Every effect, mildest first.
    pub const ALL: [Self; 4] = [Self::Read, Self::Idempotent, Self::Write, Self::Destructive];

    /// The word used in files and in what users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Idempotent => "idempotent",
            Self::Write => "write",
            Self::Destructive => "destructive",
        }
    }

    /// Whether nothing changes.
    pub fn is_read(self) -> bool {
        self == Self::Read
    }

    /// Whether a call whose outcome is unknown may simply be sent again.
    pub fn may_repeat(self) -> bool {
        self <= Self::Idempotent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_silent_tool_is_destructive() {
        assert_eq!(Effect::from_annotations(None), Effect::Destructive);
        assert_eq!(Effect::from_annotations(json!({}).as_object()), Effect::Destructive);
    }

    #[test]
    fn hints_are_read_from_the_mildest_claim_on() {
        let of = |hints: Value| Effect::from_annotations(hints.as_object());
        assert_eq!(of(json!({"readOnlyHint": true, "destructiveHint": true})), Effect::Read);
        assert_eq!(of(json!({"idempotentHint": true})), Effect::Idempotent);
        assert_eq!(of(json!({"destructiveHint": false})), Effect::Write);
        assert!(of(json!({"idempotentHint": true})).may_repeat());
        assert!(!of(json!({"destructiveHint": false})).may_repeat());
    }
}
