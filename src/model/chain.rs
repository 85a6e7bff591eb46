//! Orchestrators in a row: which ones a call has come through, and what it still may use.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::model::limits::Limits;
use crate::model::usage::{Allowance, Cost};

/// The `_meta` key of a request under which it all travels to the next orchestrator.
pub const CHAIN_KEY: &str = "io.mcp-orchestrator/chain";

/// The `_meta` key of a definition that says which orchestrators it has come through, for an orchestrator that asks.
pub const PATH_KEY: &str = "io.mcp-orchestrator/path";

/// How many orchestrators there may be in a row.
pub const MAX_HOPS: usize = 8;

/// One running orchestrator: a random number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hop(pub u64);

/// The orchestrators that something has come through, first to last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hops {
    ids: [Hop; MAX_HOPS],
    count: u8,
}

impl Hops {
    /// Those so far and `hop`; `None` if that is too many.
    pub fn with(mut self, hop: Hop) -> Option<Self> {
        *self.ids.get_mut(usize::from(self.count))? = hop;
        self.count += 1;
        Some(self)
    }

    /// Whether it has come through `hop`.
    pub fn contains(&self, hop: Hop) -> bool {
        self.iter().any(|known| known == hop)
    }

    /// Whether it has come through none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Hop> + '_ {
        self.ids.iter().copied().take(usize::from(self.count))
    }

    /// As they stand in `_meta`: hexadecimal numbers.
    pub fn to_texts(&self) -> Vec<String> {
        self.iter().map(|hop| format!("{:016x}", hop.0)).collect()
    }

    /// Reads them; what is too long is cut, which leaves no room for another one.
    pub fn of_texts(texts: &[String]) -> Self {
        let read = |text: &String| Hop(u64::from_str_radix(text, 16).unwrap_or_default());
        texts.iter().map(read).fold(Self::default(), |hops, hop| hops.with(hop).unwrap_or(hops))
    }
}

/// What the next orchestrator is told.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    #[serde(default)]
    hops: Vec<String>,
    /// How long the answer is of use, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline_ms: Option<u64>,
    /// How many workflows the call is nested in.
    #[serde(default, skip_serializing_if = "is_zero")]
    depth: u8,
    /// How much the call may use up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost: Option<Cost>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calls: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(depth: &u8) -> bool {
    *depth == 0
}

/// `limits` for the next orchestrator, as JSON; `None` if there is nothing to tell.
pub fn tell(limits: &Limits, now: Instant) -> Option<String> {
    if limits.hops.is_empty() {
        return None;
    }
    let left = limits.left(now).map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
    let Allowance { tokens, cost, calls } = limits.allowance;
    let (hops, depth) = (limits.hops.to_texts(), limits.depth);
    serde_json::to_string(&Told { hops, deadline_ms: left, depth, tokens, cost, calls }).ok()
}

/// The limits that the orchestrator before us tells us of; none if it cannot be read.
pub fn hear(told: &str, now: Instant) -> Limits {
    let Ok(told) = serde_json::from_str::<Told>(told) else { return Limits::default() };
    let allowance = Allowance { tokens: told.tokens, cost: told.cost, calls: told.calls };
    let limits = Limits { hops: Hops::of_texts(&told.hops), depth: told.depth, allowance, deadline: None };
    // Nobody waits for longer than a day, and longer times may not be representable.
    let left = told.deadline_ms.map(|left| Duration::from_millis(left).min(Duration::from_hours(24)));
    left.map_or(limits, |left| limits.within(now, left))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_heard() {
        let now = Instant::now();
        let hops = Hops::default().with(Hop(7)).and_then(|hops| hops.with(Hop(u64::MAX))).expect("room");
        let limits = Limits { hops, depth: 2, ..Limits::default() }.within(now, Duration::from_secs(3));
        let told = tell(&limits, now).expect("something to tell");
        assert_eq!(told, r#"{"hops":["0000000000000007","ffffffffffffffff"],"deadline_ms":3000,"depth":2}"#);
        assert_eq!(hear(&told, now), limits);
        let allowance = Allowance { tokens: Some(5), cost: Some(Cost::of(0.5)), calls: None };
        let bounded = Limits { allowance, ..limits };
        assert_eq!(tell(&bounded, now).map(|told| hear(&told, now)), Some(bounded));
        assert_eq!(tell(&Limits::default(), now), None);
        assert_eq!(hear("17", now), Limits::default());
    }

    #[test]
    fn a_row_has_an_end() {
        let full = (0..8).try_fold(Hops::default(), |hops, id| hops.with(Hop(id))).expect("room");
        assert_eq!(full.with(Hop(9)), None);
        let texts: Vec<_> = (0..20).map(|id| format!("{id:x}")).collect();
        assert_eq!(Hops::of_texts(&texts), full);
    }
}
