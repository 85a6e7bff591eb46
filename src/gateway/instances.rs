//! How each instance does of a server that has several.

use std::fmt::Write as _;
use std::time::Instant;

use serde_json::{Value, json};

use crate::downstream::endpoint::Endpoint;
use crate::downstream::fleet::Fleet;
use crate::downstream::state::Phase;
use crate::policy::breaker::State as BreakerState;

/// A snapshot of one instance.
#[derive(Debug)]
pub struct InstanceStatus {
    /// Which one, from 1.
    pub number: usize,
    /// One word for its state.
    pub state: &'static str,
    /// Lower tiers are used first.
    tier: u32,
    /// Its process.
    pid: Option<u32>,
    /// How often it has been started.
    starts: u32,
    /// The state of its breaker.
    breaker: &'static str,
    /// Requests made, failed, and in flight.
    requests: (u64, u64, u32),
    /// How long its calls take, in milliseconds.
    latency_ms: Option<f64>,
    /// Whether it is left alone because it fails where others do not.
    is_ejected: bool,
    /// The last error.
    error: Option<String>,
}

/// The instances of `fleet`, if it has several.
pub(super) fn instances(fleet: &Fleet) -> Vec<InstanceStatus> {
    if fleet.only().is_some() {
        return Vec::new();
    }
    fleet.endpoints().map(|endpoint| instance(fleet, endpoint)).collect()
}

fn instance(fleet: &Fleet, endpoint: &Endpoint) -> InstanceStatus {
    let state = endpoint.state();
    let counters = endpoint.counters();
    InstanceStatus {
        number: endpoint.place + 1,
        state: state.phase.as_str(),
        tier: fleet.tier(endpoint.place),
        pid: state.pid,
        starts: state.starts,
        breaker: endpoint.breaker().0.as_str(),
        requests: (counters.requests, counters.failures, counters.in_flight),
        latency_ms: endpoint.latency(Instant::now()).map(|seconds| (seconds * 10_000.0).round() / 10.0),
        is_ejected: fleet.is_ejected(endpoint.place),
        error: state.fault.map(|fault| format!("[{}] {}", fault.code, fault.message)),
    }
}

impl InstanceStatus {
    /// Whether there is nothing to say of it.
    pub(super) fn is_well(&self) -> bool {
        let is_calm = [Phase::Ready.as_str(), Phase::Idle.as_str(), Phase::Starting.as_str()].contains(&self.state);
        is_calm && self.error.is_none() && !self.is_ejected && self.breaker == BreakerState::Closed.as_str()
    }

    /// One line on what is wrong with it.
    pub(super) fn line(&self) -> String {
        let mut line = format!("instance {}: {}", self.number, self.state);
        if self.breaker != BreakerState::Closed.as_str() {
            let _ = write!(line, ", breaker {}", self.breaker);
        }
        if self.is_ejected {
            line += ", left alone: it fails where others do not";
        }
        if let Some(error) = &self.error {
            let _ = write!(line, ", {error}");
        }
        line
    }

    pub(super) fn to_json(&self) -> Value {
        let (made, failed, in_flight) = self.requests;
        json!({
            "number": self.number,
            "state": self.state,
            "tier": self.tier,
            "pid": self.pid,
            "starts": self.starts,
            "breaker": self.breaker,
            "requests": { "made": made, "failed": failed, "in_flight": in_flight },
            "latency_ms": self.latency_ms,
            "left_alone": self.is_ejected,
            "last_error": self.error,
        })
    }
}
