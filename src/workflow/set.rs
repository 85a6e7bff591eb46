//! All workflows of a registry, by name.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::document::format::Format;
use crate::model::code;
use crate::model::problem::{Problem, Source};
use crate::workflow::authored;
use crate::workflow::definition::Workflow;

/// Workflows by name.
#[derive(Debug, Clone, Default)]
pub struct WorkflowSet {
    workflows: BTreeMap<Arc<str>, Arc<Workflow>>,
    broken: Vec<Workflow>,
}

/// Reads many files. A wrong file is left out and does not keep the others from being used; of two workflows with one
/// name the first counts.
pub fn load(sources: &[(Arc<Source>, Format)]) -> (WorkflowSet, Vec<Problem>) {
    let mut set = WorkflowSet::default();
    let mut problems = Vec::new();
    for (source, format) in sources {
        let (workflows, found) = authored::drafts(source, *format);
        let is_usable = !found.iter().any(Problem::is_error);
        problems.extend(found);
        if !is_usable {
            set.broken.extend(workflows);
            continue;
        }
        for workflow in workflows {
            match set.workflows.entry(Arc::clone(&workflow.name)) {
                Entry::Vacant(place) => {
                    place.insert(Arc::new(workflow));
                }
                Entry::Occupied(first) => problems.push(duplicate(first.get(), &workflow)),
            }
        }
    }
    (set, problems)
}

impl WorkflowSet {
    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.workflows.keys().map(AsRef::as_ref)
    }

    /// A workflow.
    pub fn get(&self, name: &str) -> Option<&Arc<Workflow>> {
        self.workflows.get(name)
    }

    /// The same with one workflow more, in place of one with its name.
    #[must_use]
    pub fn with(&self, workflow: Workflow) -> Self {
        let mut set = self.clone();
        set.workflows.insert(Arc::clone(&workflow.name), Arc::new(workflow));
        set
    }

    /// The same with those of `other` that are in the files `names`, where no workflow has their name. What has not changed is
    /// what it was.
    #[must_use]
    pub fn keeping(mut self, other: &Self, names: &[String]) -> Self {
        for (name, workflow) in &mut self.workflows {
            let is_same = |was: &&Arc<Workflow>| {
                was.source.name == workflow.source.name && was.source.text == workflow.source.text
            };
            if let Some(was) = other.workflows.get(name).filter(is_same) {
                *workflow = Arc::clone(was);
            }
        }
        for (name, workflow) in other.workflows.iter().filter(|(_, workflow)| names.contains(&workflow.source.name)) {
            self.workflows.entry(Arc::clone(name)).or_insert_with(|| Arc::clone(workflow));
        }
        self
    }

    /// All of them by name.
    pub fn by_name(&self) -> &BTreeMap<Arc<str>, Arc<Workflow>> {
        &self.workflows
    }

    /// Every workflow, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Workflow>> {
        self.workflows.values()
    }

    /// What could be made out of the files with errors: to be checked further, never to be run.
    pub fn broken(&self) -> impl Iterator<Item = &Workflow> {
        self.broken.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.workflows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.workflows.is_empty()
    }
}

fn duplicate(first: &Workflow, second: &Workflow) -> Problem {
    let (line, _) = first.source.line_column(first.sites.name.start);
    let message = format!("there is a workflow `{}` already, in {}:{line}", second.name, first.source.name);
    Problem::error(code::DUPLICATE, &second.source, second.sites.name.clone(), message).help("give it another name")
}
