//! The workflow language: what an author writes (`authored`), what the engine may rely on (`definition`), and the order in
//! which steps may run (`plan`).
//!
//! Pure. A file becomes a tree (`document`), the tree a [`definition::Workflow`], every mistake a problem with its place.

pub mod authored;
pub mod bounds;
pub mod canonical;
pub mod check;
pub mod conduct;
pub mod definition;
pub mod delegation;
pub mod dialect;
pub mod explain;
pub mod graph;
pub mod input;
pub mod modifier;
pub mod moment;
pub mod output;
pub mod picture;
pub mod pin;
pub mod plan;
pub mod plans;
pub mod schema;
pub mod set;
pub mod site;
pub mod sketch;
pub mod surroundings;
pub mod tool;
pub mod verb;
pub mod vocabulary;

#[cfg(test)]
mod tests;
