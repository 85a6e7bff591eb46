//! The servers behind us: starting them, talking to them, keeping them alive.
//!
//! `pool` holds one `fleet` for each server, and that one `endpoint` for each instance; an endpoint's `supervisor` keeps a `session` connected,
//! over `stdio`, a `socket` or `http`.

mod attempt;
pub mod candidates;
pub mod ending;
pub mod endpoint;
pub mod fleet;
pub mod folder;
pub mod greet;
mod hedge;
pub mod hook;
pub mod http;
pub mod listing;
pub mod memory;
pub mod notice;
pub mod oauth;
mod pace;
pub mod place;
pub mod pool;
pub mod protocol;
pub mod question;
pub mod relist;
mod repeat;
pub mod request;
pub mod rest;
pub mod scaling;
pub mod secrets;
pub mod session;
pub mod socket;
pub mod state;
pub mod stdio;
pub mod supervisor;
pub mod variables;
