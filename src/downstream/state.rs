//! What is known of an endpoint at one moment.

use std::time::{Duration, Instant};

use crate::downstream::protocol::About;
use crate::model::fault::Fault;

/// Where an endpoint is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nobody has needed it yet.
    Idle,
    /// Being connected.
    Starting,
    /// Connected.
    Ready,
    /// Lost or not reached; tried again at the given time.
    Waiting(Instant),
    /// Lost again and again; tried again, more rarely, at the given time.
    CrashLoop(Instant),
    /// Ended for good.
    Stopped,
}

impl Phase {
    /// The word that users see.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Waiting(_) => "down",
            Self::CrashLoop(_) => "crash loop",
            Self::Stopped => "stopped",
        }
    }

    /// When it is tried again.
    pub fn retry_in(self, now: Instant) -> Option<Duration> {
        match self {
            Self::Waiting(until) | Self::CrashLoop(until) => Some(until.saturating_duration_since(now)),
            _ => None,
        }
    }
}

/// A snapshot of one endpoint.
#[derive(Debug, Clone)]
pub struct State {
    /// Where it is in its life.
    pub phase: Phase,
    /// Since when.
    pub since: Instant,
    /// What the server said about itself when it was last connected.
    pub about: Option<About>,
    /// The process, if it is a child that runs.
    pub pid: Option<u32>,
    /// How often it has been started.
    pub starts: u32,
    /// Why it is not, or was last not, connected or listed.
    pub fault: Option<Fault>,
}

impl State {
    /// Before anything has happened.
    pub fn new(now: Instant) -> Self {
        Self { phase: Phase::Idle, since: now, about: None, pid: None, starts: 0, fault: None }
    }
}
