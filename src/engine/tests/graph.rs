//! The order that a plan demands, worked out from its definition alone, to hold runs to it.

use std::collections::HashMap;

use crate::engine::view::StepView;
use crate::workflow::definition::{Block, Workflow};

/// What a plan says about a step.
struct Demand {
    /// Which block it is in.
    block: usize,
    id: String,
    writes: bool,
    waits: Vec<String>,
}

/// Every step by its address without item numbers.
pub(super) struct Graph(HashMap<String, Vec<Demand>>);

impl Graph {
    pub(super) fn of(workflow: &Workflow) -> Self {
        let mut graph = Self(HashMap::new());
        let mut blocks = 0;
        graph.add(&workflow.body, "", &mut blocks);
        graph
    }

    fn add(&mut self, block: &Block, prefix: &str, blocks: &mut usize) {
        *blocks += 1;
        let number = *blocks;
        for step in &block.steps {
            let address = format!("{prefix}{}", step.id);
            for (part, inner) in step.blocks() {
                let lends_its_name = matches!(inner.steps.as_slice(), [only] if *only.id == *part);
                let part = if part.is_empty() || lends_its_name { String::new() } else { format!("{part}/") };
                let mark = if step.undo.as_ref().is_some_and(|undo| std::ptr::eq(undo, inner)) { '#' } else { '/' };
                self.add(inner, &format!("{address}{mark}{part}"), blocks);
            }
            let waits = step.waits.iter().map(|&before| block.steps[before].id.to_string()).collect();
            let demand = Demand { block: number, id: step.id.to_string(), writes: !step.effect.is_read(), waits };
            self.0.entry(address).or_default().push(demand);
        }
    }

    /// The demand on a step; ids do not repeat in the plans that are tested.
    fn demand(&self, address: &str) -> Option<&Demand> {
        self.0.get(&without_items(address))?.first()
    }

    /// Objects if something that the step at `address`, or a step around it, waits for is not over.
    pub(super) fn check_waits(&self, address: &str, rows: &HashMap<&str, &StepView>) {
        // What is undone was done before; what it waited for then may have begun again since.
        let undo = address.rfind('#').unwrap_or(0);
        for step in around(address).into_iter().filter(|step| step.len() > undo) {
            let Some(demand) = self.demand(&step) else { continue };
            let prefix = &step[..step.len() - demand.id.len()];
            for before in &demand.waits {
                let before = format!("{prefix}{before}");
                let status = rows.get(&*before).map(|row| row.status.as_str());
                assert!(matches!(status, Some("completed" | "skipped")), "{address} runs, but {before} is {status:?}");
            }
        }
    }

    /// Objects if two of these calls are in flight for different steps of one block that both write.
    pub(super) fn check_writes(&self, in_flight: &[&str]) {
        for (place, one) in in_flight.iter().enumerate() {
            for other in &in_flight[..place] {
                for mine in around(one) {
                    for theirs in around(other) {
                        self.check_pair(&mine, &theirs);
                    }
                }
            }
        }
    }

    fn check_pair(&self, one: &str, other: &str) {
        let (Some(mine), Some(theirs)) = (self.demand(one), self.demand(other)) else { return };
        let same_block = mine.block == theirs.block && one.strip_suffix(&*mine.id) == other.strip_suffix(&*theirs.id);
        assert!(!(same_block && one != other && mine.writes && theirs.writes), "{one} and {other} write at once");
    }
}

/// The addresses of a step and of the steps around it, without the numbers of each one's own item and turn.
fn around(address: &str) -> Vec<String> {
    let ends = address.match_indices('/').map(|(end, _)| end).chain([address.len()]);
    ends.map(|end| without_last_item(&address[..end]).to_owned()).collect()
}

fn without_last_item(mut address: &str) -> &str {
    while let Some((step, _)) = address.rsplit_once('[').filter(|_| address.ends_with(']')) {
        address = step;
    }
    address
}

fn without_items(address: &str) -> String {
    let mut depth = 0;
    let keep = |letter: &char| {
        depth += i32::from(*letter == '[');
        let is_outside = depth == 0;
        depth -= i32::from(*letter == ']');
        is_outside
    };
    address.chars().filter(keep).collect()
}
