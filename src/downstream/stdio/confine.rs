//! Holding a child to what its registry entry allows it to use of the machine.
//!
//! The system itself enforces what it counts for each process (rlimits, set from outside, so that no code of ours runs in
//! the child). What it only counts for users or not at all, memory and processes of a whole tree, is looked at every second.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::document::size::show_size;
use crate::downstream::stdio::sweep::{Force, end_group};
use crate::downstream::stdio::usage::{Usage, usage};
use crate::registry::bounds::Bounds;

/// How often it is looked what a child uses.
const LOOK: Duration = Duration::from_secs(1);

/// A process may reserve so many times the memory that all may use: a runtime reserves more than it uses, but none may
/// take all of the machine's between two looks.
#[cfg(target_os = "linux")]
const RESERVE: u64 = 2;

/// How long a process has to end by itself once its processor time is used up.
#[cfg(target_os = "linux")]
const AFTER_CPU_TIME: u64 = 5;

/// Has the system hold the child `pid` to `bounds`, with whatever it starts from now on.
#[cfg(target_os = "linux")]
pub(super) fn confine(server: &str, pid: u32, bounds: &Bounds) {
    use rustix::process::{Pid, Resource};

    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    let seconds = bounds.cpu_time.map(|time| time.as_secs() + u64::from(time.subsec_nanos() > 0));
    let all = [
        (Resource::Data, bounds.memory.map(|most| most.saturating_mul(RESERVE)), 0, "memory"),
        (Resource::Cpu, seconds, AFTER_CPU_TIME, "cpu_time"),
        (Resource::Nofile, bounds.files, 0, "files"),
    ];
    for (resource, most, more, key) in all {
        let Some(most) = most else { continue };
        if let Err(error) = set(pid, resource, most, more) {
            tracing::warn!(server, %error, "the system does not take `limits.{key}`");
        }
    }
}

/// Sets the limit to `most`, and the one that cannot be raised any more by so much `more`, where the system allows that much.
#[cfg(target_os = "linux")]
fn set(pid: rustix::process::Pid, resource: rustix::process::Resource, most: u64, more: u64) -> rustix::io::Result<()> {
    use rustix::process::{Rlimit, getrlimit, prlimit};

    // A child begins with our own limits, and may have less, but never more.
    let highest = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Rlimit { current: Some(most.min(highest)), maximum: Some((most + more).min(highest)) };
    prlimit(Some(pid), resource, limit).map(drop)
}

/// Says that this system cannot do it.
#[cfg(not(target_os = "linux"))]
pub(super) fn confine(server: &str, _pid: u32, bounds: &Bounds) {
    if *bounds != Bounds::default() {
        tracing::warn!(server, "`limits` has no effect on this system");
    }
}

/// Looks what the child `pid` uses until it is more than `bounds` allow; then ends it, and writes into `verdict` why.
pub(super) async fn within(pid: u32, bounds: Bounds, verdict: Arc<OnceLock<String>>) {
    loop {
        sleep(LOOK).await;
        let Ok(used) = spawn_blocking(move || usage(pid)).await else { return };
        if let Some(why) = excess(&bounds, used) {
            // Whoever notices the end finds the reason.
            let _ = verdict.set(why);
            return end_group(pid, Force::Kill);
        }
    }
}

/// In what way `used` is too much.
fn excess(bounds: &Bounds, used: Usage) -> Option<String> {
    let memory = bounds.memory.filter(|most| used.memory > *most).map(|most| {
        format!("it used {} of memory, and `limits.memory` is {}", show_size(used.memory), show_size(most))
    });
    let processes = bounds.processes.filter(|most| used.processes > *most);
    memory.or_else(|| {
        processes.map(|most| format!("it had {} processes, and `limits.processes` is {most}", used.processes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_is_told_with_both_numbers() {
        let bounds = Bounds { memory: Some(64_000_000), processes: Some(3), ..Bounds::default() };
        let told = |memory, processes| excess(&bounds, Usage { memory, processes });
        assert_eq!(told(64_000_000, 3), None);
        assert_eq!(told(70_400_000, 9).as_deref(), Some("it used 70.4 MB of memory, and `limits.memory` is 64 MB"));
        assert_eq!(told(1, 4).as_deref(), Some("it had 4 processes, and `limits.processes` is 3"));
    }
}
