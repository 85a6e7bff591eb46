//! The words of the program: names, calls, replies, faults, problems and the port that everything calls through.
//!
//! Pure: no clock, no file, no task. Every other module may import this one; it imports none of them.

pub mod ask;
pub mod call;
pub mod chain;
pub mod code;
pub mod durability;
pub mod effect;
pub mod entry;
pub mod explain;
pub mod fault;
pub mod freshness;
pub mod limits;
pub mod mend;
pub mod name;
pub mod port;
pub mod principal;
pub mod priority;
pub mod problem;
pub mod secret;
pub mod suggest;
pub mod task;
pub mod usage;
