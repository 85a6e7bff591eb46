//! Runs on Restate, for those who have outgrown one machine: an existing distributed durable engine carries the same pure
//! engine. `docs/scaling.md` tells users when and how.
//!
//! Four services, the same whatever the workflows are, are offered to Restate by `serve`:
//!
//! * **run** (`drive`), a workflow of Restate whose key is the run's id: folds [`crate::engine::run::Run`]. What happens comes as
//!   durable futures, and each event is kept in the state of that key, which so is the run's journal.
//! * **step** (`step`): makes one call through the one door, on whichever process Restate picks.
//! * **topic** (`topic`), an object whose key is an event's name: tells those runs of it that wait for it.
//! * **parcel** (`parcel`), an object whose key is a run's id: keeps what is too large for a message, in pieces.
//!
//! `mirror` is a run as the rest of the program sees it, `others` what the runs ask that it has set off, `store` reads runs, `client` speaks with Restate.
//!
//! Determinism: a run reads no clock, asks no registry and draws no number. Times come with what has happened.

mod client;
mod drive;
mod flight;
pub mod mirror;
mod others;
mod parcel;
pub mod serve;
mod services;
mod step;
pub mod store;
mod topic;
mod wire;
