//! What a test begins with: servers, settings, workflows, an environment.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::host::Host;
use super::launch::Launch;
use super::processes;

/// A test's files, and how the program is started on them.
pub(crate) struct Test {
    home: TempDir,
    registry: String,
    servers: String,
    env: Vec<(String, String)>,
    flags: Vec<String>,
}

/// What a command did.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Test {
    pub(crate) fn new() -> Self {
        let home = tempfile::Builder::new().prefix("orchestrator-test-").tempdir().expect("a temporary folder");
        fs::create_dir(home.path().join("workflows")).expect("a folder of our own");
        Self { home, registry: String::new(), servers: String::new(), env: Vec::new(), flags: Vec::new() }
    }

    /// The folder that it all lives in.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Adds a server.
    pub(crate) fn server(mut self, name: &str, launch: Launch) -> Self {
        self.servers += &launch.entry(name, self.home.path());
        self
    }

    /// Adds lines before the servers.
    pub(crate) fn registry(mut self, text: &str) -> Self {
        self.registry += text;
        self.registry.push('\n');
        self
    }

    /// Adds the workflow file `NAME.yaml`; a text that does not begin with `name:`, and is no JSON, is given this name.
    pub(crate) fn workflow(self, name: &str, text: &str) -> Self {
        let has_name = ["name:", "{"].iter().any(|head| text.trim_start().starts_with(head));
        let head = if has_name { String::new() } else { format!("name: {name}\n") };
        self.file(&format!("workflows/{name}.yaml"), &format!("{head}{text}"))
    }

    /// Adds a file, with the folders that it needs.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        let path = self.home.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder of our own");
        fs::write(path, text).expect("a file of our own");
        self
    }

    /// A variable of the program's own environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A flag of the program.
    pub(crate) fn flag(mut self, flag: &str) -> Self {
        self.flags.push(flag.to_owned());
        self
    }

    /// The program with these arguments, not started yet.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.process(args)
    }

    #[expect(clippy::disallowed_methods, reason = "the program under test, which a test starts and ends by itself")]
    fn process(&self, args: &[&str]) -> Command {
        let home = self.home.path();
        let registry = home.join("registry.toml");
        if !self.registry.is_empty() || !self.servers.is_empty() {
            fs::write(&registry, format!("{}{}", self.registry, self.servers)).expect("a file of our own");
        }
        let mut process = Command::new(env!("CARGO_BIN_EXE_mcp-orchestrator"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        process.env_clear().env("PATH", path).env("HOME", home).env("NO_COLOR", "1").current_dir(home);
        process.envs(self.env.iter().map(|(name, value)| (name, value)));
        process.args(&self.flags);
        if !args.contains(&"--registry") {
            process.arg("--registry").arg(&registry);
        }
        process.arg("--workflows").arg(home.join("workflows")).args(args);
        process
    }

    /// Serves, with a host connected to it that has said nothing yet.
    pub(crate) fn serve(self) -> Host {
        self.serve_with(&[])
    }

    /// The same, with these arguments of `serve`.
    pub(crate) fn serve_with(self, arguments: &[&str]) -> Host {
        let process = self.process(&[&["serve"], arguments].concat());
        Host::of(process, self.home)
    }

    /// The same with no file larger than so many blocks of 1024 bytes, as on a disk that is full.
    pub(crate) fn serve_limited(self, blocks: u64) -> Host {
        self.serve_after(&format!("trap '' XFSZ; ulimit -S -f {blocks}"))
    }

    /// The same in what is left after these commands of a shell.
    #[expect(clippy::disallowed_methods, reason = "the program under test, which a test starts and ends by itself")]
    pub(crate) fn serve_after(self, commands: &str) -> Host {
        let process = self.process(&["serve"]);
        let mut limited = Command::new("bash");
        limited.arg("-c").arg(format!("{commands}; exec \"$0\" \"$@\""));
        limited.arg(process.get_program()).args(process.get_args()).env_clear().current_dir(self.home.path());
        limited.envs(process.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Host::of(limited, self.home)
    }

    /// Serves an initialized host.
    pub(crate) fn start(self) -> Host {
        let mut host = self.serve();
        host.initialize();
        host
    }

    /// Serves a host of the newest protocol, which never initializes.
    pub(crate) fn start_modern(self) -> Host {
        let mut host = self.serve();
        host.is_modern = true;
        host
    }

    /// Runs a command to its end; nothing of it may be left then.
    pub(crate) fn run(&self, args: &[&str]) -> Done {
        let done = Done::of(self.process(args));
        let is_clean = super::eventually(Duration::from_secs(2), || processes::of(self.home.path()).is_empty());
        assert!(is_clean, "left behind by {args:?}: {:?}", processes::of(self.home.path()));
        done
    }
}

impl Done {
    /// Runs `process` to its end.
    pub(super) fn of(mut process: Command) -> Self {
        let began = Instant::now();
        let output = process.stdin(Stdio::null()).output().expect("the binary can be started");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            took: began.elapsed(),
        }
    }

    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: stdout {:?}, stderr {:?}", self.stdout, self.stderr))
    }
}
