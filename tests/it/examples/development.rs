//! `code_development`.

use serde_json::{Value, json};

use crate::support::brain::{Brain, Say};
use crate::support::{Example, Host};

const DESIGN: &str = r#"{"modules":[{"name":"count","purpose":"counts"},{"name":"main","purpose":"reads"}],
    "documentation":"Counts words."}"#;
const COUNT: &str = r#"{"file":"count.rs","source":"fn count() {}"}"#;
const MAIN: &str = r#"{"file":"main.rs","source":"fn main() {}"}"#;
const PASSED: &str = r#"{"passed":true,"report":"2 of 2"}"#;
const GOOD: &str = r#"{"approved":true,"optimization_needed":false,"findings":[]}"#;
const SLOW: &str = r#"{"approved":true,"optimization_needed":true,"findings":["too slow"]}"#;
const BAD: &str = r#"{"approved":false,"optimization_needed":true,"findings":["unclear names","dead code"]}"#;
const FASTER: &str =
    r#"{"modules":[{"file":"count.rs","source":"fn fast() {}"},{"file":"main.rs","source":"fn main() {}"}]}"#;

/// A model that plays all agents, with this as the review.
fn brain(review: &'static str, more: impl IntoIterator<Item = (&'static str, Say)>) -> Brain {
    let usual = [
        ("technical_research", Say::Text("Use an iterator.")),
        ("system_design", Say::Text(DESIGN)),
        ("test_specification", Say::Text("It counts two words as two.")),
        ("integration_testing", Say::Text(PASSED)),
        ("code_review", Say::Text(review)),
        // Those who specify tests hear of the modules, too, and come before.
        (r#"\"purpose\": \"counts\""#, Say::Text(COUNT)),
        (r#"\"purpose\": \"reads\""#, Say::Text(MAIN)),
    ];
    Brain::asked(more.into_iter().chain(usual))
}

fn example(brain: &Brain, commit: &Value) -> Host {
    let workspace = json!({
        "create_branch": { "says": { "branch": "work-1" } },
        "delete_branch": { "says": {} },
        "commit": commit,
    });
    Example::of("code_development").model("careful", brain).server("workspace", workspace).start()
}

fn committing(brain: &Brain) -> Host {
    example(brain, &json!({ "says": { "commit": "c0ffee", "on": "$branch" } }))
}

fn input() -> Value {
    json!({ "requirements": "A command that counts words" })
}

#[test]
fn requirements_become_a_commit() {
    let brain = brain(GOOD, []);
    let mut host = committing(&brain);
    let output = host.value("code_development", input());
    let expected = json!({ "commit": "c0ffee", "files": ["count.rs", "main.rs"], "tests": "2 of 2", "findings": [] });
    assert_eq!(output, expected);
    let commit = host.record("workspace", "heard").split_off(1);
    let files = r#"[{"file":"count.rs","source":"fn count() {}"},{"file":"main.rs","source":"fn main() {}"}]"#;
    assert_eq!(commit, [format!(r#"commit {{"branch":"work-1","files":{files},"message":"Counts words."}}"#)]);
    assert_eq!(brain.heard().len(), 7, "nobody was asked to optimise");
}

#[test]
fn what_the_review_finds_slow_is_optimised() {
    let brain = brain(SLOW, [("code_optimization", Say::Text(FASTER))]);
    let mut host = committing(&brain);
    let output = host.value("code_development", input());
    assert_eq!((&output["files"], &output["findings"]), (&json!(["count.rs", "main.rs"]), &json!(["too slow"])));
    assert!(host.record("workspace", "heard")[1].contains("fn fast()"));
}

#[test]
fn what_cannot_be_optimised_or_researched_is_done_without() {
    let brain = brain(
        SLOW,
        [
            ("code_optimization", Say::Status(400, "", "no idea")),
            ("technical_research", Say::Status(400, "", "no library")),
        ],
    );
    let mut host = committing(&brain);
    host.value("code_development", input());
    assert!(host.record("workspace", "heard")[1].contains("fn count()"));
}

#[test]
fn what_the_review_rejects_leaves_no_branch_behind() {
    let brain = brain(BAD, []);
    let mut host = committing(&brain);
    let report = host.failed("code_development", input());
    assert_eq!((&report["status"], &report["undone"]), (&json!("undone"), &json!(["branch"])), "{report}");
    assert_eq!(report["error"]["message"], "Not good enough: unclear names; dead code");
    let heard = host.record("workspace", "heard");
    assert_eq!(heard.last().map(String::as_str), Some(r#"delete_branch {"branch":"work-1"}"#));
}

#[test]
fn a_commit_that_fails_leaves_no_branch_behind() {
    let brain = brain(GOOD, []);
    let mut host = example(&brain, &json!({ "fails": "the disk is full" }));
    let report = host.failed("code_development", input());
    assert_eq!((&report["status"], &report["error"]["step"]), (&json!("undone"), &json!("assembly")), "{report}");
    assert_eq!(host.record("workspace", "calls"), ["create_branch", "commit", "delete_branch"]);
}
