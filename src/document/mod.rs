//! A file's text as a tree whose every node knows its place, so that a checker can report all problems of a file at once.
//!
//! YAML, TOML and JSON (with comments) become the same [`node::Node`]; [`reader::Reader`] takes it apart and collects
//! problems with line, column and, where one is known, the fix. Pure: it is given text, never a path to open.

mod duplicate;
pub mod duration;
mod fail;
pub mod fields;
pub mod format;
mod json;
pub mod node;
mod number;
pub mod parse;
pub mod reader;
pub mod rewrite;
pub mod size;
pub mod table;
mod toml;
pub mod write;
mod yaml;

#[cfg(test)]
mod laws;
