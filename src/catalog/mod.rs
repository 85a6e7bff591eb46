//! What hosts see: every entry of every server under a name of its own, as one immutable snapshot.

pub mod instructions;
pub mod naming;
pub mod page;
pub mod snapshot;
pub mod template;
