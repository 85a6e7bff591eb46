//! JSON-RPC as lines of text: framing, batched writing, and reading messages no deeper than needed.
//!
//! Both faces speak the same lines, so this stands below both. Payloads stay raw.

pub mod envelope;
pub mod lines;
pub mod object;
pub mod outbox;
