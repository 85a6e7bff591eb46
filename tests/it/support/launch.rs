//! How a test's servers are started.

use std::path::{Path, PathBuf};

/// The fixture server, next to the binary under test.
pub(crate) fn fixture_path() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_mcp-orchestrator"));
    let path = binary.parent().expect("a binary is in a folder").join("examples/fixture_server");
    assert!(path.exists(), "build the fixture first: cargo build --example fixture_server");
    path
}

/// One server of a registry.
pub(crate) struct Launch {
    pub(super) command: String,
    pub(super) args: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) settings: String,
    pub(super) keeps_records: bool,
}

/// The fixture server with these arguments: its mode, then options.
pub(crate) fn fixture<const N: usize>(args: [&str; N]) -> Launch {
    let path = fixture_path().to_string_lossy().into_owned();
    Launch { keeps_records: true, ..command(&path, &args) }
}

/// Any other program.
pub(crate) fn command(program: &str, args: &[&str]) -> Launch {
    Launch {
        command: program.to_owned(),
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: Vec::new(),
        settings: String::new(),
        keeps_records: false,
    }
}

impl Launch {
    /// One more argument.
    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// A variable of its environment.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Further lines of its entry in the registry.
    pub(crate) fn with(mut self, settings: &str) -> Self {
        self.settings.push_str(settings);
        self.settings.push('\n');
        self
    }

    /// Its entry in the registry.
    pub(super) fn entry(&self, name: &str, home: &Path) -> String {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let mut args = self.args.clone();
        if self.keeps_records {
            args.extend(["--record".to_owned(), home.join(name).to_string_lossy().into_owned()]);
        }
        let args: Vec<_> = args.iter().map(|arg| text(arg)).collect();
        // What a server starts inherits this, so that what is left of it can be found.
        let mut env = vec![format!("FIXTURE_HOME = {}", text(&home.to_string_lossy()))];
        env.extend(self.env.iter().map(|(name, value)| format!("{name} = {}", text(value))));
        format!(
            "[servers.{name}]\ncommand = {}\nargs = [{}]\nenv = {{ {} }}\n{}\n",
            text(&self.command),
            args.join(", "),
            env.join(", "),
            self.settings
        )
    }
}
