//! What the command `run` says of runs that are not over when it ends.

use serde_json::json;

use crate::support::{Test, fixture};

const CALLER: &str = "steps: [{ id: in, workflow: inner, detach: true }]\noutput: $steps.in.output.run_id\n";

#[test]
fn a_command_names_the_run_that_nobody_waits_for_and_the_next_one_says_that_it_is_left() {
    let test = Test::new()
        .server("north", fixture(["healthy"]))
        .workflow("inner", "steps: [{ id: pause, wait: 3s }, { id: call, tool: north.write }]\n")
        .workflow("flow", CALLER)
        .workflow("other", "steps: [{ id: a, set: 1 }]\n");
    let begun = test.run(&["run", "flow"]);
    assert_eq!(begun.code, 0, "{}", begun.stderr);
    let inner = begun.json().as_str().expect("an id").to_owned();
    let told =
        format!("run {inner} of `inner`, which nobody waits for, is not over; it is stored: `runs resume {inner}`");
    assert!(begun.stderr.contains(&told) && !begun.stderr.contains("from before"), "{}", begun.stderr);
    let other = test.run(&["run", "other"]);
    let told = "1 run is left from before: `serve` goes on with it, or `runs resume`";
    assert!(other.stderr.contains(told) && !other.stderr.contains(&inner), "{}", other.stderr);
    let resumed = test.run(&["runs", "resume", &inner]);
    assert!(resumed.code == 0 && resumed.stdout.contains("completed"), "{}{}", resumed.stdout, resumed.stderr);
    let last = test.run(&["run", "other"]);
    assert!(last.code == 0 && !last.stderr.contains("left"), "{}", last.stderr);
    assert_eq!(calls(&test), ["write"]);
}

#[test]
fn a_command_stays_for_a_run_that_is_stored_nowhere() {
    let inner = "durability: none\nsteps: [{ id: pause, wait: 600ms }, { id: call, tool: north.write }]\n";
    let test = Test::new().server("north", fixture(["healthy"])).workflow("inner", inner).workflow("flow", CALLER);
    let done = test.run(&["run", "flow"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(
        done.json() != json!(null) && done.stderr.contains("is stored nowhere: waiting for its end"),
        "{}",
        done.stderr
    );
    assert_eq!(calls(&test), ["write"]);
}

fn calls(test: &Test) -> Vec<String> {
    let record = std::fs::read_to_string(test.home().join("north.calls")).unwrap_or_default();
    record.lines().map(str::to_owned).collect()
}
