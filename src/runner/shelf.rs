//! Results that are kept from run to run, in memory.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use serde_json::Value;

use crate::engine::command::KeptAs;
use crate::engine::event::{Kept, Timestamp};
use crate::model::principal::Principal;

/// How much all results may weigh together, in bytes.
const CAPACITY: u64 = 64 * 1024 * 1024;

/// The longest that a result is kept: as long as a workflow may ask for.
const LONGEST: Duration = Duration::from_hours(24 * 30);

/// Keeps results. The least used go first when there is no more room.
#[derive(Clone)]
pub struct Shelf(Cache<String, Arc<(String, Timestamp)>>);

impl Default for Shelf {
    fn default() -> Self {
        let weigh = |name: &String, kept: &Arc<(String, Timestamp)>| {
            u32::try_from(name.len() + kept.0.len() + 64).unwrap_or(u32::MAX)
        };
        Self(Cache::builder().max_capacity(CAPACITY).weigher(weigh).time_to_live(LONGEST).build())
    }
}

impl Shelf {
    /// What is kept for `caller`.
    pub fn find(&self, kept_as: &KeptAs, caller: &Principal) -> Option<Kept> {
        let kept = self.0.get(&full_name(kept_as, caller))?;
        Some(Kept { value: serde_json::from_str(&kept.0).ok()?, since: kept.1 })
    }

    /// Keeps a result.
    pub fn keep(&self, kept_as: &KeptAs, caller: &Principal, value: &Value, now: Timestamp) {
        self.0.insert(full_name(kept_as, caller), Arc::new((value.to_string(), now)));
    }
}

/// Nobody's name has a line break, so the results of one caller cannot be had by another.
fn full_name(kept_as: &KeptAs, caller: &Principal) -> String {
    let whose = if kept_as.is_shared { "" } else { &caller.name };
    format!("{}\n{}", whose.replace('\n', " "), kept_as.name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_result_is_for_whom_it_was_made_unless_it_is_shared() {
        let shelf = Shelf::default();
        let (ada, bob) = (Principal::new("ada"), Principal::new("bob"));
        let own = KeptAs { name: "w\na".into(), is_shared: false };
        let shared = KeptAs { is_shared: true, ..own.clone() };
        shelf.keep(&own, &ada, &json!(1), 5);
        assert_eq!(shelf.find(&own, &ada), Some(Kept { value: json!(1), since: 5 }));
        assert_eq!((shelf.find(&own, &bob), shelf.find(&shared, &ada)), (None, None));
        shelf.keep(&shared, &ada, &json!(2), 6);
        assert_eq!(shelf.find(&shared, &bob).map(|kept| kept.value), Some(json!(2)));
    }
}
