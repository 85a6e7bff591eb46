//! A small process that ends our children when we are killed without a chance to do so ourselves.
//!
//! Well-behaved servers end when their standard input closes. The watchdog is for the others: it is this binary in a hidden
//! mode, told over its standard input which process groups there are, and it acts when that input ends. A parent-death
//! signal would need unsafe code and is tied to the thread that started the child.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::downstream::stdio::sweep::{Force, end_group, end_marked, group_lives};

/// How long the children have to notice that we are gone.
const NOTICE: Duration = Duration::from_millis(800);

/// How long they have after `SIGTERM`.
const GRACE: Duration = Duration::from_millis(1200);

/// The watchdog's handle. It is started with the first child.
#[derive(Debug)]
pub struct Watchdog {
    /// The binary that has the hidden mode; without one nothing is watched.
    program: Option<PathBuf>,
    /// The first argument that selects the hidden mode.
    mode: &'static str,
    /// What every marker of our children starts with.
    instance: String,
    /// What our children are told about who has started them.
    lineage: String,
    /// Guards the process and its input; held for one short write.
    process: Mutex<Option<(Child, ChildStdin)>>,
}

impl Watchdog {
    /// A watchdog that runs `program mode`.
    pub fn new(program: Option<PathBuf>, mode: &'static str, instance: String, lineage: String) -> Self {
        Self { program, mode, instance, lineage, process: Mutex::new(None) }
    }

    /// What every marker of our children starts with.
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// What our children are told about who has started them.
    pub fn lineage(&self) -> &str {
        &self.lineage
    }

    /// Watches the group of `leader`.
    pub fn adopt(&self, leader: u32) {
        self.tell(&format!("+{leader}\n"));
    }

    /// Stops watching the group of `leader`.
    pub fn release(&self, leader: u32) {
        self.tell(&format!("-{leader}\n"));
    }

    fn tell(&self, line: &str) {
        let Some(program) = &self.program else { return };
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        if process.is_none() {
            match start(program, self.mode, &self.instance) {
                Ok(started) => *process = Some(started),
                Err(error) => tracing::warn!(%error, "cannot start the watchdog; a stubborn server may outlive us"),
            }
        }
        if let Some((_, input)) = process.as_mut()
            && let Err(error) = input.write_all(line.as_bytes())
        {
            tracing::warn!(%error, "the watchdog is gone; a stubborn server may outlive us");
            *process = None;
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some((mut child, input)) = self.process.lock().unwrap_or_else(PoisonError::into_inner).take() {
            drop(input);
            // It ends at once if every child was released, and within its own time limits otherwise.
            let _ = child.wait();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the watchdog is no server: it must outlive our runtime")]
fn start(program: &PathBuf, mode: &str, instance: &str) -> io::Result<(Child, ChildStdin)> {
    let mut command = Command::new(program);
    command.args([mode, instance]).env_clear().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn()?;
    let input = child.stdin.take().ok_or_else(|| io::Error::other("no standard input"))?;
    Ok((child, input))
}

/// The hidden mode: reads what to watch, and ends what is left when the input ends.
pub fn watch(instance: &str) {
    let mut leaders = BTreeSet::new();
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        match line.split_at_checked(1).map(|(sign, id)| (sign, id.parse::<u32>())) {
            Some(("+", Ok(id))) => leaders.insert(id),
            Some(("-", Ok(id))) => leaders.remove(&id),
            _ => false,
        };
    }
    if leaders.is_empty() {
        return;
    }
    pause(NOTICE);
    for leader in &leaders {
        end_group(*leader, Force::Ask);
    }
    end_marked(instance, Force::Ask);
    let steps = 12;
    for _ in 0..steps {
        if !leaders.iter().any(|leader| group_lives(*leader)) {
            break;
        }
        pause(GRACE / steps);
    }
    for leader in &leaders {
        end_group(*leader, Force::Kill);
    }
    end_marked(instance, Force::Kill);
}

#[expect(clippy::disallowed_methods, reason = "the watchdog has one thread and no runtime")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
