//! We as an MCP server, of both protocol eras, over whatever carries lines: `connection` answers, `stdio` and `http` carry.

pub mod answer;
pub mod ask;
pub mod call;
pub mod connection;
pub mod conversation;
pub mod host;
pub mod http;
pub mod listen;
pub mod notify;
mod overheard;
pub mod own;
pub mod parking;
pub mod progress;
pub mod requests;
pub mod stdio;
pub mod task;
