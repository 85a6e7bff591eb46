//! Sources that are asked for servers again and again: what they answer becomes documents that the registry is read with.
//!
//! [`search`] has a task for each source, [`board`] holds what each has said last, [`held`] and [`answer`] decide. Whatever is found goes
//! the way of files that change: read, checked, compared, and only then used.

pub mod answer;
mod ask;
pub mod board;
#[cfg(feature = "dns")]
mod dns;
pub mod held;
mod kubernetes;
#[cfg(feature = "mdns")]
mod mdns;
pub mod search;
#[cfg(any(feature = "dns", feature = "mdns"))]
mod service;
