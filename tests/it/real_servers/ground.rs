//! One test's ground: a Git repository, a registry of all seven servers that may touch nothing else, and the clients.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::install::{Installed, installed, sources};
use super::page::Site;
use crate::support::{eventually, processes};

/// The servers, as the shipped registry calls them.
pub(super) const SERVERS: [&str; 7] =
    ["everything", "fetch", "filesystem", "git", "memory", "sequential-thinking", "time"];

/// How long a client may take, with seven servers to start.
const CLIENT: Duration = Duration::from_secs(90);

/// How often a client that cannot wait for slow servers is started.
pub(super) const ATTEMPTS: usize = 5;

/// How long everything may take to be gone after its client.
const GONE: Duration = Duration::from_secs(5);

/// The folder and what is in it.
pub(super) struct Ground {
    place: TempDir,
    installed: &'static Installed,
    pub(super) site: Site,
}

/// What a client did.
pub(super) struct Done {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Ground {
    /// `None` where the servers cannot be installed.
    pub(super) fn new() -> Option<Self> {
        let installed = installed()?;
        let place = tempfile::Builder::new().prefix("orchestrator-real-").tempdir().expect("a temporary folder");
        let ground = Self { place, installed, site: Site::open() };
        for folder in [ground.home(), ground.repository()] {
            fs::create_dir(folder).expect("a folder of our own");
        }
        ground.commit_three_times();
        fs::write(ground.registry(), ground.registry_text()).expect("a file of our own");
        let serve = json!({ "command": program(), "args": ground.args(&["serve"]), "cwd": ground.repository() });
        let config = json!({ "mcpServers": { "orchestrator": serve } });
        fs::write(ground.path("mcp.json"), config.to_string()).expect("a file of our own");
        Some(ground)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn home(&self) -> PathBuf {
        self.path("home")
    }

    fn registry(&self) -> PathBuf {
        self.path("registry.toml")
    }

    /// The repository, which is also the working directory of everything.
    pub(super) fn repository(&self) -> PathBuf {
        self.path("repository")
    }

    /// A file of the repository.
    pub(super) fn text_of(&self, name: &str) -> String {
        fs::read_to_string(self.repository().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// What the memory server has written.
    pub(super) fn memory(&self) -> String {
        fs::read_to_string(self.path("memory.jsonl")).expect("the memory server has written its file")
    }

    fn commit_three_times(&self) {
        let git = |args: &[&str]| {
            let mut command = self.command("git");
            command.args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]).args(args);
            let done = self.finish(command);
            assert_eq!(done.code, Some(0), "git {args:?}: {}", done.stderr);
        };
        git(&["init", "--quiet", "--initial-branch=main"]);
        for name in ["first", "second", "third"] {
            fs::write(self.repository().join(format!("{name}.txt")), name).expect("a file of our own");
            git(&["add", "."]);
            git(&["commit", "--quiet", "--message", &format!("Add the {name} file")]);
        }
    }

    fn registry_text(&self) -> String {
        let quoted = |path: PathBuf| json!(path).to_string();
        let node = |name: &str| quoted(self.installed.npm_server(name));
        let python = |name: &str| quoted(self.installed.python().join(name));
        let entries = [
            ("everything", format!("command = \"node\"\nargs = [{}, \"stdio\"]", node("server-everything"))),
            ("filesystem", format!("command = \"node\"\nargs = [{}, \".\"]", node("server-filesystem"))),
            ("memory", format!("command = \"node\"\nargs = [{}]", node("server-memory"))),
            ("sequential-thinking", format!("command = \"node\"\nargs = [{}]", node("server-sequential-thinking"))),
            ("git", format!("command = {}\nargs = [\"--repository\", \".\"]", python("mcp-server-git"))),
            ("time", format!("command = {}", python("mcp-server-time"))),
            ("fetch", format!("command = {}\nargs = [\"--allow-private-ips\"]", python("mcp-server-fetch"))),
        ];
        let env = |name: &str| match name {
            "memory" => format!("MEMORY_FILE_PATH = {}", quoted(self.path("memory.jsonl"))),
            // Without Node.js in sight it reads pages by itself, and downloads nothing for that.
            "fetch" => format!("PATH = {}", quoted(self.installed.python())),
            _ => String::new(),
        };
        let one = |(name, launch): (&str, String)| {
            format!("[servers.{name}]\n{launch}\nenv = {{ {} }}\nstart = \"lazy\"\n\n", env(name))
        };
        // A busy machine starts seven interpreters slowly, and these clients ask for the list only once.
        format!("[orchestrator]\nsettle = \"60s\"\n\n{}", entries.map(one).concat())
    }

    /// The registry of a program that is started elsewhere: its servers find the repository by themselves.
    pub(super) fn registry_at_home(&self) -> String {
        let place = format!("cwd = {}\nstart = \"lazy\"\n", json!(self.repository()));
        self.registry_text().replace("start = \"lazy\"\n", &place)
    }

    fn args(&self, args: &[&str]) -> Vec<String> {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("workflows");
        let mut all: Vec<_> = args.iter().map(|arg| (*arg).to_owned()).collect();
        for (flag, path) in [("--registry", self.registry()), ("--workflows", shipped)] {
            all.extend([flag.to_owned(), path.to_string_lossy().into_owned()]);
        }
        all
    }

    /// Runs a command of the program itself.
    pub(super) fn run(&self, args: &[&str]) -> Done {
        let mut command = self.command(program());
        command.args(self.args(args));
        self.finish(command)
    }

    /// Does one thing through the inspector, in `era`: the result.
    ///
    /// It asks for the list once, before anything else, and knows no tool of a server that has not come up by then: on a
    /// busy machine it has to try again.
    pub(super) fn inspect(&self, era: &str, args: &[&str]) -> Value {
        let mut tries = ATTEMPTS;
        loop {
            tries -= 1;
            let mut command = self.command(self.installed.inspector());
            command.args(["--cli", "--format", "json", "--quiet", "--protocol-era", era]);
            command.arg("--config").arg(self.path("mcp.json")).args(["--server", "orchestrator"]).args(args);
            let done = self.finish(command);
            if done.code == Some(0) {
                return done.json()["result"].clone();
            }
            let is_early = done.stderr.contains("tool_not_found") && tries > 0;
            assert!(is_early, "{args:?}: {}{}", done.stdout, done.stderr);
        }
    }

    /// Plays `calls` through the official Python client: what it saw.
    pub(super) fn play(&self, mode: &str, calls: &Value) -> Value {
        let file = self.path("calls.json");
        fs::write(&file, calls.to_string()).expect("a file of our own");
        let mut command = self.command(self.installed.python().join("python"));
        command.arg(sources().join("client.py")).arg(mode).arg(file).arg(program()).args(self.args(&["serve"]));
        let done = self.finish(command);
        assert_eq!(done.code, Some(0), "{mode}: {}", done.stderr);
        done.json()
    }

    /// A command with nothing of our environment but the way to programs.
    #[expect(clippy::disallowed_methods, reason = "a test's clients are its own, and waited for")]
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home()).env("TMPDIR", self.place.path()).env("PYTHONDONTWRITEBYTECODE", "1");
        command.current_dir(self.repository());
        command
    }

    /// Runs a client to its end. Nothing that it started may be left then.
    fn finish(&self, mut command: Command) -> Done {
        // Each client has seven servers started at once. More than one at a time only makes all of them late.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let mut errors = tempfile::tempfile().expect("a temporary file");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(share(&errors));
        let mut client = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut stdout = client.stdout.take().expect("it is a pipe");
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stdout.read_to_string(&mut text);
            let _ = sender.send(text);
        });
        let stdout = receiver.recv_timeout(CLIENT);
        if stdout.is_err() {
            let _ = client.kill();
        }
        let status = client.wait().expect("our own child");
        let mut stderr = String::new();
        errors.rewind().and_then(|()| errors.read_to_string(&mut stderr)).expect("our own file");
        let stdout = stdout.unwrap_or_else(|_| panic!("{command:?} takes longer than {CLIENT:?}\n{stderr}"));
        let is_clean = eventually(GONE, || processes::of(self.place.path()).is_empty());
        assert!(is_clean, "left behind by {command:?}: {:#?}", processes::of(self.place.path()));
        Done { code: status.code(), stdout, stderr }
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for left in processes::of(self.place.path()) {
            processes::signal(left.pid, Signal::KILL);
        }
    }
}

impl Done {
    /// Standard output as JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: stdout {:?}, stderr {:?}", self.stdout, self.stderr))
    }
}

/// The program under test.
fn program() -> &'static str {
    env!("CARGO_BIN_EXE_mcp-orchestrator")
}

fn share(file: &File) -> Stdio {
    Stdio::from(file.try_clone().expect("a handle can be shared"))
}
