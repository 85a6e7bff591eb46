//! Hosts that reach us over Streamable HTTP, of both eras at one endpoint.
//!
//! A modern request stands for itself; an old host has a session. Either way a `Connection` answers, and what it says goes
//! out as JSON or as an event stream (`stream`).

pub mod endpoint;
pub mod guard;
pub mod modern;
pub mod serve;
pub mod sessions;
pub mod stream;
pub mod token;
