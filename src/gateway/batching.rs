//! Many small calls of a tool that only reads, made as one call of a tool that takes many.

use std::sync::Arc;

use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use crate::gateway::batches::{Items, Outcome, Parts};
use crate::gateway::door::Gateway;
use crate::gateway::sharing::within;
use crate::model::call::{Call, Reply};
use crate::model::entry::Entry;
use crate::model::fault::{Fault, Kind};
use crate::model::limits::Limits;
use crate::model::name::ToolRef;
use crate::model::port::BoxFuture;
use crate::registry::tools::Batch;
use crate::wire::canonical::canonical;
use crate::wire::object::Object;

/// The `_meta` key of a result that was part of a larger one; it tells which tool was called, and for how many.
const BATCHED_KEY: &str = "io.mcp-orchestrator/batched";

impl Gateway {
    /// Calls a tool, together with others if there are some like it at this moment.
    pub(super) async fn call_together(self: &Arc<Self>, entry: &Arc<Entry>, call: &Call) -> Result<Reply, Fault> {
        if let Some((batch, large)) = self.batch_of(entry)
            && call.extra.is_empty()
            && let Some((item, others)) = call.arguments.as_deref().and_then(|all| split(all, &batch.argument))
        {
            let key = json!([&*entry.server, entry.id, &*call.principal.name, others, call.headers]).to_string();
            let begin = |items| self.batch(items, batch.clone(), large, others, call);
            let (place, number) = self.batches.enter(key, &item, batch.max, begin);
            let outcome = within(call.limits.deadline, place.outcome()).await?;
            let count = outcome.as_ref().map_or(0, |parts| parts.len());
            if let Some(part) = outcome.as_ref().and_then(|parts| parts.get(number)?.as_deref()) {
                return Ok(part_reply(part, &batch.tool, count));
            }
        }
        self.call_unshared(entry, call).await
    }

    /// How calls of `entry` are made together, and the tool that takes many, if both only read.
    fn batch_of(&self, entry: &Entry) -> Option<(Batch, Arc<Entry>)> {
        let server = &self.pool.get(&entry.server)?.server;
        let batch = server.tools.get(&entry.id)?.batch.clone()?;
        let large = ToolRef { server: entry.server.to_string(), tool: batch.tool.clone() };
        let large = self.catalog().origin(&large).cloned()?;
        let only_reads = entry.effect.is_read() && large.effect.is_read();
        // Whoever watches over the large tool watches over each call.
        (only_reads && self.passage(&large, Some(entry)).is_none()).then_some((batch, large))
    }

    /// Gathers calls, and makes them as one. It belongs to none of them: nobody's deadline, progress or questions are its own.
    fn batch(
        self: &Arc<Self>,
        items: Arc<Items>,
        batch: Batch,
        large: Arc<Entry>,
        others: String,
        call: &Call,
    ) -> BoxFuture<Outcome> {
        let limits = Limits { deadline: None, ..call.limits };
        let call = Call { limits, progress: None, ask: None, idempotency_key: None, ..call.clone() };
        let gateway = Arc::clone(self);
        Box::pin(async move {
            let items = items.gather(batch.window).await;
            let Some(arguments) = (items.len() > 1).then(|| joined(&items, &batch.into, &others)).flatten() else {
                return Ok(None);
            };
            let parts = match gateway.call_unshared(&large, &Call { arguments: Some(arguments), ..call }).await {
                Ok(reply) if !reply.is_tool_error() => apart(&reply, &batch, &items),
                Err(fault) if fault.is_retryable() || fault.kind == Kind::Cancelled => return Err(fault),
                // One that it does not want must not be answered for the others.
                Ok(_) | Err(_) => None,
            };
            if parts.is_none() {
                tracing::debug!(server = %large.server, tool = %large.id, "a batch is made one by one");
            }
            Ok(parts.map(Arc::new))
        })
    }
}

/// The argument that differs, and the others, each in its canonical form.
fn split(arguments: &RawValue, argument: &str) -> Option<(String, String)> {
    let mut all = Object::parse(arguments)?;
    let item = canonical(all.get(argument)?)?;
    all.retain(|key| key != argument);
    Some((item, canonical(&all.to_raw())?))
}

/// The arguments of the large call.
fn joined(items: &[String], into: &str, others: &str) -> Option<Box<RawValue>> {
    let others: &RawValue = serde_json::from_str(others).ok()?;
    let list = RawValue::from_string(format!("[{}]", items.join(","))).ok()?;
    let mut all = Object::parse(others)?;
    all.set(into, &list);
    Some(all.to_raw())
}

/// The parts of a large result, in the order of `items`; `None` if it cannot be told which is whose.
fn apart(reply: &Reply, batch: &Batch, items: &[String]) -> Option<Parts> {
    let result = Object::parse(&reply.body)?;
    let text;
    let value = if let Some(structured) = result.get("structuredContent") {
        structured
    } else {
        #[derive(serde::Deserialize)]
        struct Block {
            text: String,
        }
        let blocks: [Block; 1] = serde_json::from_str(result.get("content")?.get()).ok()?;
        let [block] = blocks;
        text = RawValue::from_string(block.text).ok()?;
        &text
    };
    let whole = Object::parse(value);
    let member = whole.as_ref().and_then(|whole| whole.get(batch.results.as_deref().unwrap_or("result")));
    let list: Vec<&RawValue> = serde_json::from_str(member.unwrap_or(value).get()).ok()?;
    let Some(key) = &batch.key else {
        let is_whole = list.len() == items.len();
        return is_whole.then(|| list.into_iter().map(|part| Some(part.to_owned())).collect());
    };
    let about = |part: &RawValue| canonical(Object::parse(part)?.get(key)?);
    let abouts: Vec<_> = list.iter().map(|part| about(part)).collect();
    let of = |item: &String| {
        let place = abouts.iter().position(|about| about.as_ref() == Some(item))?;
        Some(list[place].to_owned())
    };
    Some(items.iter().map(of).collect())
}

/// A part as the result of a small call.
fn part_reply(part: &RawValue, tool: &str, count: usize) -> Reply {
    let text = serde_json::from_str::<String>(part.get()).unwrap_or_else(|_| part.get().to_owned());
    let mut result = Object::default();
    result.set("content", &json!([{ "type": "text", "text": text }]));
    if part.get().starts_with('{') {
        result.set("structuredContent", &part);
    } else {
        let mut wrapped = Object::default();
        wrapped.set("result", &part);
        result.set("structuredContent", &wrapped);
    }
    result.set("_meta", &json!({ BATCHED_KEY: { "tool": tool, "calls": count } }));
    Reply::new(to_raw_value(&result).expect("raw members always serialise"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("JSON")
    }

    fn batch(results: Option<&str>, key: Option<&str>) -> Batch {
        let text = |text: &str| text.to_owned();
        let (results, key) = (results.map(text), key.map(text));
        let (tool, argument, into) = (text("many"), text("id"), text("ids"));
        Batch { tool, argument, into, results, key, window: Duration::from_millis(1), max: 10 }
    }

    fn parts(result: &str, results: Option<&str>, key: Option<&str>) -> Option<Vec<String>> {
        let items = ["7".to_owned(), "\"x\"".to_owned()];
        let parts = apart(&Reply::new(raw(result)), &batch(results, key), &items)?;
        Some(parts.iter().map(|part| part.as_deref().map_or("-", RawValue::get).to_owned()).collect())
    }

    #[test]
    fn a_call_is_split_and_many_are_joined() {
        let (item, others) = split(&raw(r#"{ "lang": "en", "id": 7.0, "a": 1 }"#), "id").expect("an object with it");
        assert_eq!((item.as_str(), others.as_str()), ("7.0", r#"{"a":1,"lang":"en"}"#));
        let all = joined(&[item, "\"x\"".to_owned()], "ids", &others).expect("JSON");
        assert_eq!(all.get(), r#"{"a":1,"lang":"en","ids":[7.0,"x"]}"#);
        assert_eq!(split(&raw(r#"{"lang":"en"}"#), "id"), None);
    }

    #[test]
    fn results_are_told_apart_by_their_order_or_their_key() {
        let some = |all: [&str; 2]| Some(all.map(str::to_owned).to_vec());
        assert_eq!(
            parts(r#"{"structuredContent":{"result":[1.50,{"a":2}]}}"#, None, None),
            some(["1.50", "{\"a\":2}"])
        );
        assert_eq!(parts(r#"{"content":[{"type":"text","text":"[1,2]"}]}"#, None, None), some(["1", "2"]));
        let keyed = r#"{"structuredContent":{"items":[{"id":"x","n":1},{"id":7,"n":2},{"id":8}]}}"#;
        let found = some([r#"{"id":7,"n":2}"#, r#"{"id":"x","n":1}"#]);
        assert_eq!(parts(keyed, Some("items"), Some("id")), found);
        assert_eq!(
            parts(r#"{"structuredContent":{"items":[{"id":7}]}}"#, Some("items"), Some("id")),
            some([r#"{"id":7}"#, "-"])
        );
    }

    #[test]
    fn what_cannot_be_told_apart_is_not() {
        assert_eq!(parts(r#"{"structuredContent":{"result":[1]}}"#, None, None), None, "one is missing");
        assert_eq!(parts(r#"{"structuredContent":{"other":[1,2]}}"#, None, None), None);
        assert_eq!(parts(r#"{"content":[{"type":"text","text":"two things"}]}"#, None, None), None);
    }
}
