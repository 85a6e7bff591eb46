//! Starting a child process, and ending it with everything that it has started.

use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::downstream::stdio::confine::{confine, within};
use crate::downstream::stdio::death::describe;
use crate::downstream::stdio::sweep::{Force, MARKER, end_group, end_marked, group_lives};
use crate::downstream::stdio::tail::Tail;
use crate::downstream::stdio::watchdog::Watchdog;
use crate::downstream::variables::Surroundings;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::registry::bounds::Bounds;
use crate::registry::server;
use crate::registry::text::{Text, Unset};

/// What children inherit from our environment; the rest is what their registry entry says. The certificates of a company's
/// own authority are no secret, and without them a launcher such as `npx` reaches nothing.
pub const INHERITED: [&str; 19] = [
    "HOME",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "SYSTEMROOT",
    "APPDATA",
    "LOCALAPPDATA",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "TEMP",
];

/// The variable that tells an orchestrator which registries have led to it.
pub const LINEAGE: &str = "MCP_ORCHESTRATOR_LINEAGE";

/// How long a child has to end by itself once its standard input is closed.
const AFTER_EOF: Duration = Duration::from_millis(1500);

/// How long it has after `SIGTERM`.
const AFTER_TERM: Duration = Duration::from_secs(1);

/// How long it has after `SIGKILL`, to be noticed as gone.
const AFTER_KILL: Duration = Duration::from_millis(500);

/// How long a dead process may still have something to be read from its standard error.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A running child. Its process group is named after its pid.
pub struct Child {
    pid: u32,
    marker: String,
    exited: watch::Receiver<Option<Exit>>,
    tail: Arc<Tail>,
    watchdog: Arc<Watchdog>,
    is_ended: AtomicBool,
}

/// How a process has ended.
struct Exit {
    how: String,
    is_success: bool,
}

/// The ends of a child's standard streams that are ours.
pub struct Pipes {
    /// What the child reads.
    pub stdin: ChildStdin,
    /// What the child writes.
    pub stdout: ChildStdout,
}

/// Starts `command` as `server`, to keep within `bounds`. Its tasks run on `tasks` and end with the process.
pub fn spawn(
    server: &str,
    (command, bounds): (&server::Command, Bounds),
    tail: &Arc<Tail>,
    watchdog: &Arc<Watchdog>,
    tasks: &TaskTracker,
) -> Result<(Child, Pipes), Fault> {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    // The last character keeps the first child's marker from being the beginning of the tenth's.
    let marker = format!("{}/{}/", watchdog.instance(), COUNTER.fetch_add(1, Ordering::Relaxed));
    let program = expand(&command.command)?;
    let mut process = prepare(command, &program, &[(MARKER, &marker), (LINEAGE, watchdog.lineage())])?;
    let mut handle = process.spawn().map_err(|error| spawn_fault(&program, &error))?;
    let (Some(pid), Some(stdin), Some(stdout), Some(stderr)) =
        (handle.id(), handle.stdin.take(), handle.stdout.take(), handle.stderr.take())
    else {
        return Err(Fault::new(Kind::Internal, code::INTERNAL, "the child started without its standard streams"));
    };
    watchdog.adopt(pid);
    confine(server, pid, &bounds);
    tail.clear();
    let follower = Arc::clone(tail);
    let name = server.to_owned();
    let following = tasks.spawn(async move { follower.follow(&name, stderr).await });
    let (announce, exited) = watch::channel(None);
    let verdict = Arc::new(OnceLock::new());
    if bounds.are_watched() {
        let (mut ended, verdict) = (exited.clone(), Arc::clone(&verdict));
        tasks.spawn(async move {
            tokio::select! {
                _ = ended.wait_for(Option::is_some) => {}
                () = within(pid, bounds, verdict) => {}
            }
        });
    }
    let words = Arc::clone(tail);
    tasks.spawn(async move {
        let status = handle.wait().await;
        // A descendant may hold the stream open for as long as it lives.
        let _ = timeout(LAST_WORDS, following).await;
        let is_success = status.as_ref().is_ok_and(ExitStatus::success);
        let how = describe(status, &bounds, verdict.get(), words.last().as_deref());
        announce.send_replace(Some(Exit { how, is_success }));
    });
    Ok((
        Child {
            pid,
            marker,
            exited,
            tail: Arc::clone(tail),
            watchdog: Arc::clone(watchdog),
            is_ended: AtomicBool::new(false),
        },
        Pipes { stdin, stdout },
    ))
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that starts servers")]
fn prepare(command: &server::Command, program: &str, ours: &[(&str, &str)]) -> Result<Command, Fault> {
    let mut process = Command::new(program);
    process.env_clear().envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    for (name, value) in &command.env {
        process.env(name, expand(value)?);
    }
    for argument in &command.args {
        process.arg(expand(argument)?);
    }
    if let Some(directory) = &command.cwd {
        let directory = expand(directory)?;
        if !std::path::Path::new(&directory).is_dir() {
            let message = format!("cannot start: its working directory {directory:?} does not exist");
            return Err(
                Fault::new(Kind::Unavailable, code::SPAWN_FAILED, message).hint("correct `cwd` in the registry")
            );
        }
        process.current_dir(directory);
    }
    process.envs(ours.iter().copied());
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    #[cfg(unix)]
    process.process_group(0);
    Ok(process)
}

impl Child {
    /// The process id, which is also its group's.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for the process to end; says how it did, with its last words if it had any.
    ///
    /// Watches the process itself: a grandchild that holds the pipes open does not hide its parent's death.
    pub async fn exited(&self) -> String {
        self.exit().await.1
    }

    /// The same, but says nothing of a process that ended as it should.
    pub async fn ended_well(&self) -> Result<(), String> {
        match self.exit().await {
            (true, _) => Ok(()),
            (false, how) => Err(how),
        }
    }

    async fn exit(&self) -> (bool, String) {
        let mut exited = self.exited.clone();
        let exit = exited.wait_for(Option::is_some).await;
        let exit = exit.as_ref().ok().and_then(|exit| exit.as_ref());
        let (is_success, how) = exit.map_or((false, "process ended"), |exit| (exit.is_success, &exit.how));
        match self.tail.last() {
            Some(words) => (is_success, format!("{how}; its last words: {words:?}")),
            None => (is_success, how.to_owned()),
        }
    }

    /// Ends the process and everything it has started. Its standard input must have been closed before, so that it may
    /// end by itself. Takes at most three seconds.
    pub async fn end(&self) {
        let mut exited = self.exited.clone();
        let mut gone = async |limit| timeout(limit, exited.wait_for(Option::is_some)).await.is_ok();
        if !gone(AFTER_EOF).await {
            end_group(self.pid, Force::Ask);
            gone(AFTER_TERM).await;
        }
        self.kill();
        gone(AFTER_KILL).await;
    }

    /// Kills the process and everything it has started, at once.
    pub fn kill(&self) {
        if self.is_ended.swap(true, Ordering::AcqRel) {
            return;
        }
        if group_lives(self.pid) {
            end_group(self.pid, Force::Kill);
        }
        end_marked(&self.marker, Force::Kill);
        self.watchdog.release(self.pid);
    }
}

/// Expands the placeholders of one setting.
pub fn expand(text: &Text) -> Result<String, Fault> {
    let expanded = text.expand(&Surroundings).map_err(|Unset { reference, why }| {
        Fault::new(Kind::Unavailable, code::UNSET_VARIABLE, format!("cannot start: {reference} has no value: {why}"))
            .hint(format!("set {reference} in the environment of mcp-orchestrator, or change the registry"))
    })?;
    Ok(expanded.expose().clone())
}

fn spawn_fault(program: &str, error: &std::io::Error) -> Fault {
    let (why, hint) = match error.kind() {
        std::io::ErrorKind::NotFound if program.contains(char::is_whitespace) => (
            "there is no such program",
            "put what comes after the program's name into `args`, each argument on its own",
        ),
        std::io::ErrorKind::NotFound => {
            ("there is no such program", "install it, or write its full path as `command` in the registry")
        }
        std::io::ErrorKind::PermissionDenied => ("it may not be executed", "make it executable, or correct `command`"),
        _ => ("the system refused", "check that `command` is a program that this system can run"),
    };
    Fault::new(Kind::Unavailable, code::SPAWN_FAILED, format!("cannot start `{program}`: {why} ({error})")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_within_the_command_are_told_of() {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        let hint = |program: &str| spawn_fault(program, &missing).hint.unwrap_or_default();
        assert!(hint("npx -y server").contains("`args`") && hint("npx").contains("install it"));
    }
}
