//! Pictures of a plan: as text for a terminal, and as a Mermaid flowchart.

use std::fmt::Write as _;

use crate::model::effect::Effect;
use crate::workflow::definition::{Block, Step};
use crate::workflow::explain::{Line, Reason, reasons};
use crate::workflow::picture::{colour, verb};
use crate::workflow::plan::Plan;

/// One line for each step: its level, its id (indented below the step that holds it), its effect, what it waits for.
pub fn text(plan: &Plan) -> String {
    let lines = plan.explain();
    let width = lines.iter().map(|line| label(line).chars().count()).max().unwrap_or(0);
    let mut picture = format!("{} ({})\n", plan.workflow.name, plan.effect().as_str());
    for line in &lines {
        let row = format!("{:>3}  {:<width$}  {:<11}  {}", line.level, label(line), line.effect.as_str(), waits(line));
        picture.push_str(row.trim_end());
        picture.push('\n');
    }
    picture
}

/// A Mermaid `flowchart TD`: an arrow for each wait, a frame around each block, a colour for each effect.
pub fn mermaid(plan: &Plan) -> String {
    let mut drawing = Drawing { picture: "flowchart TD\n".to_owned(), nodes: 0 };
    drawing.parts(plan.workflow.blocks(), 1);
    for effect in Effect::ALL {
        let (name, colour) = (effect.as_str(), colour(effect));
        drawing.row(1, &format!("classDef {name} fill:{colour},stroke:#555,color:#111"));
    }
    drawing.picture
}

fn label(line: &Line) -> String {
    let indent = "  ".repeat(line.depth);
    if line.part.is_empty() || *line.id == *line.part {
        format!("{indent}{}", line.id)
    } else {
        format!("{indent}{}/{}", line.part, line.id)
    }
}

fn waits(line: &Line) -> String {
    let waits: Vec<_> = line.waits.iter().map(|(id, reason)| format!("{id} ({})", reason.as_str())).collect();
    if waits.is_empty() { String::new() } else { format!("<- {}", waits.join(", ")) }
}

struct Drawing {
    picture: String,
    nodes: usize,
}

impl Drawing {
    fn row(&mut self, depth: usize, row: &str) {
        let indent = "    ".repeat(depth);
        let _ = writeln!(self.picture, "{indent}{row}");
    }

    /// Draws the steps of a block and the arrows between them.
    fn block(&mut self, block: &Block, depth: usize) {
        let mut keys = Vec::with_capacity(block.steps.len());
        for step in &block.steps {
            let key = self.key();
            self.step(step, &key, depth);
            keys.push(key);
        }
        for (step, key) in block.steps.iter().zip(&keys) {
            let reasons = reasons(block, step);
            for (&place, (_, reason)) in step.waits.iter().zip(reasons) {
                let Some(earlier) = keys.get(place) else { continue };
                // A dotted arrow is order alone: no data travels along it.
                let arrow = if reason == Reason::Reads { "-->" } else { "-.->" };
                self.row(depth, &format!("{earlier} {arrow} {key}"));
            }
        }
    }

    fn step(&mut self, step: &Step, key: &str, depth: usize) {
        let what = escaped(&format!("{}: {}", step.id, verb(&step.verb)));
        let effect = step.effect.as_str();
        if step.blocks().next().is_none() {
            self.row(depth, &format!("{key}[\"{what}<br/>{effect}\"]:::{effect}"));
            return;
        }
        self.row(depth, &format!("subgraph {key}[\"{what} ({effect})\"]"));
        self.parts(step.blocks(), depth + 1);
        self.row(depth, "end");
        self.row(depth, &format!("class {key} {effect}"));
    }

    /// Draws blocks, a frame around each that has a name.
    fn parts<'a>(&mut self, parts: impl Iterator<Item = (&'a str, &'a Block)>, depth: usize) {
        for (part, block) in parts {
            if part.is_empty() {
                self.block(block, depth);
                continue;
            }
            let frame = self.key();
            self.row(depth, &format!("subgraph {frame}[\"{}\"]", escaped(part)));
            self.block(block, depth + 1);
            self.row(depth, "end");
        }
    }

    fn key(&mut self) -> String {
        self.nodes += 1;
        format!("n{}", self.nodes)
    }
}

/// Text between quotation marks in Mermaid: what would end it or start a tag becomes an entity.
fn escaped(text: &str) -> String {
    text.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
}
