//! Carries out a run: feeds events to the engine and carries out its commands through the one door.

pub mod drive;
pub mod effects;
pub mod report;
