//! Taking over what the files say now: a new registry and new workflows in place of those that there are, all at once.
//!
//! New and changed servers are started first and listed, then everything is swapped, and only then are the old ones ended.
//! Hosts see one change. Runs keep the plan that they were begun with.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::gateway::agents::Places;
use crate::gateway::door::{Gateway, MAX_WAITING_CALLS};
use crate::gateway::reply;
use crate::llm;
use crate::model::call::Reply;
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::registry::server::Registry;
use crate::workflow::set::WorkflowSet;

/// How long somebody who wants the files to be read anew is made to wait.
const PATIENCE: Duration = Duration::from_mins(1);

/// Somebody wants the files to be read anew, and to be told what came of it.
pub type Wish = oneshot::Sender<Outcome>;

/// What came of reading the files anew.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The servers that differ.
    pub servers: Difference,
    /// The workflows that differ.
    pub workflows: Difference,
    /// What is wrong with the files, one line each.
    pub problems: Vec<String>,
    /// The files that are used as they were before.
    pub kept: Vec<String>,
}

/// Names of what differs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
}

impl Difference {
    /// What differs between two sets by name; `is_same` compares.
    pub fn between<T>(
        old: &BTreeMap<Arc<str>, T>,
        new: &BTreeMap<Arc<str>, T>,
        is_same: impl Fn(&T, &T) -> bool,
    ) -> Self {
        let names = |names: Vec<&Arc<str>>| names.into_iter().map(ToString::to_string).collect();
        Self {
            added: names(new.keys().filter(|name| !old.contains_key(*name)).collect()),
            changed: names(
                new.iter()
                    .filter(|(name, is)| old.get(*name).is_some_and(|was| !is_same(was, is)))
                    .map(|(name, _)| name)
                    .collect(),
            ),
            removed: names(old.keys().filter(|name| !new.contains_key(*name)).collect()),
        }
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn to_json(&self) -> Value {
        json!({ "added": self.added, "changed": self.changed, "removed": self.removed })
    }

    fn to_text(&self) -> String {
        let signed = |sign: &'static str, names: &Vec<String>| {
            names.iter().map(move |name| format!("{sign}{name}")).collect::<Vec<_>>()
        };
        let all = [signed("+", &self.added), signed("~", &self.changed), signed("-", &self.removed)].concat();
        if all.is_empty() { "as before".to_owned() } else { all.join(" ") }
    }
}

impl Outcome {
    /// Whether everything is used as before.
    pub fn is_unchanged(&self) -> bool {
        self.servers.is_empty() && self.workflows.is_empty()
    }

    /// One line for the log, and for people.
    pub fn to_text(&self) -> String {
        let mut text = format!("servers: {}; workflows: {}", self.servers.to_text(), self.workflows.to_text());
        for kept in &self.kept {
            let _ = write!(text, "\nkept as it was before, because of mistakes: {kept}");
        }
        for problem in &self.problems {
            let _ = write!(text, "\n! {problem}");
        }
        text
    }

    fn to_json(&self) -> Value {
        json!({
            "ok": self.kept.is_empty(),
            "servers": self.servers.to_json(),
            "workflows": self.workflows.to_json(),
            "kept": self.kept,
            "problems": self.problems,
        })
    }
}

impl Gateway {
    /// Puts `registry` and `workflows` in place of those that there are. Servers that are as they were go on as they are.
    pub async fn adopt(&self, registry: Arc<Registry>, workflows: Arc<WorkflowSet>) {
        let prepared = self.pool.prepare(&registry);
        Box::pin(prepared.settle(registry.orchestrator.settle)).await;
        let old = self.registry();
        {
            // Nobody builds a catalog of half of it.
            let mut built_from = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
            if old.models != registry.models {
                self.models.store(Arc::new(llm::pool::Pool::new(&registry.models)));
            }
            if old.agents != registry.agents {
                self.places.store(Arc::new(Places::of(&registry.agents)));
            }
            let (was, is) = (&old.orchestrator, &registry.orchestrator);
            if (was.max_concurrent_runs, was.max_waiting_runs) != (is.max_concurrent_runs, is.max_waiting_runs) {
                self.runs.resize(is.max_concurrent_runs, is.max_waiting_runs);
            }
            if was.max_concurrent_steps != is.max_concurrent_steps {
                self.steps.resize(is.max_concurrent_steps, MAX_WAITING_CALLS);
            }
            if old.levels != registry.levels {
                self.level.renew(&registry);
            }
            self.registry.store(registry);
            self.workflows.store(workflows);
            self.pool.replace(prepared);
            *built_from = None;
        }
        self.refresh();
    }

    /// What was wrong with the files when they were last read, one line each.
    pub fn set_problems(&self, problems: Vec<String>) {
        self.problems.store(Arc::new(problems));
    }

    /// Forgets those of the problems that have been `told` already, to somebody for whom once is enough.
    pub fn forget_problems(&self, told: &[String]) {
        let left = self.problems.load().iter().filter(|problem| !told.contains(problem)).cloned().collect();
        self.set_problems(left);
    }

    /// Lets callers have the files read anew by whoever listens to the other end of `reloads`.
    pub fn allow_reloads(&self, reloads: mpsc::Sender<Wish>) {
        // Who allows it twice means the same.
        let _ = self.reloads.set(reloads);
        self.rebuild();
    }

    /// `reload_config`.
    pub(super) async fn reload_config(&self) -> Result<Reply, Fault> {
        let nobody = || {
            Fault::new(Kind::Denied, code::NOT_ALLOWED, "the files are not read anew here")
                .hint("it is done by `mcp-orchestrator serve`")
        };
        let (sender, outcome) = oneshot::channel();
        let wish = self.reloads.get().ok_or_else(nobody)?.try_send(sender);
        wish.map_err(|why| match why {
            TrySendError::Full(_) => {
                Fault::new(Kind::RateLimited, code::SERVER_BUSY, "the files are being read anew already")
                    .hint("`orchestrator_status` says what is wrong with them")
            }
            TrySendError::Closed(_) => {
                Fault::new(Kind::Unavailable, code::SHUTTING_DOWN, "the program is about to end and reads no files")
            }
        })?;
        let outcome = timeout(PATIENCE, outcome).await.ok().and_then(Result::ok);
        let outcome = outcome.ok_or_else(|| {
            Fault::new(Kind::Timeout, code::CALL_TIMEOUT, "the files are still being read anew")
                .hint("`orchestrator_status` says how the servers do")
        })?;
        Ok(reply::success(&outcome.to_json(), &outcome.to_text()))
    }
}
