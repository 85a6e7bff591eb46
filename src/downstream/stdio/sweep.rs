//! Ending process groups, and finding descendants that have left theirs.
//!
//! Each child starts its own group and carries a marker in its environment. Descendants inherit the marker even when they
//! start a session of their own, so on Linux they are found in `/proc`.

/// The variable that marks a child and all its descendants.
pub const MARKER: &str = "MCP_ORCHESTRATOR_CHILD";

/// How hard to end a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Asks (`SIGTERM`).
    Ask,
    /// Kills (`SIGKILL`).
    Kill,
}

/// Signals every process of the group that `leader` started. Does nothing if the group is gone.
#[cfg(unix)]
pub fn end_group(leader: u32, force: Force) {
    if let Some(pid) = pid(leader) {
        // Fails only if nobody is left to signal.
        let _ = rustix::process::kill_process_group(pid, signal(force));
    }
}

/// Does nothing: without process groups only the child itself can be ended, which its handle does.
#[cfg(not(unix))]
pub fn end_group(_leader: u32, _force: Force) {}

/// Whether a process of the group that `leader` started is still there.
#[cfg(unix)]
pub fn group_lives(leader: u32) -> bool {
    pid(leader).is_some_and(|pid| rustix::process::test_kill_process_group(pid).is_ok())
}

/// Never, as far as can be known without process groups.
#[cfg(not(unix))]
pub fn group_lives(_leader: u32) -> bool {
    false
}

/// Signals every process whose marker starts with `marker`; says whether there was one.
#[cfg(target_os = "linux")]
pub fn end_marked(marker: &str, force: Force) -> bool {
    let wanted = format!("{MARKER}={marker}");
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    let mut found = false;
    for process in processes.flatten() {
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(environment) = std::fs::read(process.path().join("environ")) else { continue };
        let is_marked = environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(wanted.as_bytes()));
        if is_marked && let Some(pid) = pid(id) {
            found |= rustix::process::kill_process(pid, signal(force)).is_ok();
        }
    }
    found
}

/// Finds none: other systems do not show the environment of a process.
#[cfg(not(target_os = "linux"))]
pub fn end_marked(_marker: &str, _force: Force) -> bool {
    false
}

#[cfg(unix)]
fn pid(id: u32) -> Option<rustix::process::Pid> {
    // 0 and 1 would mean our own group and every process.
    rustix::process::Pid::from_raw(i32::try_from(id).ok()?).filter(|pid| pid.as_raw_nonzero().get() > 1)
}

#[cfg(unix)]
fn signal(force: Force) -> rustix::process::Signal {
    match force {
        Force::Ask => rustix::process::Signal::TERM,
        Force::Kill => rustix::process::Signal::KILL,
    }
}
