//! Whether workflows fit what the servers offer, and which have stopped to: an update of a server is noticed before it is used.
//!
//! Only what fitted before is refused afterwards. What never fitted may be meant so, as a step may catch that its tool is not there.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::catalog::snapshot::Catalog;
use crate::gateway::door::Gateway;
use crate::gateway::known::Known;
use crate::model::code;
use crate::model::effect::Effect;
use crate::model::fault::{Fault, Kind};
use crate::model::name::ToolRef;
use crate::model::problem::Problem;
use crate::workflow::check::check;
use crate::workflow::definition::Workflow;
use crate::workflow::surroundings::{Facts, Surroundings};

/// What is known of each workflow; guarded for one look or one assignment.
#[derive(Default)]
pub(super) struct Fitness(Mutex<BTreeMap<Arc<str>, Judged>>);

/// What is known of a workflow.
struct Judged {
    workflow: Arc<Workflow>,
    /// What does not fit any more.
    broken: Vec<String>,
}

impl Fitness {
    fn known(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Judged>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why `workflow` is not run, if it is not.
    pub(super) fn fault(&self, workflow: &Arc<Workflow>) -> Option<Fault> {
        let known = self.known();
        let judged = known.get(&workflow.name).filter(|judged| Arc::ptr_eq(&judged.workflow, workflow))?;
        if judged.broken.is_empty() {
            return None;
        }
        let message =
            format!("a server has changed and the workflow does not fit it any more: {}", judged.broken.join("; "));
        let fault = Fault::new(Kind::Invalid, code::WORKFLOW_BROKEN, message).target(workflow.name.as_ref());
        Some(fault.hint(
            "mend the workflow, or go back to the server's version of before and hold it by `version`; nothing was run",
        ))
    }

    /// One line for each workflow that is not run.
    pub(super) fn told(&self) -> Vec<String> {
        let known = self.known();
        let broken = known.values().filter(|judged| !judged.broken.is_empty());
        broken
            .map(|judged| {
                let why = judged.broken.join("; ");
                format!("workflow `{}` is not run, as a server has changed: {why}", judged.workflow.name)
            })
            .collect()
    }
}

impl Gateway {
    /// Looks which workflows fit what `servers` offer.
    pub(super) fn judge(&self, servers: &Arc<Catalog>) {
        let known = self.known_over(Arc::clone(servers));
        let set = self.workflows();
        let is_open = !self.registry().discovery.sources.is_empty();
        let mut judged = self.fitness.known();
        judged.retain(|name, judged| set.get(name).is_some_and(|workflow| Arc::ptr_eq(workflow, &judged.workflow)));
        for workflow in set.iter() {
            let so_far = SoFar { known: &known, is_incomplete: Cell::new(false) };
            let mut problems = check(workflow, &so_far);
            problems.retain(|problem| {
                // Some source may name it yet, or again.
                let may_be_found = is_open && problem.code == code::UNKNOWN_SERVER;
                so_far.is_incomplete.set(so_far.is_incomplete.get() || may_be_found);
                problem.is_error() && !may_be_found
            });
            let mut broken: Vec<_> = problems.iter().map(Problem::to_string).collect();
            broken.dedup();
            match judged.get_mut(&workflow.name) {
                Some(before) => {
                    if !broken.is_empty() && before.broken != broken {
                        let why = broken.join("; ");
                        tracing::error!(workflow = %workflow.name, "[{}] is not run, as a server has changed: {why}", code::WORKFLOW_BROKEN);
                    }
                    before.broken = broken;
                }
                None if broken.is_empty() && !so_far.is_incomplete.get() => {
                    let fitting = Judged { workflow: Arc::clone(workflow), broken };
                    judged.insert(Arc::clone(&workflow.name), fitting);
                }
                None => {}
            }
        }
    }
}

/// What is known so far; notes whether some server that was asked for has not been heard of.
struct SoFar<'a> {
    known: &'a Known<'a>,
    is_incomplete: Cell<bool>,
}

impl Surroundings for SoFar<'_> {
    fn servers(&self) -> Vec<String> {
        self.known.servers()
    }

    fn tools_of(&self, server: &str) -> Option<Vec<String>> {
        let tools = self.known.tools_of(server);
        self.is_incomplete.set(self.is_incomplete.get() || tools.is_none());
        tools
    }

    fn tool(&self, tool: &ToolRef) -> Option<Facts> {
        self.known.tool(tool)
    }

    fn workflows(&self) -> Vec<String> {
        self.known.workflows()
    }

    fn workflow(&self, name: &str) -> Option<Facts> {
        self.known.workflow(name)
    }

    fn providers(&self, tool: &ToolRef) -> Option<Vec<String>> {
        self.known.providers(tool)
    }

    fn flags(&self) -> Option<Vec<String>> {
        self.known.flags()
    }

    fn models(&self) -> Option<Vec<String>> {
        self.known.models()
    }

    fn agents(&self) -> Option<Vec<String>> {
        self.known.agents()
    }

    fn agent(&self, name: &str) -> Option<Effect> {
        self.known.agent(name)
    }
}
