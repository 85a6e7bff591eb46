//! The scope that the tests of this folder compute in.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::expr::scope::Lookup;
use crate::expr::value::Value;

#[derive(Debug)]
struct Fixed(Json);

impl Lookup for Fixed {
    fn get(&self, name: &str) -> Option<Value> {
        self.0.get(name).map(Value::from_json)
    }

    fn names(&self) -> Vec<String> {
        self.0.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
    }
}

/// The fields of `json` as a scope.
pub(super) fn scope_of(json: Json) -> Arc<dyn Lookup> {
    Arc::new(Fixed(json))
}

/// A run half way through.
pub(super) fn scope() -> Arc<dyn Lookup> {
    scope_of(json!({
        "input": {
            "phone": "+4930123",
            "nick": null,
            "side": "market",
            "aspects": { "market": ["price"], "legal": [] },
            "items": [{ "sku": "a", "qty": 2, "price": 1.5 }, { "sku": "b", "qty": 1, "price": 4.0 }],
            "odd name": 1,
            "big": u64::MAX,
            "count": 3,
            "rate": 1.0,
            "dry_run": false,
        },
        "steps": {
            "contact": { "output": { "phone": "+4930999", "name": "Ada" }, "status": "completed" },
            "speech": { "output": null, "status": "skipped" },
            "quotes": { "output": { "dhl": { "price": 7 }, "ups": { "price": 5 }, "post": null } },
        },
        "item": { "sku": "c" },
        "index": 0,
    }))
}
