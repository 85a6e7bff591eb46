//! A service as the records of a name tell it (RFC 2782, RFC 6763), as a server.
//!
//! SRV says where it is, TXT how it is talked to: `path` (`/mcp`), `type` (`http` or `sse`), `scheme` (`https` on port 443, else `http`)
//! and `name`. Of several places, each is an instance: lower priorities are nearer tiers. Weights are not followed: a call goes to
//! the quicker of two.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::discovery::answer::document;
use crate::registry::naming::legal_name;

/// The most instances that a server may have.
const MOST: usize = 64;

/// Where most servers have their endpoint.
const PATH: &str = "/mcp";

/// A service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Service {
    /// What it is called, unless it says otherwise.
    pub(super) name: String,
    /// What TXT says, with keys in lower case.
    pub(super) said: BTreeMap<String, String>,
    /// Where it is.
    pub(super) targets: Vec<Target>,
}

/// One place of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) priority: u16,
    /// The name of the machine, without the dot at its end.
    pub(super) host: String,
    pub(super) port: u16,
    /// The addresses of the machine.
    pub(super) addresses: Vec<IpAddr>,
}

/// What the strings of a TXT record say. The first of equal keys counts (RFC 6763, 6.4).
pub(super) fn said<'a>(strings: impl Iterator<Item = &'a [u8]>) -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    for string in strings {
        let text = String::from_utf8_lossy(string);
        if let Some((key, value)) = text.split_once('=').filter(|(key, _)| !key.is_empty()) {
            said.entry(key.to_ascii_lowercase()).or_insert_with(|| value.to_owned());
        }
    }
    said
}

impl Service {
    /// Its name as a server and the document for it; nothing if it is nowhere.
    pub(super) fn document(&self) -> Option<(String, String)> {
        let name = legal_name(self.said.get("name").unwrap_or(&self.name));
        let mut targets: Vec<_> = self.targets.iter().filter(|target| !target.host.is_empty()).collect();
        targets.sort_by_key(|target| (target.priority, &target.host, target.port));
        let mut tiers: Vec<_> = targets.iter().map(|target| target.priority).collect();
        tiers.dedup();
        let tier = |target: &Target| tiers.iter().position(|priority| *priority == target.priority);
        let mut places: Vec<(String, Option<usize>)> =
            targets.iter().flat_map(|target| self.urls(target).into_iter().map(|url| (url, tier(target)))).collect();
        places.truncate(MOST);
        let mut places = places.into_iter();
        let (first, _) = places.next()?;
        let replicas: Vec<Value> = places.map(|(url, tier)| json!({ "url": url, "priority": tier })).collect();
        let kind = self.said.get("type").or_else(|| self.said.get("transport"));
        let mut server = json!({ "url": first, "type": kind.map_or("http", String::as_str) });
        if !replicas.is_empty() {
            server["replicas"] = json!(replicas);
        }
        Some((name.clone(), document(&name, &server)))
    }

    /// A certificate is for a name; without one, each address is a place of its own.
    fn urls(&self, target: &Target) -> Vec<String> {
        let by_port = if target.port == 443 { "https" } else { "http" };
        let scheme = self.said.get("scheme").map_or(by_port, String::as_str);
        let path = self.said.get("path").map_or(PATH, String::as_str);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        // A record is no place for a placeholder of ours.
        let path = path.replace('$', "%24");
        let hosts = if scheme == "https" || target.addresses.is_empty() {
            vec![target.host.clone()]
        } else {
            let has_old = target.addresses.iter().any(IpAddr::is_ipv4);
            // Both kinds of address of one machine are no two instances.
            let one_kind = target.addresses.iter().filter(|address| address.is_ipv4() == has_old);
            let mut hosts: Vec<_> = one_kind.map(bracketed).collect();
            hosts.sort();
            hosts
        };
        hosts.into_iter().map(|host| format!("{scheme}://{host}:{}{path}", target.port)).collect()
    }
}

fn bracketed(address: &IpAddr) -> String {
    if address.is_ipv4() { address.to_string() } else { format!("[{address}]") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(priority: u16, host: &str, port: u16, addresses: &[&str]) -> Target {
        let addresses = addresses.iter().map(|address| address.parse().expect("an address")).collect();
        Target { priority, host: host.to_owned(), port, addresses }
    }

    fn server(texts: &[&str], targets: Vec<Target>) -> Option<(String, Value)> {
        let said = said(texts.iter().map(|text| text.as_bytes()));
        let (name, text) = Service { name: "My docs".to_owned(), said, targets }.document()?;
        let document: Value = serde_json::from_str(&text).expect("JSON");
        Some((name.clone(), document["mcpServers"][name].clone()))
    }

    #[test]
    fn each_place_is_an_instance_and_each_priority_a_tier() {
        let far = target(20, "far.example", 8080, &["10.0.0.9"]);
        let near = target(10, "near.example", 8080, &["10.0.0.2", "10.0.0.1", "fe80::1"]);
        let (name, server) = server(&["path=/api", "x"], vec![far, near]).expect("a server");
        assert_eq!(name, "My_docs");
        let replicas = json!([
            { "url": "http://10.0.0.2:8080/api", "priority": 0 }, { "url": "http://10.0.0.9:8080/api", "priority": 1 },
        ]);
        assert_eq!(server, json!({ "url": "http://10.0.0.1:8080/api", "type": "http", "replicas": replicas }));
    }

    #[test]
    fn with_encryption_the_name_counts() {
        let (name, server) =
            server(&["Name=docs", "type=sse", "name=other"], vec![target(0, "a.example", 443, &["10.0.0.1"])])
                .expect("a server");
        assert_eq!((name.as_str(), server), ("docs", json!({ "url": "https://a.example:443/mcp", "type": "sse" })));
    }

    #[test]
    fn what_is_nowhere_is_no_server() {
        assert_eq!(server(&[], vec![target(0, "", 0, &[])]), None);
    }
}
