//! Exit codes, the same as those of the MCP Inspector where it has one.

use std::process::ExitCode;

use crate::model::code;
use crate::model::fault::{Fault, Kind};

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// As asked.
    Ok = 0,
    /// Unexpectedly.
    Unexpected = 1,
    /// Wrong usage or invalid files.
    Usage = 2,
    /// A server demands authentication.
    Auth = 3,
    /// A server cannot be reached.
    Unreachable = 4,
    /// A tool or workflow failed.
    Failed = 5,
}

impl Exit {
    /// The exit code of a fault.
    pub fn of(fault: &Fault) -> Self {
        if matches!(fault.code, code::AUTH_NEEDED | code::AUTH_FAILED) {
            return Self::Auth;
        }
        match fault.kind {
            Kind::Invalid | Kind::NotFound if fault.rpc.is_none() => Self::Usage,
            Kind::Unavailable | Kind::Timeout => Self::Unreachable,
            Kind::Internal if fault.rpc.is_none() => Self::Unexpected,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
