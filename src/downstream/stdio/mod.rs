//! Servers that are child processes speaking lines over their standard streams.

pub mod child;
mod confine;
pub mod connect;
mod death;
pub mod lane;
pub mod pipes;
pub mod sweep;
pub mod tail;
mod usage;
pub mod watchdog;
