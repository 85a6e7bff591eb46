//! What runs have told each other, and the program has died before it was stored that they have heard it.

use std::collections::BTreeSet;

use crate::engine::event::{Event, What};
use crate::gateway::durable::Store;
use crate::journal::entry::Emission;
use crate::model::fault::Fault;
use crate::workflow::definition::Workflow;

impl Store {
    /// What a run of `workflow` to which this has happened has not heard of what others have told since it began.
    pub(super) fn missed(&self, workflow: &Workflow, history: &[Event]) -> Result<Vec<What>, Fault> {
        let Some(began) = history.first().map(|first| first.now) else { return Ok(Vec::new()) };
        let heard: BTreeSet<_> = history.iter().filter_map(|event| arrival(&event.what)).collect();
        let mut missed = Vec::new();
        for event in workflow.awaited() {
            missed.extend(self.read(|reader| reader.emissions(&event, began))?);
        }
        missed.retain(|told| !heard.contains(told.id.as_str()));
        missed.sort_by(|one, other| (one.at, &one.id).cmp(&(other.at, &other.id)));
        let arrived = |Emission { id, event, data, .. }| What::Arrived { id, event: String::from(&*event), data };
        Ok(missed.into_iter().map(arrived).collect())
    }
}

fn arrival(what: &What) -> Option<&str> {
    if let What::Arrived { id, .. } = what { Some(id) } else { None }
}
