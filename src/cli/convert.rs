//! `convert`: a workflow file in another language.

use std::collections::BTreeMap;
use std::path::Path;

use crate::app::load::read;
use crate::cli::args::Language;
use crate::cli::exit::Exit;
use crate::cli::render;
use crate::cli::terminal::Terminal;
use crate::document::format::Format;
use crate::document::parse::parse;
use crate::document::write::write;

/// Prints `file` in the language `to`.
pub fn convert(file: &Path, to: Language, terminal: Terminal) -> Exit {
    let name = file.to_string_lossy();
    let Some(from) = Format::of(&name) else {
        terminal.error(&format!("{name}: its name does not end in .yaml, .yml, .json or .toml"));
        return Exit::Usage;
    };
    let read = read(file, &BTreeMap::new()).and_then(|source| Ok((parse(&source, from).map_err(Box::new)?, source)));
    let (root, source) = match read {
        Ok(read) => read,
        Err(problem) => {
            terminal.note(&render::problems(&[*problem], &[], terminal));
            return Exit::Usage;
        }
    };
    let to = match to {
        Language::Yaml => Format::Yaml,
        Language::Json => Format::Json,
        Language::Toml => Format::Toml,
    };
    match write(&root.to_json(), to) {
        Ok(text) => terminal.data(&text),
        Err(why) => {
            terminal.error(&format!("{name}: {why}"));
            return Exit::Usage;
        }
    }
    if has_comments(&source.text, from) {
        terminal.note("the comments of the file are not carried over");
    }
    Exit::Ok
}

/// Whether there seems to be a comment; text that looks like one counts, too.
fn has_comments(text: &str, format: Format) -> bool {
    let marks: &[&str] = if format == Format::Json { &["//", "/*"] } else { &["#"] };
    text.lines().any(|line| {
        let line = line.trim_start();
        marks.iter().any(|mark| line.starts_with(mark) || line.contains(&format!(" {mark}")))
    })
}
