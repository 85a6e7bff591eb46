//! Workflows at random, with what must have been called once they have completed.

use serde_json::{Value, json};

use super::chance::Chance;

/// A workflow.
pub(super) struct Plan {
    pub(super) text: String,
    /// What each of its calls is labelled with.
    pub(super) labels: Vec<String>,
    /// The steps that are undone by a call, if the run fails.
    pub(super) undoable: Vec<String>,
}

/// A workflow that others call.
pub(super) fn inner() -> String {
    let call = |label: &str, tool: &str| {
        let arguments = json!({ "label": label, "ms": 25 });
        json!({ "id": label.replace('-', "_"), "tool": format!("ledger.{tool}"), "args": arguments })
    };
    json!({ "name": "inner", "steps": [call("in-look", "look"), call("in-post", "post"), call("in-put", "put")] })
        .to_string()
}

/// A workflow of this name.
pub(super) fn random(name: &str, chance: &mut Chance) -> Plan {
    let mut plan = Making { chance, count: 0, labels: Vec::new(), undoable: Vec::new() };
    let steps = plan.chance.below(4) + 3;
    let mut steps: Vec<_> = (0..steps).map(|_| plan.step(2)).collect();
    if plan.chance.once_in(4) {
        steps.push(json!({ "id": "no", "fail": "no" }));
    }
    let Making { labels, undoable, .. } = plan;
    Plan { text: json!({ "name": name, "steps": steps }).to_string(), labels, undoable }
}

struct Making<'a> {
    chance: &'a mut Chance,
    count: usize,
    labels: Vec<String>,
    undoable: Vec<String>,
}

impl Making<'_> {
    fn id(&mut self) -> String {
        self.count += 1;
        format!("s{}", self.count)
    }

    /// One step, with steps within it if there is room.
    fn step(&mut self, room: usize) -> Value {
        match self.chance.below(if room == 0 { 8 } else { 12 }) {
            0..=4 => self.call(),
            5 => json!({ "id": self.id(), "wait": format!("{}ms", self.chance.below(120) + 1) }),
            6 => json!({ "id": self.id(), "workflow": "inner" }),
            7 => json!({ "id": self.id(), "ask": "Go on?" }),
            8 => json!({ "id": self.id(), "steps": [self.step(room - 1), self.step(room - 1)] }),
            9 => self.each(),
            _ => {
                let (one, two) = (self.step(room - 1), self.step(room - 1));
                json!({ "id": self.id(), "parallel": { "one": [one, self.call()], "two": [two] } })
            }
        }
    }

    fn call(&mut self) -> Value {
        let id = self.id();
        let tool = ["look", "put", "post"][usize::try_from(self.chance.below(3)).unwrap_or_default()];
        let mut step = json!({
            "id": id, "tool": format!("ledger.{tool}"), "args": { "label": id, "ms": self.chance.below(90) },
        });
        if tool != "look" && self.chance.once_in(3) {
            let back = if self.chance.once_in(2) { "put" } else { "post" };
            let label = format!("{id}-back");
            step["undo"] =
                json!({ "tool": format!("ledger.{back}"), "args": { "label": label, "ms": self.chance.below(60) } });
        }
        if step.get("undo").is_some() {
            self.undoable.push(id.clone());
        }
        self.labels.push(id);
        step
    }

    fn each(&mut self) -> Value {
        let mut step = self.call();
        let label = self.labels.pop().unwrap_or_default();
        let items = self.chance.below(3) + 2;
        self.labels.extend((0..items).map(|item| format!("{label}-{item}")));
        step["for_each"] = (0..items).collect();
        step["concurrency"] = json!(self.chance.below(3) + 1);
        step["args"]["label"] = json!(format!("{label}-${{item}}"));
        step
    }
}
