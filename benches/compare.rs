//! What a call through us costs, beside the direct call to the same server, beside a proxy that decodes every message and
//! beside one that reads nothing (both of `benches/typed-proxy`, by the variables `TYPED_PROXY` and `BYTE_RELAY`). Prints
//! docs/performance.md; `benches/run` does the rest.
//!
//! All are measured in turns within one run, so that whatever else the machine does hits all alike. Judge the ratios.

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt as _};
use mcp_orchestrator::downstream::notice::Inbox;
use mcp_orchestrator::downstream::request::Request;
use mcp_orchestrator::downstream::stdio::lane::Lane;
use mcp_orchestrator::downstream::stdio::pipes::{self, Ends};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio_util::task::TaskTracker;

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
const FLOOD: u32 = 4_000;

/// A peer that speaks MCP over pipes, and the connection to it.
struct Peer {
    name: &'static str,
    tool: &'static str,
    lane: Arc<Lane>,
    _child: Child,
    _tasks: TaskTracker,
}

/// What goes there and back, and how many calls make a turn.
struct Payload {
    name: &'static str,
    arguments: Box<RawValue>,
    calls: usize,
}

/// The host is one thread, as those of Node and Python are: it leaves the other cores to those whom it measures.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let registry = registry();
    let path = registry.path().to_string_lossy().into_owned();
    let mut peers = vec![
        connect("direct", "reserve", BINARY.into(), &["demo-server", "warehouse"]).await,
        connect("orchestrator", "warehouse__reserve", BINARY.into(), &["serve", "--quiet", "--registry", &path]).await,
    ];
    for (name, variable) in [("typed proxy", "TYPED_PROXY"), ("byte relay", "BYTE_RELAY")] {
        if let Some(proxy) = std::env::var_os(variable) {
            peers.push(connect(name, "reserve", proxy.into(), &[BINARY, "demo-server", "warehouse"]).await);
        }
    }
    let mut latencies = Vec::new();
    // `cargo bench --bench compare -- "100 B"` measures these only.
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for payload in payloads().into_iter().filter(|payload| payload.name.contains(&only)) {
        latencies.push((payload.name, latency(&peers, &payload).await));
    }
    let rates = throughput(&peers).await;
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
    Payload { name, arguments: to_raw_value(&json!({ "sku": sku, "quantity": 1 })).expect("JSON"), calls }
}

fn registry() -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a temporary file");
    let text = format!(
        "[servers.warehouse]\ncommand = {BINARY:?}\nargs = [\"demo-server\", \"warehouse\"]\nconcurrency = 1000\n"
    );
    file.write_all(text.as_bytes()).expect("written");
    file
}

#[expect(clippy::disallowed_methods, reason = "a benchmark starts its own peers")]
async fn connect(name: &'static str, tool: &'static str, program: PathBuf, arguments: &[&str]) -> Peer {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the peer starts");
    let (stdin, stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let tasks = TaskTracker::new();
    let inbox = Arc::new(Inbox::new("bench".into(), tokio::sync::broadcast::channel(8).0));
    let lane = pipes::open(stdout, stdin, Ends::Pipes, &inbox, &tasks);
    let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
    let initialize = Request::new("initialize")
        .with_text("protocolVersion", "2025-11-25")
        .with("capabilities", raw("{}"))
        .with("clientInfo", raw(r#"{"name":"bench","version":"1"}"#));
    lane.request(&initialize, None).await.expect("a handshake");
    lane.notify("notifications/initialized", "{}");
    lane.request(&Request::new("tools/list"), None).await.expect("a list");
    Peer { name, tool, lane, _child: child, _tasks: tasks }
}

impl Peer {
    fn request(&self, arguments: &RawValue) -> Request {
        Request::new("tools/call").with_text("name", self.tool).with("arguments", arguments.to_owned())
    }
}

/// How long calls take one after the other, by peer, shortest first.
async fn latency(peers: &[Peer], payload: &Payload) -> Vec<Vec<Duration>> {
    let mut taken = vec![Vec::new(); peers.len()];
    for turn in 0..=TURNS {
        for (peer, taken) in peers.iter().zip(&mut taken) {
            let request = peer.request(&payload.arguments);
            for _ in 0..payload.calls {
                let began = Instant::now();
                black_box(peer.lane.request(&request, None).await.expect("a result"));
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
async fn throughput(peers: &[Peer]) -> Vec<f64> {
    let arguments = payload("", &json!("x".repeat(100)), 0).arguments;
    let mut rates = vec![Vec::new(); peers.len()];
    for _ in 0..TURNS {
        for (peer, rates) in peers.iter().zip(&mut rates) {
            let request = peer.request(&arguments);
            let began = Instant::now();
            let mut calls: FuturesUnordered<_> = (0..AT_ONCE).map(|_| peer.lane.request(&request, None)).collect();
            for left in (0..FLOOD).rev() {
                black_box(calls.next().await.expect("calls in flight").expect("a result"));
                if left as usize >= AT_ONCE {
                    calls.push(peer.lane.request(&request, None));
                }
            }
            rates.push(f64::from(FLOOD) / began.elapsed().as_secs_f64());
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
