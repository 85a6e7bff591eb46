//! Answers in the form that the host's era demands.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::catalog::page::Page;
use crate::downstream::protocol::Era;
use crate::gateway::reply;
use crate::model::call::Reply;
use crate::model::code;
use crate::model::entry::Kind;
use crate::model::fault::{self, Fault};
use crate::model::freshness::Freshness;
use crate::server::host::Refusal;
use crate::server::requests::identity;
use crate::wire::object::Object;

/// The `_meta` key under which a modern server names itself in every result.
const SERVER_INFO_KEY: &str = "io.modelcontextprotocol/serverInfo";

/// The members of a modern result that an old host does not know.
const MODERN_MEMBERS: [&str; 3] = ["resultType", "ttlMs", "cacheScope"];

/// A whole response line.
pub fn response(id: &RawValue, result: &RawValue) -> String {
    let (id, result) = (id.get(), result.get());
    let mut line = String::with_capacity(result.len() + id.len() + 40);
    let _ = write!(line, r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    line
}

/// A whole error line.
pub fn error(id: &RawValue, code: i64, message: &str, data: Option<Value>) -> String {
    let mut error = json!({ "code": code, "message": message });
    if let Some(data) = data.filter(|data| !data.is_null()) {
        error["data"] = data;
    }
    format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, id.get())
}

/// A result of our own as a line.
pub fn result(id: &RawValue, result: &Value, era: Era) -> String {
    let raw = to_raw_value(result).expect("JSON values always serialise");
    response(id, &fitted(&raw, era))
}

/// A request that cannot be answered, as a line.
pub fn refusal(id: &RawValue, refusal: &Refusal) -> String {
    error(id, refusal.code, &refusal.message, refusal.data.clone())
}

/// The answer to a call that has been carried out: its result, or what went wrong, as a line.
pub fn outcome(id: &RawValue, method: &str, result: Result<Reply, Fault>, era: Era) -> String {
    match result {
        Ok(reply) if method == "resources/read" && era == Era::Modern => {
            response(id, &cacheable(&fitted(&reply.body, era)))
        }
        Ok(reply) => response(id, &fitted(&reply.body, era)),
        Err(fault) => match rpc_error(method, &fault, era) {
            Some((code, data)) => error(id, code, &message(&fault), Some(data)),
            None => response(id, &fitted(&reply::fault(&fault).body, era)),
        },
    }
}

/// The server's own words if it answered with an error, ours otherwise.
fn message(fault: &Fault) -> String {
    if fault.rpc.is_some() { fault.message.clone() } else { fault.to_string() }
}

/// The JSON-RPC error of a fault; `None` if it is better told as a tool result, which is what models get to see.
fn rpc_error(method: &str, fault: &Fault, era: Era) -> Option<(i64, Value)> {
    let mut data = json!({
        "code": fault.code.as_str(),
        "kind": fault.kind.as_str(),
        "server": fault.server,
        "retryable": fault.is_retryable(),
        "hint": fault.hint,
    });
    if let Some(rpc) = &fault.rpc {
        let data: Option<Value> = rpc.data.as_ref().and_then(|raw| serde_json::from_str(raw.get()).ok());
        let data = data.unwrap_or(Value::Null);
        // A resource that is not there has a code of its own in the older era, and only its name in the newer one.
        let is_missing = method == "resources/read" && data.get("uri").is_some();
        let code = match (rpc.code, era) {
            (-32002, Era::Modern) => -32602,
            (-32602, Era::Legacy) if is_missing => -32002,
            (code, _) => code,
        };
        return Some((code, data));
    }
    if fault.code == code::NO_SUCH_RESOURCE {
        data["uri"] = json!(fault.target);
    }
    let is_tool = method == "tools/call";
    match fault.kind {
        _ if fault.code == code::NO_SUCH_TOOL => Some((-32602, data)),
        _ if is_tool => None,
        fault::Kind::NotFound if fault.code == code::NO_SUCH_RESOURCE && era == Era::Legacy => Some((-32002, data)),
        fault::Kind::NotFound | fault::Kind::Invalid => Some((-32602, data)),
        // Codes of our own stay outside of the range that JSON-RPC reserves.
        _ => Some((fault.code.as_str().trim_start_matches("MO").parse().unwrap_or(5901), data)),
    }
}

/// A result with the members that the host's era wants, everything else untouched.
fn fitted(body: &RawValue, era: Era) -> Cow<'_, RawValue> {
    match era {
        Era::Legacy if !body.get().contains("\"resultType\"") => Cow::Borrowed(body),
        Era::Legacy => Object::parse(body).map_or_else(
            || Cow::Borrowed(body),
            |mut result| {
                result.retain(|key| !MODERN_MEMBERS.contains(&key));
                Cow::Owned(result.to_raw())
            },
        ),
        Era::Modern => Object::parse(body).map_or(Cow::Borrowed(body), |result| Cow::Owned(modern(result).to_raw())),
    }
}

/// A result that says how long it may be kept: not at all, unless its server says otherwise.
fn cacheable(body: &RawValue) -> Box<RawValue> {
    let Some(mut result) = Object::parse(body) else { return body.to_owned() };
    // A question is not to be kept, and says nothing of it.
    if result.get("resultType").is_some_and(|kind| kind.get() == "\"complete\"") {
        if result.get("ttlMs").is_none() {
            result.set("ttlMs", &0);
        }
        if result.get("cacheScope").is_none() {
            result.set("cacheScope", &"private");
        }
    }
    result.to_raw()
}

fn modern(mut result: Object<'_>) -> Object<'_> {
    if result.get("resultType").is_none() {
        result.set("resultType", &"complete");
    }
    let old = result.get("_meta").map(ToOwned::to_owned);
    let mut meta = old.as_deref().and_then(Object::parse).unwrap_or_default();
    meta.set(SERVER_INFO_KEY, &identity());
    result.set("_meta", &meta);
    result
}

/// One page of a list.
pub fn list(id: &RawValue, page: &Page<'_>, kind: Kind, freshness: Freshness, era: Era) -> String {
    let mut body = format!(r#"{{"{}":["#, kind.list_key());
    for (position, definition) in page.definitions.iter().enumerate() {
        if position > 0 {
            body.push(',');
        }
        body.push_str(definition.get());
    }
    body.push(']');
    if let Some(next) = &page.next {
        let _ = write!(body, r#","nextCursor":"{}""#, next.to_text());
    }
    if era == Era::Modern {
        let scope = if freshness.is_public { "public" } else { "private" };
        let _ = write!(body, r#","ttlMs":{},"cacheScope":"{scope}""#, freshness.ttl.as_millis());
    }
    body.push('}');
    let raw = RawValue::from_string(body).expect("raw members in valid JSON");
    response(id, &fitted(&raw, era))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("JSON")
    }

    #[test]
    fn a_result_gets_what_the_hosts_era_wants_and_keeps_the_rest() {
        let legacy = raw(r#"{"content":[{"type":"new-kind","x":1.0}],"vendor":true}"#);
        assert_eq!(fitted(&legacy, Era::Legacy).get(), legacy.get());
        let fit: Value = serde_json::from_str(fitted(&legacy, Era::Modern).get()).expect("JSON");
        assert_eq!((&fit["resultType"], &fit["_meta"][SERVER_INFO_KEY]), (&json!("complete"), &identity()));
        assert!(
            fitted(&legacy, Era::Modern)
                .get()
                .starts_with(r#"{"content":[{"type":"new-kind","x":1.0}],"vendor":true,"#)
        );
        let modern = raw(r#"{"resultType":"complete","content":[],"ttlMs":0,"cacheScope":"private"}"#);
        assert_eq!(fitted(&modern, Era::Legacy).get(), r#"{"content":[]}"#);
    }

    #[test]
    fn an_unknown_resource_is_named() {
        let unknown = Fault::new(fault::Kind::NotFound, code::NO_SUCH_RESOURCE, "no server has it").target("file:///x");
        for (era, code) in [(Era::Legacy, -32002), (Era::Modern, -32602)] {
            let line = outcome(&raw("7"), "resources/read", Err(unknown.clone()), era);
            let answer: Value = serde_json::from_str(&line).expect("JSON");
            assert_eq!(
                (&answer["error"]["code"], &answer["error"]["data"]["uri"]),
                (&json!(code), &json!("file:///x"))
            );
        }
    }

    #[test]
    fn a_missing_resource_is_told_in_the_words_of_the_hosts_era() {
        let missing = |code| {
            let mut fault = Fault::new(fault::Kind::NotFound, code::SERVER_ERROR, "Resource not found");
            fault.rpc = Some(fault::Rpc { code, data: Some(raw(r#"{"uri":"x://y"}"#)) });
            fault
        };
        for (era, code) in [(Era::Legacy, -32002), (Era::Modern, -32602)] {
            for theirs in [-32002, -32602] {
                let line = outcome(&raw("7"), "resources/read", Err(missing(theirs)), era);
                assert!(line.contains(&format!(r#""code":{code},"#)), "{line}");
            }
        }
        let wrong = outcome(&raw("7"), "prompts/get", Err(missing(-32602)), Era::Legacy);
        assert!(wrong.contains(r#""code":-32602,"#), "{wrong}");
    }

    #[test]
    fn an_unknown_tool_is_a_protocol_error_and_a_dead_server_is_a_result() {
        let id = raw("7");
        let unknown = Fault::new(fault::Kind::NotFound, code::NO_SUCH_TOOL, "there is no tool `x`");
        let line = outcome(&id, "tools/call", Err(unknown), Era::Legacy);
        assert!(line.starts_with(r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"#), "{line}");
        let dead =
            Fault::new(fault::Kind::Unavailable, code::SERVER_DOWN, "process exited with code 1").server("weather");
        let line = outcome(&id, "tools/call", Err(dead.clone()), Era::Legacy);
        assert!(line.contains(r#""isError":true"#) && line.contains("[MO5101] weather: process exited"), "{line}");
        let line = outcome(&id, "prompts/get", Err(dead), Era::Legacy);
        assert!(line.contains(r#""error":{"code":5101,"#), "{line}");
    }
}
