//! JSON-RPC as lines of text, or as events: framing, batched writing, reading messages no deeper than needed, and what headers repeat.
//!
//! Both faces speak the same lines, so this stands below both. Payloads stay raw.

pub mod canonical;
pub mod envelope;
pub mod events;
pub mod header;
pub mod lines;
pub mod mirror;
pub mod object;
pub mod outbox;
