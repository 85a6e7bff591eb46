//! The tasks that ask the sources, one for each, for as long as the registry names them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::discovery::ask::ask;
use crate::discovery::board::Board;
use crate::discovery::kubernetes;
#[cfg(feature = "mdns")]
use crate::discovery::mdns;
use crate::downstream::endpoint::fraction;
use crate::downstream::pool::Pool;
use crate::registry::found::Found;
use crate::registry::source::place::Place;
use crate::registry::source::{ServerSource, Sources};

/// Answers that say how long they hold are believed down to this.
const SHORTEST: Duration = Duration::from_secs(1);

/// A source that has failed is asked again after so long, then after twice that, and so on.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A source may take a little longer to be given up than it may take to answer.
const SLACK: Duration = Duration::from_secs(1);

/// Asks the sources.
pub struct Searches {
    pool: Arc<Pool>,
    board: Arc<Board>,
    /// Those under way; guarded for one comparison.
    running: Mutex<BTreeMap<Arc<str>, Running>>,
    again: Arc<Notify>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

struct Running {
    source: Arc<ServerSource>,
    stop: CancellationToken,
}

impl Searches {
    /// Nothing is asked yet. Programs are started as servers of `pool` are.
    pub fn new(pool: Arc<Pool>) -> Self {
        Self {
            pool,
            board: Arc::default(),
            running: Mutex::default(),
            again: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// What they have said.
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Asks these from now on, and no others. What is `known` of new ones holds until they answer.
    pub fn follow(&self, sources: &Sources, known: &[Found]) {
        self.board.seat(sources, known);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|name, one| {
            let is_same = sources.get(name).is_some_and(|source| *source == one.source);
            if !is_same {
                one.stop.cancel();
            }
            is_same
        });
        for (name, source) in sources {
            if running.contains_key(name) {
                continue;
            }
            let stop = self.stop.child_token();
            let search =
                search(Arc::clone(source), Arc::clone(&self.pool), Arc::clone(&self.board), Arc::clone(&self.again));
            let until = stop.clone();
            self.tasks.spawn(async move { until.run_until_cancelled(search).await });
            running.insert(Arc::clone(name), Running { source: Arc::clone(source), stop });
        }
    }

    /// Waits until every source has answered or has failed to.
    pub async fn complete(&self) {
        let complete = async {
            let mut heard = self.board.heard();
            while !self.board.is_complete() && heard.changed().await.is_ok() {}
        };
        // One that was removed meanwhile does not answer.
        let _ = timeout(self.longest() + SLACK, complete).await;
    }

    /// How long the slowest of them may take.
    fn longest(&self) -> Duration {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.values().map(|one| one.source.timeout).max().unwrap_or_default()
    }

    /// Asks every source now, and waits for it.
    pub async fn ask_all(&self) {
        self.board.expect_all();
        self.again.notify_waiters();
        self.complete().await;
    }

    /// Ends all of it.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Asks one source for ever.
async fn search(source: Arc<ServerSource>, pool: Arc<Pool>, board: Arc<Board>, again: Arc<Notify>) {
    let ask = async {
        match &source.place {
            Place::Kubernetes(place) => kubernetes::watch(place, &source, pool.hooks(), &board).await,
            #[cfg(feature = "mdns")]
            Place::Mdns(place) => mdns::watch(place, &source, &board).await,
            #[cfg(not(feature = "mdns"))]
            Place::Mdns(_) => board.note(&source, Err("this program was built without `mdns`".to_owned())),
            Place::Command(_) | Place::Url(_) | Place::Dns(_) => poll(&source, &pool, &board, &again).await,
        }
    };
    futures::future::join(ask, expire(&source, &board)).await;
}

async fn poll(source: &ServerSource, pool: &Pool, board: &Board, again: &Notify) {
    let mut failures = 0;
    loop {
        // Who is told to ask again while asking begins anew: the answer may be of before.
        let told = again.notified();
        tokio::pin!(told);
        told.as_mut().enable();
        let answer = tokio::select! {
            biased;
            () = told.as_mut() => continue,
            answer = timeout(source.timeout, ask(source, pool)) => answer,
        };
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {:?}", source.timeout)));
        failures = if answer.is_ok() { 0 } else { failures + 1 };
        let holds_for = match &answer {
            Ok(answer) => answer.holds_for,
            Err(_) => Some(FIRST_PAUSE * 2_u32.pow(failures.min(16) - 1)),
        };
        board.note(source, answer);
        tokio::select! {
            () = sleep(pause(source.refresh, holds_for, fraction())) => {}
            () = told => {}
        }
    }
}

/// How long a source is left alone. Several programs that began together do not ask together for ever.
fn pause(refresh: Duration, holds_for: Option<Duration>, fraction: f64) -> Duration {
    let wanted = holds_for.map_or(refresh, |holds| holds.max(SHORTEST).min(refresh));
    wanted.mul_f64(0.9 + fraction * 0.2)
}

/// Drops servers that are not named any more when their time has come.
async fn expire(source: &ServerSource, board: &Board) {
    let mut heard = board.heard();
    loop {
        heard.borrow_and_update();
        let next = board.next_expiry(source);
        let due = async {
            match next {
                Some(next) => sleep_until(Instant::from_std(next)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => board.expire(source),
            changed = heard.changed() => if changed.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_asked_as_often_as_it_changes_but_not_all_the_time() {
        let minute = Duration::from_mins(1);
        assert_eq!(pause(minute, None, 0.5), minute);
        assert_eq!(pause(minute, Some(minute * 9), 0.5), minute);
        assert_eq!(pause(minute, Some(Duration::ZERO), 0.5), SHORTEST);
        assert_eq!((pause(minute, None, 0.0), pause(minute, None, 1.0)), (minute.mul_f64(0.9), minute.mul_f64(1.1)));
    }
}
