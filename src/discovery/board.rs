//! What every source has said last, for whoever reads the registry and whoever asks how the sources do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::discovery::answer::{Answer, Documents};
use crate::discovery::held::Held;
use crate::model::code;
use crate::model::problem::Source;
use crate::registry::found::Found;
use crate::registry::source::{ServerSource, Sources};

/// What every source has said last.
pub struct Board {
    /// Guarded for one look or note.
    seats: Mutex<BTreeMap<Arc<str>, Seat>>,
    heard: watch::Sender<Heard>,
}

/// How often there was news.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// Answers and failures.
    pub reports: u64,
    /// Those after which there were other servers.
    pub changes: u64,
}

/// One source.
struct Seat {
    source: Arc<ServerSource>,
    held: Held,
    /// Whether it is to be waited for.
    is_asked: bool,
    /// Whether it has answered.
    has_answered: bool,
    /// Whether what is held is what it answered an earlier process.
    is_recalled: bool,
    trouble: Option<String>,
    left_out: usize,
    answered_at: Option<Timestamp>,
}

/// How a source does.
#[derive(Debug, Clone)]
pub struct Report {
    source: Arc<ServerSource>,
    servers: usize,
    left_out: usize,
    trouble: Option<String>,
    answered_at: Option<Timestamp>,
}

impl Default for Board {
    fn default() -> Self {
        Self { seats: Mutex::default(), heard: watch::channel(Heard::default()).0 }
    }
}

impl Board {
    fn seats(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a place for each of `sources` and for no other. One that is new begins with what is `known` of it.
    pub fn seat(&self, sources: &Sources, known: &[Found]) {
        let mut seats = self.seats();
        seats.retain(|name, seat| sources.get(name).is_some_and(|source| source.place == seat.source.place));
        for (name, source) in sources {
            if let Some(seat) = seats.get_mut(name) {
                seat.source = Arc::clone(source);
                continue;
            }
            let known = known.iter().filter(|found| found.by.name == *name);
            let known: Documents = known.map(|found| (found.name.clone(), found.source.text.clone())).collect();
            let seat = Seat {
                source: Arc::clone(source),
                has_answered: false,
                is_recalled: !known.is_empty(),
                held: Held::of(known),
                is_asked: true,
                trouble: None,
                left_out: 0,
                answered_at: None,
            };
            seats.insert(Arc::clone(name), seat);
        }
    }

    /// Notes what `source` has answered, or why it has not.
    pub fn note(&self, source: &ServerSource, answer: Result<Answer, String>) {
        let mut seats = self.seats();
        let Some(seat) = seats.get_mut(&source.name) else { return };
        let before = seat.held.clone();
        seat.is_asked = false;
        match answer {
            Ok(Answer { servers, .. }) => {
                if seat.trouble.take().is_some() {
                    tracing::info!(source = %source.name, "answers again");
                }
                if std::mem::take(&mut seat.is_recalled) {
                    // Nobody knows when those that it does not name any more were last named.
                    seat.held = Held::default();
                }
                seat.left_out = seat.held.take(servers, source.max_servers, Instant::now());
                seat.held.expire(source.grace, Instant::now());
                (seat.has_answered, seat.answered_at) = (true, Some(Timestamp::now()));
            }
            Err(why) => {
                if seat.trouble.as_ref() != Some(&why) {
                    tracing::warn!(source = %source.name, "[{}] {why}; what it named last is used", code::SOURCE_FAILED);
                }
                seat.trouble = Some(why);
            }
        }
        let is_other = !before.is_as(&seat.held);
        drop(seats);
        self.tell(is_other);
    }

    /// Drops what `source` has not named for its grace time.
    pub fn expire(&self, source: &ServerSource) {
        let mut seats = self.seats();
        let Some(seat) = seats.get_mut(&source.name) else { return };
        let before = seat.held.documents().len();
        seat.held.expire(source.grace, Instant::now());
        let is_other = before != seat.held.documents().len();
        drop(seats);
        self.tell(is_other);
    }

    /// When something of `source` is to be dropped.
    pub fn next_expiry(&self, source: &ServerSource) -> Option<Instant> {
        self.seats().get(&source.name)?.held.next_expiry(source.grace)
    }

    fn tell(&self, is_other: bool) {
        self.heard.send_modify(|heard| {
            heard.reports += 1;
            heard.changes += u64::from(is_other);
        });
    }

    /// Tells of news.
    pub fn heard(&self) -> watch::Receiver<Heard> {
        self.heard.subscribe()
    }

    /// Has every source waited for that is about to be asked anew.
    pub(super) fn expect_all(&self) {
        self.seats().values_mut().for_each(|seat| seat.is_asked |= seat.source.place.is_polled());
    }

    /// Whether every source has answered, or has failed to, since it was last waited for.
    pub fn is_complete(&self) -> bool {
        self.seats().values().all(|seat| !seat.is_asked)
    }

    /// Whether there is no source.
    pub fn is_empty(&self) -> bool {
        self.seats().is_empty()
    }

    /// Whether of every source something is known.
    pub fn is_known(&self) -> bool {
        self.seats().values().all(|seat| seat.has_answered || seat.is_recalled)
    }

    /// The servers that there are, in the order of their sources and names.
    pub fn found(&self) -> Vec<Found> {
        let seats = self.seats();
        let of = |seat: &Seat| {
            let found = |(name, text): (&str, &str)| Found {
                name: name.to_owned(),
                source: Source::new(seat.source.title(), text),
                by: Arc::clone(&seat.source),
            };
            seat.held.documents().map(found).collect::<Vec<_>>()
        };
        seats.values().flat_map(of).collect()
    }

    /// How the sources do.
    pub fn reports(&self) -> Vec<Report> {
        let of = |seat: &Seat| Report {
            source: Arc::clone(&seat.source),
            servers: seat.held.documents().len(),
            left_out: seat.left_out,
            trouble: seat.trouble.clone(),
            answered_at: seat.answered_at,
        };
        self.seats().values().map(of).collect()
    }
}

impl Report {
    /// What somebody should know, if there is something.
    pub fn trouble(&self) -> Option<String> {
        let name = &self.source.name;
        if let Some(why) = &self.trouble {
            let last = match self.servers {
                0 => String::new(),
                1 => "; the server that it named last is used".to_owned(),
                count => format!("; the {count} servers that it named last are used"),
            };
            return Some(format!("source `{name}`: [{}] {why}{last}", code::SOURCE_FAILED));
        }
        let most = self.source.max_servers;
        (self.left_out > 0).then(|| {
            let all = most + self.left_out;
            format!("source `{name}`: it names {all} servers, of which the first {most} are used; raise `max_servers`")
        })
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let mut report = json!({
            "name": &*self.source.name,
            "kind": self.source.place.kind(),
            "servers": self.servers,
        });
        if let Some(at) = self.answered_at {
            report["answered_at"] = json!(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        }
        if let Some(trouble) = self.trouble() {
            report["trouble"] = json!(trouble);
        }
        report
    }
}
