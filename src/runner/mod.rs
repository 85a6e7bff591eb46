//! Carries out a run: feeds events to the engine and carries out its commands through the one door.

mod asking;
pub mod backend;
pub mod bus;
pub mod drive;
mod driven;
pub mod effects;
pub mod gate;
mod leave;
pub mod live;
mod outcome;
mod place;
pub mod record;
pub mod report;
pub mod shelf;
pub mod waiting;
