//! A host: raw JSON-RPC lines to the program and back, with a deadline on everything.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::heard::Heard;
use super::processes::{self, Process};
use super::{DEADLINE, Done, eventually};

/// A connected host.
pub(crate) struct Host {
    process: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<(String, Instant)>,
    heard: Vec<Heard>,
    stderr: Arc<Mutex<String>>,
    reading: Arc<Gate>,
    next_id: u64,
    /// Whether requests carry their own metadata instead of a session.
    pub(crate) is_modern: bool,
    /// What a modern host calls itself.
    pub(crate) name: &'static str,
    /// What a modern host says that it can do.
    pub(crate) capabilities: Value,
    recipe: Recipe,
    home: TempDir,
}

/// How the program was started.
#[derive(Clone)]
struct Recipe {
    program: OsString,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    folder: PathBuf,
}

impl Recipe {
    fn of(command: &Command) -> Self {
        let variables = command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
        Self {
            program: command.get_program().to_owned(),
            arguments: command.get_args().map(ToOwned::to_owned).collect(),
            variables: variables.collect(),
            folder: command.get_current_dir().expect("a test has a folder").to_owned(),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the program under test, which a test starts and ends by itself")]
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(self.variables.iter().cloned()).current_dir(&self.folder);
        command
    }
}

/// Whether the host reads; guarded for one look.
#[derive(Default)]
struct Gate {
    state: Mutex<Reading>,
    changed: Condvar,
}

#[derive(Default, PartialEq, Eq)]
enum Reading {
    #[default]
    On,
    Paused,
    Over,
}

impl Gate {
    fn set(&self, state: Reading) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        self.changed.notify_all();
    }

    /// Waits for a pause to end; false if nothing is read any more.
    fn pass(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.changed.wait_while(state, |state| *state == Reading::Paused);
        *state.unwrap_or_else(PoisonError::into_inner) == Reading::On
    }
}

impl Host {
    /// Kills the program in the middle of whatever it does, and starts it again in the same place.
    pub(crate) fn die_and_return(&mut self) {
        self.signal(Signal::KILL);
        self.return_with(&[]);
    }

    /// The same program on the same files with other arguments in place of `serve`, not started yet.
    pub(crate) fn again(&self, arguments: &[&str]) -> Command {
        let mut recipe = self.recipe.clone();
        recipe.arguments.retain(|argument| argument != "serve");
        recipe.arguments.extend(arguments.iter().map(OsString::from));
        recipe.command()
    }

    /// Waits for the program to end and starts it again in the same place, with further arguments.
    pub(crate) fn return_with(&mut self, arguments: &[&str]) {
        assert!(self.ended(DEADLINE).is_some(), "the program goes on\n{}", self.stderr());
        self.leaves_nothing(DEADLINE);
        let mut command = self.recipe.command();
        command.args(arguments);
        let home = std::mem::replace(&mut self.home, tempfile::tempdir().expect("a temporary folder"));
        let recipe = self.recipe.clone();
        *self = Self::of(command, home);
        self.recipe = recipe;
    }

    /// Runs a command on the same files while the program serves.
    pub(crate) fn beside(&self, args: &[&str]) -> Done {
        let mut recipe = self.recipe.clone();
        let serve = recipe.arguments.iter().position(|argument| argument == "serve").expect("it serves");
        recipe.arguments.splice(serve.., args.iter().map(OsString::from));
        Done::of(recipe.command())
    }

    pub(super) fn of(mut command: Command, home: TempDir) -> Self {
        let recipe = Recipe::of(&command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the binary can be started");
        let stdout = process.stdout.take().expect("it is a pipe");
        let mut errors = process.stderr.take().expect("it is a pipe");
        let stderr = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = channel();
        let reading = Arc::new(Gate::default());
        let gate = Arc::clone(&reading);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { return };
                if !gate.pass() || sender.send((line, Instant::now())).is_err() {
                    return;
                }
            }
        });
        let log = Arc::clone(&stderr);
        std::thread::spawn(move || {
            let mut block = vec![0; 65_536];
            while let Ok(count) = errors.read(&mut block) {
                if count == 0 {
                    return;
                }
                let text = String::from_utf8_lossy(&block[..count]);
                log.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
            }
        });
        let stdin = process.stdin.take();
        Self {
            process,
            stdin,
            lines,
            heard: Vec::new(),
            stderr,
            reading,
            next_id: 1,
            is_modern: false,
            name: "test",
            capabilities: json!({}),
            recipe,
            home,
        }
    }

    /// Opens the connection in the old way; gives back the result.
    pub(crate) fn initialize(&mut self) -> Value {
        let params = json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1" },
        });
        let answer = self.request("initialize", params);
        self.notify("notifications/initialized", json!({}));
        answer["result"].clone()
    }

    /// Writes bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let stdin = self.stdin.as_mut().expect("the input has not been closed");
        stdin.write_all(bytes).and_then(|()| stdin.flush()).expect("the program reads its input");
    }

    /// Answers a request of the program.
    pub(crate) fn respond(&mut self, id: &Value, result: Value) {
        self.write(format!("{}\n", json!({ "jsonrpc": "2.0", "id": id, "result": result })).as_bytes());
    }

    /// Sends a notification.
    pub(crate) fn notify(&mut self, method: &str, params: Value) {
        self.write(format!("{}\n", json!({ "jsonrpc": "2.0", "method": method, "params": params })).as_bytes());
    }

    /// Sends a request; gives back its id.
    pub(crate) fn send(&mut self, method: &str, mut params: Value) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        if self.is_modern {
            params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
            params["_meta"]["io.modelcontextprotocol/clientInfo"] = json!({ "name": self.name, "version": "1" });
            params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = self.capabilities.clone();
        }
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.write(format!("{request}\n").as_bytes());
        id
    }

    /// Sends a tool call; gives back its id.
    pub(crate) fn send_call(&mut self, tool: &str, arguments: Value) -> u64 {
        self.send("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// The answer to a request: the whole message.
    pub(crate) fn answer(&mut self, id: u64) -> Value {
        self.hear(&format!("the answer to {id}"), |heard| heard.is_answer_to(id)).message.clone()
    }

    /// The answer to a request, and when it came.
    pub(crate) fn timed_answer(&mut self, id: u64) -> (Value, Instant) {
        let heard = self.hear(&format!("the answer to {id}"), |heard| heard.is_answer_to(id));
        (heard.message.clone(), heard.at)
    }

    /// The answer to a request as it came.
    pub(crate) fn raw_answer(&mut self, id: u64) -> String {
        self.hear(&format!("the answer to {id}"), |heard| heard.is_answer_to(id)).raw.clone()
    }

    /// Sends a request and waits for its answer: the whole message.
    pub(crate) fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.send(method, params);
        self.answer(id)
    }

    /// Calls a tool; gives back the result.
    pub(crate) fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let id = self.send_call(tool, arguments);
        let answer = self.answer(id);
        assert!(answer.get("result").is_some(), "{tool} has no result: {answer}");
        answer["result"].clone()
    }

    /// Calls a tool that must succeed; gives back its structured content.
    pub(crate) fn value(&mut self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments);
        assert!(result["isError"] != true, "{tool} has failed: {result}");
        result["structuredContent"].clone()
    }

    /// Calls a tool that must fail, and fail with a clear word on the server and the reason; gives back the text.
    pub(crate) fn failure(&mut self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments);
        assert!(result["isError"] == true, "{tool} has not failed: {result}");
        text(&result)
    }

    /// Calls a workflow that must fail; gives back its report.
    pub(crate) fn failed(&mut self, workflow: &str, input: Value) -> Value {
        let result = self.call(workflow, input);
        assert!(result["isError"] == true, "{workflow} has not failed: {result}");
        result["structuredContent"].clone()
    }

    /// Every name in the whole list of `tools`, `prompts` and so on, page by page.
    pub(crate) fn names(&mut self, method: &str, key: &str) -> Vec<String> {
        let name = |item: &Value| ["uri", "name"].iter().find_map(|key| item[*key].as_str().map(str::to_owned));
        let mut names = Vec::new();
        let mut params = json!({});
        loop {
            let answer = self.request(method, params);
            let list = answer["result"][key].as_array().unwrap_or_else(|| panic!("{method} has no list: {answer}"));
            names.extend(list.iter().map(|item| name(item).expect("every entry has a name")));
            let Some(next) = answer["result"]["nextCursor"].as_str() else { return names };
            params = json!({ "cursor": next });
        }
    }

    /// The names of all tools.
    pub(crate) fn tools(&mut self) -> Vec<String> {
        self.names("tools/list", "tools")
    }

    /// Waits until the tools of `servers`, or single tools, are all listed. Answers to a list never wait for a slow server.
    pub(crate) fn ready(&mut self, servers: &[&str]) {
        let began = Instant::now();
        loop {
            let tools = self.tools();
            let is_listed =
                |name: &&str| tools.iter().any(|tool| tool == name || tool.starts_with(&format!("{name}__")));
            if servers.iter().all(is_listed) {
                return;
            }
            assert!(began.elapsed() < DEADLINE, "{servers:?} are not all listed: {tools:?}\n{}", self.stderr());
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Waits for a message that `fits`.
    pub(crate) fn wait_for(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        self.hear(what, |heard| fits(&heard.message)).message.clone()
    }

    /// Reads nothing of what the program writes until `read_again`.
    pub(crate) fn stop_reading(&self) {
        self.reading.set(Reading::Paused);
    }

    /// Reads on.
    pub(crate) fn read_again(&self) {
        self.reading.set(Reading::On);
    }

    /// Closes its end of the program's standard output when the next line comes.
    pub(crate) fn stop_listening(&self) {
        self.reading.set(Reading::Over);
    }

    /// Writes bytes to a program that may have ended.
    pub(crate) fn write_if_read(&mut self, bytes: &[u8]) {
        let _ = self.stdin.as_mut().expect("the input has not been closed").write_all(bytes);
    }

    /// Waits until each of `ids` has been answered once, and keeps nothing of it.
    pub(crate) fn hear_answers(&mut self, ids: impl IntoIterator<Item = u64>) {
        let mut ids: HashSet<_> = ids.into_iter().collect();
        while !ids.is_empty() {
            let line = self.lines.recv_timeout(DEADLINE);
            let line = line.unwrap_or_else(|_| panic!("{} answers have not come\n{}", ids.len(), self.stderr()));
            // Only the head is read: hundreds of large answers take a test build long to parse.
            let head = line.0.strip_prefix(r#"{"jsonrpc":"2.0","id":"#).and_then(|rest| rest.split_once(','));
            if let Some(id) = head.and_then(|(id, _)| id.parse().ok()) {
                assert!(ids.remove(&id), "{id} was answered twice, or never asked");
            }
        }
    }

    /// Every message so far, in order.
    pub(crate) fn heard(&mut self) -> &[Heard] {
        while let Ok(line) = self.lines.try_recv() {
            self.heard.push(Heard::read(line));
        }
        &self.heard
    }

    /// The parameters of every notification `method` so far, in order.
    pub(crate) fn notifications(&mut self, method: &str) -> Vec<Value> {
        let is_it = |heard: &&Heard| heard.message["method"] == method;
        self.heard().iter().filter(is_it).map(|heard| heard.message["params"].clone()).collect()
    }

    fn hear(&mut self, what: &str, fits: impl Fn(&Heard) -> bool) -> &Heard {
        let until = Instant::now() + DEADLINE;
        let mut next = 0;
        let place = loop {
            if let Some(place) = self.heard[next..].iter().position(&fits) {
                break next + place;
            }
            next = self.heard.len();
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.heard.push(Heard::read(line)),
                Err(RecvTimeoutError::Timeout) => panic!("{what} has not come\n{}", self.stderr()),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("{what} has not come, the program has\n{}", self.stderr())
                }
            }
        };
        &self.heard[place]
    }

    /// The folder that it all lives in.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// What the program has said on standard error.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the program has said `text` on standard error.
    pub(crate) fn says(&self, text: &str) -> bool {
        eventually(DEADLINE, || self.stderr().contains(text))
    }

    /// The lines of a record that the fixture server `server` keeps.
    pub(crate) fn record(&self, server: &str, kind: &str) -> Vec<String> {
        let text = fs::read_to_string(self.home.path().join(format!("{server}.{kind}"))).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until the server's record called `kind` has `lines` lines.
    pub(crate) fn await_record(&self, server: &str, kind: &str, lines: usize) {
        let is_there = eventually(DEADLINE, || self.record(server, kind).len() >= lines);
        assert!(is_there, "{server}.{kind} has not {lines} lines\n{}", self.stderr());
    }

    /// The process of the server's latest start.
    pub(crate) fn pid(&self, server: &str) -> i32 {
        let pid = self.record(server, "starts").last().and_then(|pid| pid.parse().ok());
        pid.unwrap_or_else(|| panic!("{server} has not been started\n{}", self.stderr()))
    }

    /// How much memory the program has had at most, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        processes::peak_memory(self.process.id())
    }

    /// What the program holds now.
    pub(crate) fn held(&self) -> processes::Held {
        processes::held(self.process.id())
    }

    /// Lifts the limit of how much the program may write.
    pub(crate) fn unlimited(&self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.process.id()).expect("a pid is an i32"));
        let none = rustix::process::Rlimit { current: None, maximum: None };
        rustix::process::prlimit(pid, rustix::process::Resource::Fsize, none).expect("the limit was a soft one");
    }

    /// Closes the program's standard input.
    pub(crate) fn leave(&mut self) {
        self.stdin = None;
    }

    /// Sends the program a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        processes::signal(i32::try_from(self.process.id()).expect("a pid is an i32"), signal);
    }

    /// Waits for the program to end.
    pub(crate) fn ended(&mut self, limit: Duration) -> Option<ExitStatus> {
        let mut status = None;
        eventually(limit, || {
            status = self.process.try_wait().expect("our own child");
            status.is_some()
        });
        status
    }

    /// What of the program and its servers is alive.
    pub(crate) fn processes_left(&self) -> Vec<Process> {
        processes::of(self.home.path())
    }

    /// Asserts that within `limit` nothing is alive any more.
    pub(crate) fn leaves_nothing(&mut self, limit: Duration) {
        // Our own child must be reaped, or it counts as alive.
        let is_clean = eventually(limit, || {
            let _ = self.process.try_wait();
            self.processes_left().is_empty()
        });
        assert!(is_clean, "left behind: {:#?}\n{}", self.processes_left(), self.stderr());
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        for left in self.processes_left() {
            processes::signal(left.pid, Signal::KILL);
        }
    }
}

/// The text of a tool result.
pub(crate) fn text(result: &Value) -> String {
    let blocks = result["content"].as_array().into_iter().flatten();
    blocks.filter_map(|block| block["text"].as_str()).collect::<Vec<_>>().join("\n")
}
