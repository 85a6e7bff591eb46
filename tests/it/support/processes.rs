//! Which processes of a test are alive: those whose command line, environment or working directory names its folder.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// One of them.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Its command line, for the message of a test that fails.
    pub(crate) command: String,
}

/// The processes of the test that lives in `home`.
pub(crate) fn of(home: &Path) -> Vec<Process> {
    let wanted = home.as_os_str().as_encoded_bytes();
    let names = |bytes: Vec<u8>| bytes.windows(wanted.len()).any(|window| window == wanted);
    let all = fs::read_dir("/proc").expect("Linux has /proc").flatten();
    all.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let folder = entry.path();
        let command = fs::read(folder.join("cmdline")).ok().filter(|command| !command.is_empty())?;
        let is_ours = names(command.clone())
            || fs::read(folder.join("environ")).is_ok_and(names)
            || fs::read_link(folder.join("cwd")).is_ok_and(|cwd| cwd.starts_with(home));
        is_ours.then(|| Process { pid, command: String::from_utf8_lossy(&command).replace('\0', " ") })
    })
    .collect()
}

/// Sends a signal. A process that is gone does not matter.
pub(crate) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// Whether the process is there and not a zombie.
pub(crate) fn lives(pid: i32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|command| !command.is_empty())
}

/// How much memory the process has had at most, in bytes.
pub(crate) fn peak_memory(pid: u32) -> u64 {
    told(pid, "VmHWM:") * 1024
}

/// What a process holds at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
    /// In bytes.
    pub(crate) memory: u64,
}

/// What the process holds now.
pub(crate) fn held(pid: u32) -> Held {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).expect("the process is there").count();
    Held { descriptors: descriptors as u64, threads: told(pid, "Threads:"), memory: told(pid, "VmRSS:") * 1024 }
}

/// The number that the system tells of the process under `key`.
fn told(pid: u32, key: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("Linux tells");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}
