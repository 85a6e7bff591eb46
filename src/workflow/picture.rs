//! A plan as a drawing: steps in layers, later ones further down, blocks as frames, arrows for what waits for what.
//!
//! `layout` gives everything its place, `svg` draws it; [`dot`] leaves the layout to Graphviz.

mod dot;
mod layout;
mod svg;

use crate::model::effect::Effect;
use crate::workflow::definition::Step;
use crate::workflow::verb::Verb;

pub use dot::dot;
pub use svg::svg;

/// Longer text is cut in pictures, in characters.
const SHOWN: usize = 44;

/// What a step does, in a word or two.
pub fn verb(verb: &Verb) -> String {
    match verb {
        Verb::Tool { tool, .. } => tool.to_string(),
        Verb::Workflow { name, .. } => format!("workflow {name}"),
        Verb::Set(_) => "set".to_owned(),
        Verb::Parallel(..) => "parallel".to_owned(),
        Verb::Switch(_) => "switch".to_owned(),
        Verb::Steps(_) => "steps".to_owned(),
        Verb::Llm(_) => "llm".to_owned(),
        Verb::Agent(errand) => format!("agent {}", errand.agent),
        Verb::Ask(_) => "ask".to_owned(),
        Verb::Emit { event, .. } => format!("emit {event}"),
        Verb::Await { event, .. } => format!("await {event}"),
        Verb::Wait(_) => "wait".to_owned(),
        Verb::Fail(_) => "fail".to_owned(),
        Verb::Return(_) => "return".to_owned(),
    }
}

/// The colour of what may do as much as `effect`.
pub fn colour(effect: Effect) -> &'static str {
    match effect {
        Effect::Read => "#e7f5ff",
        Effect::Idempotent => "#ebfbee",
        Effect::Write => "#fff9db",
        Effect::Destructive => "#ffe3e3",
    }
}

/// The two lines of a step: its id, and what it does and may do.
fn lines(step: &Step) -> [String; 2] {
    let mut what = format!("{} · {}", verb(&step.verb), step.effect.as_str());
    if step.each.is_some() {
        what.push_str(" · each");
    }
    if step.when.is_some() {
        what.push_str(" · if");
    }
    [cut(&step.id), cut(&what)]
}

fn cut(text: &str) -> String {
    let is_long = text.chars().count() > SHOWN;
    let mut short: String = text.chars().take(SHOWN - usize::from(is_long)).map(visible).collect();
    if is_long {
        short.push('…');
    }
    short
}

/// Control characters would break a drawing's lines, or be no XML at all.
fn visible(letter: char) -> char {
    if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') { ' ' } else { letter }
}

#[cfg(test)]
mod tests;
