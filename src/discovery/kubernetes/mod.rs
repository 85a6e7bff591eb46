//! Services of a Kubernetes cluster as servers: their ready endpoints are the instances.
//!
//! Services and `EndpointSlice`s with the labels are listed and then watched, as the API wants it: bookmarks move the version on, a watch that
//! ends is begun again where it was, and a version that is too old (410 Gone) is listed anew. [`cluster`] is what is known, [`api`] asks.
//! Two GETs that are read line by line are less than a client library, which would double the time that the program takes to build.

mod access;
mod api;
mod cluster;
mod kubeconfig;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::discovery::answer::Answer;
use crate::discovery::board::Board;
use crate::discovery::kubernetes::api::{Api, Lines, Trouble};
use crate::discovery::kubernetes::cluster::{Cluster, Kind};
use crate::downstream::hook::Hooks;
use crate::registry::source::ServerSource;
use crate::registry::source::kubernetes::Kubernetes;

/// How long one watch goes on before it is begun anew.
const WATCH: Duration = Duration::from_mins(5);

/// How much longer than that it may be silent.
const SLACK: Duration = Duration::from_secs(30);

/// The pause before what has failed is tried again; the second failure in a row doubles it, and so on.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// What has gone well for so long goes well. Some proxies end every watch after half a minute.
const STEADY: Duration = Duration::from_secs(10);

/// What is known of the cluster; guarded for one event.
struct Known<'a> {
    cluster: Mutex<Cluster>,
    /// Whether services of several namespaces are to be told apart.
    is_whole: bool,
    source: &'a ServerSource,
    hooks: &'a Hooks,
    board: &'a Board,
}

/// Watches the cluster for ever, and tells `board`.
pub(super) async fn watch(place: &Kubernetes, source: &ServerSource, hooks: &Hooks, board: &Board) {
    let known = Known { cluster: Mutex::default(), is_whole: place.namespace.is_none(), source, hooks, board };
    futures::join!(follow(place, Kind::Service, &known), follow(place, Kind::Slice, &known));
}

/// Follows the objects of one kind.
async fn follow(place: &Kubernetes, kind: Kind, known: &Known<'_>) {
    let mut pauses = Pauses::up_to(known.source.refresh);
    loop {
        let (why, lasted) = match listed(place, kind, known).await {
            Ok(version) => {
                let begun = Instant::now();
                (watched(place, kind, version, known).await, begun.elapsed())
            }
            Err(Trouble::Failed(why)) => (Some(why), Duration::ZERO),
            Err(Trouble::Gone) => (Some("what it has just listed is too old for it".to_owned()), Duration::ZERO),
        };
        // A version that is too old is no failure: everything is listed anew, but never in a tight circle.
        if let Some(why) = why {
            known.lost(kind);
            known.board.note(known.source, Err(why));
        }
        sleep(pauses.after(lasted)).await;
    }
}

/// How long to wait before the next try: after each that has not lasted, twice as long.
struct Pauses {
    longest: Duration,
    next: Duration,
}

impl Pauses {
    fn up_to(longest: Duration) -> Self {
        Self { longest, next: FIRST_PAUSE.min(longest) }
    }

    /// After one that went well for so long. To begin is not enough: a watch may begin and fail at once, time and again.
    fn after(&mut self, lasted: Duration) -> Duration {
        let pause = if lasted >= self.longest.min(STEADY) { FIRST_PAUSE.min(self.longest) } else { self.next };
        self.next = (pause * 2).min(self.longest);
        pause
    }
}

/// Lists everything; gives back the version that it is of.
async fn listed(place: &Kubernetes, kind: Kind, known: &Known<'_>) -> Result<String, Trouble> {
    let asked = async { Api::of(place, known.hooks).await?.list(kind).await };
    let list = timeout(known.source.timeout, asked).await;
    let list = list.map_err(|_| Trouble::Failed(format!("no answer within {:?}", known.source.timeout)))??;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    known.change(|cluster| cluster.replace(kind, &list));
    Ok(version)
}

/// Follows changes from `version` on, through as many watches as it takes, until the version is too old (nothing is given back) or
/// something fails.
async fn watched(place: &Kubernetes, kind: Kind, mut version: String, known: &Known<'_>) -> Option<String> {
    let mut pauses = Pauses::up_to(known.source.refresh);
    loop {
        let begun = async { Api::of(place, known.hooks).await?.watch(kind, &version, WATCH).await };
        let mut lines = match timeout(known.source.timeout, begun).await {
            Ok(Ok(lines)) => lines,
            Ok(Err(Trouble::Gone)) => return None,
            Ok(Err(Trouble::Failed(why))) => return Some(why),
            Err(_) => return Some(format!("no answer within {:?}", known.source.timeout)),
        };
        let begun = Instant::now();
        if let Some(end) = read(&mut lines, kind, &mut version, known).await {
            return end;
        }
        sleep(pauses.after(begun.elapsed())).await;
    }
}

/// Reads one watch to its end. Gives something back only if no other is to follow: nothing in it is a version that is too old.
async fn read(lines: &mut Lines, kind: Kind, version: &mut String, known: &Known<'_>) -> Option<Option<String>> {
    loop {
        let event: Value = match timeout(WATCH + SLACK, lines.next()).await {
            // Whoever ends a watch may be asked again: it is how they all end. One that breaks off is no different.
            Ok(None | Some(Err(_))) | Err(_) => return None,
            Ok(Some(Ok(event))) => event,
        };
        let object = &event["object"];
        match event["type"].as_str() {
            Some("ERROR") if object["code"] == 410 => return Some(None),
            Some("ERROR") => return Some(Some(format!("the watch fails: {}", object["message"]))),
            Some("ADDED" | "MODIFIED") => known.change(|cluster| cluster.put(kind, object)),
            Some("DELETED") => known.change(|cluster| cluster.remove(kind, object)),
            _ => {}
        }
        if let Some(next) = object["metadata"]["resourceVersion"].as_str() {
            next.clone_into(version);
        }
    }
}

impl Known<'_> {
    /// What is known of a kind may be of before.
    fn lost(&self, kind: Kind) {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner).lose(kind);
    }

    fn change(&self, change: impl FnOnce(&mut Cluster)) {
        let mut cluster = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut cluster);
        let servers = cluster.is_complete().then(|| cluster.servers(self.is_whole));
        drop(cluster);
        if let Some(servers) = servers {
            self.board.note(self.source, Ok(Answer { servers, holds_for: None }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_gone_well_for_a_while_ends_a_row_of_failures() {
        let seconds = Duration::from_secs_f64;
        let mut pauses = Pauses::up_to(seconds(3.0));
        let lasted = [0.0, 0.0, 0.1, 0.1, 3.0, 0.0, 2.9, 0.0];
        assert_eq!(
            lasted.map(|lasted| pauses.after(seconds(lasted)).as_millis()),
            [500, 1_000, 2_000, 3_000, 500, 1_000, 2_000, 3_000]
        );
        let mut pauses = Pauses::up_to(Duration::from_mins(1));
        assert_eq!([10.0, 10.0].map(|lasted| pauses.after(seconds(lasted)).as_millis()), [500, 500]);
        assert_eq!(Pauses::up_to(seconds(0.1)).after(Duration::ZERO), seconds(0.1), "never longer than that");
    }
}
