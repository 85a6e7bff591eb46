//! The demonstration: real child processes, a shipped workflow, and an accident.

pub mod server;
pub mod show;
