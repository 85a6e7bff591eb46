//! What would be done: plans with their bounds, and pictures of them.

use serde_json::json;

use crate::support::{Test, fixture};

const ORDER: &str = "
input: { who: string }
steps:
  - { id: said, tool: north.echo, args: { text: $input.who }, timeout: 2s }
  - { id: sent, tool: north.write, args: { text: $steps.said.output.text }, timeout: 3s }
  - { id: noted, tool: north.write, args: { text: done }, timeout: 3s }
";

fn shop() -> Test {
    Test::new().server("north", fixture(["healthy"])).workflow("order", ORDER)
}

#[test]
fn a_dry_check_shows_plan_effects_reasons_and_bounds() {
    let done = shop().run(&["check", "--dry-run", "--online"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    for part in [
        "order (destructive)",
        "said   read",
        "<- said (reads its output)",
        "<- sent (written before, may write)",
        "bounds: at most 3 calls, at most 8s by its own limits",
        "ok: 1 servers, 1 workflows",
    ] {
        assert!(done.stdout.contains(part), "{part} is missing in {}", done.stdout);
    }
    let told = shop().run(&["check", "--dry-run", "-o", "json"]).json();
    let plan = &told["plans"][0];
    assert_eq!(plan["bounds"], json!({ "calls": 3, "milliseconds": 8000, "open": [] }));
    assert_eq!(plan["steps"][2]["waits"], json!([{ "step": "sent", "because": "written before, may write" }]));
}

#[test]
fn a_dry_run_shows_the_bounds_and_calls_nothing() {
    let done = shop().run(&["run", "order", "--dry-run", "who=Ada"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(
        done.stdout.contains("bounds: at most 3 calls") && done.stderr.contains("nothing was run"),
        "{}",
        done.stdout
    );
    let told = shop().run(&["run", "order", "--dry-run", "who=Ada", "-o", "json"]).json();
    assert_eq!(told["bounds"]["calls"], 3);
}

#[test]
fn a_plan_is_drawn_for_browsers_and_for_graphviz() {
    let done = shop().run(&["graph", "order", "--format", "svg"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.starts_with("<svg ") && done.stdout.trim_end().ends_with("</svg>"), "{}", done.stdout);
    assert!(done.stdout.contains(">north.echo · destructive<") && done.stdout.contains("stroke-dasharray"));
    let done = shop().run(&["graph", "order", "--format", "dot"]);
    assert!(done.stdout.starts_with("digraph workflow {") && done.stdout.contains("n1 -> n2 [];"), "{}", done.stdout);
}
