//! The last lines of a child's standard error, harmless to show.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncRead;

use crate::downstream::secrets::Secrets;
use crate::wire::envelope::bounded;
use crate::wire::lines::{Line, Lines};

/// How many lines are kept.
const LINES: usize = 20;

/// How much of a line is kept, in bytes.
const LINE_BYTES: usize = 1024;

/// A bounded record of what a child wrote to its standard error.
#[derive(Debug, Default)]
pub struct Tail {
    /// Guards the lines, as they came; never held across an await.
    lines: Mutex<VecDeque<Vec<u8>>>,
    secrets: Arc<Secrets>,
}

impl Tail {
    /// A record without `secrets`.
    pub fn hiding(secrets: &Arc<Secrets>) -> Self {
        Self { lines: Mutex::default(), secrets: Arc::clone(secrets) }
    }

    /// Reads `stderr` to its end, keeping the last lines and logging each under the server's name.
    ///
    /// Always drains, since a child that nobody reads blocks once its pipe is full.
    pub async fn follow(&self, server: &str, stderr: impl AsyncRead + Unpin) {
        let mut lines = Lines::new(stderr, LINE_BYTES * 8);
        while let Ok(Some(line)) = lines.next().await {
            let (Line::Text(bytes) | Line::TooLong(bytes)) = line;
            let bytes = if self.secrets.is_empty() {
                bytes
            } else {
                self.secrets.hide(&String::from_utf8_lossy(&bytes)).into_bytes().into()
            };
            // Some servers write megabytes that nobody ever reads: only what is shown is made fit to be shown.
            tracing::debug!(target: "mcp_orchestrator::server", server, "{}", shown(&bytes));
            self.push(bytes[..bytes.len().min(LINE_BYTES)].to_vec());
        }
    }

    /// Forgets everything: another process begins.
    pub fn clear(&self) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn push(&self, line: Vec<u8>) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// The lines that are kept, oldest first.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|line| shown(line)).collect()
    }

    /// The last line that speaks of an error, else the last that says something at all.
    pub fn last(&self) -> Option<String> {
        let lines = self.lines();
        // The word alone may be no more than a count: "1 error".
        let error = lines.iter().rev().find(|line| line.contains(':') && line.to_lowercase().contains("error"));
        let any = || lines.iter().rev().find(|line| line.chars().any(char::is_alphanumeric));
        error.or_else(any).map(|line| bounded(line.trim(), 300))
    }
}

/// A line as it may be shown.
fn shown(line: &[u8]) -> String {
    bounded(&harmless(&String::from_utf8_lossy(line)), LINE_BYTES)
}

/// `text` with control characters shown instead of obeyed, so that a server cannot steer a terminal through our log.
pub fn harmless(text: &str) -> String {
    let is_harmful =
        |c: char| c.is_control() && c != '\t' || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if is_harmful(c) { '\u{FFFD}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_lines_are_kept_and_escapes_are_shown() {
        let tail = Tail::default();
        let noise = "line\n".repeat(1_000) + "\x1b[31mMissing API key\x07\n---\n";
        tail.follow("weather", noise.as_bytes()).await;
        assert_eq!(tail.lines().len(), LINES);
        assert_eq!(tail.last().as_deref(), Some("\u{FFFD}[31mMissing API key\u{FFFD}"));
    }

    #[tokio::test]
    async fn the_line_that_says_what_was_wrong_is_the_last_word() {
        let tail = Tail::default();
        tail.follow("own", &b"error[MO1002]: the file is not TOML\n  = help: correct it\n1 error\n"[..]).await;
        assert_eq!(tail.last().as_deref(), Some("error[MO1002]: the file is not TOML"));
    }

    #[tokio::test]
    async fn megabytes_without_a_newline_stay_bounded() {
        let tail = Tail::default();
        tail.follow("noisy", &vec![b'x'; 8 * 1024 * 1024][..]).await;
        assert!(tail.lines().iter().map(String::len).sum::<usize>() <= LINES * LINE_BYTES);
    }
}
