//! Servers reached over HTTP.
//!
//! Streamable HTTP: rmcp opens and keeps the session (`link`); calls go over requests of our own (`post`), so that their
//! payloads stay raw and one slow call does not hold up the others. What comes back as a stream is read by `resume`, what
//! comes on no request's stream by `unasked`. HTTP+SSE, its predecessor: `sse`.

pub mod client;
pub mod events;
pub mod faults;
pub mod link;
pub mod plain;
pub mod post;
pub mod resume;
pub mod site;
pub mod sse;
pub mod unasked;
