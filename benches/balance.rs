//! Four instances of one server, one of them ten times slower, under the same load: balanced by us, in turn, and by least
//! connections. Prints its part of docs/performance.md; `benches/run` does the rest.
//!
//! In turn and by least connections a host with no one between balances over the same instances. All are measured in turns
//! within one run. The servers are this program itself, started with `--server MILLISECONDS`.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_mcp-orchestrator");

/// How long calls of each instance take.
const MILLISECONDS: [u64; 4] = [10, 10, 10, 100];

/// The load: this many calls, this long apart, in each turn. The first turn is for warming up.
const CALLS: usize = 600;
const PACE: Duration = Duration::from_millis(5);
const TURNS: usize = 4;

/// Which instance gets the next call, where the host itself decides.
#[derive(Clone, Copy)]
enum Way {
    Ours,
    InTurn,
    LeastConnections,
}

const WAYS: [(Way, &str); 3] =
    [(Way::Ours, "orchestrator"), (Way::InTurn, "in turn"), (Way::LeastConnections, "least connections")];

/// A process that is called, and where its answers come: its number, the call's, and when.
struct Peer {
    to: ChildStdin,
    child: Child,
    tool: &'static str,
}

type Answers = Receiver<(usize, usize, Instant)>;

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("--server") {
        return serve(arguments.next().and_then(|ms| ms.parse().ok()).unwrap_or_default());
    }
    let mut text = String::from(
        "\n## Balancing\n\nFour instances of one server, of which one takes 100 ms for a call and the others 10 ms; 200 calls a second. \
         In turn and by\nleast connections the host itself balances, with nobody between.\n\n\
         | balanced by | p50 | p99 | calls of the slow instance |\n|---|---|---|---|\n",
    );
    let mut taken = [const { Vec::new() }; WAYS.len()];
    let mut slow = [0; WAYS.len()];
    let registry = registry();
    let path = registry.path().to_string_lossy().into_owned();
    let mut groups = WAYS.map(|(way, _)| start(way, &path));
    for turn in 0..TURNS {
        for (place, ((way, _), (peers, answers))) in WAYS.iter().zip(&mut groups).enumerate() {
            let took = load(*way, peers, answers);
            if turn > 0 {
                slow[place] += took.iter().filter(|took| **took >= Duration::from_millis(90)).count();
                taken[place].extend(took);
            }
        }
    }
    for (((_, name), taken), slow) in WAYS.iter().zip(&mut taken).zip(slow) {
        taken.sort_unstable();
        let at = |percent: usize| taken[(taken.len() * percent / 100).min(taken.len() - 1)].as_secs_f64() * 1e3;
        let _ = writeln!(text, "| {name} | {:.1} ms | {:.1} ms | {slow} of {} |", at(50), at(99), taken.len());
    }
    std::io::stdout().lock().write_all(text.as_bytes()).expect("standard output is there");
}

/// Makes the calls of one turn; gives back how long each took.
fn load(way: Way, peers: &mut [Peer], answers: &Answers) -> Vec<Duration> {
    let began = Instant::now();
    let mut sent = Vec::with_capacity(CALLS);
    let mut took = Vec::with_capacity(CALLS);
    let mut in_flight = vec![0_u32; peers.len()];
    let mut next = 0;
    while took.len() < CALLS {
        let due = began + PACE * u32::try_from(sent.len()).unwrap_or(u32::MAX);
        let wait =
            if sent.len() < CALLS { due.saturating_duration_since(Instant::now()) } else { Duration::from_secs(10) };
        if let Ok((peer, call, at)) = answers.recv_timeout(wait) {
            in_flight[peer] -= 1;
            let call: Instant = sent[call];
            took.push(at.saturating_duration_since(call));
            continue;
        }
        assert!(sent.len() < CALLS, "an answer has not come");
        let peer = match way {
            Way::Ours => 0,
            Way::InTurn => next % peers.len(),
            // Of those alike the next in turn, or the first would get nearly all.
            Way::LeastConnections => (0..peers.len())
                .min_by_key(|peer| (in_flight[*peer], (peer + peers.len() - next % peers.len()) % peers.len()))
                .unwrap_or_default(),
        };
        next += 1;
        in_flight[peer] += 1;
        let call = json!({ "name": peers[peer].tool, "arguments": {} });
        peers[peer].say(&json!({ "jsonrpc": "2.0", "id": sent.len(), "method": "tools/call", "params": call }));
        sent.push(Instant::now());
    }
    took
}

fn start(way: Way, registry: &str) -> (Vec<Peer>, Answers) {
    let (answered, answers) = channel();
    let peers = match way {
        Way::Ours => vec![Peer::start(0, BINARY, &["serve", "--quiet", "--registry", registry], "work__do", &answered)],
        Way::InTurn | Way::LeastConnections => {
            let own = own_path();
            let start =
                |(place, ms): (usize, u64)| Peer::start(place, &own, &["--server", &ms.to_string()], "do", &answered);
            MILLISECONDS.into_iter().enumerate().map(start).collect()
        }
    };
    (peers, answers)
}

fn own_path() -> String {
    std::env::current_exe().expect("we run").to_string_lossy().into_owned()
}

fn registry() -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a temporary file");
    let own = own_path();
    let [first, rest @ ..] = MILLISECONDS.map(|ms| format!("command = {own:?}, args = [\"--server\", \"{ms}\"]"));
    let rest: Vec<_> = rest.into_iter().map(|one| format!("{{ {one} }}")).collect();
    let first = first.replace(", args", "\nargs");
    let text = format!("[servers.work]\n{first}\nreplicas = [{}]\n", rest.join(", "));
    file.write_all(text.as_bytes()).expect("written");
    file
}

impl Peer {
    #[expect(clippy::disallowed_methods, reason = "a benchmark starts its own peers")]
    fn start(
        place: usize,
        program: &str,
        arguments: &[&str],
        tool: &'static str,
        answered: &Sender<(usize, usize, Instant)>,
    ) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the peer starts");
        let (to, from) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let mut peer = Self { to, child, tool };
        let about = json!({ "name": "bench", "version": "1" });
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": about });
        let mut lines = BufReader::new(from).lines();
        let mut ask = |method: &str, params: Value| {
            peer.say(&json!({ "jsonrpc": "2.0", "id": "open", "method": method, "params": params }));
            lines.by_ref().map_while(Result::ok).find(|line| line.contains("\"open\"")).expect("the peer answers");
        };
        ask("initialize", params);
        ask("tools/list", json!({}));
        let answered = answered.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let at = Instant::now();
                let answer: Value = serde_json::from_str(&line).unwrap_or_default();
                let Some(id) = answer["id"].as_u64().and_then(|id| usize::try_from(id).ok()) else { continue };
                assert!(answer.get("result").is_some(), "a call has failed: {line}");
                if answered.send((place, id, at)).is_err() {
                    return;
                }
            }
        });
        peer
    }

    fn say(&mut self, message: &Value) {
        self.to.write_all(format!("{message}\n").as_bytes()).expect("the peer reads");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server with one tool, which takes so long.
fn serve(milliseconds: u64) {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
        let Some(id) = message.get("id").cloned() else { continue };
        let result = match message["method"].as_str() {
            Some("initialize") => json!({
                "protocolVersion": "2025-11-25",
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "work", "version": "1" },
            }),
            Some("tools/list") => json!({ "tools": [{
                "name": "do",
                "inputSchema": { "type": "object" },
                "annotations": { "readOnlyHint": true },
            }] }),
            Some("tools/call") => {
                std::thread::spawn(move || {
                    pause(Duration::from_millis(milliseconds));
                    answer(&id, &json!({ "content": [] }));
                });
                continue;
            }
            Some("ping") => json!({}),
            _ => {
                let error = json!({ "code": -32601, "message": "no such method" });
                println(&json!({ "jsonrpc": "2.0", "id": id, "error": error }));
                continue;
            }
        };
        answer(&id, &result);
    }
}

fn answer(id: &Value, result: &Value) {
    println(&json!({ "jsonrpc": "2.0", "id": id, "result": result }));
}

fn println(message: &Value) {
    // Fails only when nobody reads any more.
    let _ = std::io::stdout().lock().write_all(format!("{message}\n").as_bytes());
}

#[expect(clippy::disallowed_methods, reason = "the wait is the server's work")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}
