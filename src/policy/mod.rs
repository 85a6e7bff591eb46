//! Decisions about servers that fail: when to call again, when to leave alone, when to look after, when to start anew;
//! and about work that is too much at once: whose turn it is.
//!
//! Pure. Each file is a small state machine or rule: it is told the time and a random number, and answers what to do.
//! Whoever acts on the answer owns the timers, the probes and the processes.

pub mod balance;
pub mod breaker;
pub mod health;
pub mod keeping;
pub mod level;
pub mod outlier;
pub mod rank;
pub mod rate;
pub mod restart;
pub mod retry;
pub mod scale;
pub mod sticky;
pub mod turns;
