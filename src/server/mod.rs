//! We as an MCP server, of both protocol eras.
//!
//! Calls and lists are answered by `lane` with their payloads raw; the handshake, subscriptions and everything else go
//! through rmcp and `handler`.

pub mod answer;
pub mod handler;
pub mod host;
pub mod lane;
pub mod notify;
pub mod stdio;
