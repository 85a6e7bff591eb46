//! Who was asked in vain before somebody answered: told in the result, so that nobody takes a makeshift for the real thing.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::gateway::reply::with_meta;
use crate::model::call::Reply;
use crate::model::fault::Fault;
use crate::wire::object::Object;

/// The `_meta` key under which a result says who could not give it, who was asked next, and why.
pub const DEGRADED_KEY: &str = "io.mcp-orchestrator/degraded";

/// Who could not answer, in order, and why.
#[derive(Debug, Default)]
pub(super) struct Trail {
    failed: Vec<(String, String)>,
}

/// One step away from who was asked first.
#[derive(Serialize)]
struct Hop<'a> {
    from: &'a str,
    to: &'a str,
    why: &'a str,
}

impl Trail {
    /// `who` could not answer because of `fault`.
    pub(super) fn failed(&mut self, who: impl Into<String>, fault: &Fault) {
        self.failed_because(who, format!("[{}] {}", fault.code, fault.message));
    }

    /// `who` could not answer.
    pub(super) fn failed_because(&mut self, who: impl Into<String>, why: String) {
        self.failed.push((who.into(), why));
    }

    /// The reply of `who`, which says who was asked before. What is said already came after that.
    pub(super) fn onto(&self, reply: Reply, who: &str) -> Reply {
        let Some((_, rest)) = self.failed.split_first() else { return reply };
        let next = rest.iter().map(|(who, _)| who.as_str()).chain([who]);
        let hops = self.failed.iter().zip(next).map(|((from, why), to)| raw(&Hop { from, to, why }));
        let later = told(&reply).and_then(|raw| serde_json::from_str::<Vec<Box<RawValue>>>(raw.get()).ok());
        let hops: Vec<_> = hops.chain(later.unwrap_or_default()).collect();
        with_meta(&reply, DEGRADED_KEY, &hops)
    }
}

/// What `reply` says of who was asked in vain, if it says anything.
pub(super) fn told(reply: &Reply) -> Option<Box<RawValue>> {
    if !reply.body.get().contains(DEGRADED_KEY) {
        return None;
    }
    let meta = Object::parse(&reply.body)?.get("_meta").map(ToOwned::to_owned)?;
    Object::parse(&meta)?.get(DEGRADED_KEY).map(ToOwned::to_owned)
}

/// `reply` with what another, of which it was made, has `told`.
pub(super) fn retold(reply: Reply, told: Option<Box<RawValue>>) -> Reply {
    match told {
        Some(told) => with_meta(&reply, DEGRADED_KEY, &told),
        None => reply,
    }
}

fn raw(hop: &Hop<'_>) -> Box<RawValue> {
    serde_json::value::to_raw_value(hop).expect("texts are valid JSON")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::code;
    use crate::model::fault::Kind;

    fn meta(reply: &Reply) -> Value {
        serde_json::from_str::<Value>(reply.body.get()).expect("JSON")["_meta"][DEGRADED_KEY].clone()
    }

    #[test]
    fn the_way_from_the_first_to_the_last_is_told_in_order() {
        let fault = Fault::new(Kind::Unavailable, code::SERVER_DOWN, "is gone");
        let reply = || Reply::new(RawValue::from_string(r#"{"content":[]}"#.to_owned()).expect("JSON"));
        assert_eq!(meta(&Trail::default().onto(reply(), "a")), Value::Null);
        let mut inner = Trail::default();
        inner.failed("b#1", &fault);
        let mut outer = Trail::default();
        outer.failed("a", &fault);
        let both = outer.onto(inner.onto(reply(), "b#2"), "b");
        let why = format!("[{}] is gone", code::SERVER_DOWN);
        let expected = json!([{ "from": "a", "to": "b", "why": why }, { "from": "b#1", "to": "b#2", "why": why }]);
        assert_eq!(meta(&both), expected);
        assert_eq!(meta(&retold(reply(), told(&both))), expected);
    }
}
