//! Servers reached over HTTP.
//!
//! Streamable HTTP: rmcp opens and keeps the session (`link`); calls go over requests of our own (`post`), so that their
//! payloads stay raw and one slow call does not hold up the others. HTTP+SSE, its predecessor: `sse`.

pub mod client;
pub mod events;
pub mod faults;
pub mod link;
pub mod post;
pub mod site;
pub mod sse;
