//! Servers reached over Streamable HTTP.
//!
//! rmcp opens and keeps the session (`link`); calls go over requests of our own (`post`), so that their payloads stay raw
//! and one slow call does not hold up the others.

pub mod client;
pub mod link;
pub mod post;
