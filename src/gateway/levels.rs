//! Less work while servers are missing that much depends on: what is kept goes on, the rest is refused with a word on why.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::gateway::builtin::{arguments, invalid};
use crate::gateway::door::Gateway;
use crate::gateway::reply;
use crate::model::call::{Call, Reply};
use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::policy::level::{Level, Levels};
use crate::registry::server::Registry;

/// How often is looked whether servers are missing.
const LOOK: Duration = Duration::from_millis(200);

/// The level now, if the registry has any.
pub(super) struct Now {
    /// Guarded for one look or note.
    levels: Mutex<Option<Levels>>,
    /// The place of the level in [`Level::ALL`]: every call asks for it.
    level: AtomicUsize,
    /// Told when the registry has other levels, or none.
    renewed: Notify,
}

/// The arguments of `set_level`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SetArguments {
    level: String,
}

impl Now {
    /// Everything goes on.
    pub(super) fn of(registry: &Registry) -> Self {
        let now = Self { levels: Mutex::default(), level: AtomicUsize::default(), renewed: Notify::new() };
        now.renew(registry);
        now
    }

    /// Begins anew with what the registry says now.
    pub(super) fn renew(&self, registry: &Registry) {
        let mut levels = self.lock();
        *levels = registry.levels.as_ref().map(|levels| Levels::new(levels.settings));
        self.note(levels.as_ref());
        self.renewed.notify_one();
    }

    fn get(&self) -> Level {
        Level::ALL.get(self.level.load(Ordering::Relaxed)).copied().unwrap_or(Level::Normal)
    }

    /// Waits for the next time to look whether servers are missing: for ever, as long as that does not matter.
    async fn next_look(&self) {
        let is_any = self.lock().is_some();
        if is_any { sleep(LOOK).await } else { self.renewed.notified().await }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Levels) -> T) -> Option<T> {
        let mut levels = self.lock();
        let seen = levels.as_mut().map(look);
        self.note(levels.as_ref());
        seen
    }

    fn note(&self, levels: Option<&Levels>) {
        let level = levels.map_or(Level::Normal, Levels::level);
        let place = Level::ALL.iter().position(|known| *known == level).unwrap_or_default();
        self.level.store(place, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Levels>> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gateway {
    /// The level now.
    pub fn level(&self) -> Level {
        self.level.get()
    }

    /// Refuses a call of `server` that the level does not keep. What a run has begun, it may go on with.
    pub(super) fn keeps_server(&self, server: &str, call: &Call) -> Result<(), Fault> {
        let level = self.level();
        let kept = |level| self.registry().levels.as_ref().is_none_or(|levels| levels.keeps_server(level, server));
        if level == Level::Normal || call.root.is_some() || kept(level) {
            return Ok(());
        }
        Err(self.set_aside(level, "calls of it are").server(server))
    }

    /// Refuses to begin a run of `workflow` if the level does not keep it. A run within a run is part of that.
    pub(super) fn keeps_workflow(&self, workflow: &str, call: &Call) -> Result<(), Fault> {
        let level = self.level();
        let kept = |level| self.registry().levels.as_ref().is_none_or(|levels| levels.keeps_workflow(level, workflow));
        if level == Level::Normal || call.root.is_some() || kept(level) {
            return Ok(());
        }
        Err(self.set_aside(level, &format!("runs of `{workflow}` are")))
    }

    fn set_aside(&self, level: Level, what: &str) -> Fault {
        let message = format!("{what} set aside at the level `{}`: {}", level.as_str(), self.reason());
        Fault::new(Kind::Unavailable, code::SET_ASIDE, message)
            .hint("use what is kept, see `orchestrator_status`, or come back later")
    }

    /// Why the level is not normal.
    fn reason(&self) -> String {
        if self.level.with(|levels| levels.is_by_hand()) == Some(true) {
            return "it was set by hand".to_owned();
        }
        match self.missing() {
            missing if missing.is_empty() => "the servers that were missing have not been back for long".to_owned(),
            missing => format!("missing {}", missing.join(", ")),
        }
    }

    /// The required servers that do not take calls.
    fn missing(&self) -> Vec<String> {
        let required = self.pool.iter().filter(|fleet| fleet.server.required && fleet.is_lost());
        required.map(|fleet| fleet.server.name.to_string()).collect()
    }

    /// Looks until `stop` whether servers are missing, and says when the level changes.
    pub(super) async fn keep_level(self: Arc<Self>, stop: CancellationToken) {
        let mut known = self.level();
        while stop.run_until_cancelled(self.level.next_look()).await.is_some() {
            let missing = u32::try_from(self.missing().len()).unwrap_or(u32::MAX);
            let level = self.level.with(|levels| levels.observe(missing, Instant::now())).unwrap_or(Level::Normal);
            if level != known {
                known = level;
                self.announce_level(level);
            }
        }
    }

    /// One line, to the log and to every host.
    fn announce_level(&self, level: Level) {
        let line = self.level_line(level);
        tracing::warn!("{line}");
        self.pool.say(if level == Level::Normal { "notice" } else { "warning" }, &line);
    }

    fn level_line(&self, level: Level) -> String {
        if level == Level::Normal {
            return "level normal: everything goes on".to_owned();
        }
        let mut line = format!("level {}: {}", level.as_str(), self.reason());
        let registry = self.registry();
        let kept = registry.levels.as_ref().and_then(|levels| levels.kept(level));
        let lists =
            [("servers", kept.and_then(|kept| kept.servers())), ("workflows", kept.and_then(|kept| kept.workflows()))];
        for (what, names) in lists {
            let names = names.map_or_else(|| "all".to_owned(), |names| names.join(", "));
            let names = if names.is_empty() { "none".to_owned() } else { names };
            let _ = write!(line, "; {what} kept: {names}");
        }
        line
    }

    /// The level for people and for programs, if the registry has any.
    pub(super) fn level_status(&self) -> Option<(String, Value)> {
        let registry = self.registry();
        let levels = registry.levels.as_ref()?;
        let level = self.level();
        let is_by_hand = self.level.with(|levels| levels.is_by_hand()).unwrap_or_default();
        let mut status = json!({ "name": level.as_str(), "by_hand": is_by_hand, "missing": self.missing() });
        if let Some(kept) = levels.kept(level) {
            status["why"] = json!(self.reason());
            status["kept"] = json!({ "servers": kept.servers(), "workflows": kept.workflows() });
        }
        Some((self.level_line(level), status))
    }

    /// Has the level be `word` by hand, or leaves it to the servers.
    pub(super) fn put_level(&self, word: &str) -> Result<(), Fault> {
        let level = Level::ALL.into_iter().find(|level| level.as_str() == word);
        if level.is_none() && word != "auto" {
            let fault = invalid(format!("there is no level `{word}`"));
            return Err(fault.hint("say `normal`, `reduced`, `minimal` or `auto`"));
        }
        let is_set = self.level.with(|levels| levels.set(level)).is_some();
        is_set.then_some(()).ok_or_else(|| invalid("the registry has no `[levels]`".to_owned()))
    }

    /// The tool `set_level`.
    pub(super) fn set_level(&self, call: &Call) -> Result<Reply, Fault> {
        let SetArguments { level } = arguments(call)?;
        self.put_level(&level)?;
        let (line, status) = self.level_status().unwrap_or_default();
        Ok(reply::success(&json!({ "level": status }), &line))
    }
}
