//! What is kept of runs, so that they survive the program: one `SQLite` file in a folder that one process owns.
//!
//! One thread writes, and whatever waits for it becomes one transaction (`writer`). Whoever reads has a connection of its own
//! (`reader`), also from other processes.

pub mod entry;
pub mod folder;
pub mod mail;
pub mod open;
pub mod question;
pub mod reader;
pub mod retention;
mod schema;
pub mod writer;

#[cfg(test)]
mod tests;
