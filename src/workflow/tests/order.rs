//! The order of steps: single rules by example, the laws by chance.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::{World, steps, workflow};
use crate::model::effect::Effect;
use crate::model::effect::Effect::{Destructive, Idempotent, Read, Write};
use crate::workflow::definition::{Block, Order};
use crate::workflow::explain::Reason;
use crate::workflow::plan::{keeps_its_place, names, plan};

fn waits(lines: &[&str]) -> Vec<Vec<usize>> {
    plan(&steps(lines), &World).workflow.body.steps.iter().map(|step| step.waits.clone()).collect()
}

#[test]
fn reads_run_side_by_side_and_a_write_waits_for_all_of_them() {
    assert_eq!(
        waits(&[
            "id: a, tool: world.read",
            "id: b, tool: world.read",
            "id: c, tool: world.write",
            "id: d, tool: world.read"
        ]),
        [vec![], vec![], vec![0, 1], vec![2]]
    );
}

#[test]
fn after_replaces_the_written_order_but_not_what_is_read() {
    assert_eq!(
        waits(&[
            "id: a, tool: world.write",
            "id: b, tool: world.write, after: []",
            "id: c, set: $steps.b.output, after: [a]"
        ]),
        [vec![], vec![], vec![0, 1]]
    );
}

#[test]
fn fail_keeps_its_place_even_inside_a_container() {
    assert_eq!(
        waits(&["id: a, set: 1", "id: b, steps: [{ id: c, fail: no }]", "id: d, set: 2"]),
        [vec![], vec![0], vec![1]]
    );
}

#[test]
fn a_container_is_as_strong_as_the_strongest_step_inside_it() {
    let lines = [
        "id: a, parallel: { x: { tool: world.read }, y: [{ id: z, tool: world.write }] }",
        "id: b, tool: world.read, fallback: [{ tool: world.idempotent }]",
        "id: c, set: 1, catch: [{ steps: [{ id: d, tool: world.destructive }] }]",
        "id: e, tool: elsewhere.unknown",
        "id: f, tool: elsewhere.unknown, effect: read",
        "id: g, workflow: unknown",
        "id: h, fail: no",
    ];
    let plan = plan(&steps(&lines), &World);
    let effects: Vec<_> = plan.workflow.body.steps.iter().map(|step| step.effect).collect();
    assert_eq!(effects, [Write, Idempotent, Destructive, Destructive, Read, Destructive, Read]);
    assert_eq!(plan.effect(), Destructive);
}

#[test]
fn what_a_nested_step_reads_its_container_waits_for() {
    let lines = [
        "id: a, set: 1",
        "id: b, set: 2",
        "id: c, steps: [{ id: d, set: $steps.b.output }, { id: e, set: $steps.d.output }]",
    ];
    let plan = plan(&steps(&lines), &World);
    let explained: Vec<_> = plan
        .explain()
        .into_iter()
        .map(|line| {
            (
                line.id.to_string(),
                line.depth,
                line.level,
                line.waits.into_iter().map(|(id, why)| (id.to_string(), why)).collect::<Vec<_>>(),
            )
        })
        .collect();
    let row = |id: &str, depth, level, waits: &[(&str, Reason)]| {
        (id.to_owned(), depth, level, waits.iter().map(|(id, why)| ((*id).to_owned(), *why)).collect::<Vec<_>>())
    };
    assert_eq!(
        explained,
        [
            row("a", 0, 0, &[]),
            row("b", 0, 0, &[]),
            row("c", 0, 1, &[("b", Reason::Reads)]),
            row("d", 1, 0, &[]),
            row("e", 1, 1, &[("d", Reason::Reads)]),
        ]
    );
}

/// What a random step is made of; numbers choose among the steps above it.
#[derive(Debug, Clone)]
struct Sketch {
    kind: u8,
    reads: Vec<usize>,
    after: Option<Vec<usize>>,
    is_nested: bool,
}

fn sketches() -> impl Strategy<Value = (bool, Vec<Sketch>)> {
    let places = || prop::collection::vec(0..12_usize, 0..3);
    let sketch = (0..6_u8, places(), prop::option::weighted(0.2, places()), prop::bool::weighted(0.2))
        .prop_map(|(kind, reads, after, is_nested)| Sketch { kind, reads, after, is_nested });
    (prop::bool::weighted(0.2), prop::collection::vec(sketch, 1..12))
}

fn write_down(is_data: bool, sketches: &[Sketch]) -> String {
    let mut text = format!("name: flow\norder: {}\nsteps:\n", if is_data { "data" } else { "written" });
    for (place, sketch) in sketches.iter().enumerate() {
        let earlier = |wanted: &[usize]| {
            wanted.iter().filter(|_| place > 0).map(|wanted| wanted % place.max(1)).collect::<BTreeSet<_>>()
        };
        let read: Vec<_> = earlier(&sketch.reads).iter().map(|step| format!("$steps.s{step}.output")).collect();
        let value = format!("[{}]", read.join(", "));
        let verb = match sketch.kind {
            0 => format!("set: {value}"),
            1 => format!("return: {value}"),
            kind => format!("tool: world.{}, args: {{ a: {value} }}", Effect::ALL[usize::from(kind) - 2].as_str()),
        };
        let body = if sketch.is_nested { format!("steps: [{{ id: inner, {verb} }}]") } else { verb };
        let after = sketch.after.as_ref().map_or_else(String::new, |after| {
            let names: Vec<_> = earlier(after).iter().map(|step| format!("s{step}")).collect();
            format!(", after: [{}]", names.join(", "))
        });
        let _ = writeln!(text, "  - {{ id: s{place}, {body}{after} }}");
    }
    text
}

/// For each step all that is over before it starts.
fn closures(block: &Block) -> Vec<BTreeSet<usize>> {
    let mut all: Vec<BTreeSet<usize>> = Vec::new();
    for step in &block.steps {
        all.push(step.waits.iter().flat_map(|&wait| all[wait].iter().copied().chain([wait])).collect());
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_keeps_its_laws((is_data, sketches) in sketches()) {
        let plan = plan(&workflow(&write_down(is_data, &sketches)), &World);
        let block = &plan.workflow.body;
        for (place, step) in block.steps.iter().enumerate() {
            prop_assert!(step.waits.iter().all(|&wait| wait < place), "waits point upwards");
        }
        let closures = closures(block);
        for (place, step) in block.steps.iter().enumerate() {
            let over = &closures[place];
            for name in names(step).into_iter().filter(|name| *name != "inner") {
                let read = block.steps.iter().position(|other| *other.id == *name);
                prop_assert!(read.is_some_and(|read| over.contains(&read)), "{} reads {name} too early", step.id);
            }
            for wait in step.after.iter().flatten() {
                let wait = block.steps.iter().position(|other| other.id == *wait);
                prop_assert!(wait.is_some_and(|wait| over.contains(&wait)), "{} starts too early", step.id);
            }
            for wait in &step.waits {
                prop_assert!(step.waits.iter().all(|other| !closures[*other].contains(wait)), "a wait is implied");
            }
            if plan.workflow.order == Order::Data || step.after.is_some() {
                continue;
            }
            for (earlier, other) in block.steps.iter().enumerate().take(place) {
                let either_writes = keeps_its_place(step) || keeps_its_place(other);
                prop_assert!(!either_writes || over.contains(&earlier), "{} overlaps {}", step.id, other.id);
            }
        }
    }
}
