//! Puts the public servers and clients of `tests/servers` into `target/test-servers`, once for every state of the lock files.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The oldest Node.js that all of it runs on.
const NODE: u32 = 20;

/// Where everything is.
pub(super) struct Installed {
    folder: PathBuf,
}

impl Installed {
    /// The program of an npm server, to be run by `node`.
    pub(super) fn npm_server(&self, name: &str) -> PathBuf {
        self.folder.join("npm/node_modules/@modelcontextprotocol").join(name).join("dist/index.js")
    }

    /// The folder of npm's packages.
    pub(super) fn packages(&self) -> PathBuf {
        self.folder.join("npm")
    }

    /// The inspector.
    pub(super) fn inspector(&self) -> PathBuf {
        self.folder.join("npm/node_modules/.bin/mcp-inspector")
    }

    /// The folder of Python's programs.
    pub(super) fn python(&self) -> PathBuf {
        self.folder.join("py/bin")
    }
}

/// What is installed, by the first test that asks. `None`, after telling so, where it cannot be; with `CI=true` it must.
pub(super) fn installed() -> Option<&'static Installed> {
    static INSTALLED: OnceLock<Result<Installed, String>> = OnceLock::new();
    match INSTALLED.get_or_init(install) {
        Ok(installed) => Some(installed),
        Err(why) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "the real servers are required in CI: {why}");
            // Straight to the stream: the test harness hides what a passing test prints.
            let line = format!("\n!!! SKIPPED, the real servers were not tried: {why}\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
            None
        }
    }
}

/// The folder of the lock files.
pub(super) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers")
}

fn install() -> Result<Installed, String> {
    let mut stamp = versions()?;
    for name in ["package.json", "package-lock.json", "requirements.txt"] {
        stamp += &fs::read_to_string(sources().join(name)).map_err(|error| format!("{name}: {error}"))?;
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or("the target folder has no name")?;
    let folder = target.join("test-servers");
    // Python's programs are bound to the folder that they were installed in.
    stamp += &folder.to_string_lossy();
    in_folder(&folder, &stamp).map_err(|error| error.to_string())??;
    Ok(Installed { folder })
}

/// Installs into `folder`, unless the stamp there says that it has been done.
fn in_folder(folder: &Path, stamp: &str) -> std::io::Result<Result<(), String>> {
    fs::create_dir_all(folder)?;
    // Another `cargo test` may be at it. The lock ends with the file's handle.
    let lock = File::create(folder.join("lock"))?;
    lock.lock()?;
    let stamp_file = folder.join("stamp");
    if fs::read_to_string(&stamp_file).is_ok_and(|found| found == stamp) {
        return Ok(Ok(()));
    }
    for name in ["npm", "py"] {
        let _ = fs::remove_dir_all(folder.join(name));
    }
    let (npm, python) = (folder.join("npm"), folder.join("py"));
    fs::create_dir_all(&npm)?;
    for name in ["package.json", "package-lock.json"] {
        fs::copy(sources().join(name), npm.join(name))?;
    }
    let result = run(&npm, "npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .and_then(|_| run(folder, "python3", ["-m".as_ref(), "venv".as_ref(), python.as_os_str()]))
        .and_then(|_| {
            let requirements = sources().join("requirements.txt");
            let args = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"].map(OsStr::new);
            run(folder, python.join("bin/python"), args.into_iter().chain([requirements.as_os_str()]))
        });
    if result.is_ok() {
        fs::write(stamp_file, stamp)?;
    }
    Ok(result.map(drop))
}

/// The versions of what the servers are run by: what is installed fits these only.
fn versions() -> Result<String, String> {
    let here = Path::new(".");
    let node = run(here, "node", ["--version"])?;
    let major = node.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < NODE) {
        return Err(format!("Node.js {NODE} or newer is needed, this is {}", node.trim()));
    }
    run(here, "npm", ["--version"])?;
    run(here, "git", ["--version"])?;
    run(here, "python3", ["-c", "import venv, ensurepip"])?;
    Ok(node + &run(here, "python3", ["--version"])?)
}

/// Runs a program to its end; gives back its standard output.
#[expect(clippy::disallowed_methods, reason = "installers are run to their end")]
fn run<S: AsRef<OsStr>>(
    folder: &Path,
    program: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = S>,
) -> Result<String, String> {
    let name = program.as_ref().to_string_lossy().into_owned();
    let mut command = Command::new(&program);
    let output = command.args(args).current_dir(folder).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("`{name}` cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("`{name}` has failed: {}", String::from_utf8_lossy(&output.stderr)))
}
