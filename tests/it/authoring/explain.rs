//! `explain`: what a code means.

use mcp_orchestrator::model::code;

use crate::support::Test;

#[test]
fn a_code_is_explained_without_any_registry() {
    let done = Test::new().run(&["explain", "MO2004"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.starts_with("MO2004: An expression names a step that does not exist."), "{}", done.stdout);
    assert!(done.stdout.contains("$steps.oder.output.id") && done.stdout.contains("What to do: "), "{}", done.stdout);
    let told = Test::new().run(&["explain", "2004", "-o", "json"]).json();
    assert!(told["code"] == "MO2004" && told["text"].as_str().is_some_and(|text| text.contains("What to do")));
}

#[test]
fn without_a_code_all_are_listed() {
    let done = Test::new().run(&["explain"]);
    assert_eq!((done.code, done.stdout.lines().count()), (0, code::ALL.len()));
    let told = Test::new().run(&["explain", "-o", "json"]).json();
    assert_eq!(told.as_array().map(Vec::len), Some(code::ALL.len()));
}

#[test]
fn an_unknown_code_leads_to_the_nearest() {
    let done = Test::new().run(&["explain", "MO2044"]);
    assert_eq!(done.code, 2);
    assert!(done.stdout.is_empty() && done.stderr.contains("did you mean `MO2"), "{}", done.stderr);
}
