//! Whatever carries the runs, they do the same: every test here is played on each backend.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

#[cfg(feature = "restate")]
use crate::support::restate::Restate;
use crate::support::{DEADLINE, Host, Test, eventually, fixture};

/// What carries the runs of a test.
struct Ground {
    /// What the registry says beside the servers.
    engine: String,
    #[cfg(feature = "restate")]
    restate: Option<Restate>,
}

impl Ground {
    fn embedded() -> Self {
        Self {
            engine: "[engine]\nbackend = \"embedded\"".to_owned(),
            #[cfg(feature = "restate")]
            restate: None,
        }
    }

    #[cfg(feature = "restate")]
    fn restate() -> Option<Self> {
        let restate = Restate::start()?;
        Some(Self { engine: restate.engine(), restate: Some(restate) })
    }

    /// The program with two servers, and these workflows.
    fn with(&self, workflows: &[(&str, &str)]) -> Host {
        let mut test = Test::new().server("north", fixture(["healthy"])).server("south", fixture(["healthy"]));
        test = test.registry(&self.engine);
        for (name, text) in workflows {
            test = test.workflow(name, text);
        }
        let mut host = test.start();
        host.ready(&["north", "south"]);
        #[cfg(feature = "restate")]
        if let Some(restate) = &self.restate {
            restate.knows_of_us();
        }
        host
    }
}

macro_rules! on_each_backend {
    ($($name:ident)*) => {
        mod embedded {
            use super::Ground;
            $(#[test] fn $name() { super::$name(&Ground::embedded()); })*
        }

        #[cfg(feature = "restate")]
        mod restate {
            use super::Ground;
            $(#[test] fn $name() {
                let Some(ground) = Ground::restate() else { return };
                super::$name(&ground);
            })*
        }
    };
}

on_each_backend! {
    a_run_comes_to_its_end
    a_run_goes_on_after_a_death_without_repeating_what_was_done
    a_write_that_was_in_flight_is_not_made_again_but_asked_about
    a_step_may_say_what_is_done_about_a_doubt
    a_timer_goes_off_and_a_question_stays_open
    a_signal_wakes_a_run
    an_event_of_one_run_wakes_another
    a_cancel_reaches_a_call_at_once
    a_time_limit_ends_a_call
    the_loser_of_a_race_is_cancelled
    a_run_within_a_run_goes_on_where_it_was
    a_question_within_a_run_is_a_question_of_the_whole
    one_key_is_one_run
    what_was_done_is_undone_in_reverse
    many_items_run_side_by_side
    what_has_happened_can_be_looked_at
    a_failed_run_is_tried_again_from_where_it_failed
    a_run_within_that_has_failed_often_is_tried_again_from_where_it_failed_last
}

/// Waits for the run's end.
fn end(host: &mut Host, run: &str) -> Value {
    host.call("get_run", json!({ "run_id": run, "wait_ms": 19_000 }))["structuredContent"].clone()
}

fn a_run_comes_to_its_end(ground: &Ground) {
    let mut host = ground.with(&[(
        "flow",
        "steps:\n  - { id: a, tool: north.write, args: { n: 1 } }\n  - { id: b, tool: south.echo, args: { n: $steps.a.output.n } }\n\
         output: $steps.b.output.n\n",
    )]);
    let done = host.value("run_workflow", json!({ "workflow": "flow" }));
    assert_eq!((&done["status"], &done["output"]), (&json!("completed"), &json!(1)), "{done}");
    assert_eq!(host.value("flow", json!({})), json!({ "result": 1 }), "the same as a tool of its own");
}

fn a_run_goes_on_after_a_death_without_repeating_what_was_done(ground: &Ground) {
    let mut host = ground.with(&[(
        "flow",
        "steps:\n  - { id: first, tool: north.write, args: { a: 1 } }\n  - { id: slow, tool: south.sleep, args: { ms: 1500 } }\n\
         output: { first: $steps.first.output, slow: $steps.slow.output.slept }\n",
    )]);
    let run = host.begin("flow");
    host.await_record("south", "calls", 1);
    host.restart();
    let report = end(&mut host, &run);
    assert_eq!(report["output"], json!({ "first": { "a": 1 }, "slow": 1500 }), "{report}\n{}", host.stderr());
    assert_eq!((host.calls("north", "write"), host.calls("south", "sleep")), (1, 2));
}

fn a_write_that_was_in_flight_is_not_made_again_but_asked_about(ground: &Ground) {
    let flow = "steps:\n  - { id: pay, tool: north.hang }\noutput: $steps.pay.output.receipt\n";
    let mut host = ground.with(&[("flow", flow)]);
    let run = host.begin("flow");
    host.await_record("north", "calls", 1);
    host.restart();
    let paused = host.until(&run, "paused");
    assert_eq!(paused["in_doubt"][0]["step"], "pay", "{paused}");
    let payload = json!({ "it_happened": { "receipt": 7 } });
    host.value("control_run", json!({ "run_id": run, "action": "decide", "step": "pay", "payload": payload }));
    let done = end(&mut host, &run);
    assert_eq!((&done["status"], &done["output"]), (&json!("completed"), &json!(7)), "{done}");
    assert_eq!(host.calls("north", "hang"), 1);
}

fn a_step_may_say_what_is_done_about_a_doubt(ground: &Ground) {
    let flow = "steps:\n  - id: pay\n    tool: north.hang\n    in_doubt: check\n    check: { tool: south.echo, args: { receipt: 8 } }\n\
                output: $steps.pay.output.receipt\n";
    let mut host = ground.with(&[("flow", flow)]);
    let run = host.begin("flow");
    host.await_record("north", "calls", 1);
    host.restart();
    let done = end(&mut host, &run);
    assert_eq!((&done["status"], &done["output"]), (&json!("completed"), &json!(8)), "{done}\n{}", host.stderr());
    assert_eq!((host.calls("north", "hang"), host.calls("south", "echo")), (1, 1));
}

fn a_timer_goes_off_and_a_question_stays_open(ground: &Ground) {
    let flow = "steps:\n  - { id: pause, wait: 700ms }\n  - { id: may, ask: Go on? }\n  - { id: end, set: yes }\n";
    let mut host = ground.with(&[("flow", flow)]);
    let run = host.begin("flow");
    host.restart();
    let asked = host.until(&run, "waiting");
    assert_eq!(asked["questions"][0]["question"], "Go on?", "{asked}");
    host.restart();
    host.until(&run, "waiting");
    let done = host.value("answer_run", json!({ "run_id": run, "answer": true }));
    assert_eq!(done["status"], "completed", "{done}");
    host.restart();
    assert_eq!(end(&mut host, &run)["status"], "completed", "what has ended can still be looked at");
}

fn a_signal_wakes_a_run(ground: &Ground) {
    let flow =
        "steps:\n  - { id: paid, await: order.paid, where: event.data.order == 7 }\noutput: $steps.paid.output.sum\n";
    let mut host = ground.with(&[("flow", flow)]);
    let run = host.begin("flow");
    for (order, sum) in [(6, 1), (7, 2)] {
        let data = json!({ "order": order, "sum": sum });
        host.value("control_run", json!({ "run_id": run, "action": "signal", "event": "order.paid", "data": data }));
    }
    let done = end(&mut host, &run);
    assert_eq!((&done["status"], &done["output"]), (&json!("completed"), &json!(2)), "{done}");
}

fn an_event_of_one_run_wakes_another(ground: &Ground) {
    let mut host = ground.with(&[
        ("flow", "steps:\n  - { id: news, await: it.happened }\noutput: $steps.news.output.n\n"),
        ("tell", "steps:\n  - { id: a, tool: north.write }\n  - { id: say, emit: it.happened, data: { n: 3 } }\n"),
    ]);
    let run = host.begin("flow");
    host.until(&run, "running");
    host.value("run_workflow", json!({ "workflow": "tell" }));
    let done = end(&mut host, &run);
    assert_eq!((&done["status"], &done["output"]), (&json!("completed"), &json!(3)), "{done}");
}

fn a_cancel_reaches_a_call_at_once(ground: &Ground) {
    let flow = "steps:\n  - { id: long, tool: south.sleep, args: { ms: 15000 } }\n";
    let mut host = ground.with(&[("flow", flow)]);
    let run = host.begin("flow");
    host.await_record("south", "calls", 1);
    let began = Instant::now();
    let done = host.call("control_run", json!({ "run_id": run, "action": "cancel" }))["structuredContent"].clone();
    assert_eq!(done["status"], "cancelled", "{done}\n{}", host.stderr());
    let heard = eventually(DEADLINE, || !host.record("south", "cancelled").is_empty());
    assert!(heard, "the server has not heard of it\n{}", host.stderr());
    assert!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
}

fn a_time_limit_ends_a_call(ground: &Ground) {
    let flow = "steps:\n  - { id: long, tool: south.sleep, args: { ms: 15000 }, timeout: 300ms, optional: true, default: 5 }\n\
                output: $steps.long.output\n";
    let mut host = ground.with(&[("flow", flow)]);
    let done = host.value("run_workflow", json!({ "workflow": "flow" }));
    assert_eq!((&done["status"], &done["output"]), (&json!("completed"), &json!(5)), "{done}");
}

fn the_loser_of_a_race_is_cancelled(ground: &Ground) {
    let flow = "steps:\n  - id: race\n    parallel:\n      slow: { tool: south.sleep, args: { ms: 15000 } }\n      \
                fast: { tool: north.sleep, args: { ms: 10 } }\n    join: any\noutput: $steps.race.output.fast.slept\n";
    let mut host = ground.with(&[("flow", flow)]);
    let done = host.value("run_workflow", json!({ "workflow": "flow" }));
    assert_eq!((&done["status"], &done["output"]), (&json!("completed"), &json!(10)), "{done}");
    let heard = eventually(DEADLINE, || !host.record("south", "cancelled").is_empty());
    assert!(heard, "the server has not heard of it\n{}", host.stderr());
}

fn a_run_within_a_run_goes_on_where_it_was(ground: &Ground) {
    let inner = "steps:\n  - { id: a, tool: north.write }\n  - { id: b, tool: south.sleep, args: { ms: 1500 } }\n  - { id: c, set: inside }\n";
    let mut host = ground.with(&[("inner", inner), ("flow", "steps:\n  - { id: in, workflow: inner }\n")]);
    let run = host.begin("flow");
    host.await_record("south", "calls", 1);
    host.restart();
    let report = end(&mut host, &run);
    assert_eq!((&report["status"], &report["output"]), (&json!("completed"), &json!("inside")), "{report}");
    assert_eq!(host.calls("north", "write"), 1, "\n{}", host.stderr());
}

fn a_question_within_a_run_is_a_question_of_the_whole(ground: &Ground) {
    let inner = "steps:\n  - { id: may, ask: Inside? }\n  - { id: c, set: inside }\n";
    let mut host = ground.with(&[("inner", inner), ("flow", "steps:\n  - { id: in, workflow: inner }\n")]);
    let run = host.begin("flow");
    let asked = host.until(&run, "waiting");
    assert_eq!(asked["questions"][0]["question"], "Inside?", "{asked}");
    let done = host.value("answer_run", json!({ "run_id": run, "answer": true }));
    assert_eq!((&done["status"], &done["output"]), (&json!("completed"), &json!("inside")), "{done}");
}

fn one_key_is_one_run(ground: &Ground) {
    let flow = "input: { n: integer }\nsteps:\n  - { id: a, tool: north.write, args: { n: $input.n } }\n";
    let mut host = ground.with(&[("flow", flow)]);
    let arguments = json!({ "workflow": "flow", "input": { "n": 1 }, "idempotency_key": "k" });
    let first = host.value("run_workflow", arguments.clone());
    let second = host.value("run_workflow", arguments.clone());
    assert_eq!(first["run_id"], second["run_id"]);
    host.restart();
    host.ready(&["north", "south"]);
    let third = host.value("run_workflow", arguments);
    assert_eq!((&third["run_id"], &third["output"]), (&first["run_id"], &first["output"]), "{third}");
    let other = json!({ "workflow": "flow", "input": { "n": 2 }, "idempotency_key": "k" });
    assert!(host.failure("run_workflow", other).contains("another input"));
    assert_eq!(host.calls("north", "write"), 1);
}

fn what_was_done_is_undone_in_reverse(ground: &Ground) {
    let flow = "steps:\n  - { id: one, tool: north.write, args: { n: 1 }, undo: { tool: south.write, args: { back: 1 } } }\n  \
                - { id: two, tool: north.write, args: { n: 2 }, undo: { tool: south.write, args: { back: 2 } } }\n  - { id: no, fail: no }\n";
    let mut host = ground.with(&[("flow", flow)]);
    let report = host.failed("run_workflow", json!({ "workflow": "flow" }));
    assert_eq!((&report["status"], &report["undone"]), (&json!("undone"), &json!(["two", "one"])), "{report}");
    assert_eq!((host.calls("north", "write"), host.calls("south", "write")), (2, 2));
}

fn many_items_run_side_by_side(ground: &Ground) {
    let flow = "steps:\n  - { id: all, for_each: \"${range(40)|list}\", concurrency: 8, tool: north.echo, args: { n: $item } }\n\
                output: \"${steps.all.output|length}\"\n";
    let mut host = ground.with(&[("flow", flow)]);
    let done = host.value("run_workflow", json!({ "workflow": "flow" }));
    assert_eq!((&done["status"], &done["output"]), (&json!("completed"), &json!(40)), "{done}");
}

fn what_has_happened_can_be_looked_at(ground: &Ground) {
    let flow = "steps:\n  - { id: a, tool: north.write, args: { n: 1 } }\n  - { id: b, fail: Not today }\n";
    let mut host = ground.with(&[("flow", flow)]);
    let run = host.begin("flow");
    let report = end(&mut host, &run);
    host.restart();
    let kept = host.value("get_run", json!({ "run_id": run }));
    for key in ["run_id", "workflow", "status", "error", "steps"] {
        assert_eq!(kept[key], report[key], "{key}: {kept}");
    }
    let steps: Vec<_> = kept["steps"].as_array().expect("steps").iter().map(|step| &step["status"]).collect();
    assert_eq!(steps, ["completed", "failed"], "{kept}");
}

fn a_failed_run_is_tried_again_from_where_it_failed(ground: &Ground) {
    let flow = "steps:\n  - { id: a, tool: north.write }\n  - { id: c, tool: south.fail }\n";
    let mut host = ground.with(&[("flow", flow)]);
    let run = host.begin("flow");
    assert_eq!(end(&mut host, &run)["status"], "failed");
    let again = host.value("control_run", json!({ "run_id": run, "action": "retry" }));
    let next = again["run_id"].as_str().expect("an id").to_owned();
    assert_ne!(next, run);
    assert_eq!(end(&mut host, &next)["status"], "failed");
    assert_eq!((host.calls("north", "write"), host.calls("south", "fail")), (1, 2));
}

fn a_run_within_that_has_failed_often_is_tried_again_from_where_it_failed_last(ground: &Ground) {
    let inner = "steps:\n  - { id: a, tool: north.echo }\n  - { id: no, fail: Not today }\n";
    let outer = "steps:\n  - { id: in, workflow: inner, retry: { attempts: 7, delay: 1ms, on: [rejected] } }\n";
    let mut host = ground.with(&[("inner", inner), ("outer", outer)]);
    let run = host.begin("outer");
    assert_eq!(end(&mut host, &run)["status"], "failed");
    assert_eq!(host.calls("north", "echo"), 7);
    let again = host.value("control_run", json!({ "run_id": run, "action": "retry" }));
    let next = again["run_id"].as_str().expect("an id").to_owned();
    assert_eq!(end(&mut host, &next)["status"], "failed");
    assert_eq!(host.calls("north", "echo"), 7);
}
