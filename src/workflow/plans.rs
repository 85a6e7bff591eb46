//! The plans of runs that are taken up again: those of one definition share one.
//!
//! Thousands of runs may wait, most of them of a few workflows. To read and keep a definition once for all of them is what
//! makes their number matter little.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::workflow::definition::Workflow;
use crate::workflow::pin::replan;

/// The plans that runs have now.
#[derive(Debug, Default)]
pub struct Plans {
    /// By what they were made of. Guarded for one look or note.
    known: Mutex<HashMap<[u8; 32], Weak<Workflow>>>,
}

impl Plans {
    /// The workflow `name` of a definition that was planned before, as [`replan`] makes it.
    pub fn of(&self, name: &str, definition: &str, format: &str, plan: &Value) -> Result<Arc<Workflow>, String> {
        let key = key([name, definition, format, &plan.to_string()]);
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).and_then(Weak::upgrade)
        {
            return Ok(known);
        }
        let workflow = Arc::new(replan(name, definition, format, plan)?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that no run has any more go before the table grows.
        if known.len() == known.capacity() {
            known.retain(|_, workflow| workflow.strong_count() > 0);
        }
        known.insert(key, Arc::downgrade(&workflow));
        Ok(workflow)
    }
}

/// Different for every list of texts.
fn key(texts: [&str; 4]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::document::format::Format;
    use crate::model::problem::Source;
    use crate::workflow::authored;
    use crate::workflow::pin::Pin;

    #[test]
    fn runs_of_one_definition_share_its_plan_for_as_long_as_one_of_them_goes_on() {
        let text = |label: &str| format!("name: flow\nsteps:\n  - {{ id: {label}, wait: 1s }}\n");
        let pin = |text: &str| {
            let (workflow, problems) = authored::read(&Source::new("flow", text), Format::Yaml);
            serde_json::to_value(Pin::of(&workflow.unwrap_or_else(|| panic!("{problems:?}")))).unwrap()
        };
        let plans = Plans::default();
        let of = |label: &str| plans.of("flow", &text(label), "YAML", &pin(&text(label)));
        let (one, two) = (of("a").unwrap(), of("b").unwrap());
        assert!(Arc::ptr_eq(&one, &of("a").unwrap()) && !Arc::ptr_eq(&one, &two));
        drop((one, two));
        for number in 0..100 {
            of(&format!("step_{number}")).unwrap();
        }
        assert!(plans.known.lock().unwrap().len() < 10, "what nobody has is not kept");
        assert!(plans.of("flow", &text("a"), "YAML", &json!({ "steps": [] })).is_err(), "a plan of another definition");
    }
}
