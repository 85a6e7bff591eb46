//! What the runs ask that a run has set off: put to the host that wanted the run, or on the run's board.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;

use futures::future::select_all;

use crate::engine::event::What;
use crate::model::ask::{Ask, within};
use crate::model::port::Invoke;
use crate::model::principal::Principal;
use crate::restate::store::OnRestate;
use crate::runner::effects::{Effects, Through};
use crate::runner::gate::Gate;
use crate::runner::live::{Board, OpenQuestion};

/// The open questions of one run.
pub(super) struct Asker {
    pub(super) workflow: Arc<str>,
    pub(super) open: Vec<OpenQuestion>,
}

/// The runs that a run has set off, by way of others or not, and that ask something.
pub(super) struct Others {
    on: OnRestate,
    root: String,
    board: Arc<Board>,
    host: Host,
    asking: BTreeMap<String, Asking>,
}

/// Whoever wanted the run.
struct Host {
    ask: Option<Arc<dyn Ask>>,
    via: Arc<dyn Invoke>,
    principal: Principal,
    places: Arc<Gate>,
}

/// The questions of one run that were put to the host.
struct Asking {
    effects: Effects,
    put: Vec<(String, u32)>,
    /// What it has answered, which the run need not have heard yet.
    answered: Vec<(String, u32)>,
}

impl Others {
    /// Those of the run that calls like this.
    pub(super) fn new(on: OnRestate, through: &Through, board: Arc<Board>) -> Self {
        let host = Host {
            ask: through.ask.clone().map(within),
            via: Arc::clone(&through.via),
            principal: through.principal.clone(),
            places: Arc::clone(&through.places),
        };
        Self { on, root: through.run.clone(), board, host, asking: BTreeMap::new() }
    }

    /// Looks what they ask now.
    pub(super) async fn look(&mut self) {
        let Ok(mut askers) = self.on.askers_within(&self.root).await else { return };
        for silent in self.asking.keys().filter(|run| !askers.contains_key(*run)) {
            self.board.set(silent, Vec::new());
        }
        // Whatever was put to the host and is answered already is withdrawn.
        self.asking.retain(|run, _| askers.contains_key(run));
        for (run, asker) in &mut askers {
            let asking = self.asking.entry(run.clone()).or_insert_with(|| self.host.asking(run));
            asking.put(asker);
            let open = std::mem::take(&mut asker.open).into_iter();
            self.board.set(run, open.filter(|open| !asking.has(open)).collect());
        }
    }

    /// What the host has answered next, and the run that has asked. Waits for ever if the host is asked nothing.
    pub(super) async fn answered(&mut self) -> (String, What) {
        loop {
            let all: Vec<_> = self.asking.iter_mut().map(|(run, asking)| Box::pin(asking.answered(run))).collect();
            if all.is_empty() {
                return pending().await;
            }
            if let (run, Some(what)) = select_all(all).await.0 {
                return (run, what);
            }
        }
    }
}

impl Host {
    fn asking(&self, run: &str) -> Asking {
        let Self { ask, via, principal, places } = self;
        let through = Through::new(Arc::clone(via), principal.clone(), run, Arc::clone(places));
        Asking { effects: Effects::new(Through { ask: ask.clone(), ..through }), put: Vec::new(), answered: Vec::new() }
    }
}

impl Asking {
    /// Whether the host is asked this, or has answered it.
    fn has(&self, open: &OpenQuestion) -> bool {
        self.effects.is_asking(&open.question) || self.answered.contains(&key(open))
    }

    fn put(&mut self, asker: &Asker) {
        for (at, attempt) in self.put.extract_if(.., |put| !asker.open.iter().any(|open| key(open) == *put)) {
            self.effects.cancel(at, attempt);
        }
        for open in &asker.open {
            if !self.effects.has_asked(&open.question) {
                self.effects.ask(&asker.workflow, &open.question);
                self.put.push(key(open));
            }
        }
    }

    async fn answered(&mut self, run: &str) -> (String, Option<What>) {
        let Some((_, what)) = self.effects.next().await else { return pending().await };
        if let Some(What::Answered { at, attempt, .. }) = &what {
            self.answered.push((at.clone(), *attempt));
        }
        (run.to_owned(), what)
    }
}

fn key(open: &OpenQuestion) -> (String, u32) {
    (open.question.at.to_string(), open.question.attempt)
}
