//! A plan in words: what each step may do, when it may start, and why not earlier.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::model::effect::Effect;
use crate::workflow::definition::{Block, Step};
use crate::workflow::plan::{Plan, levels_of, names};

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its id.
    pub id: Arc<str>,
    /// How many blocks it is nested in; 0 at the top.
    pub depth: usize,
    /// The branch, or `catch`, `undo` or `on_failure`, that its block belongs to; empty if its parent has no such parts.
    pub part: String,
    /// Its level within its block.
    pub level: usize,
    /// What it may do at most.
    pub effect: Effect,
    /// The ids of the steps that it waits for directly, and why.
    pub waits: Vec<(Arc<str>, Reason)>,
}

/// Why one step waits for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It, or a step inside it, names the other.
    Reads,
    /// The other stands before it, and one of the two may change something.
    Written,
    /// Its `after` names the other.
    After,
}

impl Line {
    /// It for programs.
    pub fn to_json(&self) -> Value {
        let waits: Vec<_> =
            self.waits.iter().map(|(id, reason)| json!({ "step": id, "because": reason.as_str() })).collect();
        json!({
            "id": self.id, "depth": self.depth, "part": self.part, "level": self.level,
            "effect": self.effect.as_str(), "waits": waits,
        })
    }
}

impl Reason {
    /// The reason in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reads => "reads its output",
            Self::Written => "written before, may write",
            Self::After => "after",
        }
    }
}

impl Plan {
    /// Every step in written order, nested ones below the step that holds them.
    pub fn explain(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        for (part, block) in self.workflow.blocks() {
            explain_block(block, 0, part, &mut lines);
        }
        lines
    }
}

fn explain_block(block: &Block, depth: usize, part: &str, lines: &mut Vec<Line>) {
    for (step, level) in block.steps.iter().zip(levels_of(block)) {
        lines.push(Line {
            id: Arc::clone(&step.id),
            depth,
            part: part.to_owned(),
            level,
            effect: step.effect,
            waits: reasons(block, step),
        });
        for (part, inner) in step.blocks() {
            explain_block(inner, depth + 1, part, lines);
        }
    }
}

/// Why a step waits for each step that it waits for.
pub fn reasons(block: &Block, step: &Step) -> Vec<(Arc<str>, Reason)> {
    let named = names(step);
    let earlier = step.waits.iter().filter_map(|&place| block.steps.get(place));
    earlier
        .map(|other| {
            let reason = if named.contains(&*other.id) {
                Reason::Reads
            } else if step.after.is_some() {
                Reason::After
            } else {
                Reason::Written
            };
            (Arc::clone(&other.id), reason)
        })
        .collect()
}
