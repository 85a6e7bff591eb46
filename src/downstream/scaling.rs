//! Keeps as many instances of a server running as there is work for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::downstream::fleet::Fleet;
use crate::policy::scale::{Scaler, Seen, Settings};

/// How often is looked.
const LOOK: Duration = Duration::from_millis(100);

/// Starts and stops instances of `fleet` until `stop`.
pub async fn scale(fleet: Arc<Fleet>, stop: CancellationToken) {
    let replicas = &fleet.server.replicas;
    let mut scaler = Scaler::new(Settings {
        min: replicas.min,
        max: replicas.max,
        warm: replicas.warm,
        places: fleet.server.concurrency,
        down_after: replicas.down_after,
    });
    while stop.run_until_cancelled(sleep(LOOK)).await.is_some() {
        // Nobody has needed the server yet, or for a long time: its first call starts it.
        if fleet.is_asleep() {
            continue;
        }
        let now = Instant::now();
        let counters = fleet.counters();
        let seen = Seen { arrived: counters.requests, in_flight: counters.in_flight, latency: fleet.latency(now) };
        let wanted = scaler.decide(seen, now);
        if wanted != fleet.active() {
            fleet.resize(wanted);
        }
    }
}
