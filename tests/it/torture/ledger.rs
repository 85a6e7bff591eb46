//! What the servers were asked to do, over all of their lives.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

/// The calls of one key.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) tool: String,
    pub(super) label: String,
    /// In which life of the program each of them came.
    pub(super) lives: Vec<usize>,
}

/// Notes that the program has been killed.
pub(super) fn note_death(file: &Path) {
    let file = OpenOptions::new().append(true).create(true).open(file);
    file.and_then(|mut file| file.write_all(b"died\n")).expect("the record can be written");
}

/// The calls, by their keys.
pub(super) fn read(file: &Path) -> HashMap<String, Calls> {
    let mut life = 0;
    let mut all: HashMap<String, Calls> = HashMap::new();
    for line in fs::read_to_string(file).unwrap_or_default().lines() {
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["died"] => life += 1,
            ["begin", key, tool, label] => {
                let calls = all.entry(key.to_owned()).or_default();
                (calls.tool, calls.label) = (tool.to_owned(), label.to_owned());
                calls.lives.push(life);
            }
            _ => {}
        }
    }
    all
}
