//! What a call through us costs, beside the direct call to the same server, beside a proxy that decodes every message and
//! beside one that reads nothing (both of `benches/typed-proxy`, by the variables `TYPED_PROXY` and `BYTE_RELAY`). Prints
//! docs/performance.md; `benches/run` does the rest.
//!
//! All are measured in turns within one run, so that whatever else the machine does hits all alike. Judge the ratios.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_mcp-orchestrator");

/// What the page says before its numbers.
const INTRODUCTION: &str = "\
# Performance

Written by `benches/run --write`: one run on one machine, everybody in turns.

- *direct* is the demonstration's server over two pipes;
- *orchestrator* is this program between the two, with every policy on (names, chains, deadlines, breaker, health, bounded
  queues, cancellation, progress);
- *typed proxy* is a minimal proxy that decodes and encodes every message by rmcp's types (`benches/typed-proxy`);
- *byte relay* is two threads that copy bytes and read nothing: the least that a process between the two can cost.

The server needs its own time for large payloads. Absolute times depend on the machine; judge the ratios.
";

/// How often every peer has its turn.
const TURNS: usize = 12;

/// How many calls are in flight at once where throughput is measured, and how many are made in a turn.
const AT_ONCE: usize = 64;
const FLOOD: usize = 4_000;

/// A peer that speaks MCP over pipes, and the host before it: one thread that writes and waits, as simple hosts are.
struct Peer {
    name: &'static str,
    tool: &'static str,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    line: Vec<u8>,
    child: Child,
}

/// What goes there and back, and how many calls make a turn.
struct Payload {
    name: &'static str,
    arguments: Value,
    calls: usize,
}

fn main() {
    let registry = registry();
    let path = registry.path().to_string_lossy().into_owned();
    let mut peers = vec![
        Peer::start("direct", "reserve", BINARY, &["demo-server", "warehouse"]),
        Peer::start("orchestrator", "warehouse__reserve", BINARY, &["serve", "--quiet", "--registry", &path]),
    ];
    for (name, variable) in [("typed proxy", "TYPED_PROXY"), ("byte relay", "BYTE_RELAY")] {
        if let Ok(proxy) = std::env::var(variable) {
            peers.push(Peer::start(name, "reserve", &proxy, &[BINARY, "demo-server", "warehouse"]));
        }
    }
    let mut latencies = Vec::new();
    // `cargo bench --bench compare -- "100 B"` measures these only.
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for payload in payloads().into_iter().filter(|payload| payload.name.contains(&only)) {
        latencies.push((payload.name, latency(&mut peers, &payload)));
    }
    let rates = throughput(&mut peers);
    let mut out = std::io::stdout().lock();
    out.write_all(report(&peers, &latencies, &rates).as_bytes()).expect("standard output is there");
}

fn payloads() -> [Payload; 4] {
    let text = |name, bytes: usize, calls| payload(name, &json!("x".repeat(bytes)), calls);
    let members: Vec<_> = (0..12_000)
        .map(|n| json!({ "id": n, "name": format!("article {n}"), "price": 12.5, "tags": ["a", "b"] }))
        .collect();
    [
        text("100 B of text", 100, 400),
        text("10 KB of text", 10_000, 200),
        text("1 MB of text", 1_000_000, 8),
        payload("1 MB of structured JSON", &Value::from(members), 8),
    ]
}

fn payload(name: &'static str, sku: &Value, calls: usize) -> Payload {
    Payload { name, arguments: json!({ "sku": sku, "quantity": 1 }), calls }
}

fn registry() -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a temporary file");
    let text = format!(
        "[servers.warehouse]\ncommand = {BINARY:?}\nargs = [\"demo-server\", \"warehouse\"]\nconcurrency = 1000\n"
    );
    file.write_all(text.as_bytes()).expect("written");
    file
}

impl Peer {
    #[expect(clippy::disallowed_methods, reason = "a benchmark starts its own peers")]
    fn start(name: &'static str, tool: &'static str, program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the peer starts");
        let (to, from) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let mut peer = Self { name, tool, to, from: BufReader::with_capacity(1 << 16, from), line: Vec::new(), child };
        let about = json!({ "name": "bench", "version": "1" });
        peer.ask("initialize", &json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": about }));
        peer.write(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n");
        peer.ask("tools/list", &json!({}));
        peer
    }

    fn ask(&mut self, method: &str, params: &Value) {
        let line = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        self.write(format!("{line}\n").as_bytes());
        self.read();
    }

    /// `count` calls as they go over the wire, each with an id of its own.
    fn calls(&self, arguments: &Value, first: usize, count: usize) -> Vec<u8> {
        let params = json!({ "name": self.tool, "arguments": arguments }).to_string();
        let call = |id| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{params}}}\n");
        (first..first + count).map(call).collect::<String>().into_bytes()
    }

    fn write(&mut self, text: &[u8]) {
        self.to.write_all(text).expect("the peer reads");
    }

    /// Reads the next answer, past what the peer has to say besides.
    fn read(&mut self) {
        let has = |line: &[u8], member: &[u8]| line.windows(member.len()).any(|part| part == member);
        loop {
            self.line.clear();
            self.from.read_until(b'\n', &mut self.line).expect("the peer answers");
            let start = &black_box(&self.line)[..self.line.len().min(80)];
            if has(start, b"\"method\"") {
                continue;
            }
            return assert!(has(start, b"\"result\""), "{}: {}", self.name, String::from_utf8_lossy(start));
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How long calls take one after the other, by peer, shortest first.
fn latency(peers: &mut [Peer], payload: &Payload) -> Vec<Vec<Duration>> {
    let mut taken = vec![Vec::new(); peers.len()];
    for turn in 0..=TURNS {
        for (peer, taken) in peers.iter_mut().zip(&mut taken) {
            let call = peer.calls(&payload.arguments, 1, 1);
            for _ in 0..payload.calls {
                let began = Instant::now();
                peer.write(&call);
                peer.read();
                // The first turn is for warming up.
                if turn > 0 {
                    taken.push(began.elapsed());
                }
            }
        }
    }
    for taken in &mut taken {
        taken.sort_unstable();
    }
    taken
}

/// Calls per second with many in flight, by peer: the middle of the turns.
fn throughput(peers: &mut [Peer]) -> Vec<f64> {
    let arguments = payload("", &json!("x".repeat(100)), 0).arguments;
    let mut rates = vec![Vec::new(); peers.len()];
    for _ in 0..TURNS {
        for (peer, rates) in peers.iter_mut().zip(&mut rates) {
            let began = Instant::now();
            peer.write(&peer.calls(&arguments, 0, AT_ONCE));
            let (mut sent, mut answered) = (AT_ONCE, 0);
            for left in (0..FLOOD).rev() {
                peer.read();
                answered += 1;
                // As many again as have been answered so far, in one go.
                if peer.from.buffer().is_empty() || left == 0 {
                    let more = answered.min(FLOOD - sent);
                    peer.write(&peer.calls(&arguments, sent, more));
                    (sent, answered) = (sent + more, 0);
                }
            }
            rates.push(f64::from(u32::try_from(FLOOD).unwrap_or(u32::MAX)) / began.elapsed().as_secs_f64());
        }
    }
    rates
        .into_iter()
        .map(|mut rates| {
            rates.sort_unstable_by(f64::total_cmp);
            rates[rates.len() / 2]
        })
        .collect()
}

fn report(peers: &[Peer], latencies: &[(&str, Vec<Vec<Duration>>)], rates: &[f64]) -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut text = format!("{INTRODUCTION}\nMeasured with {cores} cores.\n\n");
    text.push_str("| call | peer | p50 | p90 | added to direct | times direct |\n|---|---|---|---|---|---|\n");
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    for (payload, taken) in latencies {
        let p50 = |taken: &Vec<Duration>| micros(taken[taken.len() / 2]);
        for (peer, times) in peers.iter().zip(taken) {
            let (direct, own) = (p50(&taken[0]), p50(times));
            let p90 = micros(times[times.len() * 9 / 10]);
            let _ = writeln!(
                text,
                "| {payload} | {} | {own:.0} µs | {p90:.0} µs | {:.0} µs | {:.2} |",
                peer.name,
                own - direct,
                own / direct
            );
        }
    }
    let _ = write!(text, "\n{AT_ONCE} calls of 100 B in flight:\n\n| peer | calls per second |\n|---|---|\n");
    for (peer, rate) in peers.iter().zip(rates) {
        let _ = writeln!(text, "| {} | {rate:.0} |", peer.name);
    }
    if let ([direct, ours, typed, relay], [(_, small), ..]) = (rates, latencies) {
        let p50 = |taken: &Vec<Duration>| micros(taken[taken.len() / 2]);
        let added = |place: usize| p50(&small[place]) - p50(&small[0]);
        let _ = write!(
            text,
            "\nAt 100 B the orchestrator adds {:.2} times what the typed proxy adds, and the byte relay {:.2} times. With {AT_ONCE}\n\
             calls in flight the orchestrator carries {:.1} times as many calls as the typed proxy, the byte relay {:.1} times, and\n\
             the direct connection {:.1} times, which no proxy can exceed here: host and server take part of the cores.\n",
            added(1) / added(2),
            added(3) / added(2),
            ours / typed,
            relay / typed,
            direct / typed
        );
    }
    text
}
