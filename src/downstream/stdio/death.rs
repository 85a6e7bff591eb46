//! How a process has ended, in words: by itself, by a signal, or because it used more than it may.

use std::io;
use std::process::ExitStatus;

use crate::document::duration::format_duration;
use crate::document::size::show_size;
use crate::registry::bounds::Bounds;

/// What languages say when they get no memory, and when they get no file.
const WANT_OF_MEMORY: [&str; 4] = ["out of memory", "memoryerror", "memory allocation", "cannot allocate memory"];
const WANT_OF_FILES: [&str; 2] = ["too many open files", "emfile"];

/// The signals that end a process which could not get memory: it gives up (6, 5, 4) or uses what it did not get (11, 7).
const HELPLESS: [i32; 5] = [4, 5, 6, 7, 11];

/// `SIGXCPU` on Linux.
const CPU_TIME: i32 = 24;

/// How it has ended with `status`, within `bounds`, by our own `verdict` if there is one, and with those `words`.
pub(super) fn describe(
    status: io::Result<ExitStatus>,
    bounds: &Bounds,
    verdict: Option<&String>,
    words: Option<&str>,
) -> String {
    if let Some(why) = verdict {
        return format!("process was ended: {why}");
    }
    let status = match status {
        Ok(status) => status,
        Err(error) => return format!("process was lost: {error}"),
    };
    let signal = signal(status);
    let how = match (signal, status.code()) {
        (Some(signal), _) => format!("process was killed by signal {signal}"),
        (None, Some(code)) => format!("process exited with code {code}"),
        (None, None) => "process ended".to_owned(),
    };
    if status.success() {
        return how;
    }
    match reason(signal, bounds, words) {
        Some(reason) => format!("{how}, {reason}"),
        None => how,
    }
}

/// What of `bounds` is to blame, as far as can be told.
fn reason(signal: Option<i32>, bounds: &Bounds, words: Option<&str>) -> Option<String> {
    let words = words.unwrap_or_default().to_lowercase();
    let says = |signs: &[&str]| signs.iter().any(|sign| words.contains(sign));
    let is_helpless = signal.is_some_and(|signal| HELPLESS.contains(&signal));
    if let Some(time) = bounds.cpu_time.filter(|_| signal == Some(CPU_TIME)) {
        return Some(format!("as it used up its `limits.cpu_time` of {}", format_duration(time)));
    }
    if let Some(memory) = bounds.memory.filter(|_| is_helpless || says(&WANT_OF_MEMORY)) {
        return Some(format!("perhaps for want of memory: its `limits.memory` is {}", show_size(memory)));
    }
    let files = bounds.files.filter(|_| says(&WANT_OF_FILES))?;
    Some(format!("as its `limits.files` is {files}"))
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal(_status: ExitStatus) -> Option<i32> {
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_bound_is_blamed_only_where_it_stands_to_reason() {
        use std::os::unix::process::ExitStatusExt as _;

        let all = Bounds {
            memory: Some(512_000_000),
            cpu_time: Some(Duration::from_mins(10)),
            files: Some(64),
            processes: None,
        };
        let told = |raw, bounds, words| describe(Ok(ExitStatus::from_raw(raw)), bounds, None, words);
        let none = Bounds::default();
        assert_eq!(told(9, &all, None), "process was killed by signal 9");
        assert_eq!(told(24, &all, None), "process was killed by signal 24, as it used up its `limits.cpu_time` of 10m");
        assert_eq!(told(24, &none, None), "process was killed by signal 24");
        let memory = "perhaps for want of memory: its `limits.memory` is 512 MB";
        assert_eq!(told(6, &all, None), format!("process was killed by signal 6, {memory}"));
        assert_eq!(told(1 << 8, &all, Some("MemoryError")), format!("process exited with code 1, {memory}"));
        assert_eq!(told(1 << 8, &none, Some("MemoryError")), "process exited with code 1");
        let words = Some("Error: EMFILE: too many open files");
        assert_eq!(told(1 << 8, &all, words), "process exited with code 1, as its `limits.files` is 64");
        assert_eq!(told(0, &all, words), "process exited with code 0");
        let verdict = "it had 4 processes".to_owned();
        let told = describe(Ok(ExitStatus::from_raw(9)), &all, Some(&verdict), None);
        assert_eq!(told, "process was ended: it had 4 processes");
    }
}
