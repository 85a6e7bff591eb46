//! What an operator types, and what is shown for it. The only module that writes to the terminal.

pub mod answers;
pub mod args;
pub mod auth;
pub mod call;
pub mod check;
pub mod complete;
pub mod conformance;
pub mod exit;
pub mod graph;
pub mod list;
pub mod log;
pub mod main;
pub mod mask;
pub mod pairs;
pub mod redirect;
pub mod render;
pub mod run;
pub mod serve;
pub mod stand_in;
pub mod terminal;
pub mod visitor;
