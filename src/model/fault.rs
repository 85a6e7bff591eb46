//! Why a call failed, in terms that a model, a person and a policy can act on.

use std::fmt;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::model::code::Code;
use crate::model::usage::Usage;

/// The closed set of failures that policies and workflows (`retry.on`, `catch.on`) tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No answer in time.
    Timeout,
    /// The server cannot be reached, has died, or its breaker is open.
    Unavailable,
    /// Too many calls for now.
    RateLimited,
    /// Not allowed.
    Denied,
    /// The request is wrong and stays wrong.
    Invalid,
    /// There is no such tool, prompt, resource, workflow or run.
    NotFound,
    /// The tool ran and said that it failed.
    ToolError,
    /// A budget of time, tokens, money or calls is spent.
    Budget,
    /// A person or a workflow said no.
    Rejected,
    /// The call was sent, its outcome is unknown, and it must not simply be repeated.
    InDoubt,
    /// The caller gave up.
    Cancelled,
    /// A mistake of ours.
    Internal,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Timeout,
        Self::Unavailable,
        Self::RateLimited,
        Self::Denied,
        Self::Invalid,
        Self::NotFound,
        Self::ToolError,
        Self::Budget,
        Self::Rejected,
        Self::InDoubt,
        Self::Cancelled,
        Self::Internal,
    ];

    /// The word used in files and in what users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::RateLimited => "rate_limited",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::ToolError => "tool_error",
            Self::Budget => "budget",
            Self::Rejected => "rejected",
            Self::InDoubt => "in_doubt",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }

    /// Parses the word used in files.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether the same call may well succeed later.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Timeout | Self::Unavailable | Self::RateLimited)
    }
}

/// A JSON-RPC error as a server sent it, passed on as it is.
#[derive(Debug, Clone)]
pub struct Rpc {
    /// The JSON-RPC error code.
    pub code: i64,
    /// The error's `data`, unread.
    pub data: Option<Box<RawValue>>,
}

/// A failed call: what happened, where, why, and what to do next.
#[derive(Debug, Clone)]
pub struct Fault {
    /// For policies.
    pub kind: Kind,
    /// For people who search.
    pub code: Code,
    /// What happened and why, lower case, without a final full stop.
    pub message: String,
    /// The server concerned.
    pub server: Option<String>,
    /// The tool, prompt, resource or workflow concerned.
    pub target: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
    /// When a retry makes sense, if that is known.
    pub retry_after: Option<Duration>,
    /// Whether the request had left us, so that it may have been carried out.
    pub was_sent: bool,
    /// The server's own JSON-RPC error, if it answered with one.
    pub rpc: Option<Rpc>,
    /// What the call used up before it failed.
    pub spent: Option<Box<Usage>>,
}

impl Fault {
    /// A fault with nothing but a kind, a code and a message.
    pub fn new(kind: Kind, code: Code, message: impl Into<String>) -> Self {
        Self {
            kind,
            code,
            message: message.into(),
            server: None,
            target: None,
            hint: None,
            retry_after: None,
            was_sent: false,
            rpc: None,
            spent: None,
        }
    }

    /// Names the server.
    #[must_use]
    pub fn server(mut self, server: impl Into<String>) -> Self {
        self.server = Some(server.into());
        self
    }

    /// Names the tool, prompt, resource or workflow.
    #[must_use]
    pub fn target(mut self, target: impl Into<String>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says when a retry makes sense.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// Says what the call used up before it failed, beside what is known of that already.
    #[must_use]
    pub fn spent(mut self, used: Usage) -> Self {
        let spent = self.spent.as_deref().copied().unwrap_or_default() + used;
        self.spent = (!spent.is_zero()).then(|| Box::new(spent));
        self
    }

    /// Marks the request as having left us.
    #[must_use]
    pub fn sent(mut self) -> Self {
        self.was_sent = true;
        self
    }

    /// Whether trying the same call again makes sense.
    pub fn is_retryable(&self) -> bool {
        self.kind.is_transient()
    }
}

impl fmt::Display for Fault {
    /// One line: `[code] server.target: message; hint`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] ", self.code)?;
        match (&self.server, &self.target) {
            (Some(server), Some(target)) => write!(f, "{server}.{target}: ")?,
            (Some(one), None) | (None, Some(one)) => write!(f, "{one}: ")?,
            (None, None) => {}
        }
        f.write_str(&self.message)?;
        if let Some(after) = self.retry_after {
            write!(f, "; retry in {} s", after.as_secs().max(1))?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::code;

    #[test]
    fn a_fault_reads_as_one_line() {
        let fault = Fault::new(Kind::Unavailable, code::SERVER_DOWN, "process exited with code 1")
            .server("weather")
            .target("forecast")
            .retry_after(Duration::from_secs(41))
            .hint("see `mcp-orchestrator status weather`");
        assert_eq!(
            fault.to_string(),
            "[MO5101] weather.forecast: process exited with code 1; retry in 41 s; see `mcp-orchestrator status weather`"
        );
    }

    #[test]
    fn kinds_and_their_words_agree() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
        }
    }
}
