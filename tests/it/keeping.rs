//! Results that are kept, providers that are chosen, flags that decide.

use serde_json::{Value, json};

use crate::support::{Host, Test, fixture};

const LOOK_UP: &str = "input: { id: integer }
steps:
  - { id: found, tool: north.echo, args: { id: $input.id }, cache: { ttl: 1h, stale_if_error: 7d } }
";

fn run(host: &mut Host, workflow: &str, input: &Value) -> Value {
    host.value("run_workflow", json!({ "workflow": workflow, "input": input }))
}

#[test]
fn what_was_looked_up_is_not_looked_up_again() {
    let mut host = Test::new().server("north", fixture(["healthy"])).workflow("look_up", LOOK_UP).start();
    host.ready(&["north"]);
    let first = run(&mut host, "look_up", &json!({ "id": 1 }));
    let again = run(&mut host, "look_up", &json!({ "id": 1 }));
    assert_eq!((&first["output"], &again["output"]), (&json!({ "id": 1 }), &json!({ "id": 1 })));
    assert_eq!((&first["steps"][0]["from"], &again["steps"][0]["from"]), (&Value::Null, &json!("cache")));
    run(&mut host, "look_up", &json!({ "id": 2 }));
    assert_eq!(host.record("north", "calls"), ["echo", "echo"]);
}

#[test]
fn a_workflow_stands_in_where_nothing_is_known() {
    let with = "input: { ok: boolean }
steps:
  - { id: a, tool: north.fail, fallback: [{ cached: 1h }, { workflow: spare, args: { ok: $input.ok } }] }
";
    let spare = "input: { ok: boolean }\nsteps:\n  - { id: b, set: spare }\noutput: { ok: $input.ok }\n";
    let test = Test::new().server("north", fixture(["healthy"]));
    let mut host = test.workflow("last", with).workflow("spare", spare).start();
    host.ready(&["north"]);
    let report = run(&mut host, "last", &json!({ "ok": true }));
    assert_eq!(
        (&report["output"], &report["steps"][0]["from"]),
        (&json!({ "ok": true }), &json!("fallback")),
        "{report}"
    );
}

const JOB: &str = r#"
[capabilities."text.say"]
members = [
  { tool = "north.echo", output = "${ 'north ' ~ result.message }" },
  { tool = "south.echo", output = "${ 'south ' ~ result.message }" },
]

[flags]
LOUD = true
NOBODY = { rollout = 0, on = "on", off = "off" }
"#;

fn with_job(steps: &str) -> Test {
    let test = Test::new().registry(JOB).server("north", fixture(["healthy"])).server("south", fixture(["healthy"]));
    test.workflow("say", steps)
}

#[test]
fn a_step_says_who_is_to_do_a_job() {
    let steps = "steps:\n  - { id: a, tool: text.say, args: { message: hi }, providers: south | north }\noutput: $steps.a.output.result\n";
    let mut host = with_job(steps).start();
    host.ready(&["north", "south"]);
    assert_eq!(host.value("say", json!({})), json!({ "result": "south hi" }));
    let wrong = with_job(&steps.replace("south |", "suoth |")).run(&["check"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("did you mean `south`?"), "{}", wrong.stderr);
    let wrong = with_job(&steps.replace("tool: text.say", "tool: north.echo")).run(&["check"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("is no capability"), "{}", wrong.stderr);
}

#[test]
fn flags_are_decided_by_the_registry() {
    let steps = "steps:\n  - { id: a, when: flags.LOUD, set: \"${ flags.NOBODY ~ '!' }\" }\n";
    let mut host = with_job(steps).start();
    assert_eq!(host.value("say", json!({})), json!({ "result": "off!" }));
    let wrong = with_job(&steps.replace("flags.LOUD", "flags.LUOD")).run(&["check"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("did you mean `LOUD`?"), "{}", wrong.stderr);
}

#[test]
fn a_deadline_ends_a_run_and_urgency_is_told() {
    let steps = "priority: high\ndeadline: 300ms\ntriggers: [{ cron: '0 6 * * MON-FRI', timezone: Europe/Berlin }]\nsteps: [{ id: a, wait: 1h }]\n";
    let mut host = with_job(steps).start();
    let listed = host.value("list_workflows", json!({}))["workflows"][0].clone();
    assert_eq!((&listed["priority"], &listed["deadline_ms"]), (&json!("high"), &json!(300)));
    assert_eq!(listed["triggers"], json!(["cron 0 6 * * MON-FRI (Europe/Berlin)"]));
    assert!(host.failure("say", json!({})).contains("MO4006"));
}
