//! On whose behalf a call is made.

use std::sync::Arc;

/// Who asks: a host, an operator at the command line, or the program itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// A short name for logs and run histories, for instance `claude-code` or `cli`.
    pub name: Arc<str>,
}

impl Principal {
    /// A principal known by `name` alone.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into() }
    }
}
