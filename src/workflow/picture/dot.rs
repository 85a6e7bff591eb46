//! A plan for Graphviz.

use std::fmt::Write as _;

use crate::workflow::definition::{Block, Step};
use crate::workflow::explain::{Reason, reasons};
use crate::workflow::picture::{colour, lines, visible};
use crate::workflow::plan::Plan;

/// A `digraph`: a cluster around each block, an arrow for each wait, a colour for each effect.
pub fn dot(plan: &Plan) -> String {
    let mut drawing = Drawing { out: "digraph workflow {\n".to_owned(), nodes: 0 };
    drawing.row(1, "rankdir=TB; compound=true; node [shape=box, style=\"rounded,filled\", fontname=monospace];");
    drawing.row(
        1,
        &format!("label={}; labelloc=t;", quoted(&format!("{} ({})", plan.workflow.name, plan.effect().as_str()))),
    );
    drawing.parts(plan.workflow.blocks(), 1);
    drawing.out.push_str("}\n");
    drawing.out
}

struct Drawing {
    out: String,
    nodes: usize,
}

/// A step as arrows find it: a node in it, and the cluster that it is, if it is one.
struct Spot {
    node: String,
    cluster: Option<String>,
}

impl Drawing {
    fn row(&mut self, depth: usize, row: &str) {
        let _ = writeln!(self.out, "{}{row}", "  ".repeat(depth));
    }

    fn next(&mut self) -> usize {
        self.nodes += 1;
        self.nodes
    }

    fn block(&mut self, block: &Block, depth: usize) {
        let spots: Vec<_> = block.steps.iter().map(|step| self.step(step, depth)).collect();
        for (step, spot) in block.steps.iter().zip(&spots) {
            for (&place, (_, reason)) in step.waits.iter().zip(reasons(block, step)) {
                let Some(earlier) = spots.get(place) else { continue };
                let mut how = Vec::new();
                how.extend(earlier.cluster.as_ref().map(|cluster| format!("ltail={cluster}")));
                how.extend(spot.cluster.as_ref().map(|cluster| format!("lhead={cluster}")));
                // A dashed arrow is order alone: no data travels along it.
                how.extend((reason != Reason::Reads).then(|| "style=dashed".to_owned()));
                self.row(depth, &format!("{} -> {} [{}];", earlier.node, spot.node, how.join(", ")));
            }
        }
    }

    fn step(&mut self, step: &Step, depth: usize) -> Spot {
        let number = self.next();
        let [id, what] = lines(step);
        let (label, fill) = (quoted(&format!("{id}\n{what}")), colour(step.effect));
        if step.blocks().next().is_none() {
            self.row(depth, &format!("n{number} [label={label}, fillcolor=\"{fill}\"];"));
            return Spot { node: format!("n{number}"), cluster: None };
        }
        self.row(depth, &format!("subgraph cluster_{number} {{"));
        self.row(depth + 1, &format!("label={label}; style=\"rounded,filled\"; fillcolor=\"{fill}\";"));
        // An arrow to a cluster needs a node in it.
        self.row(depth + 1, &format!("n{number} [shape=point, style=invis];"));
        self.parts(step.blocks(), depth + 1);
        self.row(depth, "}");
        Spot { node: format!("n{number}"), cluster: Some(format!("cluster_{number}")) }
    }

    fn parts<'a>(&mut self, parts: impl Iterator<Item = (&'a str, &'a Block)>, depth: usize) {
        for (part, block) in parts {
            if part.is_empty() {
                self.block(block, depth);
                continue;
            }
            let number = self.next();
            self.row(depth, &format!("subgraph cluster_{number} {{"));
            self.row(depth + 1, &format!("label={}; style=dashed;", quoted(part)));
            self.block(block, depth + 1);
            self.row(depth, "}");
        }
    }
}

fn quoted(text: &str) -> String {
    let escaped: Vec<String> = text
        .split('\n')
        .map(|line| line.chars().map(visible).collect::<String>().replace('\\', "\\\\").replace('"', "\\\""))
        .collect();
    format!("\"{}\"", escaped.join("\\n"))
}
