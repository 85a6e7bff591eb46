//! The one door: every call, from a host, a workflow step or an operator, goes through [`gateway::Gateway`].

pub mod builtin;
pub mod definitions;
pub mod gateway;
pub mod known;
pub mod refresh;
pub mod reply;
pub mod route;
pub mod status;
pub mod workflows;
