//! What the agents of a run share: values by name, each with the number of times that it was set.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::engine::event::Failure;
use crate::engine::turn::Turn;
use crate::expr::value::Value;
use crate::model::code;
use crate::model::fault::Kind;
use crate::workflow::definition::{Step, Workflow};
use crate::workflow::delegation::shared_keys;

/// The root under which expressions see it.
const ROOT: &str = "context";

/// Shared values. One that was never set is null.
#[derive(Debug, Default)]
pub(super) struct Board(BTreeMap<Arc<str>, Note>);

#[derive(Debug)]
struct Note {
    value: Value,
    version: u64,
}

/// Names, and how often each had been set when they were looked at.
pub(super) type Seen = Vec<(Arc<str>, u64)>;

impl Board {
    /// A board for every name that the steps of `workflow` share.
    pub(super) fn of(workflow: &Workflow) -> Self {
        let note = |key| (key, Note { value: Value::null(), version: 0 });
        Self(shared_keys(workflow).into_iter().map(note).collect())
    }

    /// What is set of `keys`, as an agent is told it, and how often it has been.
    pub(super) fn look(&self, keys: &[Arc<str>]) -> (Json, Seen) {
        let notes = || keys.iter().filter_map(|key| Some((key, self.0.get(key)?)));
        let set = notes().filter(|(_, note)| note.version > 0);
        let told: Map<_, _> = set.map(|(key, note)| (key.to_string(), note.value.to_json())).collect();
        (Json::Object(told), notes().map(|(key, note)| (Arc::clone(key), note.version)).collect())
    }

    /// Everything, as expressions see it.
    fn to_value(&self) -> Value {
        Value::from_json(self.0.iter().map(|(key, note)| (key.to_string(), note.value.to_json())).collect::<Json>())
    }
}

impl Turn<'_> {
    /// Sets what an agent wants set, all of it or, if another has set some of it since it was `seen`, nothing. Names that were
    /// not given to it are left alone.
    pub(super) fn set_shared(&mut self, wanted: &Map<String, Json>, seen: &Seen) -> Result<(), Box<Failure>> {
        let board = &mut self.state.board.0;
        let mine = seen.iter().filter_map(|(key, version)| Some((key, *version, wanted.get(&**key)?)));
        let mine: Vec<_> = mine.collect();
        let changed =
            mine.iter().find(|(key, version, _)| board.get(*key).is_some_and(|note| note.version != *version));
        if let Some((key, ..)) = changed {
            let message = format!("`context.{key}` was set by another step meanwhile");
            return Err(Failure::new(Kind::Rejected, code::CONTEXT_CONFLICT, message)
                .hint("let one of the steps wait for the other by `after`")
                .into());
        }
        let mut weight = 0;
        for (key, version, value) in mine {
            let value = Value::from_json(value);
            weight += value.weight();
            board.insert(Arc::clone(key), Note { value, version: version + 1 });
        }
        self.state.size.keep(weight)
    }

    /// What the expressions of `step` see of the board, if they look at it.
    pub(super) fn shared_with(&self, step: &Step) -> Option<(&'static str, Value)> {
        let looks = step.sites.uses.iter().any(|site| site.path.first().is_some_and(|root| root == ROOT));
        looks.then(|| self.shared())
    }

    /// What every expression may see of the board.
    pub(super) fn shared(&self) -> (&'static str, Value) {
        (ROOT, self.state.board.to_value())
    }
}
