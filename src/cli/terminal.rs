//! Writing to the terminal: data to standard output, everything else to standard error.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

/// Standard output is one for the whole process, and so is what became of it.
static LOST: AtomicBool = AtomicBool::new(false);

/// Whether and how to write.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    /// Whether standard output gets JSON.
    pub is_json: bool,
    /// Whether standard error gets colour.
    pub has_colour: bool,
}

impl Terminal {
    /// Honours `NO_COLOR` and `CLICOLOR_FORCE`.
    pub fn new(is_json: bool) -> Self {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let has_colour = !is_set("NO_COLOR") && (is_set("CLICOLOR_FORCE") || io::stderr().is_terminal());
        Self { is_json, has_colour }
    }

    /// Writes data. A reader that has gone away is no error of ours; whatever else keeps it from being written is told once, and
    /// [`Terminal::has_lost`] knows of it.
    pub fn data(&self, text: &str) {
        let mut out = io::stdout().lock();
        let written = writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush());
        if let Err(why) = written
            && why.kind() != io::ErrorKind::BrokenPipe
            && !LOST.swap(true, Ordering::Relaxed)
        {
            self.error(&format!("what was asked for cannot be written to standard output: {why}"));
        }
    }

    /// Whether something that was asked for could not be written.
    pub fn has_lost() -> bool {
        LOST.load(Ordering::Relaxed)
    }

    /// Writes something about the data.
    pub fn note(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Writes an error: `error: …`, or one line of JSON for programs.
    pub fn error(&self, message: &str) {
        if self.is_json {
            self.note(&serde_json::json!({ "error": message }).to_string());
        } else {
            self.note(&format!("{} {message}", self.paint("error:", Paint::Red)));
        }
    }

    /// `text` in a colour, if there are colours.
    pub fn paint(&self, text: &str, paint: Paint) -> String {
        if self.has_colour { format!("\x1b[{}m{text}\x1b[0m", paint as u8) } else { text.to_owned() }
    }
}

/// A colour or weight.
#[derive(Debug, Clone, Copy)]
pub enum Paint {
    /// What matters.
    Bold = 1,
    /// What matters less.
    Dim = 2,
    /// What failed.
    Red = 31,
    /// What succeeded.
    Green = 32,
    /// What is doubtful.
    Yellow = 33,
    /// Names.
    Cyan = 36,
}
