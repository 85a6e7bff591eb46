//! The harness: a registry of fixture servers, the real binary in front of them, and a host that speaks raw JSON-RPC to it.
#![expect(clippy::needless_pass_by_value, reason = "values that are written out in place read better in a test")]

pub(crate) mod accept;
#[cfg(feature = "restate")]
pub(crate) mod balancer;
pub(crate) mod brain;
pub(crate) mod cluster;
pub(crate) mod example;
pub(crate) mod face;
pub(crate) mod guarded;
pub(crate) mod heard;
pub(crate) mod host;
pub(crate) mod launch;
pub(crate) mod ledger;
pub(crate) mod names;
pub(crate) mod page;
pub(crate) mod processes;
#[cfg(feature = "restate")]
pub(crate) mod restate;
pub(crate) mod runs;
pub(crate) mod scene;
pub(crate) mod sockets;
pub(crate) mod stream;
pub(crate) mod web;
pub(crate) mod web_faults;

use std::time::{Duration, Instant};

pub(crate) use example::Example;
pub(crate) use host::Host;
pub(crate) use launch::{command, fixture, fixture_path};
pub(crate) use scene::{Done, Test};

/// The longest that anything is waited for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// How many tools the healthy fixture has.
pub(crate) const TOOLS: usize = 21;

/// Asks again and again until `holds`, or until the deadline; false if it never did.
pub(crate) fn eventually(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > limit {
            return false;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    true
}
