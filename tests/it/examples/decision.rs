//! `research_decision`.

use serde_json::{Value, json};

use crate::support::brain::{Brain, Say};
use crate::support::{Example, Host};

const OPTIONS: &str = r#"{"options":[{"title":"Build"},{"title":"Buy"}]}"#;
const CLEAR: &str =
    r#"{"best":{"title":"Buy","score":0.8},"ranking":[{"title":"Buy","score":0.8},{"title":"Build","score":0.3}]}"#;
const CLOSE: &str =
    r#"{"best":{"title":"Buy","score":0.5},"ranking":[{"title":"Buy","score":0.5},{"title":"Build","score":0.4}]}"#;

/// A model that plays all agents; of the researched sides, as many find something as are given.
fn brain(sides: usize, scores: &'static str) -> Brain {
    let mut all = vec![
        ("research_analysis", Say::Text("All sides favour buying.")),
        ("option_generation", Say::Text(OPTIONS)),
        ("risk_assessment", Say::Text("Lock-in.")),
        ("risk_assessment", Say::Text("Delay.")),
        ("decision_scoring", Say::Text(scores)),
        ("decision_recommendation", Say::Text("Buy it.")),
    ];
    all.extend((0..sides).map(|_| ("perspective_research", Say::Text("There is much to be said for buying."))));
    all.extend((sides..4).map(|_| ("perspective_research", Say::Status(400, "", "no such source"))));
    Brain::asked(all)
}

fn example(brain: &Brain) -> Host {
    // `careful` is down: each agent is left with `fast`.
    Example::of("research_decision")
        .model("fast", brain)
        .server("perplexity", json!({ "search": { "says": {} } }))
        .start()
}

fn decision() -> Value {
    json!({ "decision": "Build or buy?", "criteria": ["cost"] })
}

/// The task that an agent was given, by its type.
fn task(brain: &Brain, kind: &str) -> String {
    let heard = brain.heard().into_iter().map(|heard| heard.body["messages"].to_string());
    heard.into_iter().find(|messages| messages.contains(kind)).unwrap_or_else(|| panic!("no task {kind}"))
}

fn is_asked(brain: &Brain, kind: &str) -> bool {
    brain.heard().iter().any(|heard| heard.body["messages"].to_string().contains(kind))
}

#[test]
fn four_sides_lead_to_a_recommendation() {
    let brain = brain(4, CLEAR);
    let mut host = example(&brain);
    let report = host.value("run_workflow", json!({ "workflow": "research_decision", "input": decision() }));
    assert_eq!((&report["output"], &report["status"]), (&json!("Buy it."), &json!("completed")), "{report}");
    assert_eq!(brain.heard().len(), 10, "four sides, two risks, and four agents once");
    let analysed = task(&brain, "research_analysis");
    assert_eq!(analysed.matches("much to be said").count(), 4, "{analysed}");
    let recommended = task(&brain, "decision_recommendation");
    assert!(recommended.contains("Lock-in.") && recommended.contains("Delay."), "{recommended}");
}

#[test]
fn a_researcher_may_search_and_nobody_else() {
    let brain = Brain::asked([
        ("perspective_research", Say::Call("perplexity__search", json!({ "query": "build or buy" }))),
        ("perspective_research", Say::Text("Found.")),
    ]);
    let mut host = example(&brain);
    let task = json!({ "task": { "type": "perspective_research" } });
    assert_eq!(host.call("agent__mcp-researcher", task)["content"][0]["text"], "Found.");
    assert_eq!(host.record("perplexity", "heard"), [r#"search {"query":"build or buy"}"#]);
}

#[test]
fn three_sides_are_enough_and_two_are_not() {
    let three = brain(3, CLEAR);
    let mut host = example(&three);
    let output = host.value("research_decision", decision());
    assert_eq!(output, json!({ "result": "Buy it." }));
    assert_eq!(task(&three, "research_analysis").matches("much to be said").count(), 3);

    let two = brain(2, CLEAR);
    let mut host = example(&two);
    let report = host.failed("research_decision", decision());
    assert_eq!((&report["status"], &report["error"]["code"]), (&json!("failed"), &json!("MO4014")), "{report}");
    assert!(!is_asked(&two, "research_analysis"), "nobody else is asked");
}

/// Runs until the question, which must be put.
fn until_asked(host: &mut Host) -> Value {
    let waiting = host.value("run_workflow", json!({ "workflow": "research_decision", "input": decision() }));
    assert_eq!(waiting["status"], "waiting", "{waiting}");
    let question = waiting["questions"][0]["question"].as_str().unwrap_or_default();
    assert!(question.contains("1. Buy (0.5)") && question.contains("2. Build (0.4)"), "{question}");
    waiting["run_id"].clone()
}

#[test]
fn where_no_option_stands_out_a_person_decides() {
    let brain = brain(4, CLOSE);
    let mut host = example(&brain);
    let run = until_asked(&mut host);
    let report = host.value("answer_run", json!({ "run_id": run, "answer": { "proceed": false } }));
    assert_eq!((&report["status"], &report["output"]), (&json!("completed"), &json!("Buy it.")), "{report}");
    let recommended = task(&brain, "decision_recommendation");
    assert!(recommended.contains(r#"\"proceed\": false"#), "{recommended}");
}

#[test]
fn a_declined_approval_ends_the_run() {
    let brain = brain(4, CLOSE);
    let mut host = example(&brain);
    let run = until_asked(&mut host);
    let report = host.failed("answer_run", json!({ "run_id": run, "decline": true, "reason": "too dear" }));
    assert_eq!(
        (&report["error"]["kind"], &report["error"]["step"]),
        (&json!("rejected"), &json!("approval")),
        "{report}"
    );
    assert!(!is_asked(&brain, "decision_recommendation"));
}
