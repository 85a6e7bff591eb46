//! What a job of twelve calls costs an agent's context, call by call and as one workflow: the numbers of docs/context.md.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::ground::Ground;
use crate::support::host::text;
use crate::support::{Host, Test};

const SERVERS: [&str; 5] = ["git", "filesystem", "fetch", "time", "memory"];
const NOTES: [&str; 3] = ["monday", "tuesday", "wednesday"];

/// How far the numbers may be from those of another machine, whose paths and times are longer or shorter: one part in so many.
const TOLERANCE: usize = 10;

/// What has passed through the agent's context, in bytes.
#[derive(Default)]
struct Passed {
    calls: usize,
    written: usize,
    read: usize,
    read_text: usize,
}

/// A host that counts.
struct Agent {
    host: Host,
    passed: Passed,
}

impl Agent {
    fn new(ground: &Ground) -> Self {
        let mut host = Test::new().registry(&ground.registry_at_home()).start();
        host.ready(&SERVERS);
        Self { host, passed: Passed::default() }
    }

    /// Makes a call that must succeed; gives back its text.
    fn call(&mut self, tool: &str, arguments: Value) -> String {
        self.passed.calls += 1;
        self.passed.written += json!({ "name": tool, "arguments": arguments }).to_string().len();
        let result = self.host.call(tool, arguments);
        assert!(result["isError"] != true, "{tool} has failed: {result}");
        self.passed.read += result.to_string().len();
        self.passed.read_text += text(&result).len();
        text(&result)
    }
}

#[test]
fn one_workflow_needs_a_fraction_of_the_context_of_twelve_calls() {
    let Some(ground) = Ground::new() else { return };
    write_notes(&ground);
    let page = fs::read_to_string(page()).expect("docs/context.md");
    let (_, definition) = page.split_once("```yaml\n").expect("the definition");
    let (definition, _) = definition.split_once("```").expect("its end");

    let mut agent = Agent::new(&ground);
    let arguments = json!({ "definition": definition, "input": { "page": ground.site.page() } });
    let report = agent.call("run_workflow", arguments);
    assert!(report.contains("completed"), "{report}");
    let (digest, at_once) = (ground.text_of("digest.md"), agent.passed);
    assert!(digest.contains("- Add the third file\n") && digest.contains("- Note of tuesday"), "{digest}");
    assert!(digest.contains("High water is at noon") && ground.memory().contains("High water is at noon"), "{digest}");

    let mut agent = Agent::new(&ground);
    step_by_step(&ground, &mut agent, &digest);
    let one_by_one = agent.passed;
    assert_eq!((one_by_one.calls, at_once.calls), (12, 1));
    assert_eq!(ground.text_of("digest.md"), digest);

    let rows = rows(&one_by_one, &at_once);
    for [long, short] in [[&rows[0], &rows[1]], [&rows[2], &rows[3]]] {
        assert!(short[3] * 5 < long[3], "not a small fraction: {rows:?}");
    }
    compare(&page, &rows);
}

/// The same job, as an agent does it that reads every result and then decides on the next call.
fn step_by_step(ground: &Ground, agent: &mut Agent, digest: &str) {
    agent.call("git__git_status", json!({ "repo_path": "." }));
    let log = agent.call("git__git_log", json!({ "repo_path": ".", "max_count": 3 }));
    let commits: Vec<_> = log.split("Commit: ").skip(1).filter_map(|commit| commit.lines().next()).collect();
    assert_eq!(commits.len(), 3, "{log}");
    for commit in commits {
        agent.call("git__git_show", json!({ "repo_path": ".", "revision": commit }));
    }
    for day in NOTES {
        agent.call("filesystem__read_text_file", json!({ "path": format!("notes/{day}.md") }));
    }
    agent.call("fetch__fetch", json!({ "url": ground.site.page() }));
    agent.call("time__get_current_time", json!({ "timezone": "Etc/UTC" }));
    agent.call("filesystem__write_file", json!({ "path": "digest.md", "content": digest }));
    let digest = json!({ "name": "digest", "entityType": "file", "observations": [digest] });
    agent.call("memory__create_entities", json!({ "entities": [digest] }));
}

/// Three files of about three thousand characters.
fn write_notes(ground: &Ground) {
    let folder = ground.repository().join("notes");
    fs::create_dir(&folder).expect("a folder of our own");
    for day in NOTES {
        let lines: Vec<_> =
            (1..=60).map(|n| format!("{n}. What was said on {day} about point {n}, at length.")).collect();
        fs::write(folder.join(format!("{day}.md")), format!("Note of {day}\n\n{}\n", lines.join("\n")))
            .expect("a file of our own");
    }
}

/// Written, read, and together, in bytes and then in tokens: with whole results, then with their text only.
fn rows(one_by_one: &Passed, at_once: &Passed) -> [[usize; 5]; 4] {
    let row = |passed: &Passed, read: usize| {
        let together = passed.written + read;
        [passed.calls, passed.written, read, together, together.div_ceil(4)]
    };
    [
        row(one_by_one, one_by_one.read),
        row(at_once, at_once.read),
        row(one_by_one, one_by_one.read_text),
        row(at_once, at_once.read_text),
    ]
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/context.md")
}

/// Compares the table of the page, or writes it.
fn compare(page_text: &str, rows: &[[usize; 5]; 4]) {
    let (head, rest) = page_text.split_once("<!-- measured -->\n").expect("the beginning of the table");
    let (table, tail) = rest.split_once("<!-- end -->").expect("the end of the table");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        let fresh = format!("{head}<!-- measured -->\n{}<!-- end -->{tail}", table_of(rows));
        return fs::write(page(), fresh).expect("docs/context.md is writable");
    }
    let numbers = |line: &str| line.split('|').filter_map(|cell| cell.trim().parse().ok()).collect::<Vec<usize>>();
    let told: Vec<_> = table.lines().map(numbers).filter(|numbers| !numbers.is_empty()).collect();
    let is_near = |told: &[usize], seen: &[usize; 5]| {
        told.len() == seen.len() && told.iter().zip(seen).all(|(told, seen)| told.abs_diff(*seen) * TOLERANCE <= *seen)
    };
    let is_fresh = told.len() == rows.len() && told.iter().zip(rows).all(|(told, seen)| is_near(told, seen));
    assert!(is_fresh, "run the tests with UPDATE_EXPECT=1 to refresh docs/context.md: {told:?} and not {rows:?}");
}

fn table_of(rows: &[[usize; 5]; 4]) -> String {
    let ways = ["call by call", "one workflow", "call by call, text only", "one workflow, text only"];
    let head = "| | calls | bytes written | bytes read | bytes together | tokens |\n|---|---:|---:|---:|---:|---:|\n";
    let line =
        |(way, row): (&str, &[usize; 5])| format!("| {way} | {} |\n", row.map(|number| number.to_string()).join(" | "));
    format!("{head}{}", ways.into_iter().zip(rows).map(line).collect::<String>())
}
