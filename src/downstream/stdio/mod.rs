//! Servers that are child processes speaking lines over their standard streams.

pub mod child;
pub mod connect;
pub mod lane;
pub mod pipes;
pub mod sweep;
pub mod tail;
pub mod watchdog;
