//! What one forwarded call costs, with the direct call to the same server beside it.
//!
//! `direct` talks to the server over its pipes; `gateway` calls the same server through the one door within this process;
//! `forwarded` talks to the whole program over its pipes, which then talks to the server. Judge the ratios: absolute times
//! depend on the machine.

use std::collections::HashMap;
use std::hint::black_box;
use std::io::Write as _;
use std::process::Stdio;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::stream::{FuturesUnordered, StreamExt as _};
use mcp_orchestrator::app::load::{Files, load};
use mcp_orchestrator::app::run::App;
use mcp_orchestrator::downstream::notice::Inbox;
use mcp_orchestrator::downstream::request::Request;
use mcp_orchestrator::downstream::stdio::lane::Lane;
use mcp_orchestrator::downstream::stdio::pipes::{self, Ends};
use mcp_orchestrator::model::call::{Call, Target};
use mcp_orchestrator::model::port::Invoke as _;
use mcp_orchestrator::model::principal::Principal;
use serde_json::value::{RawValue, to_raw_value};
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;
use tokio_util::task::TaskTracker;

const BINARY: &str = env!("CARGO_BIN_EXE_mcp-orchestrator");

/// Sizes of the payload that goes there and back, in bytes.
const SIZES: [usize; 3] = [100, 10_000, 1_000_000];

/// How many calls are in flight at once where throughput is measured.
const AT_ONCE: usize = 64;

/// A peer that speaks MCP over pipes, and the connection to it.
struct Peer {
    lane: Arc<Lane>,
    _child: Child,
    _tasks: TaskTracker,
}

#[expect(clippy::disallowed_methods, reason = "a benchmark starts its own peers")]
async fn connect(arguments: &[&str]) -> Peer {
    let mut child = Command::new(BINARY)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");
    let (stdin, stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    let tasks = TaskTracker::new();
    let inbox = Arc::new(Inbox::new("bench".into(), tokio::sync::broadcast::channel(8).0));
    let lane = pipes::open(stdout, stdin, Ends::Pipes, &inbox, &tasks);
    let initialize = Request::new("initialize")
        .with_text("protocolVersion", "2025-11-25")
        .with("capabilities", raw("{}"))
        .with("clientInfo", raw(r#"{"name":"bench","version":"1"}"#));
    lane.request(&initialize, None).await.expect("a handshake");
    lane.notify("notifications/initialized", "{}");
    lane.request(&Request::new("tools/list"), None).await.expect("a list");
    Peer { lane, _child: child, _tasks: tasks }
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("JSON")
}

fn request(tool: &str, size: usize) -> Request {
    Request::new("tools/call").with_text("name", tool).with("arguments", arguments(size))
}

fn arguments(size: usize) -> Box<RawValue> {
    let arguments: HashMap<_, _> = [("sku", "x".repeat(size)), ("quantity", "1".to_owned())].into();
    to_raw_value(&arguments).expect("JSON")
}

fn registry() -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a temporary file");
    let text = format!(
        "[servers.warehouse]\ncommand = {BINARY:?}\nargs = [\"demo-server\", \"warehouse\"]\nconcurrency = 1000\n"
    );
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn forward(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let registry = registry();
    let path = registry.path().to_string_lossy().into_owned();
    let (direct, forwarded, app) = runtime.block_on(async {
        let direct = connect(&["demo-server", "warehouse"]).await;
        let forwarded = connect(&["serve", "--quiet", "--registry", &path]).await;
        let files = Files { registries: vec![registry.path().to_path_buf()], workflows: Vec::new() };
        let app = App::start(load(&files).expect("a registry"), None, None).without_host();
        app.gateway().settle().await;
        (direct, forwarded, app)
    });
    let gateway = app.gateway();
    let call = |size| {
        Call::new(Target::Exposed("warehouse__reserve".to_owned()), Some(arguments(size)), Principal::new("bench"))
    };

    let mut group = criterion.benchmark_group("call");
    for size in SIZES {
        let (there, through) = (request("reserve", size), request("warehouse__reserve", size));
        group.throughput(Throughput::Bytes(2 * size as u64));
        group.bench_function(BenchmarkId::new("direct", size), |bench| {
            bench
                .to_async(&runtime)
                .iter(async || black_box(direct.lane.request(&there, None).await.expect("a result")));
        });
        group.bench_function(BenchmarkId::new("gateway", size), |bench| {
            bench
                .to_async(&runtime)
                .iter(async || black_box(Arc::clone(gateway).invoke(call(size)).await.expect("a reply")));
        });
        group.bench_function(BenchmarkId::new("forwarded", size), |bench| {
            bench
                .to_async(&runtime)
                .iter(async || black_box(forwarded.lane.request(&through, None).await.expect("a result")));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("64 at once");
    group.throughput(Throughput::Elements(AT_ONCE as u64));
    let (there, through) = (request("reserve", 100), request("warehouse__reserve", 100));
    group.bench_function("direct", |bench| bench.to_async(&runtime).iter(async || flood(&direct, &there).await));
    group
        .bench_function("forwarded", |bench| bench.to_async(&runtime).iter(async || flood(&forwarded, &through).await));
    group.finish();
    runtime.block_on(app.close());
}

async fn flood(peer: &Peer, request: &Request) {
    let mut calls: FuturesUnordered<_> = (0..AT_ONCE).map(|_| peer.lane.request(request, None)).collect();
    while let Some(result) = calls.next().await {
        black_box(result.expect("a result"));
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30).measurement_time(std::time::Duration::from_secs(3));
    targets = forward
}
criterion_main!(benches);
