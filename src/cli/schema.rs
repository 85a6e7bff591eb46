//! `schema`: JSON Schemas for editors.

use crate::cli::args::SchemaOf;
use crate::cli::exit::Exit;
use crate::cli::terminal::Terminal;
use crate::registry::schema::schema;
use crate::workflow::vocabulary;

/// Prints a schema.
pub fn print(of: SchemaOf, terminal: Terminal) -> Exit {
    let schema = match of {
        SchemaOf::Workflow => vocabulary::schema(),
        SchemaOf::Registry => schema(),
    };
    terminal.data(&format!("{schema:#}"));
    Exit::Ok
}
