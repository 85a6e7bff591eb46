//! The laid out plan as SVG.

use std::fmt::Write as _;

use crate::workflow::picture::layout::{Arrow, HEIGHT, LABEL, Laid, Placed, lay};
use crate::workflow::picture::{colour, cut, lines};
use crate::workflow::plan::Plan;

/// Room around the drawing.
const BORDER: f64 = 16.0;
/// Where the drawing begins, below the title.
const TOP: f64 = 48.0;
/// Between the steps and what is done when a run fails.
const BETWEEN: f64 = 44.0;

/// A drawing that stands by itself: no script, no style sheet, no font from elsewhere.
pub fn svg(plan: &Plan) -> String {
    let blocks: Vec<(&str, Laid<'_>)> = plan.workflow.blocks().map(|(part, block)| (part, lay(block))).collect();
    let title = format!("{} ({})", cut(&plan.workflow.name), plan.effect().as_str());
    let widest = blocks.iter().map(|(_, laid)| laid.width).fold(320.0, f64::max);
    let tall = blocks.iter().map(|(_, laid)| laid.height + BETWEEN).sum::<f64>() - BETWEEN;
    let (width, height) = (widest + 2.0 * BORDER, tall + TOP + BORDER);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" font-family=\"ui-monospace, monospace\" font-size=\"12\">\n\
         <title>{title}</title>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#555\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{BORDER}\" y=\"26\" font-size=\"15\" font-weight=\"bold\" fill=\"#111\">{title}</text>\n",
        title = escaped(&title),
    );
    let mut y = TOP;
    for (part, laid) in &blocks {
        if !part.is_empty() {
            text(BORDER, y - 12.0, part, "bold", &mut out);
        }
        block(laid, BORDER + (widest - laid.width) / 2.0, y, &mut out);
        y += laid.height + BETWEEN;
    }
    out.push_str("</svg>\n");
    out
}

fn block(laid: &Laid<'_>, x: f64, y: f64, out: &mut String) {
    for one in &laid.boxes {
        step(one, x, y, out);
    }
    for one in &laid.arrows {
        arrow(one, x, y, out);
    }
}

fn step(one: &Placed<'_>, x: f64, y: f64, out: &mut String) {
    let (x, y) = (x + one.x, y + one.y);
    let _ = writeln!(
        out,
        "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"6\" fill=\"{}\" stroke=\"#555\"/>",
        one.width,
        one.height,
        colour(one.step.effect),
    );
    let [id, what] = lines(one.step);
    text(x + 12.0, y + 18.0, &id, "bold", out);
    text(x + 12.0, y + 34.0, &what, "normal", out);
    for (name, part_x, part_y, laid) in &one.parts {
        if !name.is_empty() {
            text(x + part_x, y + HEIGHT + LABEL - 6.0, name, "bold", out);
        }
        block(laid, x + part_x, y + part_y, out);
    }
}

fn arrow(arrow: &Arrow, x: f64, y: f64, out: &mut String) {
    let mut path = String::new();
    for (place, pair) in arrow.points.windows(2).enumerate() {
        let ((from_x, from_y), (to_x, to_y)) = ((x + pair[0].0, y + pair[0].1), (x + pair[1].0, y + pair[1].1));
        if place == 0 {
            let _ = write!(path, "M{from_x:.1} {from_y:.1}");
        }
        let half = f64::midpoint(from_y, to_y);
        let _ = write!(path, "C{from_x:.1} {half:.1} {to_x:.1} {half:.1} {to_x:.1} {to_y:.1}");
    }
    // A dashed arrow is order alone: no data travels along it.
    let dash = if arrow.carries_data { "" } else { " stroke-dasharray=\"4 3\"" };
    let _ = writeln!(out, "<path d=\"{path}\" fill=\"none\" stroke=\"#555\"{dash} marker-end=\"url(#tip)\"/>");
}

fn text(x: f64, y: f64, text: &str, weight: &str, out: &mut String) {
    let text = escaped(&cut(text));
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" font-weight=\"{weight}\" fill=\"#111\">{text}</text>");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}
