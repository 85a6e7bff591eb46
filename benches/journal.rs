//! What it costs that runs survive the program. Prints the table of docs/durability.md; `benches/run` does the rest.
//!
//! Steps answer at once and in this process, so all that is left is the engine, the runner and the journal. A plain loop of
//! small writes, each followed by `fdatasync`, shows what the disk can do at all.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use mcp_orchestrator::document::format::Format;
use mcp_orchestrator::engine::event::{Event, Identity, What};
use mcp_orchestrator::journal::entry::{Entry, Line, Opening, Standing};
use mcp_orchestrator::journal::retention::Retention;
use mcp_orchestrator::journal::writer::Journal;
use mcp_orchestrator::model::call::{Call, Reply};
use mcp_orchestrator::model::durability::Durability;
use mcp_orchestrator::model::effect::Effect;
use mcp_orchestrator::model::fault::Fault;
use mcp_orchestrator::model::name::ToolRef;
use mcp_orchestrator::model::port::{BoxFuture, Invoke};
use mcp_orchestrator::model::principal::Principal;
use mcp_orchestrator::model::problem::Source;
use mcp_orchestrator::runner::bus::Bus;
use mcp_orchestrator::runner::drive::{Begin, begin, new_id};
use mcp_orchestrator::runner::effects::{Through, now};
use mcp_orchestrator::runner::gate::Gate;
use mcp_orchestrator::runner::record::Record;
use mcp_orchestrator::runner::shelf::Shelf;
use mcp_orchestrator::workflow::authored;
use mcp_orchestrator::workflow::pin::Pin;
use mcp_orchestrator::workflow::plan::{Plan, plan};
use mcp_orchestrator::workflow::surroundings::{Facts, Surroundings};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// How long each rate is measured.
const TURN: Duration = Duration::from_secs(4);

const STEPS: &str =
    "name: flow\nsteps:\n  - { id: a, tool: s.put }\n  - { id: b, tool: s.put }\n  - { id: c, tool: s.put }\n";
const WAITING: &str = "name: flow\nsteps:\n  - { id: may, ask: Go on? }\n";

/// On whose behalf everything runs.
const HOST: &str = "bench";

/// How many runs are open where recovery is measured.
const OPEN: u32 = 10_000;

/// One server whose every tool may be repeated and answers at once.
struct Here;

impl Surroundings for Here {
    fn servers(&self) -> Vec<String> {
        vec!["s".to_owned()]
    }

    fn tools_of(&self, _: &str) -> Option<Vec<String>> {
        None
    }

    fn tool(&self, _: &ToolRef) -> Option<Facts> {
        Some(Facts { effect: Effect::Idempotent, input_schema: None, output_schema: None })
    }

    fn workflows(&self) -> Vec<String> {
        Vec::new()
    }

    fn workflow(&self, _: &str) -> Option<Facts> {
        None
    }
}

impl Invoke for Here {
    fn invoke(self: Arc<Self>, _: Call) -> BoxFuture<Result<Reply, Fault>> {
        let body = RawValue::from_string(r#"{"content":[],"structuredContent":{"n":1}}"#.to_owned());
        Box::pin(async move { Ok(Reply::new(body.expect("it is JSON"))) })
    }
}

fn planned(text: &str) -> Plan {
    let (workflow, problems) = authored::read(&Source::new("flow", text), Format::Yaml);
    plan(&workflow.unwrap_or_else(|| panic!("{problems:?}")), &Here)
}

fn opening(run: &str, plan: &Plan) -> Arc<Opening> {
    Arc::new(Opening {
        run: run.to_owned(),
        workflow: "flow".to_owned(),
        definition: plan.workflow.source.text.clone(),
        format: Format::Yaml.as_str().to_owned(),
        plan: serde_json::to_value(Pin::of(&plan.workflow)).expect("a plan is JSON"),
        caller: HOST.to_owned(),
        parent: None,
        key: None,
        terms: json!({ "profile": null }),
        began: now(),
    })
}

/// One run from its beginning to its end.
async fn run(plan: &Plan, journal: Option<&Arc<Journal>>, (bus, shelf): (Bus, Shelf)) {
    let id = new_id();
    let durability = if journal.is_some() { Durability::Auto } else { Durability::None };
    let opening = journal.map(|_| opening(&id, plan));
    let through = Through::new(Arc::new(Here), Principal::new(HOST), id, Gate::new(8, 10_000));
    let record = Record { journal: journal.cloned(), durability, opening, stored: 0 };
    let (going, _handle) = begin(Begin { bus, shelf, ..Begin::new(plan.clone(), json!({}), through, record) });
    going.await.expect("it comes to its end");
}

/// So many runs at once: how many per second, and how long the middle one took.
async fn rate(plan: &Plan, journal: Option<&Arc<Journal>>, at_once: usize) -> (f64, Duration, usize) {
    let (bus, shelf) = (Bus::default(), Shelf::default());
    let done = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let mut hands = JoinSet::new();
    for _ in 0..at_once {
        let (plan, journal, done) = (plan.clone(), journal.cloned(), Arc::clone(&done));
        let (bus, shelf) = (bus.clone(), shelf.clone());
        hands.spawn(async move {
            let mut times = Vec::new();
            while began.elapsed() < TURN {
                let start = Instant::now();
                run(&plan, journal.as_ref(), (bus.clone(), shelf.clone())).await;
                times.push(start.elapsed());
                done.fetch_add(1, Ordering::Relaxed);
            }
            times
        });
    }
    let mut times: Vec<_> = hands.join_all().await.into_iter().flatten().collect();
    times.sort();
    let count = done.load(Ordering::Relaxed);
    #[expect(clippy::cast_precision_loss, reason = "a count of runs")]
    let rate = count as f64 / began.elapsed().as_secs_f64();
    (rate, times[times.len() / 2], count)
}

/// How often per second the disk takes a small write for sure.
fn plain(folder: &Path) -> f64 {
    let mut file = OpenOptions::new().create(true).append(true).open(folder.join("plain")).expect("a file");
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < TURN {
        file.write_all(&[7; 512]).and_then(|()| file.sync_data()).expect("the disk takes it");
        count += 1;
    }
    f64::from(count) / began.elapsed().as_secs_f64()
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let plan = planned(STEPS);
    let mut text = String::new();
    let syncs = plain(folder.path());
    let _ = writeln!(
        text,
        "| 3-step runs at once | stored, per second | p50 | not stored, per second | p50 |\n|---|---|---|---|---|"
    );
    let mut bytes = 0;
    for at_once in [1, 16, 64, 100] {
        let home = folder.path().join(format!("rate-{at_once}"));
        let journal = open(&home);
        let (stored, middle, count) = runtime.block_on(rate(&plan, Some(&journal), at_once));
        let (loose, loose_middle, _) = runtime.block_on(rate(&plan, None, at_once));
        let _ = writeln!(
            text,
            "| {at_once} | {stored:.0} | {:.2} ms | {loose:.0} | {:.2} ms |",
            middle.as_secs_f64() * 1e3,
            loose_middle.as_secs_f64() * 1e3
        );
        journal.close();
        if at_once == 1 {
            // So few runs that none of them is deleted yet.
            let size = fs::metadata(home.join("journal.sqlite")).map_or(0, |file| file.len());
            bytes = size / (3 * count.max(1)) as u64;
        }
    }
    let _ = writeln!(text, "\nA plain loop of 512 B and `fdatasync`: {syncs:.0} per second. ");
    let _ = writeln!(text, "Journal: {bytes} bytes per step.");
    text += &recovery(&runtime, folder.path());
    std::io::stdout().write_all(text.as_bytes()).expect("standard output is there");
}

fn open(path: &Path) -> Arc<Journal> {
    Arc::new(Journal::open(path, Retention::default(), now()).expect("a journal"))
}

/// How long the program takes to be ready with this many open runs, and how much memory it has then.
fn recovery(runtime: &tokio::runtime::Runtime, folder: &Path) -> String {
    let plan = planned(WAITING);
    let (empty, full) = (folder.join("empty"), folder.join("full"));
    let journal = open(&full);
    let mut waiting = JoinSet::new();
    for number in 0..OPEN {
        let run = format!("run-{number:05}");
        let identity = Identity { id: run.clone(), caller: HOST.to_owned() };
        let what = What::Started { run: identity, input: json!({}), seed: 7, flags: json!({}) };
        let standing = Standing { status: "waiting".to_owned(), ended: None, report: None };
        let entry = Entry {
            opening: Some(opening(&run, &plan)),
            run,
            first: 0,
            events: vec![Line::from(&Event { now: now(), what })],
            standing: Some(standing),
            ..Entry::default()
        };
        waiting.spawn_on(
            {
                let journal = Arc::clone(&journal);
                async move { journal.append(entry).await.expect("the disk takes it") }
            },
            runtime.handle(),
        );
    }
    runtime.block_on(waiting.join_all());
    journal.close();
    drop(journal);
    let registry = folder.join("registry.toml");
    fs::write(&registry, "[servers]\n").expect("a file");
    let (without, small) = ready(&registry, &empty, false);
    let (with, large) = ready(&registry, &full, true);
    format!(
        "\n{OPEN} open runs: ready {:.2} s after the start ({:.2} s without any), {:.1} kB of memory per run that waits.\n",
        with.as_secs_f64(),
        without.as_secs_f64(),
        f64::from(u32::try_from(large.saturating_sub(small)).unwrap_or(u32::MAX)) / f64::from(OPEN)
    )
}

/// Starts the program; how long until it has taken up what there is and answered, and how much memory it has, in kilobytes.
#[expect(clippy::disallowed_methods, reason = "a bench has no runtime of the program's")]
fn ready(registry: &Path, data: &Path, has_runs: bool) -> (Duration, u64) {
    let began = Instant::now();
    let mut program = Command::new(env!("CARGO_BIN_EXE_mcp-orchestrator"))
        .args(["serve", "--quiet", "--registry"])
        .arg(registry)
        .arg("--data-dir")
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program can be started");
    let mut stdin = program.stdin.take().expect("a pipe");
    let mut lines = BufReader::new(program.stdout.take().expect("a pipe")).lines();
    let about =
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": HOST, "version": "1" } });
    let mut ask = |id: u32, method: &str, params: Value| {
        let line = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        writeln!(stdin, "{line}").expect("it reads");
        let answers = |line: &String| line.contains(&format!("\"id\":{id}"));
        let answer = lines.by_ref().map_while(Result::ok).find(answers).expect("it answers");
        serde_json::from_str::<Value>(&answer).expect("JSON")
    };
    ask(1, "initialize", about);
    let last = json!({ "name": "answer_run", "arguments": { "run_id": format!("run-{:05}", OPEN - 1), "answer": true, "wait_ms": 0 } });
    let answer = ask(2, "tools/call", last);
    let took = began.elapsed();
    // Otherwise nothing was taken up, and nothing measured.
    assert_eq!(answer["result"]["structuredContent"]["status"] == "completed", has_runs, "{answer}");
    let status = fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap_or_default();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    drop(stdin);
    let _ = program.wait();
    (took, memory.unwrap_or_default())
}
