//! The one door: every call, from a host, a workflow step or an operator, goes through [`door::Gateway`].

pub mod admission;
mod agents;
pub mod authoring;
pub mod awaited;
pub mod builtin;
pub mod capabilities;
pub mod control;
mod definitions;
mod described;
pub mod door;
mod durable;
pub mod keys;
mod known;
pub mod models;
pub mod refresh;
pub mod reply;
pub mod rounds;
pub mod route;
pub mod runs;
pub mod status;
pub mod subscriptions;
pub mod tasks;
pub mod thinking;
pub mod toolbox;
pub mod views;
pub mod workflows;
