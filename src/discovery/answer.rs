//! What a source has answered, as one document for each server.
//!
//! Known are the words of other clients (`mcpServers`), the official registry's `server.json`, lists of it as its API gives them, and
//! a plain list of servers with their names.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

/// Where the official registry's API tells of its own entries.
const OFFICIAL: &str = "io.modelcontextprotocol.registry/official";

/// A document for each server, by the name that its source knows it by.
pub type Documents = BTreeMap<String, String>;

/// What a source has answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// The servers that there are.
    pub servers: Documents,
    /// For how long that holds, if it says.
    pub holds_for: Option<Duration>,
}

/// Reads an answer. An error says in words what it is not.
pub fn parse(text: &[u8]) -> Result<Answer, String> {
    let root: Value = serde_json::from_slice(text).map_err(|why| format!("its answer is no JSON: {why}"))?;
    let servers = match &root {
        Value::Array(items) => listed(items)?,
        Value::Object(table) if is_manifest(table) => listed(std::slice::from_ref(&root))?,
        Value::Object(table) => {
            let servers = ["mcpServers", "servers", "context_servers"].iter().find_map(|key| table.get(*key));
            match servers {
                Some(Value::Object(servers)) => {
                    servers.iter().map(|(name, server)| (name.clone(), document(name, server))).collect()
                }
                Some(Value::Array(items)) => listed(items)?,
                _ => return Err("its answer has no servers: they stand under `mcpServers` or `servers`".to_owned()),
            }
        }
        _ => return Err("its answer is neither a list of servers nor a table of them".to_owned()),
    };
    Ok(Answer { servers, holds_for: None })
}

/// The document of one server in the words of other clients.
pub fn document(name: &str, server: &Value) -> String {
    json!({ "mcpServers": { name: server } }).to_string()
}

fn listed(items: &[Value]) -> Result<Documents, String> {
    let mut servers = Documents::new();
    for (place, item) in items.iter().enumerate() {
        if !is_current(item) {
            continue;
        }
        let item = item.get("server").filter(|server| server.is_object()).unwrap_or(item);
        let name = item.get("name").and_then(Value::as_str);
        let (Some(table), Some(name)) = (item.as_object(), name) else {
            return Err(format!("item {} of its list is no server with a `name`", place + 1));
        };
        let text = if is_manifest(table) {
            item.to_string()
        } else {
            let mut server = table.clone();
            server.remove("name");
            document(name, &Value::Object(server))
        };
        servers.entry(name.to_owned()).or_insert(text);
    }
    Ok(servers)
}

fn is_manifest(table: &Map<String, Value>) -> bool {
    table.contains_key("name") && (table.contains_key("packages") || table.contains_key("remotes"))
}

/// The official registry lists every version, and what was taken back.
fn is_current(item: &Value) -> bool {
    let told = item.get("_meta").and_then(|meta| meta.get(OFFICIAL));
    let told = |key: &str| told.and_then(|told| told.get(key));
    told("isLatest") != Some(&Value::Bool(false)) && told("status").and_then(Value::as_str) != Some("deleted")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &Value) -> Result<Vec<String>, String> {
        parse(text.to_string().as_bytes()).map(|answer| answer.servers.into_keys().collect())
    }

    #[test]
    fn servers_are_found_in_every_form() {
        let a = json!({ "url": "http://a.example/mcp" });
        let manifest = json!({ "name": "io.x/a", "version": "1", "remotes": [] });
        let other = json!({ "server": manifest, "_meta": { OFFICIAL: { "isLatest": false } } });
        let deleted =
            json!({ "server": { "name": "io.x/b", "packages": [] }, "_meta": { OFFICIAL: { "status": "deleted" } } });
        for (text, expected) in [
            (json!({ "mcpServers": { "a": a } }), vec!["a"]),
            (json!({ "servers": { "a": a, "b": a } }), vec!["a", "b"]),
            (json!([{ "name": "a", "url": "http://a.example/mcp" }]), vec!["a"]),
            (manifest.clone(), vec!["io.x/a"]),
            (json!({ "servers": [other, { "server": manifest }, deleted], "metadata": {} }), vec!["io.x/a"]),
            (json!({ "mcpServers": {} }), vec![]),
        ] {
            assert_eq!(names(&text).as_deref(), Ok(&expected.iter().map(ToString::to_string).collect::<Vec<_>>()[..]));
        }
        let answer = parse(json!([{ "name": "a", "url": "x" }]).to_string().as_bytes()).expect("a server");
        assert_eq!(answer.servers["a"], r#"{"mcpServers":{"a":{"url":"x"}}}"#);
    }

    #[test]
    fn what_is_no_answer_is_said() {
        for (text, part) in [
            (json!({ "error": 1 }), "has no servers"),
            (json!([{ "url": "x" }]), "item 1 of its list"),
            (json!("x"), "neither a list"),
        ] {
            assert!(names(&text).is_err_and(|why| why.contains(part)), "{text}");
        }
        assert!(parse(b"<html>").is_err_and(|why| why.contains("no JSON")));
    }
}
