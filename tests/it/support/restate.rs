//! A Restate server of a test's own, on this machine only, from the npm package that `tests/servers/restate` pins.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tempfile::TempDir;

use super::{DEADLINE, eventually};

/// How long a server may take to be ready on a busy machine.
const READY: Duration = Duration::from_mins(1);

/// A running server, or a cluster. Dropping it ends it.
pub(crate) struct Restate {
    /// Where the program is to wait for Restate.
    pub(crate) listen: u16,
    nodes: Vec<Node>,
    home: TempDir,
    /// Each takes memory and disk, so that one at a time is enough.
    _turn: MutexGuard<'static, ()>,
}

/// One process of it.
struct Node {
    /// Where runs are begun, where they are looked at, and where other nodes find it.
    ports: [u16; 3],
    process: Child,
}

impl Restate {
    /// Starts a server, when it is the test's turn. `None`, after saying so, where it cannot be installed; with `CI=true` it must.
    pub(crate) fn start() -> Option<Self> {
        let [ingress, admin, node, listen] = free_ports();
        Self::of(&[[ingress, admin, node]], listen)
    }

    /// The same with three nodes, of which two keep everything.
    pub(crate) fn cluster() -> Option<Self> {
        let ports: [u16; 10] = free_ports();
        let (nodes, _) = ports.as_chunks::<3>();
        Self::of(nodes, ports[9])
    }

    fn of(ports: &[[u16; 3]], listen: u16) -> Option<Self> {
        static TURN: Mutex<()> = Mutex::new(());
        let program = installed()?;
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let home = tempfile::Builder::new().prefix("restate-test-").tempdir().expect("a temporary folder");
        let mut nodes = Vec::new();
        for number in 0..ports.len() {
            let folder = home.path().join(number.to_string());
            fs::create_dir(&folder).expect("a folder of our own");
            fs::write(folder.join("restate.toml"), settings(number, &folder, ports)).expect("a file of our own");
            nodes.push(Node { ports: ports[number], process: start(program, &folder) });
        }
        let server = Self { listen, nodes, home, _turn: turn };
        assert!(server.is_ready(), "Restate is not ready: {}", server.log());
        Some(server)
    }

    fn is_ready(&self) -> bool {
        let answers = |port, path| get(port, path).is_some_and(|head| head.starts_with("HTTP/1.1 200"));
        self.nodes.iter().all(|Node { ports: [ingress, admin, _], .. }| {
            eventually(READY, || answers(*admin, "/health") && answers(*ingress, "/restate/health"))
        })
    }

    /// The lines of a registry that let its runs be carried here.
    pub(crate) fn engine(&self) -> String {
        self.engine_at(self.listen)
    }

    /// The same for one that waits elsewhere for Restate.
    pub(crate) fn engine_at(&self, listen: u16) -> String {
        let all = |which: usize| {
            let addresses = self.nodes.iter().map(|node| format!("\"http://127.0.0.1:{}\"", node.ports[which]));
            addresses.collect::<Vec<_>>().join(", ")
        };
        format!(
            "[engine]\nbackend = \"restate\"\n[engine.restate]\ningress = [{}]\nadmin = [{}]\nlisten = \"127.0.0.1:{listen}\"\n",
            all(0),
            all(1)
        )
    }

    /// Waits until the server knows of the program.
    pub(crate) fn knows_of_us(&self) {
        let [_, admin, _] = self.nodes[0].ports;
        let knows = || get(admin, "/services/OrchestratorRun").is_some_and(|head| head.starts_with("HTTP/1.1 200"));
        assert!(eventually(DEADLINE, knows), "Restate does not know the program: {}", self.log());
    }

    /// Ends the first node in the middle of whatever it does, and starts it again.
    pub(crate) fn die_and_return(&mut self) {
        self.kill(0);
        self.nodes[0].process = start(installed().expect("it was installed"), &self.home.path().join("0"));
        assert!(self.is_ready(), "Restate is not ready: {}", self.log());
    }

    /// Ends a node in the middle of whatever it does.
    pub(crate) fn kill(&mut self, node: usize) {
        let process = &mut self.nodes[node].process;
        // The shell ends it when its input ends.
        drop(process.stdin.take());
        let _ = process.wait();
    }

    /// What Restate answers to a question in SQL.
    pub(crate) fn asked(&self, sql: &str) -> String {
        self.operated(1, "POST /query", &serde_json::json!({ "query": sql }).to_string())
    }

    /// Cancels what carries a run, with Restate's own means.
    pub(crate) fn cancel(&self, run: &str) {
        let sql = format!("select id from sys_invocation_status where target_service_key = '{run}'");
        let answer = self.asked(&sql);
        let id = answer.split('"').find(|text| text.starts_with("inv_")).unwrap_or_else(|| panic!("{answer}"));
        let answer = self.operated(1, &format!("PATCH /invocations/{id}/cancel"), "");
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }

    /// Has a handler do its work now.
    pub(crate) fn call(&self, handler: &str) {
        let answer = self.operated(0, &format!("POST {handler}"), "");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// What is answered at one of the first node's addresses.
    fn operated(&self, port: usize, what: &str, body: &str) -> String {
        let port = self.nodes[0].ports[port];
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
        let sort = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let _ = write!(
            stream,
            "{what} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAccept: application/json\r\n\
             {sort}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    fn log(&self) -> String {
        let log = fs::read_to_string(self.home.path().join("0/log")).unwrap_or_default();
        log.chars().rev().take(3_000).collect::<Vec<_>>().into_iter().rev().collect()
    }
}

impl Drop for Restate {
    fn drop(&mut self) {
        (0..self.nodes.len()).for_each(|node| self.kill(node));
    }
}

/// The settings of a node that others on this machine only may speak to.
fn settings(number: usize, folder: &Path, ports: &[[u16; 3]]) -> String {
    let [ingress, admin, node] = ports[number];
    let others: Vec<_> = ports.iter().map(|[_, _, node]| format!("\"http://127.0.0.1:{node}\"")).collect();
    format!(
        "cluster-name = \"test\"\nnode-name = \"n{number}\"\nbase-dir = {:?}\nlisten-mode = \"tcp\"\nbind-ip = \"127.0.0.1\"\n\
         bind-port = {node}\nadvertised-host = \"127.0.0.1\"\ndisable-telemetry = true\ndefault-num-partitions = 4\n\
         auto-provision = {}\ndefault-replication = {}\nrocksdb-total-memory-size = \"256 MiB\"\nlog-disable-ansi-codes = true\n\
         [metadata-client]\naddresses = [{}]\n\
         [ingress]\nbind-port = {ingress}\n[admin]\nbind-port = {admin}\ndisable-web-ui = true\n",
        folder.join("data").to_string_lossy(),
        number == 0,
        if ports.len() == 1 { 1 } else { 2 },
        others.join(", "),
    )
}

/// Starts the server. It ends when this process does, however that ends: a shell beside it waits for the end of its input.
#[expect(clippy::disallowed_methods, reason = "the server under test, which a test starts and ends by itself")]
fn start(program: &Path, home: &Path) -> Child {
    let log = File::create(home.join("log")).expect("a file of our own");
    Command::new("sh")
        .args(["-c", "\"$0\" \"$@\" </dev/null & pid=$!; cat >/dev/null; kill -9 $pid; wait $pid"])
        .arg(program)
        .args(["--no-logo", "--config-file", "restate.toml"])
        .current_dir(home)
        .env("DO_NOT_TRACK", "1")
        .stdin(Stdio::piped())
        .stdout(log.try_clone().expect("a handle"))
        .stderr(log)
        .spawn()
        .expect("the server can be started")
}

/// Ports that nobody listens at.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let bound: [TcpListener; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    bound.map(|listener| listener.local_addr().expect("it is bound").port())
}

/// The head of an answer.
fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    Some(answer)
}

fn installed() -> Option<&'static PathBuf> {
    static INSTALLED: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match INSTALLED.get_or_init(install) {
        Ok(program) => Some(program),
        Err(why) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "a Restate server is required in CI: {why}");
            // Straight to the stream: the test harness hides what a passing test prints.
            let line = format!("\n!!! SKIPPED, no run was carried by Restate: {why}\n");
            let _ = std::io::stderr().write_all(line.as_bytes());
            None
        }
    }
}

/// Installs the server into `target/test-servers`, once for every state of the lock file.
fn install() -> Result<PathBuf, String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/restate");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or("the target folder has no name")?;
    let folder = target.join("test-servers/restate");
    let program = folder.join(format!(
        "node_modules/@restatedev/restate-server-{}-{}/bin/restate-server",
        if cfg!(target_os = "macos") { "darwin" } else { "linux" },
        if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" },
    ));
    let stamp = fs::read_to_string(sources.join("package-lock.json")).map_err(|error| error.to_string())?;
    let put = || -> std::io::Result<Result<(), String>> {
        fs::create_dir_all(&folder)?;
        // Another `cargo test` may be at it. The lock ends with the file's handle.
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        if program.exists() && fs::read_to_string(folder.join("stamp")).is_ok_and(|found| found == stamp) {
            return Ok(Ok(()));
        }
        for name in ["package.json", "package-lock.json"] {
            fs::copy(sources.join(name), folder.join(name))?;
        }
        if let Err(why) = npm(&folder) {
            return Ok(Err(why));
        }
        fs::write(folder.join("stamp"), &stamp).map(Ok)
    };
    put().map_err(|error| error.to_string())??;
    if program.exists() { Ok(program) } else { Err(format!("npm has not brought {}", program.display())) }
}

#[expect(clippy::disallowed_methods, reason = "an installer is run to its end")]
fn npm(folder: &Path) -> Result<(), String> {
    let output = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("`npm` cannot be run: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("`npm ci` has failed: {said}")) }
}
