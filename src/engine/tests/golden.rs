//! Histories that this version and earlier ones have written: every later version reads them, and they come to the same end.
//!
//! A file of `tests/journals` is a definition, its plan and its outcome in the first line, and an event in each of the others.
//! `UPDATE_EXPECT=1` writes those that are missing; what is there is never written again.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::document::format::Format;
use crate::engine::command::{Command, Outcome};
use crate::engine::event::{Answer, Called, Decision, Event, Identity, What};
use crate::engine::run::Run;
use crate::engine::tests::play::workflow;
use crate::model::problem::Source;
use crate::model::usage::Usage;
use crate::workflow::authored::drafts;
use crate::workflow::pin::Pin;

/// What is written now: of each verb that leaves something behind.
const NOW: [(&str, &str); 6] = [
    (
        "calls",
        "steps:\n  - { id: a, tool: s.get }\n  - { id: b, tool: s.post, args: { n: $steps.a.output.n } }\noutput: $steps.b.output\n",
    ),
    (
        "each",
        "steps:\n  - id: all\n    for_each: [1, 2, 3]\n    tool: s.put\n    args: { n: $item }\noutput: $steps.all.output\n",
    ),
    (
        "parallel",
        "steps:\n  - id: p\n    parallel:\n      one: [{ id: a, tool: s.get }]\n      two: [{ id: w, wait: 5ms }, { id: b, tool: s.put }]\n",
    ),
    (
        "asks",
        "steps:\n  - { id: may, ask: Go on? }\n  - { id: go, await: thing }\n  - { id: end, set: done }\noutput: $steps.end.output\n",
    ),
    ("undone", "steps:\n  - { id: a, tool: s.post, undo: { tool: s.post_undo } }\n  - { id: no, fail: no }\n"),
    ("doubt", "steps:\n  - { id: pay, tool: s.post_lost }\noutput: $steps.pay.output\n"),
];

#[derive(Serialize, Deserialize)]
struct Head {
    definition: String,
    plan: Pin,
    outcome: Value,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/journals")
}

fn told(outcome: Option<&Outcome>) -> Value {
    match outcome {
        None => Value::Null,
        Some(Outcome::Completed(output)) => json!({ "completed": output }),
        Some(Outcome::Failed(failure)) => json!({ "failed": failure.code }),
        Some(Outcome::Cancelled { why }) => json!({ "cancelled": why }),
    }
}

/// Plays a workflow against tools that all succeed; a call whose name says that it is lost is decided after a death.
fn write(text: &str) -> String {
    let workflow = workflow(text);
    let head_plan = Pin::of(&workflow);
    let mut run = Run::new(workflow);
    let run_id = Identity { id: "r1".to_owned(), caller: "tester".to_owned() };
    let mut todo = vec![What::Started { run: run_id, input: json!({}), seed: 7, flags: json!({}) }];
    let mut events = Vec::new();
    while let Some(what) = (!todo.is_empty()).then(|| todo.remove(0)) {
        let event = Event { now: 1_000 + 10 * events.len() as u64, what };
        events.push(event.clone());
        for command in run.apply(event) {
            match command {
                Command::Call(call) => {
                    let (at, attempt) = (call.at, call.attempt);
                    todo.push(What::Intended { at: at.clone(), attempt });
                    if format!("{:?}", call.callee).contains("lost") {
                        todo.push(What::Resumed);
                        let decision = Decision::ItHappened(json!({ "n": 5 }));
                        todo.push(What::Decided { at, attempt, decision });
                    } else {
                        let outcome = Called::Result(json!({ "structuredContent": { "n": 1 } }));
                        todo.push(What::Called { at, attempt, outcome, usage: Usage::CALL });
                    }
                }
                Command::Timer { at, .. } if at.ends_with("#wait") => todo.push(What::Fired { at }),
                Command::Ask(question) => todo.push(What::Answered {
                    at: question.at.to_string(),
                    attempt: question.attempt,
                    answer: Answer::Given(json!({})),
                }),
                _ => {}
            }
        }
        if todo.is_empty() && run.waits_for_others() {
            todo.push(What::Arrived { id: "n1".to_owned(), event: "thing".to_owned(), data: json!(1) });
        }
    }
    let definition = format!("name: test\n{text}");
    let head = Head { definition, plan: head_plan, outcome: told(run.outcome()) };
    let mut lines = vec![serde_json::to_string(&head).expect("JSON")];
    lines.extend(events.iter().map(|event| serde_json::to_string(event).expect("JSON")));
    lines.join("\n") + "\n"
}

#[test]
fn histories_of_earlier_versions_come_to_the_same_end() {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::create_dir_all(folder()).expect("a folder");
        for (name, text) in NOW {
            let file = folder().join(format!("{name}.jsonl"));
            if !file.exists() {
                fs::write(file, write(text)).expect("a file");
            }
        }
    }
    let files: Vec<_> = fs::read_dir(folder()).expect("a folder").flatten().map(|file| file.path()).collect();
    assert!(files.len() >= NOW.len(), "some are missing: {files:?}");
    for file in files {
        let text = fs::read_to_string(&file).expect("a file");
        let mut lines = text.lines();
        let head: Head = serde_json::from_str(lines.next().expect("a head")).expect("a head that is known");
        let (drafts, problems) = drafts(&Source::new("test", &head.definition), Format::Yaml);
        let mut workflow = drafts.into_iter().next().unwrap_or_else(|| panic!("{}: {problems:?}", file.display()));
        assert!(head.plan.apply(&mut workflow), "{}: the plan is another", file.display());
        let mut run = Run::new(workflow.into());
        for line in lines {
            let event: Event = serde_json::from_str(line).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
            run.apply(event);
        }
        assert_eq!(told(run.outcome()), head.outcome, "{}", file.display());
        assert_ne!(head.outcome, Value::Null, "{}: it has not ended", file.display());
    }
}
