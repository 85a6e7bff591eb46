//! `adaptive_learning`.

use serde_json::{Value, json};

use crate::support::brain::{Brain, Say};
use crate::support::{Example, Host};

const STRATEGIES: &str = r#"{"strategies":[{"type":"research","goal":"read a book"},
    {"type":"experimentation","goal":"tie one"},{"type":"practice","goal":"tie many"}]}"#;
const DONE: &str = r#"{"reached":["tie a bowline"],"opportunities":[]}"#;
const MORE: &str = r#"{"reached":["tie a bowline"],"opportunities":["draw it"]}"#;

/// A model that plays all agents; these of the strategies fail.
fn brain(validation: &'static str, failing: &[&str], more: impl IntoIterator<Item = (&'static str, Say)>) -> Brain {
    let strategy = |goal: &'static str, learned: &'static str| {
        let is_failing = failing.contains(&goal);
        (goal, if is_failing { Say::Status(400, "", "not today") } else { Say::Text(learned) })
    };
    let usual = [
        ("learning_reflection", Say::Text("Ropes are easier than strings.")),
        ("learning_validation", Say::Text(validation)),
        ("knowledge_integration", Say::Call("memory__add_observations", json!({ "about": "bowline" }))),
        ("knowledge_integration", Say::Text("Written down.")),
        strategy("read a book", "Around the tree."),
        strategy("tie one", "It holds."),
        strategy("tie many", "It gets faster."),
        ("learning_strategy", Say::Text(STRATEGIES)),
        ("learning_gap_analysis", Say::Text("The bowline is missing.")),
        ("knowledge_assessment", Say::Text("Only the granny knot is known.")),
    ];
    Brain::asked(more.into_iter().chain(usual))
}

/// `careful` is down: everything is asked of `fast`.
fn example(brain: &Brain) -> Host {
    let memory = json!({ "add_observations": { "says": { "added": 1 } }, "read_graph": { "says": {} } });
    Example::of("adaptive_learning").model("fast", brain).server("memory", memory).start()
}

fn input() -> Value {
    json!({ "domain": "knots", "targets": ["tie a bowline"] })
}

fn learned() -> Value {
    json!({ "reached": ["tie a bowline"], "reflection": "Ropes are easier than strings." })
}

/// The prompt of the task of this type.
fn task(brain: &Brain, kind: &str) -> Option<String> {
    brain.heard().iter().map(|heard| heard.body["messages"].to_string()).find(|messages| messages.contains(kind))
}

#[test]
fn what_is_missing_is_learned_side_by_side_and_written_down() {
    let brain = brain(DONE, &[], []);
    let mut host = example(&brain);
    assert_eq!(host.value("adaptive_learning", input()), learned());
    let integrated = task(&brain, "knowledge_integration").expect("it is integrated");
    for found in ["Around the tree.", "It holds.", "It gets faster."] {
        assert!(integrated.contains(found), "{found}: {integrated}");
    }
    assert_eq!(host.record("memory", "heard"), [r#"add_observations {"about":"bowline"}"#]);
    let system = |goal: &str| {
        let heard = brain.heard().into_iter().find(|heard| heard.body.to_string().contains(goal));
        heard.expect("it is asked").body["messages"][0]["content"].as_str().unwrap_or_default().to_owned()
    };
    assert!(system(r#"\"goal\": \"read a book\""#).starts_with("You read web pages"));
    assert!(system(r#"\"goal\": \"tie one\""#).starts_with("You design a small experiment"));
    assert!(system(r#"\"goal\": \"tie many\""#).starts_with("You work out an answer"));
    assert!(task(&brain, "learning_optimization").is_none());
}

#[test]
fn knowledge_that_can_be_better_is_made_so() {
    let brain = brain(
        MORE,
        &[],
        [("knowledge_optimization", Say::Text("Drawn.")), ("learning_optimization", Say::Text("Draw it."))],
    );
    let mut host = example(&brain);
    assert_eq!(host.value("adaptive_learning", input()), learned());
    assert!(task(&brain, "knowledge_optimization").is_some_and(|task| task.contains("Draw it.")));
    assert!(task(&brain, "learning_reflection").is_some_and(|task| task.contains(r#"\"optimized\": true"#)));
}

#[test]
fn strategies_that_fail_are_made_up_for_by_the_others() {
    let brain =
        brain(MORE, &["read a book", "tie many"], [("learning_optimization", Say::Status(400, "", "not today"))]);
    let mut host = example(&brain);
    assert_eq!(host.value("adaptive_learning", input()), learned());
    assert!(task(&brain, "knowledge_integration").is_some_and(|task| task.contains("It holds.")));
    assert!(task(&brain, "learning_reflection").is_some_and(|task| task.contains(r#"\"optimized\": false"#)));
}

#[test]
fn where_nothing_is_learned_nothing_is_written() {
    let brain = brain(DONE, &["read a book", "tie one", "tie many"], []);
    let mut host = example(&brain);
    let report = host.failed("adaptive_learning", input());
    assert_eq!((&report["status"], &report["error"]["code"]), (&json!("failed"), &json!("MO4014")), "{report}");
    assert_eq!(host.record("memory", "calls"), Vec::<String>::new());
}
