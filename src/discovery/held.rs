//! The servers that one source has brought: those that it names now, and those that it has stopped to name a moment ago.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::discovery::answer::Documents;

/// What one source has brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held(BTreeMap<String, Server>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Server {
    document: String,
    /// Since when the source does not name it any more.
    gone_since: Option<Instant>,
}

impl Held {
    /// As if the source had just named these.
    pub fn of(servers: Documents) -> Self {
        Self(servers.into_iter().map(|(name, document)| (name, Server { document, gone_since: None })).collect())
    }

    /// Takes an answer over, at most `most` servers of it; tells how many are left out. Servers that it does not name stay for a while.
    pub fn take(&mut self, servers: Documents, most: usize, now: Instant) -> usize {
        let left_out = servers.len().saturating_sub(most);
        let named: Documents = servers.into_iter().take(most).collect();
        for (name, server) in &mut self.0 {
            if !named.contains_key(name) {
                server.gone_since.get_or_insert(now);
            }
        }
        self.0.extend(named.into_iter().map(|(name, document)| (name, Server { document, gone_since: None })));
        // Those that are not named any more make room, the one that has been gone for longest first.
        while self.0.len() > most {
            let gone = self.0.iter().filter_map(|(name, server)| Some((server.gone_since?, name.clone())));
            let Some((_, name)) = gone.min() else { break };
            self.0.remove(&name);
        }
        left_out
    }

    /// Drops the servers that have not been named for `grace`.
    pub fn expire(&mut self, grace: Duration, now: Instant) {
        self.0.retain(|_, server| server.gone_since.is_none_or(|since| now.saturating_duration_since(since) < grace));
    }

    /// When the next of them is to be dropped.
    pub fn next_expiry(&self, grace: Duration) -> Option<Instant> {
        self.0.values().filter_map(|server| server.gone_since).min().map(|since| since + grace)
    }

    /// The documents, by name.
    pub fn documents(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, server)| (name.as_str(), server.document.as_str()))
    }

    /// Whether the documents are the same.
    pub fn is_as(&self, other: &Self) -> bool {
        self.documents().eq(other.documents())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(names: &[&str]) -> Documents {
        names.iter().map(|name| ((*name).to_owned(), String::new())).collect()
    }

    fn names(held: &Held) -> String {
        held.documents().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_server_that_is_not_named_any_more_stays_for_the_grace_time() {
        let (begin, grace) = (Instant::now(), Duration::from_mins(1));
        let mut held = Held::of(documents(&["a", "b"]));
        assert_eq!(held.take(documents(&["a", "c"]), 10, begin), 0);
        assert_eq!(names(&held), "abc");
        held.take(documents(&["a", "c"]), 10, begin + grace / 2);
        assert_eq!(held.next_expiry(grace), Some(begin + grace), "asking again does not prolong it");
        held.expire(grace, begin + grace / 2);
        assert_eq!(names(&held), "abc");
        held.expire(grace, begin + grace);
        assert_eq!((names(&held).as_str(), held.next_expiry(grace)), ("ac", None));
    }

    #[test]
    fn one_that_comes_back_in_time_was_never_gone() {
        let now = Instant::now();
        let mut held = Held::of(documents(&["a"]));
        held.take(Documents::new(), 10, now);
        held.take(documents(&["a"]), 10, now);
        assert_eq!(held.next_expiry(Duration::ZERO), None);
    }

    #[test]
    fn there_are_never_more_new_ones_than_allowed() {
        let mut held = Held::default();
        assert_eq!(held.take(documents(&["a", "b", "c"]), 2, Instant::now()), 1);
        assert_eq!(names(&held), "ab");
    }

    #[test]
    fn those_that_are_gone_make_room_for_new_ones_the_longest_gone_first() {
        let now = Instant::now();
        let mut held = Held::of(documents(&["a", "b", "c"]));
        held.take(documents(&["b", "c"]), 3, now);
        held.take(documents(&["c"]), 3, now + Duration::from_secs(1));
        assert_eq!(names(&held), "abc");
        held.take(documents(&["c", "d"]), 3, now + Duration::from_secs(2));
        assert_eq!(names(&held), "bcd");
        // A source that names others each time does not fill the memory within its grace time.
        held.take(documents(&["e", "f", "g"]), 3, now + Duration::from_secs(3));
        assert_eq!(names(&held), "efg");
    }
}
