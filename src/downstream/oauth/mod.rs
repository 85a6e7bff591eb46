//! Authorization at HTTP servers, by OAuth 2.1. Only a server whose registry entry says so gets any of it.
//!
//! `account` has the token that requests carry and renews it; `login` is the part that needs a person; `discovery` asks a
//! server whom it trusts; `vault` keeps what was obtained. The steps of the protocol themselves are rmcp's.

pub mod account;
pub mod credentials;
pub mod discovery;
pub mod faults;
pub mod login;
pub mod vault;
pub mod watch;
