//! What an operator types, and what is shown for it. The only module that writes to the terminal.

pub mod args;
pub mod call;
pub mod check;
pub mod complete;
pub mod conformance;
pub mod convert;
pub mod diff;
pub mod exit;
pub mod explain;
pub mod fix;
pub mod format;
pub mod graph;
pub mod list;
pub mod log;
pub mod main;
pub mod mask;
pub mod new;
pub mod pairs;
pub mod render;
pub mod run;
pub mod sarif;
pub mod schema;
pub mod serve;
pub mod stand_in;
pub mod terminal;
